//! Two instances: one delivers, the other is ready to.

use std::time::{Duration, Instant};

use crate::events::{events, expected};
use crate::program::Run;
use crate::receiver::Receiver;
use crate::stage::{Stage, got, until_active, until_all};
use crate::truth::assert_same;

const EVENTS: usize = 6000;
/// As the configuration of the stage has it.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

fn is_active(run: &Run) -> Option<f64> {
    run.metric("nightlatch_active")
}

/// Two instances of one group; the first is the active one.
fn pair(stage: &Stage, receivers: [&Receiver; 2]) -> [Run; 2] {
    let mut first = stage.config("first", receivers[0]).start();
    until_active(&mut first);
    let mut second = stage.config("second", receivers[1]).start();
    second.until("its pages", |run| run.metric("nightlatch_kafka_connected") == Some(1.0));
    assert_eq!(is_active(&second), Some(0.0));
    [first, second]
}

#[test]
fn a_standby_reads_everything_delivers_nothing_and_goes_on_where_a_crash_ended() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    assert!(expected.len() >= 100, "few alerts: {}", expected.len());
    let receivers = [Receiver::start(), Receiver::start()];
    let [mut first, mut second] = pair(&stage, [&receivers[0], &receivers[1]]);
    let feeder = stage.send_slowly(&all, Duration::from_secs(6));
    first.until("a third", |_| receivers[0].n_got() >= expected.len() / 3);
    second.until("as many events", |run| {
        run.metric("nightlatch_events_total") >= Some(EVENTS as f64 / 3.0)
    });
    assert_eq!((is_active(&first), is_active(&second)), (Some(1.0), Some(0.0)));
    assert_eq!(receivers[1].n_got(), 0, "a standby delivers nothing");
    first.crash();
    let crashed_at = Instant::now();
    until_active(&mut second);
    let took = crashed_at.elapsed();
    // The session ends, the broker tells the other, which is told at its next poll.
    assert!(took < SESSION_TIMEOUT + Duration::from_secs(6), "the take-over took {took:?}");
    until_all(&mut second, &[&receivers[0], &receivers[1]], &expected);
    feeder.wait();
    assert_eq!(second.terminate(), Some(0), "{}", second.log());
    assert_same(&got(&[&receivers[0], &receivers[1]]), &expected, "both receivers");
    // Only what was delivered and not yet told to the group came twice.
    let copies: usize = receivers.iter().map(Receiver::n_got).sum();
    assert!(copies < expected.len() * 3 / 2, "{copies} copies of {}", expected.len());
}

#[test]
fn an_instance_that_stops_hands_over_at_once() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let [mut first, mut second] = pair(&stage, [&receiver, &receiver]);
    let feeder = stage.send_slowly(&all, Duration::from_secs(5));
    first.until("a third", |_| receiver.n_got() >= expected.len() / 3);
    let mut ended_at = None;
    first.signal("TERM");
    second.until("the take-over", |run| {
        if ended_at.is_none() && first.child.try_wait().unwrap().is_some() {
            ended_at = Some(Instant::now());
        }
        is_active(run) == Some(1.0)
    });
    let took = ended_at.map_or(Duration::ZERO, |ended| ended.elapsed());
    assert!(took < Duration::from_secs(3), "the take-over took {took:?}");
    assert_eq!(first.ended(), Some(0), "{}", first.log());
    until_all(&mut second, &[&receiver], &expected);
    feeder.wait();
    assert_eq!(second.terminate(), Some(0), "{}", second.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
}

#[test]
fn an_instance_that_was_frozen_stands_by_when_it_wakes_and_nothing_is_wrong() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receivers = [Receiver::start(), Receiver::start()];
    let [mut first, mut second] = pair(&stage, [&receivers[0], &receivers[1]]);
    let feeder = stage.send_slowly(&all, Duration::from_secs(8));
    first.until("a third", |_| receivers[0].n_got() >= expected.len() / 3);
    first.signal("STOP");
    until_active(&mut second);
    first.signal("CONT");
    first.until("the loss of the lease", |run| is_active(run) == Some(0.0));
    let (before, fenced) = (receivers[0].n_got(), "nightlatch_kafka_commits_fenced_total");
    assert_eq!(is_active(&second), Some(1.0), "who took over stays");
    until_all(&mut second, &[&receivers[0], &receivers[1]], &expected);
    feeder.wait();
    first.until("the rest of the events", |run| {
        run.metric("nightlatch_events_total") == Some(all.len() as f64)
    });
    // What was under way when it froze may still have come.
    assert!(receivers[0].n_got() <= before + 16, "a standby delivers: {before}");
    assert!(first.metric(fenced).is_some());
    assert_eq!((is_active(&first), is_active(&second)), (Some(0.0), Some(1.0)));
    // And back: what it missed was delivered by the other.
    assert_eq!(second.terminate(), Some(0), "{}", second.log());
    until_active(&mut first);
    first.until("an empty outbox", |run| run.metric("nightlatch_outbox_entries") == Some(0.0));
    assert_eq!(first.terminate(), Some(0), "{}", first.log());
    assert_same(&got(&[&receivers[0], &receivers[1]]), &expected, "both receivers");
}
