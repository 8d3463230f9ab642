//! No stage of the hot path allocates for each event: what it asks of the allocator is by batch and by
//! column. A batch twice as long may cost some allocations more (buffers that grow), not one an event.

#![allow(clippy::expect_used)] // a test that cannot go on fails

use std::path::Path;

use allocation_counter::measure;
use arrow::array::RecordBatch;
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::order::{Order, OrderConfig};
use nightlatch::rules::{Engine, Pack, StateLimits};
use nightlatch::source::{InputId, RawBatch};

const INPUT: InputId = InputId(0);
const START_MICROS: u64 = 1_767_225_600_000_000;
const FEW: u64 = 4_096;
const MANY: u64 = 16_384;
/// More than this for a further event means that events make allocations of their own, and not only the
/// blocks of some thousand rows that columns of builders and of lanes are made of.
const PER_EVENT_MAX: f64 = 0.05;
/// The same for all columns of all rules' lanes together.
const PER_EVENT_OF_ALL_RULES_MAX: f64 = 0.1;

/// A login of one of a hundred accounts: after the first batch all names are known.
fn record(number: u64) -> String {
    let (account, time) = (number * 7 % 100, START_MICROS + number * 10_000);
    let outcome = if number.is_multiple_of(9) { "failure" } else { "success" };
    format!(
        r#"{{"time":{time},"action":"login","outcome":"{outcome}","account":"user{account}@example.org","ip":"198.51.100.{account}","user_agent":"VendorApp/5.2.1 (iPhone; iOS 19.1)","device":"device-number-{account}","session":"session-number-{account}","country":"DE","asn":64500,"event_id":"a long name of event {number:010}","source":"auth"}}"#
    )
}

fn raw(first: u64, n: u64) -> RawBatch {
    let mut raw = RawBatch::new(INPUT, 0, 0, i64::MAX / 2);
    (first..first + n).for_each(|number| raw.push(number as i64, record(number).as_bytes()));
    raw
}

/// Allocations for each event more, from the few of one batch to the many of the next.
fn per_event(mut allocations: impl FnMut(u64, u64) -> u64) -> f64 {
    // Twice, so that what is kept from batch to batch has grown to its size.
    allocations(0, MANY);
    allocations(MANY, MANY);
    let few = allocations(2 * MANY, FEW);
    let many = allocations(2 * MANY + FEW, MANY);
    many.saturating_sub(few) as f64 / (MANY - FEW) as f64
}

fn decoded(decoder: &mut Decoder, first: u64, n: u64) -> RecordBatch {
    let decoded = decoder.decode(&mut raw(first, n)).expect("columns");
    assert_eq!(decoded.batch.num_rows() as u64, n, "{:?}", decoded.rejections.first());
    decoded.batch
}

fn decoder() -> Decoder {
    Decoder::new(Format::Native, DecodeLimits::default())
}

#[test]
fn decoding_allocates_by_batch() {
    let mut decoder = decoder();
    let per_event = per_event(|first, n| {
        let mut raw = raw(first, n);
        measure(|| drop(decoder.decode(&mut raw))).count_total
    });
    assert!(per_event < PER_EVENT_MAX, "{per_event} allocations an event");
}

#[test]
fn ordering_allocates_by_batch() {
    let mut decoder = decoder();
    let mut order = Order::new(OrderConfig::default());
    let mut n_released = 0;
    let per_event = per_event(|first, n| {
        let batch = decoded(&mut decoder, first, n);
        let work = || {
            order.admit(INPUT, batch, i64::MAX / 2);
            while let Some(batch) = order.release().expect("columns") {
                n_released += batch.num_rows();
            }
        };
        measure(work).count_total
    });
    assert!(n_released > 0, "nothing was released");
    assert!(per_event < PER_EVENT_MAX, "{per_event} allocations an event");
}

#[test]
fn rules_allocate_by_batch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let rules = Pack::load(Some(&folder)).expect("the rules").rules;
    let limits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };
    let (mut engine, refused) = Engine::new(rules, &[], limits).expect("no references");
    assert!(refused.is_empty());
    let mut decoder = decoder();
    let per_event = per_event(|first, n| {
        let batch = decoded(&mut decoder, first, n);
        measure(|| drop(engine.process(&batch).unwrap())).count_total
    });
    assert!(per_event < PER_EVENT_OF_ALL_RULES_MAX, "{per_event} allocations an event");
}

#[test]
fn an_allocation_an_event_would_be_seen() {
    let per_event = per_event(|_, n| measure(|| (0..n).for_each(|n| drop(vec![n; 2]))).count_total);
    assert!(per_event > 0.99, "{per_event} allocations an event");
}
