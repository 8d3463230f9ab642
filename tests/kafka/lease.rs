//! The lease: who is active, and what may be committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::broker::{self, OwnBroker};
use crate::harness::{cluster, metrics, options, wait_until};
use nightlatch::source::kafka::{
    GroupProgress, Kafka, KafkaMetrics, KafkaOptions, Membership, Position,
};

/// Longer than the lease's session timeout in these tests, 6 s, would be.
const SOON: Duration = Duration::from_secs(4);

fn join(options: &KafkaOptions, metrics: &KafkaMetrics, alive: &Arc<AtomicU64>) -> Membership {
    let stop = AtomicBool::new(false);
    Membership::join(options, metrics.clone(), alive.clone(), &stop).unwrap()
}

fn rebalances(metrics: &KafkaMetrics, kind: &str) -> u64 {
    metrics.rebalances.with_label_values(&[kind]).get()
}

fn progress(options: &KafkaOptions) -> Option<GroupProgress> {
    Kafka::committed(options, metrics(), &AtomicBool::new(false)).unwrap()
}

fn committed(topic: &str, partition: i32, next_offset: i64) -> Position {
    Position { topic: topic.to_owned(), partition, next_offset }
}

#[test]
fn one_is_active_and_the_other_follows_and_takes_over_at_once() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 2);
    let options = options(&broker::unique("group"), &[&topic]);
    assert_eq!(progress(&options), None);
    let (first_metrics, second_metrics, alive) = (metrics(), metrics(), Arc::default());
    let membership = join(&options, &first_metrics, &alive);
    let first = membership.lease();
    assert!(!first.is_active() || first.generation() == Some(1));
    wait_until("the lease", || first.is_active());
    let second_membership = join(&options, &second_metrics, &alive);
    let second = second_membership.lease();

    // How far alerts are delivered is known before any offset is committed.
    first.commit(1, Vec::new(), Some(1_000));
    wait_until("the note", || second.delivered_until() == Some(1_000));
    first.commit(1, vec![(topic.as_str().into(), 1, 42)], Some(2_000));
    wait_until("the other note", || second.delivered_until() == Some(2_000));
    first.commit(1, vec![(topic.as_str().into(), 0, 7)], None);
    first.commit(1, vec![(topic.as_str().into(), 0, 8)], None);
    let whole = GroupProgress {
        delivered_until: Some(2_000),
        offsets: vec![committed(&topic, 0, 8), committed(&topic, 1, 42)],
    };
    wait_until("the offsets", || progress(&options).as_ref() == Some(&whole));

    // A standby that joins takes nothing away, and may not commit.
    assert_eq!((first.generation(), second.generation()), (Some(1), None));
    second.commit(1, vec![(topic.as_str().into(), 0, 99)], Some(99_000));
    assert_eq!(second_metrics.commits_fenced.get(), 1);

    // What was asked for last is committed before the lease goes.
    first.commit(1, vec![(topic.as_str().into(), 0, 9)], Some(3_000));
    let started = Instant::now();
    drop(membership);
    wait_until("the take-over", || second.is_active());
    assert!(started.elapsed() < SOON, "the take-over took {:?}", started.elapsed());
    assert_eq!((first.generation(), second.generation()), (None, Some(1)));
    // Known before the lease is.
    assert_eq!(second.delivered_until(), Some(3_000));
    assert_eq!(progress(&options).unwrap().offsets[0], committed(&topic, 0, 9));
    assert_eq!((first_metrics.active.get(), second_metrics.active.get()), (0, 1));
    let kinds = ["gained", "lost", "revoked"];
    assert_eq!(kinds.map(|kind| rebalances(&first_metrics, kind)), [1, 0, 1]);
    assert_eq!(kinds.map(|kind| rebalances(&second_metrics, kind)), [1, 0, 0]);
    assert_eq!(first_metrics.commits_fenced.get(), 0);
}

#[test]
fn a_pipeline_that_stands_still_costs_the_lease_until_it_goes_on() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 1);
    let mut options = options(&broker::unique("group"), &[&topic]);
    for (key, value) in [
        ("session.timeout.ms", "2000"),
        ("heartbeat.interval.ms", "500"),
        ("max.poll.interval.ms", "2500"),
    ] {
        options.cluster.librdkafka.insert(key.to_owned(), value.to_owned());
    }
    let (metrics, alive) = (metrics(), Arc::new(AtomicU64::new(0)));
    let membership = join(&options, &metrics, &alive);
    let lease = membership.lease();
    wait_until("the lease", || lease.is_active());
    // Not running yet: nobody expects progress.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(lease.generation(), Some(1));

    alive.store(1, Ordering::Relaxed);
    lease.commit(1, vec![(topic.as_str().into(), 0, 5)], Some(1_000));
    wait_until("the commit", || progress(&options).is_some());
    wait_until("the loss of the lease", || !lease.is_active());
    let errors = metrics.errors.with_label_values(&["poll_interval"]);
    assert_eq!((errors.get(), rebalances(&metrics, "lost"), metrics.active.get()), (1, 1, 0));
    lease.commit(1, vec![(topic.as_str().into(), 0, 6)], Some(2_000));
    assert_eq!(metrics.commits_fenced.get(), 1);

    // Another one takes over, and its pipeline runs.
    let other = join(&options, &self::metrics(), &Arc::default());
    wait_until("the take-over", || other.lease().is_active());
    assert_eq!(other.lease().delivered_until(), Some(1_000));
    assert_eq!(progress(&options).unwrap().offsets, [committed(&topic, 0, 5)]);
    drop(other);

    let runs = alive.clone();
    let running = Arc::new(AtomicBool::new(true));
    let go_on = running.clone();
    let thread = std::thread::spawn(move || {
        while go_on.load(Ordering::Relaxed) {
            runs.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    wait_until("another lease", || lease.is_active());
    assert_eq!((lease.generation(), rebalances(&metrics, "gained")), (Some(2), 2));
    // The number of the lost lease is worth nothing under the new one.
    lease.commit(1, vec![(topic.as_str().into(), 0, 7)], None);
    lease.commit(2, vec![(topic.as_str().into(), 0, 8)], None);
    wait_until("the commit", || progress(&options).unwrap().offsets == [committed(&topic, 0, 8)]);
    assert_eq!(metrics.commits_fenced.get(), 2);
    assert_eq!(errors.get(), 1);
    running.store(false, Ordering::Relaxed);
    thread.join().unwrap();
}

#[test]
fn the_lease_outlives_its_broker() {
    let own = OwnBroker::start();
    broker::create_topic_at(&own.address, "events", 1);
    let mut options = options("group", &["events"]);
    options.cluster = cluster(&own.address);
    let librdkafka = &mut options.cluster.librdkafka;
    librdkafka.insert("reconnect.backoff.max.ms".to_owned(), "500".to_owned());
    let metrics = metrics();
    let membership = join(&options, &metrics, &Arc::default());
    let lease = membership.lease();
    wait_until("the lease", || lease.is_active());
    let before = lease.generation().unwrap();
    lease.commit(before, vec![("events".into(), 0, 1)], Some(1_000));
    wait_until("the commit", || lease.delivered_until() == Some(1_000));
    own.kill();
    // Nobody can say any more whether another one is active.
    wait_until("the loss of the lease", || !lease.is_active());
    own.restart();
    wait_until("the lease again", || lease.is_active());
    let after = lease.generation().unwrap();
    assert!(after > before, "{after}");
    lease.commit(after, vec![("events".into(), 0, 2)], Some(2_000));
    wait_until("the other commit", || lease.delivered_until() == Some(2_000));
    assert_eq!(progress(&options).unwrap().offsets, [committed("events", 0, 2)]);
}

#[test]
fn a_lease_topic_that_cannot_be_made_is_told_with_the_command() {
    let mut options = options(&broker::unique("group"), &["unused"]);
    options.lease_topic = "no/topic".to_owned();
    let stop = AtomicBool::new(false);
    let error = Membership::join(&options, metrics(), Arc::default(), &stop).err().unwrap();
    assert_eq!(error.exit_code(), 69);
    let text = error.to_string();
    assert!(text.contains("the lease topic `no/topic` cannot be made"), "{text}");
    assert!(text.contains("kafka-topics.sh --bootstrap-server"), "{text}");
}
