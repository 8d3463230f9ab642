//! An engine that was written to disk and taken back goes on as if nothing had happened; what does not
//! fit or is damaged is rebuilt from the events, and the results are the same.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)] // a test that cannot go on fails

mod damage;
mod harness;
mod rebuild;
mod spill;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use arrow::array::RecordBatch;
use harness::*;
use nightlatch::event::Origins;
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::order::{Order, OrderConfig};
use nightlatch::rules::{Engine, EngineManifest, Pack, Rule, StateLimits};
use nightlatch::source::{Delivery, FileOptions, Files, Source};
use proptest::prelude::*;
use proptest::sample::Index;
use support::events::Event;
use support::{events, queries};

#[derive(Debug, Clone, Copy)]
struct Point {
    at: Index,
    restores: bool,
    keeps: u64,
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    let point = (any::<Index>(), any::<bool>(), any::<u64>());
    prop::collection::vec(
        point.prop_map(|(at, restores, keeps)| Point { at, restores, keeps }),
        1..5,
    )
}

#[test]
fn a_restored_engine_goes_on_as_if_nothing_had_happened() {
    let texts = prop::collection::vec(queries::rule(), 1..4);
    let strategy = (texts, events::events(80), 1usize..20, points());
    runner(cases().div_ceil(8))
        .run(&strategy, |(texts, events, size, points)| {
            let rules = rules(&texts);
            let batches = events::batches(&events, size);
            let expected = uninterrupted(&rules, &batches, Floats::Bits);
            let found = with_restarts(&rules, &batches, &points);
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert_eq!(found, expected, "{}", texts.join("\n"));
            }
            prop_assert_eq!(found.len(), expected.len());
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// Runs with a checkpoint at each point, and a restart at some.
fn with_restarts(rules: &[Rule], batches: &[RecordBatch], points: &[Point]) -> Vec<Found> {
    let (mut running, mut folder, mut found) = (engine(rules), Folder::new(), Vec::new());
    for (index, batch) in batches.iter().enumerate() {
        run(&mut running, batch, Floats::Bits, &mut found);
        for point in points.iter().filter(|point| point.at.index(batches.len()) == index) {
            folder.write(&mut running, |segment| point.keeps >> (segment % 64) & 1 == 1);
            if point.restores {
                running = engine(rules);
                let restored = folder.read(&mut running, newest_time(batch) + 1);
                assert_eq!(restored.rebuilding, Vec::new());
                assert!(!running.is_rebuilding() && running.rebuilding_reach_micros().is_none());
            }
        }
    }
    found
}

/// Every kind of state: counts, distinct counts, sums, queues, newest rows, lags; a long frame, a short
/// one, one that ends in the past; a second stage.
pub const EVERYTHING: &str = "SELECT *, max(failures) OVER device AS m, avg(mean) OVER device AS mm FROM (
    SELECT time, account, ip, device,
        count(*) FILTER (WHERE outcome = 'failure') OVER long AS failures,
        count(DISTINCT ip) OVER long AS ips,
        count(DISTINCT device) OVER short AS devices,
        sum(asn) OVER long AS asns,
        sum(latitude) OVER past AS total,
        avg(latitude) OVER long AS mean,
        stddev(latitude) OVER short AS spread,
        min(device) OVER short AS first_device,
        first_value(asn) OVER short AS first_asn,
        last_value(device) OVER past AS last_device,
        lag(ip, 2) OVER (PARTITION BY account ORDER BY time) AS before
    FROM events
    WINDOW long AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' HOUR PRECEDING AND CURRENT ROW),
        short AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW),
        past AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '5' HOUR PRECEDING AND INTERVAL '1' HOUR PRECEDING)
    ) WINDOW device AS (PARTITION BY device ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW)
    QUALIFY failures % 500 = 3 OR m % 97 = 1";

#[test]
fn what_did_not_change_is_not_written_again() {
    let rules = rules(&[format!("{HEAD}{EVERYTHING}")]);
    let batches = events::batches(&many_events(45_000), 1_000);
    let expected = uninterrupted(&rules, &batches, Floats::Bits);
    let (mut running, mut folder, mut found) = (engine(&rules), Folder::new(), Vec::new());
    let mut sizes = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        run(&mut running, batch, Floats::Bits, &mut found);
        if index % 8 == 7 {
            sizes.push(folder.write(&mut running, |_| true));
        }
        // The second time the process ends a while after its last checkpoint.
        if let Some(last) = [(23, 23), (42, 39)].iter().find(|(end, _)| *end == index).map(|l| l.1)
        {
            running = engine(&rules);
            assert_eq!(folder.read(&mut running, newest_time(&batches[last]) + 1).rebuilding, []);
            for again in &batches[last + 1..=index] {
                run(&mut running, again, Floats::Bits, &mut Vec::new());
            }
        }
        if index == 35 {
            // Nothing new: only what is small is written.
            let whole = folder.write(&mut running, |_| false);
            let nothing = folder.write(&mut running, |_| true);
            assert!(nothing < whole / 3, "{nothing} of {whole} bytes");
        }
    }
    assert!(found == expected, "the results differ");
    assert!(expected.len() > 100, "{} matches", expected.len());
    let manifest: EngineManifest = serde_json::from_str(&folder.manifest).expect("a manifest");
    assert!(segments(&manifest).len() > 1, "old blocks are referred to: {sizes:?}");
}

#[test]
fn what_is_written_ahead_is_part_of_the_next_checkpoint() {
    let rules = rules(&[format!("{HEAD}{EVERYTHING}")]);
    let batches = events::batches(&many_events(45_000), 1_000);
    let (mut running, mut folder, mut found) = (engine(&rules), Folder::new(), Vec::new());
    let (mut writer, mut n_pieces) = (folder.begin(|_| true), 0);
    for (index, batch) in batches.iter().enumerate() {
        run(&mut running, batch, Floats::Bits, &mut found);
        while running.seal(&mut writer).unwrap() {
            n_pieces += 1;
        }
        if index % 20 == 19 {
            let ahead = writer.n_bytes();
            let whole = folder.end(writer, &mut running);
            assert!(ahead > whole / 2, "{ahead} of {whole} bytes");
            running = engine(&rules);
            assert_eq!(folder.read(&mut running, newest_time(batch) + 1).rebuilding, []);
            writer = folder.begin(|_| true);
        }
    }
    assert!(found == uninterrupted(&rules, &batches, Floats::Bits), "the results differ");
    assert!(n_pieces >= 4, "{n_pieces} pieces");
}

/// The example log, as batches in event-time order.
fn example(batch_events: usize) -> Vec<RecordBatch> {
    let mut origins = Origins::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ring-2019.jsonl");
    let name = path.to_string_lossy().into_owned();
    let mut files = Files::open(&[name], FileOptions::default(), &mut origins).expect("the log");
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    let mut order = Order::new(OrderConfig { batch_events, ..OrderConfig::default() });
    let mut released = Vec::new();
    while let Some(delivery) = files.next(None).expect("the log can be read") {
        let Delivery::Batch(mut raw) = delivery else { continue };
        let decoded = decoder.decode(&mut raw).expect("columns");
        let turned_away = order.admit(raw.input, decoded.batch, i64::MAX / 4);
        assert!(turned_away.is_empty(), "{turned_away:?}");
    }
    order.release_all();
    while let Some(batch) = order.release().expect("columns") {
        released.push(batch);
    }
    released
}

#[test]
fn the_pack_finds_the_same_in_the_example_log() {
    let pack = Pack::load(None).expect("the pack is inside the binary");
    let batches = example(100);
    assert!(batches.len() > 20, "{} batches", batches.len());
    let expected = uninterrupted(&pack.rules, &batches, Floats::Bits);
    assert!(!expected.is_empty());
    let (mut running, mut folder, mut found) = (engine(&pack.rules), Folder::new(), Vec::new());
    for (index, batch) in batches.iter().enumerate() {
        run(&mut running, batch, Floats::Bits, &mut found);
        if index % 4 == 3 {
            folder.write(&mut running, |_| true);
            running = engine(&pack.rules);
            assert_eq!(folder.read(&mut running, newest_time(batch) + 1).rebuilding, []);
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn counters_are_carried_over_and_limits_hold() {
    let text = format!(
        "{HEAD}SELECT time, account, count(*) OVER (PARTITION BY account ORDER BY time \
         RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS n FROM events"
    );
    let limits = StateLimits { rows_max: 50, keys_max: 3 };
    let start =
        || Engine::new(rules(std::slice::from_ref(&text)), &[], limits).expect("no tables").0;
    let events = many_events(100);
    let mut running = start();
    running.process(&events::batch(&events, 0)).unwrap();
    let counters = |engine: &Engine| -> Vec<(String, usize, usize, u64)> {
        let stats = engine.lane_stats().into_iter();
        stats.map(|lane| (lane.name, lane.keys, lane.rows, lane.dropped_rows)).collect()
    };
    let before = counters(&running);
    assert!(before.iter().filter(|(_, _, _, dropped)| *dropped > 0).count() == 2, "{before:?}");
    let mut folder = Folder::new();
    folder.write(&mut running, |_| true);
    let mut restored = start();
    folder.read(&mut restored, events[99].time + 1);
    assert_eq!(counters(&restored), before);
    let next = events::batch(&[Event { time: events[99].time + 1, ..events[0].clone() }], 100);
    restored.process(&next).unwrap();
    running.process(&next).unwrap();
    assert_eq!(counters(&restored), counters(&running));
}
