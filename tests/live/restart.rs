//! Ended in good order and started again, in the middle of a stream.

use std::path::Path;

use crate::events::{Event, PARTITIONS, events, expected, expected_with_incidents};
use crate::program::{Run, nightlatch};
use crate::receiver::Receiver;
use crate::stage::{Config, Stage, got, until_active, until_all};
use crate::truth::{Told, assert_same};

const EVENTS: usize = 6000;

fn end(mut run: Run) -> String {
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    run.log()
}

/// Runs on the first half of the events, until that is seen through, and stops.
pub(crate) fn first_half(
    stage: &Stage,
    config: &Config,
    receiver: &Receiver,
    all: &[Event],
    expected: &Told,
) {
    let mut run = config.start();
    stage.send(&all[..all.len() / 2]);
    // The newest minute still waits, so that not every partition need be read to its end.
    run.until("a third", |_| receiver.n_got() >= expected.len() / 3);
    end(run);
}

#[test]
fn alerts_and_incidents_are_byte_for_byte_those_of_one_run_and_commits_tell_how_far_it_got() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected_with_incidents(&all, &stage.rules());
    let receiver = Receiver::start();
    let mut config = stage.config("twice", &receiver);
    let file = stage.path().join("twice.jsonl");
    config.set("incidents/enabled", true).set("alerts/file", file.display().to_string());
    first_half(&stage, &config, &receiver, &all, &expected);
    let in_between = stage.committed();
    assert!(in_between.iter().all(|(_, offset, _)| offset.is_some()), "{in_between:?}");
    stage.send(&all[all.len() / 2..]);
    config.soon_idle();
    let mut run = config.start();
    until_all(&mut run, &[&receiver], &expected);
    run.until("a lag of 0", |run| run.metric("nightlatch_kafka_lag_messages") == Some(0.0));
    // What waits for the watermark is committed once it is released.
    let end_of_each = Some((all.len() / PARTITIONS) as i64);
    run.until("the commits", |_| stage.committed().iter().all(|(_, next, _)| *next == end_of_each));
    let log = end(run);
    assert!(log.contains("state restored"), "{log}");
    for (_, offset, note) in stage.committed() {
        assert_eq!(offset, end_of_each);
        assert!(note.contains("delivered_until"), "{note}");
    }
    assert_same(&got(&[&receiver]), &expected, "the receiver");
    assert_eq!(receiver.n_got(), expected.len(), "nothing comes twice after a stop in good order");

    // Another group, one run.
    let other = Receiver::start();
    let mut config = stage.config("once", &other);
    let once = stage.path().join("once.jsonl");
    config.set("kafka/group", format!("{}-once", stage.group));
    config
        .set("incidents/enabled", true)
        .set("alerts/file", once.display().to_string())
        .soon_idle();
    let mut run = config.start();
    until_all(&mut run, &[&other], &expected);
    run.until("the file", |_| lines(&once) >= expected.len());
    end(run);
    let [twice, once] = [&file, &once].map(|path| std::fs::read_to_string(path).unwrap());
    for (twice, once) in twice.lines().zip(once.lines()) {
        assert_eq!(twice, once);
    }
    assert_eq!(twice.len(), once.len());
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

#[test]
fn without_its_state_folder_it_rebuilds_from_kafka_and_tells_nothing_twice() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    first_half(&stage, &config, &receiver, &all, &expected);
    let before = receiver.n_got();
    std::fs::remove_dir_all(config.state()).unwrap();
    stage.send(&all[all.len() / 2..]);
    let mut run = config.start();
    until_all(&mut run, &[&receiver], &expected);
    let n_read = run.metric("nightlatch_events_total").unwrap();
    let suppressed = run.metric("nightlatch_alerts_suppressed_total").unwrap();
    let log = end(run);
    assert!(log.contains("no state yet"), "{log}");
    assert!(log.contains("windows are rebuilt from Kafka; alerts due before"), "{log}");
    assert!(suppressed > 0.0, "{log}");
    assert!(n_read < all.len() as f64 * 0.9, "it read more than its windows need: {n_read}");
    assert_same(&got(&[&receiver]), &expected, "the receiver");
    assert_eq!(receiver.n_got(), expected.len(), "{before} were delivered before");
}

#[test]
fn a_second_process_on_a_state_folder_is_refused_and_told_who_has_it() {
    let stage = Stage::new();
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    let mut first = config.start();
    until_active(&mut first);
    let second = nightlatch()
        .args(["run", "--config"])
        .arg(&config.path)
        .current_dir(config.path.parent().unwrap())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(64), "{log}");
    assert!(log.contains("another process works with this state folder"), "{log}");
    assert!(log.contains(&format!("process {} holds its lock", first.child.id())), "{log}");
    assert!(log.contains("hint: stop it first"), "{log}");
    assert_eq!(first.metric("nightlatch_active"), Some(1.0), "the first is not disturbed");
    end(first);
}
