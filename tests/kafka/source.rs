//! The Kafka source and topics, against a real broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::broker;
use nightlatch::delivery::kafka::{RecordTopic, Topic};
use nightlatch::event::dead_letter::RecordSink;
use nightlatch::event::reject::{RejectReason, Rejection};
use nightlatch::event::{OriginKind, Origins, Place};
use nightlatch::kafka::Cluster;
use nightlatch::source::kafka::{Kafka, KafkaMetrics, KafkaOptions};
use nightlatch::source::{Delivery, InputId, RawBatch, Source};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

const TIMEOUT: Duration = Duration::from_secs(30);

fn metrics() -> KafkaMetrics {
    let counter = |name: &str| IntCounter::new(name, name).unwrap();
    KafkaMetrics {
        lag_messages: IntGaugeVec::new(Opts::new("lag", "lag"), &["topic", "partition"]).unwrap(),
        errors: IntCounterVec::new(Opts::new("errors", "errors"), &["kind"]).unwrap(),
        connected: IntGauge::new("connected", "connected").unwrap(),
        tombstones_dropped: counter("tombstones"),
        redelivered_dropped: counter("redelivered"),
    }
}

fn cluster(brokers: &str) -> Cluster {
    Cluster {
        brokers: brokers.to_owned(),
        patience: Duration::from_secs(10),
        librdkafka: BTreeMap::from([("session.timeout.ms".to_owned(), "6000".to_owned())]),
    }
}

fn options(group: &str, topics: &[&str]) -> KafkaOptions {
    KafkaOptions {
        cluster: cluster(broker::address()),
        group: group.to_owned(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        idle_after: Duration::from_secs(2),
        record_bytes_max: 64,
        batch_events: 1000,
    }
}

fn connect(options: &KafkaOptions, metrics: &KafkaMetrics) -> Kafka {
    let stop = AtomicBool::new(false);
    Kafka::connect(options, &mut Origins::default(), metrics.clone(), &stop).unwrap()
}

/// Takes deliveries until the condition holds.
fn until(source: &mut Kafka, mut enough: impl FnMut(Delivery) -> bool) {
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < TIMEOUT, "what the test waits for did not come");
        if enough(source.next(None).unwrap().unwrap()) {
            return;
        }
    }
}

fn records(batch: &RawBatch) -> Vec<(i32, i64, Vec<u8>)> {
    let place = |row: usize| batch.place(row);
    (0..batch.len())
        .map(|row| (place(row).partition, place(row).position, batch.record(row).to_vec()))
        .collect()
}

#[test]
fn every_partition_is_an_input_read_from_its_start_in_order() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 4);
    let values: Vec<String> = (0..10_000).map(|number| format!("value {number}")).collect();
    broker::produce(
        &topic,
        values.iter().enumerate().map(|(n, v)| (n as i32 % 4, Some(v.as_bytes()))),
    );
    let mut source = connect(&options(&broker::unique("group"), &[&topic]), &metrics());
    let (mut joined, mut read) = (Vec::new(), BTreeMap::<i32, Vec<(i64, Vec<u8>)>>::new());
    until(&mut source, |delivery| {
        match delivery {
            Delivery::Joined(input) => joined.push(input),
            Delivery::Batch(batch) => {
                assert!(joined.contains(&batch.input), "a batch before its input has joined");
                for (partition, offset, value) in records(&batch) {
                    read.entry(partition).or_default().push((offset, value));
                }
            }
            _ => {}
        }
        read.values().map(Vec::len).sum::<usize>() == values.len()
    });
    assert_eq!(joined.len(), 4);
    for (partition, records) in read {
        let expected = values.iter().skip(partition as usize).step_by(4).enumerate();
        let expected: Vec<_> = expected.map(|(n, v)| (n as i64, v.clone().into_bytes())).collect();
        assert!(records == expected, "partition {partition} is not what was written");
    }
}

#[test]
fn tombstones_are_counted_and_long_records_are_set_aside_whole() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 1);
    let long = [b'x'; 100];
    broker::produce(
        &topic,
        [(0, Some(&b"a"[..])), (0, None), (0, Some(&long[..])), (0, Some(b"b"))],
    );
    let metrics = metrics();
    let mut source = connect(&options(&broker::unique("group"), &[&topic]), &metrics);
    let (mut read, mut rejected) = (Vec::new(), Vec::new());
    until(&mut source, |delivery| {
        if let Delivery::Batch(batch) = delivery {
            read.extend(records(&batch));
            rejected.extend(batch.rejections);
        }
        read.len() == 2
    });
    assert_eq!(read, [(0, 0, b"a".to_vec()), (0, 3, b"b".to_vec())]);
    assert_eq!(metrics.tombstones_dropped.get(), 1);
    assert_eq!(rejected.len(), 1);
    assert_eq!((rejected[0].reason, rejected[0].place.position), (RejectReason::RecordTooLong, 2));
    assert_eq!(rejected[0].raw, long);
}

#[test]
fn a_partition_at_its_end_becomes_idle_and_active_again_and_its_lag_is_told() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 2);
    broker::produce(&topic, (0..100).map(|_| (0, Some(&b"value"[..]))));
    let metrics = metrics();
    let mut source = connect(&options(&broker::unique("group"), &[&topic]), &metrics);
    let (mut idle, mut started) = (Vec::<InputId>::new(), None);
    until(&mut source, |delivery| {
        match delivery {
            Delivery::Batch(_) => started = Some(Instant::now()),
            Delivery::Idle(input) => idle.push(input),
            _ => {}
        }
        idle.len() == 2
    });
    let since_last_record = started.unwrap().elapsed();
    assert!(
        since_last_record >= Duration::from_secs(1),
        "idle after {since_last_record:?} already"
    );
    for partition in ["0", "1"] {
        assert_eq!(metrics.lag_messages.with_label_values(&[&*topic, partition]).get(), 0);
    }
    broker::produce(&topic, [(1, Some(&b"value"[..]))]);
    let mut active = None;
    until(&mut source, |delivery| match delivery {
        Delivery::Active(input) => {
            active = Some(input);
            false
        }
        Delivery::Batch(batch) => {
            assert_eq!((active, batch.partition), (Some(batch.input), 1));
            true
        }
        _ => false,
    });
}

#[test]
fn a_transaction_at_the_end_does_not_keep_a_partition_from_being_idle() {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let topic = broker::unique("events");
    broker::create_topic(&topic, 1);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker::address())
        .set("transactional.id", broker::unique("transaction"))
        .create()
        .unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<str, str>::to(&topic).payload("value")).unwrap();
    producer.commit_transaction(TIMEOUT).unwrap();
    let metrics = metrics();
    let mut source = connect(&options(&broker::unique("group"), &[&topic]), &metrics);
    until(&mut source, |delivery| matches!(delivery, Delivery::Idle(_)));
    until(&mut source, |_| metrics.lag_messages.with_label_values(&[&*topic, "0"]).get() == 0);
}

#[test]
fn only_what_was_dealt_with_is_committed_and_read_no_more() {
    let (topic, group) = (broker::unique("events"), broker::unique("group"));
    broker::create_topic(&topic, 1);
    broker::produce(&topic, (0..10).map(|_| (0, Some(&b"value"[..]))));
    let options = options(&group, &[&topic]);
    let mut source = connect(&options, &metrics());
    let commits = source.commits();
    let mut n_read = 0;
    until(&mut source, |delivery| {
        if let Delivery::Batch(batch) = delivery {
            n_read += batch.len();
            commits.done(batch.input, 7);
        }
        n_read == 10
    });
    drop(source);
    assert_eq!(broker::committed(&group, &topic, 1), [Some(7)]);
    let mut source = connect(&options, &metrics());
    until(&mut source, |delivery| match delivery {
        Delivery::Batch(batch) => {
            assert_eq!(batch.place(0).position, 7);
            true
        }
        _ => false,
    });
}

#[test]
fn two_members_share_the_partitions_and_nothing_is_read_twice_by_one() {
    let (topic, group) = (broker::unique("events"), broker::unique("group"));
    broker::create_topic(&topic, 2);
    broker::produce(&topic, (0..10).map(|n| (n % 2, Some(&b"value"[..]))));
    let options = options(&group, &[&topic]);
    let metrics = metrics();
    let mut first = connect(&options, &metrics);
    let mut n_read = 0;
    until(&mut first, |delivery| {
        if let Delivery::Batch(batch) = delivery {
            n_read += batch.len();
        }
        n_read == 10
    });
    // Nothing was committed: after the rebalance the broker gives the first member its old records
    // again, and the second one those of the partition that it takes over.
    let second = std::thread::spawn({
        let options = options.clone();
        move || {
            let mut second = connect(&options, &self::metrics());
            let mut n_read = 0;
            until(&mut second, |delivery| {
                if let Delivery::Batch(batch) = delivery {
                    n_read += batch.len();
                }
                n_read == 5
            });
        }
    });
    let (mut finished, mut joined) = (0, 0);
    until(&mut first, |delivery| {
        match delivery {
            Delivery::Finished(_) => finished += 1,
            Delivery::Joined(_) => joined += 1,
            Delivery::Batch(batch) => panic!("{} records came twice", batch.len()),
            _ => {}
        }
        // The second member leaves in the end, and all comes back to the first.
        second.is_finished() && joined >= 3
    });
    assert!(finished >= 2);
    second.join().unwrap();
}

#[test]
fn a_broker_that_is_not_there_is_unavailable_after_the_patience() {
    let mut options = options("group", &["events"]);
    options.cluster = Cluster { patience: Duration::from_secs(1), ..cluster("127.0.0.1:1") };
    let started = Instant::now();
    let stop = AtomicBool::new(false);
    let error = Kafka::connect(&options, &mut Origins::default(), metrics(), &stop).err().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(error.exit_code(), 69);
    let text = error.to_string();
    assert!(text.contains("no Kafka broker answers at 127.0.0.1:1"), "{text}");
    assert!(text.contains("waited 1s") && text.contains("hint:"), "{text}");
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let topic = broker::unique("absent");
    let mut options = options("group", &[&topic]);
    options.cluster.patience = Duration::from_secs(1);
    let stop = AtomicBool::new(false);
    let error = Kafka::connect(&options, &mut Origins::default(), metrics(), &stop).err().unwrap();
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains(&format!("has no topic `{topic}`")), "{error}");
}

#[test]
fn a_wrong_property_is_the_users_mistake() {
    let mut options = options("group", &["events"]);
    options.cluster.librdkafka.insert("sesion.timeout.ms".to_owned(), "1".to_owned());
    let stop = AtomicBool::new(false);
    let error = Kafka::connect(&options, &mut Origins::default(), metrics(), &stop).err().unwrap();
    assert_eq!(error.exit_code(), 64);
    assert!(error.to_string().contains("sesion.timeout.ms"), "{error}");
}

#[test]
fn records_set_aside_keep_their_bytes_and_say_why_and_where() {
    let topic = broker::unique("dead-letters");
    broker::create_topic(&topic, 1);
    let mut origins = Origins::default();
    let origin = origins.intern(OriginKind::Topic, "events");
    let raw = b"{\"time\": \xff\x00".to_vec();
    let rejection = Rejection {
        place: Place { origin, partition: 3, position: 42 },
        reason: RejectReason::InvalidUtf8,
        message: "byte 9 is not UTF-8".to_owned(),
        raw: raw.clone(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let target = Topic::connect(&cluster(broker::address()), &topic, stop).unwrap();
    let mut sink = RecordTopic(target);
    sink.write(&origins, &rejection).unwrap();
    sink.flush().unwrap();
    let read = broker::read_all(&topic);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].value, raw);
    let header = |name: &str| read[0].headers[&format!("nightlatch.error.{name}")].as_str();
    assert_eq!(header("reason"), "invalid_utf8");
    assert_eq!(header("detail"), "byte 9 is not UTF-8");
    assert_eq!((header("topic"), header("partition"), header("offset")), ("events", "3", "42"));
}

#[test]
fn a_record_that_the_broker_refuses_is_told() {
    let topic = broker::unique("dead-letters");
    broker::create_topic(&topic, 1);
    let rejection = Rejection {
        place: Place { origin: 0, partition: 0, position: 0 },
        reason: RejectReason::RecordTooLong,
        message: String::new(),
        raw: vec![b'x'; 2_000_000],
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mut sink = RecordTopic(Topic::connect(&cluster(broker::address()), &topic, stop).unwrap());
    let error =
        sink.write(&Origins::default(), &rejection).and_then(|()| sink.flush()).unwrap_err();
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains("Kafka refused 1 record(s)"), "{error}");
}
