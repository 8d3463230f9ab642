//! Every way to stop.

use std::time::{Duration, Instant};

use crate::broker::OwnBroker;
use crate::events::{events, expected};
use crate::program::Run;
use crate::receiver::{Mood, Receiver};
use crate::stage::{Config, Stage, got, until_active, until_all};
use crate::truth::assert_same;

const EVENTS: usize = 2000;
/// Beyond `drain` a stop writes the state, and leaves the group.
const SLACK: Duration = Duration::from_secs(6);

fn until_ready(run: &mut Run) {
    run.until("readiness", |run| run.get("/-/ready").is_some_and(|(status, _)| status == 200));
}

/// A running instance whose receiver does not answer, with alerts that wait for it.
fn hanging(stage: &Stage, config: &Config, receiver: &Receiver) -> Run {
    receiver.set_mood(Mood::Hangs);
    let mut run = config.start();
    until_active(&mut run);
    stage.send(&events(EVENTS));
    run.until("alerts", |_| receiver.n_requests() > 0);
    until_ready(&mut run);
    run
}

#[test]
fn either_signal_ends_it_in_good_order_and_nothing_is_lost() {
    for signal in ["TERM", "INT"] {
        let (stage, all) = (Stage::new(), events(EVENTS));
        let expected = expected(&all, &stage.rules());
        let receiver = Receiver::start();
        let config = stage.config("one", &receiver);
        let mut run = config.start();
        stage.send(&all);
        run.until("alerts", |_| receiver.n_got() > 0);
        let asked_at = Instant::now();
        run.signal(signal);
        assert_eq!(run.ended(), Some(0), "{}", run.log());
        assert!(asked_at.elapsed() < SLACK, "{signal} took {:?}", asked_at.elapsed());
        assert!(run.log().trim_end().ends_with("stopped"), "{}", run.log());
        let mut run = config.start();
        until_all(&mut run, &[&receiver], &expected);
        assert_same(&got(&[&receiver]), &expected, "the receiver");
    }
}

#[test]
fn a_receiver_that_hangs_delays_a_stop_by_no_more_than_the_drain() {
    let stage = Stage::new();
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    config.set("outbox/drain", "3 seconds");
    let mut run = hanging(&stage, &config, &receiver);
    let asked_at = Instant::now();
    run.signal("TERM");
    run.until("the end of readiness", |run| {
        run.get("/-/ready").is_some_and(|(status, _)| status == 503)
    });
    assert_eq!(run.get("/-/healthy").map(|(status, _)| status), Some(200));
    assert_eq!(run.ended(), Some(0), "{}", run.log());
    let took = asked_at.elapsed();
    assert!(took >= Duration::from_secs(2), "it did not wait for the receiver: {took:?}");
    assert!(took < Duration::from_secs(3) + SLACK, "it took {took:?}\n{}", run.log());

    // What it did not take comes after the start.
    receiver.set_mood(Mood::Well);
    let expected = expected(&events(EVENTS), &stage.rules());
    let mut run = config.start();
    until_all(&mut run, &[&receiver], &expected);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
}

#[test]
fn a_second_signal_ends_at_once() {
    let stage = Stage::new();
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    config.set("outbox/drain", "20 seconds");
    let mut run = hanging(&stage, &config, &receiver);
    run.signal("TERM");
    run.until("the end of readiness", |run| {
        run.get("/-/ready").is_some_and(|(status, _)| status == 503)
    });
    let asked_at = Instant::now();
    run.signal("TERM");
    assert_eq!(run.ended(), Some(130), "{}", run.log());
    assert!(asked_at.elapsed() < Duration::from_secs(2), "{:?}", asked_at.elapsed());
}

#[test]
fn a_stop_that_takes_too_long_is_cut_off() {
    let stage = Stage::new();
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    config.set("outbox/drain", "20 seconds").set("state/stop_within", "2 seconds");
    let mut run = hanging(&stage, &config, &receiver);
    let asked_at = Instant::now();
    assert_eq!(run.terminate(), Some(2), "{}", run.log());
    assert!(asked_at.elapsed() < Duration::from_secs(5), "{:?}", asked_at.elapsed());
    assert!(run.log().contains("the stop takes too long"), "{}", run.log());
    receiver.set_mood(Mood::Well);
    let expected = expected(&events(EVENTS), &stage.rules());
    let mut run = config.start();
    until_all(&mut run, &[&receiver], &expected);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
}

#[test]
fn a_broker_that_is_away_does_not_hold_a_stop_up() {
    let broker = OwnBroker::start();
    let stage = Stage::at(&broker.address);
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    let mut run = config.start();
    until_active(&mut run);
    stage.send(&events(EVENTS));
    run.until("alerts", |_| receiver.n_got() > 0);
    broker.pause();
    let asked_at = Instant::now();
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert!(asked_at.elapsed() < Duration::from_secs(25), "{:?}", asked_at.elapsed());
}
