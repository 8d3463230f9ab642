//! JSON to columns by sonic-rs, simd-json and serde_json: events a second of one thread.
//!
//! `json_libraries [--engine NAME] [--case small|big]`. The events are those of `benches/workload/json.rs`;
//! Nightlatch's decoder and arrow-json take the same ones in `cargo bench --bench json_columns`.
//!
//! `*-struct` reads an event into borrowed values and goes on to the next; `*-columns` also appends them to
//! growing columns, as a decoder of batches must. A time is read to microseconds by Nightlatch's own code,
//! in both and for all, so that it makes no difference.

mod columns;
mod event;
mod parsers;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../../../src/event/time.rs"]
mod time;
#[path = "../../../../workload/json.rs"]
mod workload;

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use columns::Columns;
use event::{Details, Event};
use mimalloc::MiMalloc;
use parsers::{Parser, SerdeJson, SimdJson, SonicRs};

/// simd-json's documents ask for an allocator of this kind.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What `time` calls its values.
type TimeMicros = i64;

const EVENTS: u64 = 8_192;
const MEASURED: Duration = Duration::from_secs(1);

/// Takes the events that a parser reads.
trait Sink {
    fn take<D: Details>(&mut self, event: &Event<'_, D>);
}

/// Looks at an event and forgets it.
#[derive(Default)]
struct Look;

impl Sink for Look {
    fn take<D: Details>(&mut self, event: &Event<'_, D>) {
        black_box(event);
    }
}

struct Options {
    engine: Option<String>,
    case: Option<String>,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options { engine: None, case: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--engine" => options.engine = Some(value),
            "--case" => options.case = Some(value),
            _ => return Err(format!("no option {name}: --engine NAME, --case small|big").into()),
        }
    }
    Ok(options)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    for (case, event) in [("small", workload::small as fn(u64) -> String), ("big", workload::big)] {
        if options.case.as_deref().is_some_and(|wanted| wanted != case) {
            continue;
        }
        let events: Vec<String> = (0..EVENTS).map(event).collect();
        let run = Run { options: &options, case, events };
        run.engine("sonic-rs", SonicRs)?;
        run.engine("simd-json", SimdJson::default())?;
        run.engine("serde_json", SerdeJson)?;
    }
    Ok(())
}

struct Run<'o> {
    options: &'o Options,
    case: &'static str,
    events: Vec<String>,
}

impl Run<'_> {
    fn engine(&self, name: &str, mut parser: impl Parser) -> Result<(), Box<dyn Error>> {
        self.sink::<Look>(&format!("{name}-struct"), &mut parser)?;
        self.sink::<Columns>(&format!("{name}-columns"), &mut parser)
    }

    fn sink<S: Sink + Default>(
        &self,
        engine: &str,
        parser: &mut impl Parser,
    ) -> Result<(), Box<dyn Error>> {
        if self.options.engine.as_deref().is_some_and(|wanted| wanted != engine) {
            return Ok(());
        }
        let started = Instant::now();
        let mut best = Duration::MAX;
        while started.elapsed() < MEASURED {
            let pass = Instant::now();
            black_box(self.pass::<S>(parser)?);
            best = best.min(pass.elapsed());
        }
        let case = self.case;
        let checksum = self.pass::<Columns>(parser)?.checksum();
        let events_per_second = EVENTS as f64 / best.as_secs_f64();
        println!("b3\t{case}\t{engine}\tevents_per_second\t{events_per_second:.0}");
        println!("b3\t{case}\t{engine}\tchecksum\t{checksum}");
        Ok(())
    }

    fn pass<S: Sink + Default>(&self, parser: &mut impl Parser) -> Result<S, Box<dyn Error>> {
        let mut sink = S::default();
        for event in &self.events {
            parser.parse(event.as_bytes(), &mut sink)?;
        }
        Ok(sink)
    }
}
