//! A fixed piece of work of each hot stage, for `scripts/instructions`: it counts the instructions of
//! the function with the stage's name, and of nothing else here.

#![allow(clippy::expect_used)] // a benchmark may stop at the first error

#[path = "workload/json.rs"]
mod json;
#[allow(dead_code)] // shared with other benchmarks
#[path = "workload/lane.rs"]
mod lane;

use std::hint::black_box;

use json::{big, small};
use lane::{Events, MINUTE, spec};
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::source::{InputId, RawBatch};
use nightlatch::window::{Interner, Lane, LaneInput, LaneLimits};

const NOW: i64 = 2_000_000_000_000_000;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("decode") => decode(&mut records()),
        Some("windows") => windows(rows()),
        _ => {
            eprintln!("usage: instructions decode|windows");
            std::process::exit(64);
        }
    }
}

/// Four small events for each big one.
fn records() -> RawBatch {
    let mut raw = RawBatch::new(InputId(0), 0, 0, NOW);
    for index in 0..2_500 {
        let event = if index % 5 == 0 { big(index) } else { small(index) };
        raw.push(index as i64, event.as_bytes());
    }
    raw
}

#[inline(never)]
fn decode(raw: &mut RawBatch) {
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    let decoded = decoder.decode(raw).expect("columns of a benchmark");
    assert_eq!(black_box(decoded).batch.num_rows(), raw.len());
}

/// Ten minutes: rows leave the window of five.
fn rows() -> Vec<LaneInput> {
    let mut events = Events::new(1_000, 10 * MINUTE / 32_768);
    (0..4).map(|_| events.batch()).collect()
}

#[inline(never)]
fn windows(batches: Vec<LaneInput>) {
    let limits = LaneLimits { rows_max: usize::MAX, keys_max: usize::MAX };
    let mut lane = Lane::new(&spec(), limits);
    let texts: [Interner; 0] = [];
    for input in batches {
        lane.advance(input.times[0], &texts).expect("rows in memory");
        black_box(lane.push(input, &texts).expect("rows in memory"));
    }
}
