//! JSON to columns, and columns in order: events a second of one thread.

// `criterion_group!` makes a public function, and a benchmark may stop at the first error.
#![allow(missing_docs, clippy::expect_used)]

#[path = "workload/json.rs"]
mod json;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use nightlatch::event::decode::{DecodeLimits, Decoded, Decoder, Format};
use nightlatch::order::{Order, OrderConfig};
use nightlatch::source::{InputId, RawBatch};
use std::hint::black_box;

use json::{big, small};

const EVENTS: u64 = 8_192;
const NOW: i64 = 2_000_000_000_000_000;

fn raw(first: u64, event: fn(u64) -> String) -> RawBatch {
    let mut raw = RawBatch::new(InputId(0), 0, 0, NOW);
    (first..first + EVENTS).for_each(|index| raw.push(index as i64, event(index).as_bytes()));
    raw
}

fn decoded(decoder: &mut Decoder, raw: &mut RawBatch) -> Decoded {
    let decoded = decoder.decode(raw).expect("columns of a benchmark");
    assert_eq!(decoded.batch.num_rows() as u64, EVENTS);
    decoded
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(EVENTS));
    for (name, event) in [("small", small as fn(u64) -> String), ("big", big)] {
        let mut raw = raw(0, event);
        let name = format!("{name}, {} bytes", raw.n_bytes() / EVENTS as usize);
        let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(decoded(&mut decoder, &mut raw)))
        });
    }
    group.finish();
}

/// Events of one second each millisecond, out of order by up to `jitter_micros`.
fn jittered(jitter_micros: u64) -> Vec<arrow::array::RecordBatch> {
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    let mut batches = Vec::new();
    for n in 0..16 {
        let mut raw = RawBatch::new(InputId(0), 0, 0, NOW);
        for index in n * EVENTS..(n + 1) * EVENTS {
            let jitter = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let micros = 1_700_000_000_000_000 + index * 100 + jitter % (jitter_micros + 1);
            let text = small(index);
            let rest = text.split_once(',').map_or("", |(_, rest)| rest);
            raw.push(index as i64, format!(r#"{{"time":{micros},{rest}"#).as_bytes());
        }
        batches.push(decoded(&mut decoder, &mut raw).batch);
    }
    batches
}

fn order(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("order");
    group.throughput(Throughput::Elements(16 * EVENTS));
    for (name, jitter_micros, dedup) in [
        ("in order", 0, 0),
        ("near order", 10_000, 0),
        ("near order, ids checked", 10_000, 600_000_000),
        ("wild order", 2_000_000, 0),
    ] {
        let batches = jittered(jitter_micros);
        let config = OrderConfig {
            lateness_micros: 2_000_000,
            dedup_window_micros: dedup,
            ..OrderConfig::default()
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || batches.clone(),
                |batches| {
                    let mut order = Order::new(config);
                    let mut rows = 0;
                    for batch in batches {
                        order.admit(InputId(0), batch, NOW);
                        rows += drain(&mut order);
                    }
                    order.finish(InputId(0));
                    assert_eq!(rows + drain(&mut order), 16 * EVENTS as usize);
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn drain(order: &mut Order) -> usize {
    let mut rows = 0;
    while let Some(batch) = order.release().expect("columns of a benchmark") {
        rows += black_box(batch).num_rows();
    }
    rows
}

criterion_group!(benches, decode, order);
criterion_main!(benches);
