//! `nightlatch run` as a user starts it: the program, a configuration file, a broker.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::broker::{self, OwnBroker};
use crate::program::{Run, nightlatch};
use crate::truth::alerts;

const PARTITIONS: usize = 4;

/// Writes a configuration, with what every test needs and what this one adds to `[kafka]` and below.
fn configuration(folder: &Path, brokers: &str, topic: &str, rest: &str) -> PathBuf {
    let path = folder.join("nightlatch.toml");
    let group = broker::unique("group");
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n\n[order]\nidle_after = \"2 seconds\"\n\
         idle_release = \"3 seconds\"\n\n[kafka]\nbrokers = \"{brokers}\"\ngroup = \"{group}\"\n\
         topics = [\"{topic}\"]\n{rest}\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn example_log() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ring-2019.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(lines.len() >= 1000);
    lines
}

fn replay(lines: &[String], folder: &Path) -> Vec<Value> {
    let log = folder.join("log.jsonl");
    std::fs::write(&log, lines.join("\n")).unwrap();
    let output = nightlatch().args(["replay", "--json", "--quiet"]).arg(&log).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    alerts(&output.stdout)
}

#[test]
fn a_topic_gives_exactly_the_alerts_that_a_replay_of_the_file_gives() {
    let folder = tempfile::tempdir().unwrap();
    let lines = example_log();
    let expected = replay(&lines, folder.path());
    assert!(expected.len() >= 20, "the example holds few alerts: {}", expected.len());
    assert!(expected.iter().any(|alert| alert["status"] == "closed"));

    let (topic, alert_topic) = (broker::unique("events"), broker::unique("alerts"));
    broker::create_topic(&topic, PARTITIONS as i32);
    broker::create_topic(&alert_topic, 2);
    let records = lines.iter().enumerate();
    broker::produce(
        &topic,
        records.map(|(n, line)| ((n % PARTITIONS) as i32, Some(line.as_bytes()))),
    );
    let file = folder.path().join("alerts.jsonl");
    let rest = format!(
        "[alerts]\nstdout = false\nfile = \"{}\"\ntopic = \"{alert_topic}\"",
        file.display()
    );
    let mut run = Run::start(&configuration(folder.path(), broker::address(), &topic, &rest));
    let found = || std::fs::read(&file).map_or(Vec::new(), |bytes| alerts(&bytes));
    run.until("every alert", |_| found().len() >= expected.len());

    assert_eq!(run.get("/-/healthy").unwrap().0, 200);
    assert_eq!(run.get("/-/ready").unwrap().0, 200);
    run.until("a lag of 0", |run| run.metric("nightlatch_kafka_lag_messages") == Some(0.0));
    assert_eq!(run.metric("nightlatch_events_total"), Some(lines.len() as f64));
    assert_eq!(run.metric("nightlatch_events_late_total"), Some(0.0));
    // Another test may hold the broker still for a while.
    run.until("a connection", |run| run.metric("nightlatch_kafka_connected") == Some(1.0));
    assert_eq!(run.terminate(), Some(0), "{}", run.log());

    let found = found();
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "alert {number} differs");
    }
    assert_eq!(found.len(), expected.len());

    // The topic holds the same bytes as the file, all revisions of an entity in one partition.
    let read = broker::read_all(&alert_topic);
    let mut lines: Vec<String> =
        read.iter().map(|r| String::from_utf8(r.value.clone()).unwrap()).collect();
    let written = std::fs::read_to_string(&file).unwrap();
    let mut written: Vec<&str> = written.lines().collect();
    lines.sort_unstable();
    written.sort_unstable();
    assert_eq!(lines, written);
    for record in &read {
        let alert: Value = serde_json::from_slice(&record.value).unwrap();
        assert_eq!(record.key.as_deref(), alert["entity"].as_str());
        let same = read.iter().filter(|other| other.key == record.key);
        assert!(same.clone().all(|other| other.partition == record.partition));
    }
}

#[test]
fn poison_goes_to_the_dead_letters_and_the_stream_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, dead) = (broker::unique("events"), broker::unique("dead-letters"));
    broker::create_topic(&topic, 1);
    broker::create_topic(&dead, 1);
    let good = &br#"{"time":"2026-01-01T00:00:00Z","action":"login","account":"anna"}"#[..];
    let poison: [(&[u8], &str); 4] = [
        (b"no json", "invalid_json"),
        (b"{\"account\":\"\xff\"}", "invalid_utf8"),
        (b"[1]", "not_an_object"),
        (b"{\"time\":\"2026-01-01T00:00:00Z\",\"action\":\"login\"}", "missing_field"),
    ];
    // As serializers write it that know a schema registry: by number, and by GUID.
    let numbered = [&[0, 0, 0, 1, 2][..], good].concat();
    let named = [&[1; 17][..], good].concat();
    let records = poison.iter().map(|(value, _)| (0, Some(*value)));
    let sound = [good, &numbered, &named].map(|value| (0, Some(value)));
    broker::produce(&topic, records.chain([(0, None)]).chain(sound));
    let rest = format!("[dead_letter]\ntopic = \"{dead}\"");
    let mut run = Run::start(&configuration(folder.path(), broker::address(), &topic, &rest));
    run.until("the good events", |run| run.metric("nightlatch_events_total") == Some(3.0));
    run.until("the dead letters", |run| {
        run.metric("nightlatch_dead_letters_total") == Some(poison.len() as f64)
    });
    assert_eq!(run.metric("nightlatch_events_rejected_total"), Some(poison.len() as f64));
    assert_eq!(run.metric("nightlatch_kafka_tombstones_dropped_total"), Some(1.0));
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    let read = broker::read_all(&dead);
    assert_eq!(read.len(), poison.len());
    for (offset, (record, (value, reason))) in read.iter().zip(poison).enumerate() {
        assert_eq!(record.value, value, "the bytes are the record's own");
        let header = |name: &str| record.headers[&format!("nightlatch.error.{name}")].clone();
        assert_eq!(header("reason"), reason);
        assert!(!header("detail").is_empty());
        assert_eq!((header("topic"), header("partition")), (topic.clone(), "0".to_owned()));
        assert_eq!(header("offset"), offset.to_string());
    }
}

#[test]
fn a_broker_that_is_not_there_at_the_start_ends_the_program_with_69() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path(), "127.0.0.1:1", "events", "patience = \"1 second\"");
    let started = Instant::now();
    let output = nightlatch().args(["run", "--config"]).arg(&config).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{log}");
    assert!(started.elapsed() < Duration::from_secs(20), "patience of 1 s took too long");
    assert!(log.contains("no Kafka broker answers at 127.0.0.1:1"), "{log}");
    assert!(log.contains("hint: start the broker"), "{log}");
}

#[test]
fn a_broker_that_goes_away_later_is_waited_for_and_nothing_is_lost() {
    let broker = OwnBroker::start();
    let folder = tempfile::tempdir().unwrap();
    broker::create_topic_at(&broker.address, "events", 1);
    let event = |second: usize| {
        format!(r#"{{"time":"2026-01-01T00:00:{second:02}Z","action":"login","account":"anna"}}"#)
    };
    let produce = |seconds: std::ops::Range<usize>| {
        let lines: Vec<String> = seconds.map(event).collect();
        let records = lines.iter().map(|line| (0, Some(line.as_bytes())));
        broker::produce_at(&broker.address, "events", records);
    };
    produce(0..10);
    // The library notices a silent broker by its own time-outs, which are long by default.
    let rest = "[kafka.librdkafka]\n\"socket.timeout.ms\" = \"2000\"\n\
                \"reconnect.backoff.max.ms\" = \"500\"";
    let mut run = Run::start(&configuration(folder.path(), &broker.address, "events", rest));
    run.until("the first events", |run| run.metric("nightlatch_events_total") == Some(10.0));
    broker.pause();
    run.until("the outage", |run| run.metric("nightlatch_kafka_connected") == Some(0.0));
    run.until("a word about it", |run| run.log().contains("no Kafka broker answers"));
    assert_eq!(run.get("/-/healthy").unwrap().0, 200, "a restart would not help");
    broker.resume();
    run.until("the broker's return", |run| run.metric("nightlatch_kafka_connected") == Some(1.0));
    produce(10..20);
    run.until("the other events", |run| run.metric("nightlatch_events_total") == Some(20.0));
    assert!(run.log().contains("Kafka is back"), "{}", run.log());
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
}

#[test]
fn an_instance_that_is_frozen_loses_the_lease_and_stands_by_when_it_wakes() {
    let topic = broker::unique("events");
    broker::create_topic(&topic, 1);
    let group = broker::unique("group");
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let rest = "[kafka.librdkafka]\n\"session.timeout.ms\" = \"3000\"\n\
                \"heartbeat.interval.ms\" = \"500\"";
    let start = |folder: &Path| {
        let config = configuration(folder, broker::address(), &topic, rest);
        let text = std::fs::read_to_string(&config).unwrap();
        let own = text.lines().find(|line| line.starts_with("group")).unwrap();
        std::fs::write(&config, text.replace(own, &format!("group = \"{group}\""))).unwrap();
        Run::start(&config)
    };
    let mut first = start(folders[0].path());
    first.until("the lease", |run| run.metric("nightlatch_active") == Some(1.0));
    let mut second = start(folders[1].path());
    second.until("a connection", |run| run.metric("nightlatch_kafka_connected") == Some(1.0));
    assert_eq!(second.metric("nightlatch_active"), Some(0.0));
    first.signal("STOP");
    second.until("the take-over", |run| run.metric("nightlatch_active") == Some(1.0));
    first.signal("CONT");
    first.until("the loss of the lease", |run| run.log().contains("the lease is lost"));
    assert_eq!(first.metric("nightlatch_active"), Some(0.0));
    assert_eq!(second.metric("nightlatch_active"), Some(1.0));
    // And back: the one that ends hands the lease over.
    assert_eq!(second.terminate(), Some(0), "{}", second.log());
    first.until("the lease again", |run| run.metric("nightlatch_active") == Some(1.0));
    assert_eq!(first.terminate(), Some(0), "{}", first.log());
}

const FAILURES: &str = "/*
title    = \"Many failures of one account\"
severity = \"high\"
entity   = \"account\"
quiet    = \"1 hour\"
summary  = \"{failures} failed logins to {account}\"
*/
SELECT time, account, count(*) FILTER (WHERE outcome = 'failure') OVER recent AS failures
FROM events
WINDOW recent AS (
    PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 3
";

#[test]
fn an_alert_is_told_early_and_again_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("failures.sql"), FAILURES).unwrap();
    let topic = broker::unique("events");
    broker::create_topic(&topic, 2);
    let line = |second: u32, account: &str, outcome: &str| {
        let time = format!("2026-01-05T10:0{}:{:02}Z", second / 60, second % 60);
        format!(
            r#"{{"time":"{time}","action":"login","outcome":"{outcome}","account":"{account}"}}"#
        )
    };
    let send = |lines: &[(i32, String)]| {
        let records = lines.iter().map(|(partition, line)| (*partition, Some(line.as_bytes())));
        broker::produce(&topic, records);
    };
    let begin = [(0, 5), (1, 5), (0, 75), (1, 75)];
    send(&begin.map(|(partition, second)| (partition, line(second, "ben", "success"))));

    let file = folder.path().join("alerts.jsonl");
    let rest = format!(
        "[alerts]\nstdout = false\nearly = true\nfile = \"{}\"\n[incidents]\nenabled = false",
        file.display()
    );
    let path = configuration(folder.path(), broker::address(), &topic, &rest);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("rules = \"{}\"\n{text}", rules.display())).unwrap();
    let mut run = Run::start(&path);
    run.until("a watermark", |run| {
        run.metric("nightlatch_watermark_timestamp_seconds") > Some(0.0)
    });
    send(&[90, 91, 92].map(|second| (0, line(second, "anna", "failure"))));
    let found = || std::fs::read(&file).map_or(Vec::new(), |bytes| alerts(&bytes));
    run.until("both alerts", |_| found().len() >= 2);
    let confirmed = "nightlatch_alerts_early_total{outcome=\"confirmed\"}";
    run.until("the confirmation", |run| run.metric(confirmed) == Some(1.0));
    assert_eq!(run.terminate(), Some(0), "{}", run.log());

    let found = found();
    assert_eq!((&found[0]["revision"], &found[0]["early"]), (&0.into(), &true.into()));
    assert_eq!((&found[1]["revision"], &found[1]["early"]), (&1.into(), &Value::Null));
    assert_eq!(found[0]["evidence"].as_array().unwrap().len(), 1);
    assert_eq!(found[1]["evidence"].as_array().unwrap().len(), 3);
    for key in ["id", "rule", "entity", "started_at", "summary", "status"] {
        assert_eq!(found[0][key], found[1][key], "{key}");
    }
}
