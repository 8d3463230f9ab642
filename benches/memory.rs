//! Memory of the windows (B6 of the benchmark suite): what the process really holds beside what
//! `rules explain` predicts, and what is left when the windows have passed.
//!
//! `cargo bench --bench memory -- --accounts 100000`: one case a process, since memory that was given back
//! to the allocator is not always given back to the system. Prints tab-separated lines `b6 case nightlatch metric value`.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)] // a benchmark may panic

#[path = "workload/allocator.rs"]
mod allocator;

use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::rules::{Engine, StateLimits, parse_rule};
use nightlatch::source::{InputId, RawBatch};

const START_MICROS: u64 = 1_767_225_600_000_000;
const MINUTE_MICROS: u64 = 60_000_000;
const BATCH_EVENTS: u64 = 8_192;
const MICROS_BETWEEN: u64 = 1_000;
const WINDOW_MINUTES: u64 = 60;

const RULE: &str = "/*
title    = \"Many failures of one account\"
severity = \"high\"
entity   = \"account\"
quiet    = \"1 hour\"
summary  = \"{failures} failed logins to {account}\"
*/
SELECT time, account, count(*) FILTER (WHERE outcome = 'failure') OVER recent AS failures,
    count(DISTINCT ip) OVER recent AS addresses
FROM events
WINDOW recent AS (
    PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 1000000
";

/// A login as a sender writes it; `number` makes it different.
fn record(number: u64, n_accounts: u64) -> String {
    let account = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % n_accounts;
    let time = START_MICROS + number * MICROS_BETWEEN;
    let outcome = if number.is_multiple_of(20) { "failure" } else { "success" };
    format!(
        r#"{{"time":{time},"action":"login","outcome":"{outcome}","account":"user{account}@example.org","ip":"10.{}.{}.{}","event_id":"{number:024x}"}}"#,
        account >> 12 & 255,
        account >> 4 & 255,
        account & 15,
    )
}

fn process(engine: &mut Engine, decoder: &mut Decoder, first: u64, n_accounts: u64) {
    let mut raw = RawBatch::new(InputId(0), 0, 0, i64::MAX / 2);
    for number in first..first + BATCH_EVENTS {
        raw.push(number as i64, record(number, n_accounts).as_bytes());
    }
    engine.process(&decoder.decode(&mut raw).unwrap().batch).unwrap();
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// Bytes an event, and bytes a key: the numbers of lines such as `60 bytes an event in the window, 140
/// bytes a key` and `150 bytes an event ... as evidence`.
fn predicted(engine: &Engine) -> (f64, f64) {
    let text = engine.explain(0);
    let numbers = |words: &str| -> Vec<f64> {
        let line = text.lines().find(|line| line.contains(words)).unwrap();
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let (lane, evidence) = (numbers("bytes a key"), numbers("as evidence"));
    (lane[0] + evidence[0], lane[1])
}

fn run(n_accounts: u64) {
    let rule = parse_rule("memory.sql", "memory.sql", RULE).unwrap();
    let limits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };
    let (mut engine, refused) = Engine::new(vec![rule], &[], limits).unwrap();
    assert!(refused.is_empty());
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    let before = resident_bytes();
    let n_events = (WINDOW_MINUTES + 2) * MINUTE_MICROS / MICROS_BETWEEN;
    for first in (0..n_events).step_by(BATCH_EVENTS as usize) {
        process(&mut engine, &mut decoder, first, n_accounts);
    }
    let tell = |metric: &str, value: f64| {
        println!("b6\t{n_accounts}-accounts\tnightlatch\t{metric}\t{value:.1}");
    };
    let stats = engine.lane_stats();
    let events = stats[0].rows as f64;
    let (event_bytes, key_bytes) = predicted(&engine);
    let sum = event_bytes * events + key_bytes * stats[0].keys as f64;
    let resident = resident_bytes() - before;
    tell("events", events);
    tell("resident_bytes_per_event", resident / events);
    tell("predicted_bytes_per_event", sum / events);
    tell("resident_over_predicted", resident / sum);
    for lane in &stats {
        tell(&format!("{}_bytes_per_event", lane.name), lane.bytes as f64 / events);
    }
    // Two hours later: nothing that was counted is in a window any more.
    process(&mut engine, &mut decoder, n_events * 3, n_accounts);
    process(&mut engine, &mut decoder, n_events * 5, n_accounts);
    let stats = engine.lane_stats();
    tell("bytes_when_passed", stats.iter().map(|lane| lane.bytes).sum::<usize>() as f64);
    tell("resident_megabytes_when_passed", (resident_bytes() - before) / 1e6);
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let accounts = words.iter().skip_while(|word| *word != "--accounts").nth(1);
    run(accounts.map_or(100_000, |number| number.parse().unwrap()));
}
