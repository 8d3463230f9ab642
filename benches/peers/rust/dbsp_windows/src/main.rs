//! Windows over time by dbsp (Feldera's engine): events a second, with one worker.
//!
//! `dbsp_windows --read FILE --rows N --case NAME [--query q1|q2|q3]`
//!
//! For each row of FILE (see `rows.rs`) over the rows of its key in the 5 minutes before it: `count(*)` (q1),
//! also `sum(failed)` (q2), also `count(DISTINCT value)` (q3, the default). That is dbsp's rolling aggregate
//! with a waterline at the newest row, so that what has left the window is dropped. dbsp brings no sliding
//! `count(DISTINCT)`: q3's aggregate carries the values themselves, as a semigroup of sorted vectors.
//!
//! Each transaction takes 8,192 rows. dbsp merges its batches in threads of its own beside the worker, and
//! drops what its waterline has passed when it merges.

mod aggregate;
mod rows;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use aggregate::{Counts, Outcomes, Query, Totals, Values};
use anyhow::{Context as _, Result, bail};
use dbsp::circuit::CircuitConfig;
use dbsp::dynamic::DynDataTyped;
use dbsp::mimalloc::MiMalloc;
use dbsp::operator::time_series::{RelOffset, RelRange};
use dbsp::typed_batch::IndexedZSetReader as _;
use dbsp::utils::{Tup2, Tup3};
use dbsp::{DBSPHandle, IndexedZSetHandle, Runtime, Stream, TypedBox};
use rows::{Row, Rows};

/// The allocator of dbsp's own benchmarks.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BATCH_ROWS: usize = 8_192;
const WINDOW_MICROS: u64 = 5 * 60 * 1_000_000;
const WORKERS: usize = 1;

struct Options {
    read: String,
    rows: u64,
    case: String,
    query: String,
}

fn options() -> Result<Options> {
    let mut options = Options {
        read: String::new(),
        rows: u64::MAX,
        case: String::new(),
        query: "q3".to_owned(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--read" => options.read = value,
            "--rows" => options.rows = value.parse().context("--rows is no number")?,
            "--case" => options.case = value,
            "--query" => options.query = value,
            _ => bail!("no option {name}"),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    let options = options()?;
    let rows = Rows::open(&options.read, options.rows)?;
    match options.query.as_str() {
        "q1" => run::<Counts>(&options.case, rows),
        "q2" => run::<Outcomes>(&options.case, rows),
        "q3" => run::<Values>(&options.case, rows),
        query => bail!("no query {query}: q1, q2 or q3"),
    }
}

fn run<Q: Query>(case: &str, mut rows: Rows) -> Result<()> {
    let sums = Arc::<Sums>::default();
    let (mut circuit, input) = circuit::<Q>(sums.clone())?;
    let started = Instant::now();
    let mut n_rows = 0;
    loop {
        let batch = rows.batch(BATCH_ROWS)?;
        if batch.len() == 0 {
            break;
        }
        n_rows += batch.len();
        let tuple = |row: Row| Tup2(row.time_micros, Tup2(Tup2(row.key, Q::value(&row)), 1));
        input.append(&mut batch.map(tuple).collect());
        circuit.transaction()?;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("b1\t{case}\tdbsp\trows\t{n_rows}");
    println!("b1\t{case}\tdbsp\tevents_per_second\t{:.0}", n_rows as f64 / seconds);
    println!("b1\t{case}\tdbsp\tchecksum\t{}", sums.checksum(Q::N_RESULTS));
    circuit.kill().ok().context("the worker does not stop")?;
    Ok(())
}

type Input<Q> = IndexedZSetHandle<u64, Tup2<u32, <Q as Query>::Value>>;

fn circuit<Q: Query>(sums: Arc<Sums>) -> Result<(DBSPHandle, Input<Q>)> {
    let built = Runtime::init_circuit(CircuitConfig::with_workers(WORKERS), |circuit| {
        let (rows, input) = circuit.add_input_indexed_zset::<u64, Tup2<u32, Q::Value>>();
        // A transaction's rows are not held against its own newest one.
        let waterline: Stream<_, TypedBox<u64, DynDataTyped<u64>>> = rows
            .waterline_monotonic(|| 0, |time| *time)
            .transaction_delay_with_initial_value(TypedBox::new(0));
        let window = RelRange::new(RelOffset::Before(WINDOW_MICROS), RelOffset::Before(0));
        rows.partitioned_rolling_aggregate_with_waterline(
            &waterline,
            |Tup2(key, value): &Tup2<u32, Q::Value>| (*key, value.clone()),
            Q::aggregator(),
            window,
        )
        .inspect(move |results| {
            for (_key, Tup2(_time, totals), weight) in results.iter() {
                sums.add(totals.unwrap_or_default(), weight);
            }
        });
        Ok(input)
    });
    Ok(built?)
}

/// Sums of the results of all rows.
#[derive(Default)]
struct Sums([AtomicI64; 3]);

impl Sums {
    fn add(&self, Tup3(count, failed, distinct): Totals, weight: i64) {
        for (sum, total) in self.0.iter().zip([count, failed, distinct]) {
            sum.fetch_add(total * weight, Ordering::Relaxed);
        }
    }

    fn checksum(&self, n_results: usize) -> String {
        let sums = self.0.iter().take(n_results);
        sums.map(|sum| sum.load(Ordering::Relaxed).to_string()).collect::<Vec<_>>().join(",")
    }
}
