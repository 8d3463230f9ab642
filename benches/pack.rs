//! What the rules cost: events a second with 1, 10, 20 and all of them, and the state of each.
//!
//! `cargo bench --bench pack`. `NIGHTLATCH_BENCH_EVENTS` (1000000) sets the size of the log, which is
//! simulated (`city`, seed 11) into a temporary file compressed by zstd, about 60 bytes an event.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss)] // a benchmark may panic

#[path = "workload/allocator.rs"]
mod allocator;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use arrow::array::RecordBatch;
use nightlatch::Result;
use nightlatch::config::{EnrichConfig, LearnConfig};
use nightlatch::enrich::Enricher;
use nightlatch::event::Origins;
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::order::OrderConfig;
use nightlatch::pipeline::{Annotator, Aside, Consumer, Pipeline, Reading};
use nightlatch::rules::{Engine, Pack, Rule, StateLimits};
use nightlatch::serve::Metrics;
use nightlatch::simulate::{SimulateArgs, simulate};
use nightlatch::source::{FileOptions, Files};

const SEED: u64 = 11;
/// State is looked at once in so many batches: counting it takes time too.
const LOOK_EVERY: u64 = 64;

fn write_log(path: &Path, events: u64) {
    let args = SimulateArgs {
        scenario: "city".to_owned(),
        seed: SEED,
        events,
        traps: None,
        attacks: None,
        truth: None,
        output: None,
    };
    let mut file = zstd::Encoder::new(File::create(path).unwrap(), 1).unwrap();
    simulate(&args, &mut file, None).unwrap();
    file.finish().unwrap();
}

/// Engines that see the same batches, and the most that each has held.
struct Engines {
    engines: Vec<Engine>,
    bytes_max: Vec<usize>,
    batches: u64,
    matches: u64,
}

impl Engines {
    /// One engine for each set of rules.
    fn new(sets: Vec<Vec<Rule>>) -> Self {
        let limits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };
        let plan = |rules| {
            let (engine, refused) = Engine::new(rules, &[], limits).unwrap();
            assert!(refused.is_empty(), "{refused:?}");
            engine
        };
        let engines: Vec<Engine> = sets.into_iter().map(plan).collect();
        Self { bytes_max: vec![0; engines.len()], engines, batches: 0, matches: 0 }
    }

    fn look(&mut self) {
        for (engine, most) in self.engines.iter().zip(&mut self.bytes_max) {
            *most = (*most).max(engine.lane_stats().iter().map(|lane| lane.bytes).sum());
        }
    }
}

impl Consumer for Engines {
    fn take(&mut self, batch: &RecordBatch, _: &Origins) -> Result<()> {
        for engine in &mut self.engines {
            let matches = engine.process(batch).unwrap();
            self.matches +=
                matches.iter().map(|found| found.columns.num_rows() as u64).sum::<u64>();
        }
        self.batches += 1;
        if self.batches.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.look();
        Ok(())
    }

    fn found(&self) -> u64 {
        self.matches
    }
}

fn run(log: &Path, engines: &mut Engines) -> f64 {
    let mut origins = Origins::default();
    let names = [log.to_string_lossy().into_owned()];
    let files = Files::open(&names, FileOptions::default(), &mut origins).unwrap();
    let enricher = Enricher::new(&EnrichConfig::default()).unwrap();
    let pipeline = Pipeline {
        source: Box::new(files),
        origins,
        decoder: Decoder::new(Format::Native, DecodeLimits::default()),
        reading: Reading::default(),
        order: OrderConfig::default(),
        annotator: Annotator::new(enricher, &LearnConfig::default()).unwrap(),
        aside: Aside::default(),
        store: None,
        stop: Arc::new(AtomicBool::new(false)),
        release_on_stop: true,
        metrics: Arc::new(Metrics::new().unwrap()),
    };
    let started = Instant::now();
    let counts = pipeline.run(engines, &mut |_, _| {}).unwrap();
    counts.events as f64 / started.elapsed().as_secs_f64()
}

fn main() {
    let events = std::env::var("NIGHTLATCH_BENCH_EVENTS");
    let events: u64 = events.map_or(1_000_000, |text| text.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let log = temporary.path().join("city.jsonl.zst");
    write_log(&log, events);
    println!("{events} events of the city, seed {SEED}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let rules = Pack::load(Some(&folder)).unwrap().rules;
    for n in [0, 1, 10, 20, rules.len()] {
        let mut engines = Engines::new(vec![rules.iter().take(n).cloned().collect()]);
        let rate = run(&log, &mut engines);
        let megabytes = engines.bytes_max[0] as f64 / 1e6;
        println!(
            "{n:>3} rules  {rate:>9.0} events/s  {megabytes:>9.1} MB  {:>6.1} bytes an event",
            engines.bytes_max[0] as f64 / events as f64
        );
        println!("b5\t{n}-rules\tnightlatch\tevents_per_second\t{rate:.0}");
    }
    println!("the most that each rule holds when it runs alone");
    let mut alone = Engines::new(rules.iter().map(|rule| vec![rule.clone()]).collect());
    run(&log, &mut alone);
    for (rule, bytes) in rules.iter().zip(&alone.bytes_max) {
        println!("{:<36} {:>9.1} MB", rule.id, *bytes as f64 / 1e6);
    }
}
