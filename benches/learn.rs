//! Learning: events a second of one thread, with 100,000 accounts that are known.

// `criterion_group!` makes a public function, and a benchmark may stop at the first error.
#![allow(missing_docs, clippy::expect_used)]

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array, new_null_array,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nightlatch::config::LearnConfig;
use nightlatch::event::schema;
use nightlatch::learn::Learner;

const ACCOUNTS: u64 = 100_000;
const BATCH: u64 = 8_192;
const WARM_BATCHES: u64 = 120;
/// 30 days in a warm-up: sharing, ages and hours have all begun.
const STEP_MICROS: i64 = 2_600_000;

fn mix(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (mixed >> 32)
}

/// One event: who, and on which of their networks and devices.
#[derive(Clone, Copy)]
struct Event {
    index: u64,
    account: u64,
    /// Of the account and which of its three.
    home: u64,
}

impl Event {
    fn new(index: u64) -> Self {
        let random = mix(index);
        let account = random % ACCOUNTS;
        let home = account * 3 + [0, 0, 0, 0, 1, 1, 2, 2][(random >> 40) as usize % 8];
        Self { index, account, home }
    }

    fn is_login(self) -> bool {
        self.index.is_multiple_of(2)
    }

    fn fails(self) -> bool {
        self.is_login() && self.index.is_multiple_of(10)
    }
}

fn text(events: &[Event], value: impl Fn(Event) -> String) -> ArrayRef {
    Arc::new(events.iter().map(|event| Some(value(*event))).collect::<StringViewArray>())
}

fn batch(first: u64) -> RecordBatch {
    let events: Vec<Event> = (first..first + BATCH).map(Event::new).collect();
    let start = 1_700_000_000_000_000;
    let client = |event: Event| mix(event.account * 2 + event.home % 2) % 500;
    let columns = schema::event_batch()
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "time" => {
                let times = events.iter().map(|event| start + event.index as i64 * STEP_MICROS);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("+00:00"))
            }
            "action" => {
                text(&events, |e| if e.is_login() { "login" } else { "live_view" }.to_owned())
            }
            "outcome" => {
                text(&events, |e| if e.fails() { "failure" } else { "success" }.to_owned())
            }
            "account" | "actor" => text(&events, |e| format!("user-{:06}@example.org", e.account)),
            "actor_type" => text(&events, |_| "customer".to_owned()),
            "ip" => text(&events, |e| {
                format!("10.{}.{}.{}", e.home >> 16, e.home >> 8 & 255, e.home & 255)
            }),
            "ip_prefix" => {
                text(&events, |e| format!("10.{}.{}.0/24", e.home >> 16, e.home >> 8 & 255))
            }
            "country" => text(&events, |e| format!("{:02}", e.home % 20)),
            "asn" => {
                let asns = events.iter().map(|event| 64_000 + (event.home % 400) as i64);
                Arc::new(Int64Array::from_iter_values(asns))
            }
            "user_agent" => {
                text(&events, |e| format!("VendorApp/5.2.{} (iPhone; iOS 19.1)", client(e)))
            }
            "agent" => text(&events, |e| format!("VendorApp {}", client(e) % 40)),
            "os" => text(&events, |e| format!("iOS {}", client(e) % 8)),
            "device_type" => text(&events, |_| "mobile".to_owned()),
            "device" => text(&events, |e| format!("d-{:08x}", e.account * 2 + e.home % 2)),
            "_origin" => Arc::new(UInt32Array::from(vec![0; events.len()])),
            "_partition" => Arc::new(Int32Array::from(vec![0; events.len()])),
            "_position" => {
                Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.index as i64)))
            }
            "_hash" => Arc::new(UInt64Array::from(vec![0; events.len()])),
            _ => new_null_array(field.data_type(), events.len()),
        })
        .collect();
    RecordBatch::try_new(schema::event_batch(), columns).expect("the columns fit the schema")
}

fn learn(criterion: &mut Criterion) {
    let mut learner = Learner::new(&LearnConfig::default()).expect("a sound configuration");
    let mut next = 0;
    let mut learned = |learner: &mut Learner| {
        let batch = batch(next);
        next += BATCH;
        let start = std::time::Instant::now();
        black_box(learner.learn(&batch).expect("a batch of events"));
        start.elapsed()
    };
    (0..WARM_BATCHES).for_each(|_| {
        learned(&mut learner);
    });
    let mut group = criterion.benchmark_group("learn");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("100,000 accounts, half of the events logins", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| learned(&mut learner)).sum())
    });
    group.finish();
    println!("{:?}", learner.stats());
}

criterion_group!(benches, learn);
criterion_main!(benches);
