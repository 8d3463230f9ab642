//! One sliding window over plain rows, by Nightlatch's window core and by DataFusion: what B1 and B2 of
//! the benchmark suite compare with other engines (`benches/README.md`). Also writes the rows.
//!
//! ```sh
//! cargo bench --bench rows -- --write rows.bin --rows 2000000 --keys 100000 --rate 10000 --skew zipf
//! cargo bench --bench rows -- --read rows.bin --engine nightlatch --case 100k --measure b1
//! ```
//!
//! For each row, of its key and the five minutes before it: `count(*)`, `sum(failed)` and
//! `count(DISTINCT value)`. Prints tab-separated lines `bench case engine metric value`; the checksum is
//! the three sums over all rows.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a benchmark may stop at the first error

#[path = "../workload/allocator.rs"]
mod allocator;
mod datafusion_peer;
mod nightlatch_core;
mod table;

use std::time::Instant;

use clap::Parser;
use table::{Skew, Table};

#[derive(Parser)]
struct Args {
    /// Writes rows to this file: 24 bytes each, see benches/README.md.
    #[arg(long)]
    write: Option<std::path::PathBuf>,
    /// Reads rows from this file: raw, or Parquet.
    #[arg(long)]
    read: Option<std::path::PathBuf>,
    #[arg(long, default_value_t = usize::MAX)]
    rows: usize,
    #[arg(long, default_value_t = 1_000)]
    keys: usize,
    /// Rows a second of event time.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    #[arg(long, value_enum, default_value = "uniform")]
    skew: Skew,
    #[arg(long, value_enum, default_value = "nightlatch")]
    engine: Engine,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value = "b1")]
    measure: String,
    #[arg(long, default_value = "all")]
    case: String,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Engine {
    Nightlatch,
    DatafusionBatch,
    DatafusionStreaming,
}

impl Engine {
    fn label(self) -> &'static str {
        match self {
            Self::Nightlatch => "nightlatch",
            Self::DatafusionBatch => "datafusion-batch",
            Self::DatafusionStreaming => "datafusion-streaming",
        }
    }
}

/// Sums over all rows of the three results.
#[derive(Default, Clone, Copy)]
struct Checksum {
    counts: u64,
    failures: u64,
    distinct: u64,
}

impl std::ops::Add for Checksum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            counts: self.counts + other.counts,
            failures: self.failures + other.failures,
            distinct: self.distinct + other.distinct,
        }
    }
}

fn main() {
    let args = Args::parse();
    if let Some(path) = &args.write {
        return table::write(path, args.rows, args.keys, args.rate, args.skew);
    }
    let Some(path) = &args.read else {
        eprintln!("error: neither --write nor --read\n  hint: see --help");
        std::process::exit(64);
    };
    // Rows of a raw file are in memory before the clock starts; Parquet is read under it, as by the
    // engines that it is compared with.
    let raw = path.extension().is_none_or(|extension| extension != "parquet");
    let loaded = raw.then(|| Table::read(path, args.rows));
    let started = Instant::now();
    let table = loaded.unwrap_or_else(|| Table::read(path, args.rows));
    let n_rows = table.n_rows();
    let checksum = match args.engine {
        Engine::Nightlatch => nightlatch_core::run(&table, args.threads),
        Engine::DatafusionBatch => datafusion_peer::run(table, args.threads, false),
        Engine::DatafusionStreaming => datafusion_peer::run(table, args.threads, true),
    };
    let seconds = started.elapsed().as_secs_f64();
    let label = match args.threads {
        1 => args.engine.label().to_owned(),
        threads => format!("{}-{threads}-threads", args.engine.label()),
    };
    let tell = |metric: &str, value: String| {
        println!("{}\t{}\t{label}\t{metric}\t{value}", args.measure, args.case);
    };
    tell("rows", n_rows.to_string());
    tell("events_per_second", format!("{:.0}", n_rows as f64 / seconds));
    let Checksum { counts, failures, distinct } = checksum;
    tell("checksum", format!("{counts},{failures},{distinct}"));
}
