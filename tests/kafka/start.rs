//! Where reading begins, and topics and partitions that come and go meanwhile.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use crate::broker;
use crate::harness::{connect, metrics, options, read, refusal, until, wait_until};
use nightlatch::event::{OriginKind, Origins};
use nightlatch::source::kafka::{Kafka, Position, Start};
use nightlatch::source::{Delivery, InputId, Source};

fn position(topic: &str, partition: i32, next_offset: i64) -> Position {
    Position { topic: topic.to_owned(), partition, next_offset }
}

/// `(partition, offset)` of records, sorted.
fn places(read: &[(i32, i64, Vec<u8>)]) -> Vec<(i32, i64)> {
    let mut places: Vec<_> =
        read.iter().map(|(partition, offset, _)| (*partition, *offset)).collect();
    places.sort_unstable();
    places
}

#[test]
fn positions_of_a_checkpoint_are_the_first_inputs_and_the_rest_is_read_from_its_beginning() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 3);
    broker::produce(&topic, (0..30).map(|n| (n % 3, Some(&b"value"[..]))));
    let mut options = options(&broker::unique("group"), &[&topic]);
    options.start = Start::Positions(vec![
        position(&topic, 2, 4),
        position(&topic, 9, 3),
        position(&topic, 0, 7),
    ]);
    let mut source = connect(&options, &metrics());
    assert_eq!(source.inputs(), [0, 1, 2, 3].map(InputId));
    let place = |input| source.places().get(InputId(input)).map(|(_, partition)| partition);
    assert_eq!([0, 1, 2, 3].map(place), [Some(2), Some(9), Some(0), Some(1)]);
    let first = source.next(None).unwrap();
    assert!(matches!(first, Some(Delivery::Finished(InputId(1)))), "{first:?}");
    let mut expected: Vec<_> = (7..10).map(|offset| (0, offset)).collect();
    expected.extend((0..10).map(|offset| (1, offset)));
    expected.extend((4..10).map(|offset| (2, offset)));
    assert_eq!(places(&read(&mut source, expected.len())), expected);
}

#[test]
fn what_retention_took_is_counted_and_reading_goes_on_at_the_beginning() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 2);
    broker::produce(&topic, (0..10).map(|_| (0, Some(&b"value"[..]))));
    broker::delete_records(&topic, 0, 5);
    let mut options = options(&broker::unique("group"), &[&topic]);
    // The second partition was made anew: it ends before the position.
    options.start = Start::Positions(vec![position(&topic, 0, 2), position(&topic, 1, 100)]);
    let metrics = metrics();
    let mut source = connect(&options, &metrics);
    assert_eq!(metrics.lost.get(), 3);
    assert_eq!(places(&read(&mut source, 5)), [(0, 5), (0, 6), (0, 7), (0, 8), (0, 9)]);

    // And while it runs: the pipeline is slower than retention.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        source.wait();
    }
    assert_eq!(metrics.paused.get(), 1);
    broker::produce(&topic, (0..10).map(|_| (0, Some(&b"value"[..]))));
    broker::delete_records(&topic, 0, 18);
    assert_eq!(places(&read(&mut source, 2)), [(0, 18), (0, 19)]);
    until(&mut source, |_| metrics.lost.get() == 3 + 8);
    broker::produce(&topic, [(1, Some(&b"value"[..]))]);
    assert_eq!(places(&read(&mut source, 1)), [(1, 0)]);
}

#[test]
fn reading_begins_at_a_time_or_at_the_end_of_what_is_older() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 3);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let value = &b"value"[..];
    let records = (0..10).map(|n| (0, value, now - 10_000 + n * 1000));
    broker::produce_timed(&topic, records.chain((0..10).map(|n| (1, value, now - 60_000 + n))));
    let mut options = options(&broker::unique("group"), &[&topic]);
    // In the middle of a millisecond: nothing of it may be left out.
    options.start = Start::Since((now - 5000) * 1000 + 999, Vec::new());
    let mut source = connect(&options, &metrics());
    assert_eq!(places(&read(&mut source, 5)), [(0, 5), (0, 6), (0, 7), (0, 8), (0, 9)]);
    broker::produce(&topic, (0..3).map(|partition| (partition, Some(value))));
    assert_eq!(places(&read(&mut source, 3)), [(0, 10), (1, 10), (2, 0)]);
}

#[test]
fn a_new_group_begins_where_the_user_wants_it() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 1);
    broker::produce(&topic, (0..10).map(|_| (0, Some(&b"value"[..]))));
    let mut options = options(&broker::unique("group"), &[&topic]);
    options.cluster.librdkafka.insert("auto.offset.reset".to_owned(), "latest".to_owned());
    let mut source = connect(&options, &metrics());
    broker::produce(&topic, [(0, Some(&b"value"[..]))]);
    assert_eq!(places(&read(&mut source, 1)), [(0, 10)]);
}

#[test]
fn a_pattern_finds_topics_and_partitions_that_come_and_go() {
    let prefix = broker::unique("pattern");
    let name = |suffix: &str| format!("{prefix}-{suffix}");
    broker::create_topic(&name("a"), 1);
    broker::create_topic(&name("alerts"), 1);
    broker::produce(&name("alerts"), [(0, Some(&b"never"[..]))]);
    let mut options = options(&broker::unique("group"), &[&format!("^{prefix}-.")]);
    options.never = vec![name("alerts")];
    let (metrics, mut origins) = (metrics(), Origins::default());
    // Another origin of the run: indices go on after it.
    origins.intern(OriginKind::File, "file");
    let stop = AtomicBool::new(false);
    let mut source = Kafka::connect(&options, &mut origins, metrics.clone(), &stop).unwrap();
    assert_eq!(source.inputs(), [InputId(0)]);
    assert_eq!(&*origins.get(1).unwrap().name, name("a"));

    // What is written before it is found is not lost.
    broker::create_topic(&name("b"), 1);
    broker::grow_topic(&name("a"), 2);
    wait_until("the new partition", || {
        broker::partitions(&name("a")) == 2 && broker::partitions(&name("b")) == 1
    });
    broker::produce(&name("b"), [(0, Some(&b"b"[..]))]);
    broker::produce(&name("a"), [(1, Some(&b"a"[..]))]);
    let (mut joined, mut named, mut found) = (Vec::new(), Vec::new(), Vec::new());
    until(&mut source, |delivery| {
        match delivery {
            Delivery::Topic(origin, name) => named.push((origin, name)),
            Delivery::Joined(input) => joined.push(input),
            Delivery::Batch(batch) => {
                assert!(joined.contains(&batch.input), "a batch before its input has joined");
                found.push((batch.origin, batch.partition, batch.record(0).to_vec()));
            }
            _ => {}
        }
        found.len() == 2
    });
    assert_eq!(named, [(2, name("b").into())]);
    found.sort_unstable();
    assert_eq!(found, [(1, 1, b"a".to_vec()), (2, 0, b"b".to_vec())]);
    assert_eq!(joined.len(), 2);

    broker::delete_topic(&name("b"));
    let mut finished = None;
    until(&mut source, |delivery| {
        if let Delivery::Finished(input) = delivery {
            finished = Some(input);
        }
        finished.is_some()
    });
    let place = source.places().get(finished.unwrap());
    assert_eq!(place, Some((name("b").into(), 0)));
    assert_eq!(metrics.topics_vanished.get(), 1);
    broker::produce(&name("a"), [(0, Some(&b"more"[..]))]);
    assert_eq!(read(&mut source, 1), [(0, 0, b"more".to_vec())]);
}

#[test]
fn a_short_retention_is_known() {
    let (short, compacted) = (broker::unique("short"), broker::unique("compacted"));
    let create = |name: &str, config: &[_]| {
        broker::create_topic_with(broker::address(), name, 1, config);
    };
    create(&short, &[("retention.ms", "3600000")]);
    create(&compacted, &[("cleanup.policy", "compact")]);
    let source = connect(&options(&broker::unique("group"), &[&short, &compacted]), &metrics());
    let mut retentions = source.retention().unwrap();
    retentions.sort_by_key(|retention| retention.topic != short);
    let told: Vec<_> = retentions.iter().map(|r| (r.time, r.compacted)).collect();
    assert_eq!(told, [(Some(Duration::from_secs(3600)), false), (None, true)]);
    source.warn_of_short_retention(Duration::from_secs(7200));
}

#[test]
fn a_pattern_that_is_none_is_the_users_mistake() {
    let error = refusal(&options("group", &["^("]));
    assert_eq!(error.exit_code(), 64);
    assert!(error.to_string().contains("`^(` is no pattern"), "{error}");
}
