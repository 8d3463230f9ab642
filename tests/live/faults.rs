//! What it needs goes away, and comes back.

use std::time::Duration;

use crate::broker::OwnBroker;
use crate::events::{events, expected};
use crate::program::Run;
use crate::receiver::{Mood, Receiver};
use crate::stage::{Stage, got, until_all};
use crate::truth::assert_same;

const EVENTS: usize = 6000;
const CHECKPOINTS: &str = "nightlatch_checkpoints_total{outcome=\"written\"}";

#[test]
fn a_disk_that_is_full_during_a_checkpoint_stops_nothing() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    let full: Vec<String> = ["segment.written", "segment.synced", "manifest.written"]
        .iter()
        .flat_map(|place| (4..9).map(move |nth| format!("{place}={nth}:disk_full")))
        .collect();
    let environment = [("NIGHTLATCH_FAILPOINTS", full.join(","))];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut run = Run::start_with(&config.path, &environment);
    let feeder = stage.send_slowly(&all, Duration::from_secs(8));
    run.until("a checkpoint", |run| run.metric(CHECKPOINTS) >= Some(1.0));
    run.until("the failure", |run| run.metric("nightlatch_checkpoint_failed") == Some(1.0));
    let (before, read) = (receiver.n_got(), run.metric("nightlatch_events_total").unwrap());
    run.until("alerts all the same", |_| receiver.n_got() > before + 10);
    run.until("events all the same", |run| {
        run.metric("nightlatch_events_total") > Some(read + 100.0)
    });
    assert!(run.log().contains("No space left on device"), "{}", run.log());
    run.until("its end", |run| run.metric("nightlatch_checkpoint_failed") == Some(0.0));
    run.crash();
    let mut run = config.start();
    until_all(&mut run, &[&receiver], &expected);
    feeder.wait();
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert!(run.log().contains("state restored"), "{}", run.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
}

#[test]
fn after_a_crash_on_a_full_disk_the_last_good_checkpoint_counts() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    let full: Vec<String> =
        (3..400).map(|nth| format!("manifest.written={nth}:disk_full")).collect();
    let mut run = Run::start_with(&config.path, &[("NIGHTLATCH_FAILPOINTS", &full.join(","))]);
    let feeder = stage.send_slowly(&all, Duration::from_secs(6));
    run.until("the failure", |run| run.metric("nightlatch_checkpoint_failed") == Some(1.0));
    run.until("a half", |_| receiver.n_got() >= expected.len() / 2);
    assert_eq!(run.metric(CHECKPOINTS), Some(2.0));
    run.crash();
    let mut run = config.start();
    until_all(&mut run, &[&receiver], &expected);
    feeder.wait();
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert!(run.log().contains("state restored"), "{}", run.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
}

#[test]
fn a_broker_that_is_killed_and_starts_again() {
    let broker = OwnBroker::start();
    let (stage, all) = (Stage::at(&broker.address), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    config
        .set("kafka/librdkafka/socket.timeout.ms", "2000")
        .set("kafka/librdkafka/reconnect.backoff.max.ms", "500");
    let mut run = config.start();
    stage.send(&all[..all.len() / 2]);
    run.until("a third", |_| receiver.n_got() >= expected.len() / 3);
    broker.kill();
    run.until("the outage", |run| run.metric("nightlatch_kafka_connected") == Some(0.0));
    assert_eq!(run.get("/-/healthy").unwrap().0, 200, "a restart would not help");
    broker.restart();
    stage.send(&all[all.len() / 2..]);
    until_all(&mut run, &[&receiver], &expected);
    run.until("a connection", |run| run.metric("nightlatch_kafka_connected") == Some(1.0));
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
}

#[test]
fn a_receiver_that_is_down_gets_everything_in_order_afterwards() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    receiver.set_mood(Mood::Down);
    let mut run = stage.config("one", &receiver).start();
    let feeder = stage.send_slowly(&all, Duration::from_secs(8));
    feeder.wait();
    run.until("all events", |run| run.metric("nightlatch_events_total") == Some(all.len() as f64));
    run.until("all alerts", |run| {
        run.metric("nightlatch_outbox_entries") == Some(expected.len() as f64)
    });
    assert!(receiver.n_requests() > 3, "it tries again");
    assert!(run.log().contains("cannot deliver for now"), "{}", run.log());
    assert_eq!(run.metric("nightlatch_active"), Some(1.0), "it stays in the group");
    assert_eq!(run.metric("nightlatch_rebalances_total{kind=\"lost\"}"), Some(0.0));
    assert_eq!(run.get("/-/ready").unwrap().0, 200);
    assert_eq!(receiver.n_got(), 0);
    receiver.set_mood(Mood::Well);
    until_all(&mut run, &[&receiver], &expected);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert!(run.log().contains("delivers again"), "{}", run.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
    assert_eq!(receiver.n_got(), expected.len(), "nothing comes twice");
    // Revisions of one alert come one after the other.
    let mut newest = std::collections::BTreeMap::new();
    for alert in receiver.in_order() {
        let revision = alert["revision"].as_u64().unwrap();
        let before = newest.insert(alert["id"].as_str().unwrap().to_owned(), revision);
        assert_eq!(before.unwrap_or(0) + 1, revision, "{}", alert["id"]);
    }
}
