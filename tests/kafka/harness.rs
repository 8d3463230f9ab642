//! What the tests of the source share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::broker;
use nightlatch::event::Origins;
use nightlatch::kafka::{Cluster, Security};
use nightlatch::serve::Metrics;
use nightlatch::source::kafka::{Kafka, KafkaMetrics, KafkaOptions, Start};
use nightlatch::source::{Delivery, RawBatch, Source};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn metrics() -> KafkaMetrics {
    Metrics::new().unwrap().kafka
}

pub(crate) fn cluster(brokers: &str) -> Cluster {
    Cluster {
        brokers: brokers.to_owned(),
        patience: Duration::from_secs(20),
        librdkafka: BTreeMap::from([("session.timeout.ms".to_owned(), "6000".to_owned())]),
        security: Security::default(),
    }
}

pub(crate) fn options(group: &str, topics: &[&str]) -> KafkaOptions {
    KafkaOptions {
        cluster: cluster(broker::address()),
        group: group.to_owned(),
        lease_topic: format!("{group}-lease"),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        never: Vec::new(),
        start: Start::Beginning,
        discover_every: Duration::from_secs(1),
        idle_after: Duration::from_secs(2),
        record_bytes_max: 64,
        batch_events: 1000,
    }
}

pub(crate) fn connect(options: &KafkaOptions, metrics: &KafkaMetrics) -> Kafka {
    let stop = AtomicBool::new(false);
    Kafka::connect(options, &mut Origins::default(), metrics.clone(), &stop).unwrap()
}

/// Why no connection came about.
pub(crate) fn refusal(options: &KafkaOptions) -> nightlatch::Error {
    let stop = AtomicBool::new(false);
    let source = Kafka::connect(options, &mut Origins::default(), metrics(), &stop);
    source.err().expect("the connection is refused")
}

/// Takes deliveries until the condition holds.
pub(crate) fn until(source: &mut Kafka, mut enough: impl FnMut(Delivery) -> bool) {
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < TIMEOUT, "what the test waits for did not come");
        if enough(source.next(None).unwrap().unwrap()) {
            return;
        }
    }
}

/// Waits until the condition holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < TIMEOUT, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes so many records: `(partition, offset, value)`.
pub(crate) fn read(source: &mut Kafka, count: usize) -> Vec<(i32, i64, Vec<u8>)> {
    let mut read = Vec::new();
    until(source, |delivery| {
        if let Delivery::Batch(batch) = delivery {
            read.extend(records(&batch));
        }
        read.len() >= count
    });
    read
}

pub(crate) fn records(batch: &RawBatch) -> Vec<(i32, i64, Vec<u8>)> {
    let place = |row: usize| batch.place(row);
    (0..batch.len())
        .map(|row| (place(row).partition, place(row).position, batch.record(row).to_vec()))
        .collect()
}
