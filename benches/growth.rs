//! How the window core slows down as things grow (B5 of the benchmark suite): keys, rows in a frame,
//! windows of a lane, one key with half of the traffic. One thread.
//!
//! `cargo bench --bench growth`. Prints tab-separated lines `b5 case nightlatch metric value`.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)] // a benchmark may panic

#[path = "workload/allocator.rs"]
mod allocator;
#[allow(dead_code)] // shared with other benchmarks
#[path = "workload/lane.rs"]
mod lane;

use std::time::{Duration, Instant};

use lane::{BATCH_ROWS, Events, MINUTE, aggregates, lane_of};
use nightlatch::window::{Frame, Interner, Lane, LaneLimits, LaneSpec};

/// How long each case is measured.
const MEASURED: Duration = Duration::from_secs(3);

struct Case {
    name: String,
    spec: LaneSpec,
    events: Events,
    /// Event time after which the longest window is full.
    full_after_micros: i64,
}

fn window(minutes: i64) -> Frame {
    Frame { start_micros: minutes * MINUTE, end_micros: 0 }
}

/// A window of five minutes and one of an hour, as in `benches/window.rs`.
fn two_windows(name: String, events: Events) -> Case {
    Case { name, spec: lane::spec(), events, full_after_micros: 62 * MINUTE }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n_keys, rate) in
        [(1_000, 1_000), (10_000, 1_000), (100_000, 2_000), (1_000_000, 2_000), (5_000_000, 5_000)]
    {
        cases.push(two_windows(format!("{n_keys}-keys"), Events::new(n_keys, 1_000_000 / rate)));
    }
    for n_rows in [10, 100, 1_000, 10_000] {
        // Five minutes of a thousand keys.
        let micros_between = 5 * MINUTE / (n_rows * 1_000);
        cases.push(Case {
            name: format!("{n_rows}-rows-a-frame"),
            spec: lane_of(vec![(window(5), aggregates())]),
            events: Events::new(1_000, micros_between),
            full_after_micros: 6 * MINUTE,
        });
    }
    for n_windows in [1, 2, 4, 8] {
        let windows = (1..=n_windows).map(|n| (window(n * 60 / n_windows), aggregates()));
        cases.push(Case {
            name: format!("{n_windows}-windows"),
            spec: lane_of(windows.collect()),
            events: Events::new(10_000, 1_000),
            full_after_micros: 62 * MINUTE,
        });
    }
    let hot = Events::new(100_000, 500).with_hot_key();
    cases.push(two_windows("100000-keys-one-with-half".to_owned(), hot));
    cases
}

fn run(case: Case) {
    let Case { name, spec, mut events, full_after_micros } = case;
    let limits = LaneLimits { rows_max: usize::MAX, keys_max: usize::MAX };
    let mut lane = Lane::new(&spec, limits);
    let texts: [Interner; 0] = [];
    while events.time < full_after_micros {
        let input = events.batch();
        lane.advance(input.times[0], &texts).unwrap();
        lane.push(input, &texts).unwrap();
    }
    let (mut spent, mut n_rows) = (Duration::ZERO, 0);
    while spent < MEASURED {
        let input = events.batch();
        let started = Instant::now();
        lane.advance(input.times[0], &texts).unwrap();
        std::hint::black_box(lane.push(input, &texts).unwrap());
        spent += started.elapsed();
        n_rows += BATCH_ROWS;
    }
    let tell = |metric: &str, value: f64| println!("b5\t{name}\tnightlatch\t{metric}\t{value:.1}");
    tell("events_per_second", n_rows as f64 / spent.as_secs_f64());
    tell("bytes_per_event", lane.bytes() as f64 / lane.n_rows() as f64);
}

fn main() {
    cases().into_iter().for_each(run);
}
