//! The Kafka source and topics, against a real broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::broker::{self, OwnBroker};
use crate::harness::{
    TIMEOUT, cluster, connect, metrics, options, read, records, refusal, until, wait_until,
};
use nightlatch::delivery::kafka::{RecordTopic, Topic};
use nightlatch::event::dead_letter::RecordSink;
use nightlatch::event::reject::{RejectReason, Rejection};
use nightlatch::event::{OriginKind, Origins, Place};
use nightlatch::kafka::Cluster;
use nightlatch::source::{Delivery, InputId, Source};

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
    // All of them hold the watermark from the start.
    assert_eq!(source.inputs(), [0, 1, 2, 3].map(InputId));
    let places = source.places();
    assert_eq!(places.get(InputId(3)), Some((topic.as_str().into(), 3)));
    let mut read = BTreeMap::<i32, Vec<(i64, Vec<u8>)>>::new();
    until(&mut source, |delivery| {
        if let Delivery::Batch(batch) = delivery {
            assert_eq!(batch.input, InputId(batch.partition as u32));
            for (partition, offset, value) in records(&batch) {
                read.entry(partition).or_default().push((offset, value));
            }
        }
        read.values().map(Vec::len).sum::<usize>() == values.len()
    });
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
fn two_instances_of_a_group_both_read_everything() {
    let (topic, group) = (broker::unique("events"), broker::unique("group"));
    broker::create_topic(&topic, 2);
    broker::produce(&topic, (0..10).map(|n| (n % 2, Some(&b"value"[..]))));
    let options = options(&group, &[&topic]);
    let (mut first, mut second) = (connect(&options, &metrics()), connect(&options, &metrics()));
    assert_eq!(read(&mut first, 10).len(), 10);
    assert_eq!(read(&mut second, 10).len(), 10);
    broker::produce(&topic, [(1, Some(&b"one more"[..]))]);
    assert_eq!(read(&mut first, 1), [(1, 5, b"one more".to_vec())]);
    assert_eq!(read(&mut second, 1), [(1, 5, b"one more".to_vec())]);
}

#[test]
fn a_pipeline_that_takes_nothing_is_waited_for_and_loses_nothing() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 2);
    let values: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
    let records = values.iter().map(|value| (0, Some(value.as_bytes())));
    broker::produce(&topic, records.clone());
    let metrics = metrics();
    let mut source = connect(&options(&broker::unique("group"), &[&topic]), &metrics);
    let mut found = read(&mut source, 1);
    assert_eq!(metrics.paused.get(), 0);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        source.wait();
    }
    assert_eq!(metrics.paused.get(), 1);
    broker::produce(&topic, records.chain([(1, Some(&b"other"[..]))]));
    // Polling goes on: the library's statistics arrive.
    metrics.connected.set(0);
    wait_until("statistics", || {
        source.wait();
        metrics.connected.get() == 1
    });
    let missing = 10_001 - found.len();
    found.extend(read(&mut source, missing));
    assert_eq!(metrics.paused.get(), 0);
    let of = |partition| found.iter().filter(move |(number, ..)| *number == partition);
    assert_eq!(of(1).count(), 1);
    assert!(of(0).map(|(_, offset, _)| *offset).eq(0..10_000), "records are lost or come twice");
}

#[test]
fn a_broker_that_is_killed_and_started_again_loses_nothing() {
    let own = OwnBroker::start();
    broker::create_topic_at(&own.address, "events", 1);
    let produce = |count| {
        broker::produce_at(&own.address, "events", (0..count).map(|_| (0, Some(&b"value"[..]))));
    };
    produce(10);
    let mut options = options("group", &["events"]);
    options.cluster = cluster(&own.address);
    let librdkafka = &mut options.cluster.librdkafka;
    librdkafka.insert("reconnect.backoff.max.ms".to_owned(), "500".to_owned());
    let metrics = metrics();
    let mut source = connect(&options, &metrics);
    assert_eq!(read(&mut source, 10).len(), 10);
    own.kill();
    until(&mut source, |_| metrics.connected.get() == 0);
    own.restart();
    produce(10);
    let read = read(&mut source, 10);
    assert!(read.iter().map(|(_, offset, _)| *offset).eq(10..20), "{read:?}");
    until(&mut source, |_| metrics.connected.get() == 1);
}

#[test]
fn a_broker_that_is_not_there_is_unavailable_after_the_patience() {
    let mut options = options("group", &["events"]);
    options.cluster = Cluster { patience: Duration::from_secs(1), ..cluster("127.0.0.1:1") };
    let started = Instant::now();
    let error = refusal(&options);
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
    let error = refusal(&options);
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains(&format!("has no topic `{topic}`")), "{error}");
}

#[test]
fn a_wrong_property_is_the_users_mistake() {
    let mut options = options("group", &["events"]);
    options.cluster.librdkafka.insert("sesion.timeout.ms".to_owned(), "1".to_owned());
    let error = refusal(&options);
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
