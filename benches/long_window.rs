//! Windows longer than memory: what the process holds as a window of 30 days grows from 10 to 80
//! million events, with old rows on disk, and what a billion would take.
//!
//! `cargo bench --bench long_window`. Prints tab-separated lines `b9 case nightlatch metric value`. Rows
//! go to `$TMPDIR`; 80 million events take some 8 GB there. `NIGHTLATCH_LONG_WINDOWS=5,10` takes other
//! lengths, in millions of events.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)] // a benchmark may panic

#[path = "workload/allocator.rs"]
mod allocator;

use std::process::Command;
use std::time::Instant;

use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::rules::{Engine, StateLimits, parse_rule};
use nightlatch::source::{InputId, RawBatch};
use nightlatch::store::{Spill, SpillLimits};

const START_MICROS: u64 = 1_767_225_600_000_000;
const WINDOW_MICROS: u64 = 30 * 86_400 * 1_000_000;
const BATCH_EVENTS: u64 = 8_192;
const N_ACCOUNTS: u64 = 100_000;
/// Rows that stay in memory, with the evidence.
const IN_MEMORY_BYTES: u64 = 128 << 20;
/// Beyond the window, so that rows leave as fast as they come.
const BEYOND: f64 = 1.25;
const LENGTHS: [u64; 4] = [10, 20, 40, 80];

const RULE: &str = "/*
title    = \"Many failures of one account\"
severity = \"high\"
entity   = \"account\"
quiet    = \"1 hour\"
summary  = \"{failures} failed logins to {account}\"
*/
SELECT time, account, count(*) FILTER (WHERE outcome = 'failure') OVER recent AS failures,
    count(*) OVER recent AS logins,
    count(DISTINCT ip) OVER recent AS addresses
FROM events
WINDOW recent AS (
    PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 1000000
";

/// A login as a sender writes it; `number` makes it different.
fn record(number: u64, micros_between: u64) -> String {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let account = (mixed >> 20) % N_ACCOUNTS;
    let time = START_MICROS + number * micros_between;
    let outcome = if number.is_multiple_of(20) { "failure" } else { "success" };
    format!(
        r#"{{"time":{time},"action":"login","outcome":"{outcome}","account":"user{account}@example.org","ip":"10.{}.{}.{}","event_id":"{number:024x}"}}"#,
        account >> 12 & 255,
        account >> 4 & 255,
        mixed >> 60,
    )
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// Fills a window with so many events, and goes on; tells what it held in the end.
fn run(n_window: u64, in_memory_bytes_max: u64) {
    let rule = parse_rule("long.sql", "long.sql", RULE).unwrap();
    let limits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };
    let (mut engine, refused) = Engine::new(vec![rule], &[], limits).unwrap();
    assert!(refused.is_empty());
    let limits = SpillLimits { in_memory_bytes_max, on_disk_bytes_max: u64::MAX };
    engine.spill_to(Spill::temporary(&std::env::temp_dir(), limits));
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    let micros_between = WINDOW_MICROS / n_window;
    let n_events = (n_window as f64 * BEYOND) as u64;
    let (mut started, mut first, mut steady) = (Instant::now(), 0, 0);
    while first < n_events {
        let mut raw = RawBatch::new(InputId(0), 0, 0, i64::MAX / 2);
        for number in first..first + BATCH_EVENTS {
            raw.push(number as i64, record(number, micros_between).as_bytes());
        }
        assert!(engine.process(&decoder.decode(&mut raw).unwrap().batch).unwrap().is_empty());
        first += BATCH_EVENTS;
        if first >= n_window && steady == 0 {
            (started, steady) = (Instant::now(), first);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let (lanes, spill) = (engine.lane_stats(), engine.spill_stats());
    println!("events\t{}", lanes[0].rows);
    println!("resident_megabytes\t{:.1}", resident_bytes() / 1e6);
    println!("events_per_second\t{:.0}", (first - steady) as f64 / seconds);
    println!("disk_megabytes\t{:.1}", spill.disk_bytes as f64 / 1e6);
    for lane in &lanes {
        println!("{}_megabytes\t{:.1}", lane.name, lane.bytes as f64 / 1e6);
    }
}

/// Runs a case in a process of its own, so that none inherits the memory of another; gives events and
/// megabytes.
fn case(name: &str, n_window: u64, in_memory_bytes_max: u64) -> (f64, f64) {
    let program = std::env::current_exe().unwrap();
    let arguments = [n_window.to_string(), in_memory_bytes_max.to_string()];
    let output = Command::new(program).arg("case").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text.lines().for_each(|line| println!("b9\t{name}\tnightlatch\t{line}"));
    let value = |metric: &str| {
        let line = text.lines().find(|line| line.starts_with(metric)).unwrap();
        line.split('\t').nth(1).unwrap().parse::<f64>().unwrap()
    };
    (value("events"), value("resident_megabytes"))
}

fn lengths() -> Vec<u64> {
    match std::env::var("NIGHTLATCH_LONG_WINDOWS") {
        Ok(text) => text.split(',').map(|length| length.parse().unwrap()).collect(),
        Err(_) => LENGTHS.to_vec(),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, case, n_window, bytes] = arguments.as_slice()
        && case == "case"
    {
        return run(n_window.parse().unwrap(), bytes.parse().unwrap());
    }
    let lengths = lengths();
    let shortest = lengths[0];
    case(&format!("{shortest}m-in-memory"), shortest * 1_000_000, u64::MAX);
    let held: Vec<(f64, f64)> = lengths
        .iter()
        .map(|length| case(&format!("{length}m-on-disk"), length * 1_000_000, IN_MEMORY_BYTES))
        .collect();
    let ((few, least), (many, most)) = (held[0], held[held.len() - 1]);
    let bytes_each = (most - least) * 1e6 / (many - few);
    println!("b9\tslope\tnightlatch\tbits_per_event\t{:.2}", bytes_each * 8.0);
    let billion = most + bytes_each * (1e9 - many) / 1e6;
    println!("b9\tslope\tnightlatch\tmegabytes_with_a_billion_events\t{billion:.0}");
}
