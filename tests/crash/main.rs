//! `kill -9` at random moments: what is delivered is what one uninterrupted replay says.

#![allow(clippy::unwrap_used)] // help for tests may panic as tests do

#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/broker.rs"]
mod broker;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/receiver.rs"]
mod receiver;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/run.rs"]
mod run;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use receiver::{Receiver, Revisions};
use run::{Run, nightlatch};
use serde_json::Value;

const PARTITIONS: usize = 4;
/// Where a crash is asked for, beside the random moments; see `src/store/failpoint.rs`.
const FAILPOINTS: [&str; 8] = [
    "segment.written=1:abort",
    "segment.synced=2:abort",
    "manifest.written=1:abort",
    "manifest.synced=2:abort",
    "manifest.renamed=1:abort",
    "manifest.renamed=3:abort",
    "outbox.appended=5:abort",
    "outbox.synced=2:abort",
];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The newest revision of each alert, without where its evidence points.
type Final = BTreeMap<String, (u64, Value)>;

fn newest(alerts: impl Iterator<Item = Value>) -> Final {
    let mut newest = Final::new();
    for alert in alerts {
        let revision = alert["revision"].as_u64().unwrap();
        let id = alert["id"].as_str().unwrap().to_owned();
        let known = newest.get(&id).map_or(0, |(revision, _)| *revision);
        if revision > known {
            newest.insert(id, (revision, without_places(alert)));
        }
    }
    newest
}

fn without_places(mut alert: Value) -> Value {
    for event in alert["evidence"].as_array_mut().unwrap() {
        let event = event.as_object_mut().unwrap();
        for key in ["file", "line", "topic", "partition", "offset"] {
            event.remove(key);
        }
    }
    alert
}

/// A simulated log, and what one uninterrupted replay of it finds.
fn log_and_truth(folder: &Path, n_events: u64) -> (String, Final) {
    let log = folder.join("log.jsonl");
    let n_events = n_events.to_string();
    let simulate = ["simulate", "--seed", "11", "--events", &n_events, "-o"];
    assert!(nightlatch().args(simulate).arg(&log).status().unwrap().success());
    let replay = nightlatch().args(["replay", "--json", "--quiet"]).arg(&log).output().unwrap();
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
    let text = String::from_utf8(replay.stdout).unwrap();
    let expected = newest(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    assert!(expected.len() >= 50, "the log holds few alerts: {}", expected.len());
    (std::fs::read_to_string(log).unwrap(), expected)
}

fn produce(topic: &str, log: &str) {
    let lines = log.lines().enumerate();
    broker::produce(topic, lines.map(|(n, line)| ((n % PARTITIONS) as i32, Some(line.as_bytes()))));
}

fn configuration(folder: &Path, topic: &str, receiver: &Receiver) -> PathBuf {
    let path = folder.join("nightlatch.toml");
    let secret = folder.join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr").unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut text = String::new();
    let (folder, brokers) = (folder.display(), broker::address());
    write!(
        text,
        "[http]\nlisten = \"127.0.0.1:0\"\n\n[state]\nfolder = \"{folder}/state\"\n\
         checkpoint_every = \"300 milliseconds\"\n\n\
         [order]\nidle_after = \"2 seconds\"\nidle_release = \"3 seconds\"\n\n\
         [kafka]\nbrokers = \"{brokers}\"\ngroup = \"{}\"\ntopics = [\"{topic}\"]\n\n\
         [kafka.librdkafka]\n\"session.timeout.ms\" = \"6000\"\n\n\
         [alerts]\nstdout = false\nfile = \"{folder}/alerts.jsonl\"\n\n\
         [[destination]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://{}/\"\n\
         secret_files = [\"{}\"]\nallow_private = true\n",
        broker::unique("group"),
        receiver.address,
        secret.display(),
    )
    .unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// A small generator of moments (xorshift, Marsaglia 2003): the seed is printed when the test fails.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

fn compare(found: &Final, expected: &Final, what: &str) {
    let lost: Vec<_> = expected.keys().filter(|id| !found.contains_key(*id)).collect();
    let extra: Vec<_> = found.keys().filter(|id| !expected.contains_key(*id)).collect();
    assert!(lost.is_empty() && extra.is_empty(), "{what}: lost {lost:?}, extra {extra:?}");
    for (id, expected) in expected {
        assert_eq!(&found[id], expected, "{what}: alert {id} differs");
    }
}

/// Every copy of a revision says the same, but for where its evidence points.
fn assert_copies_agree(got: &Revisions) {
    for ((id, revision), copies) in got {
        let first = without_places(copies[0].clone());
        for copy in &copies[1..] {
            assert_eq!(without_places(copy.clone()), first, "{id}/{revision} came in two versions");
        }
    }
}

#[test]
fn killed_fifty_times_it_delivers_what_one_replay_finds() {
    let n_events = setting("NIGHTLATCH_CRASH_EVENTS", 1_000_000);
    let n_kills = setting("NIGHTLATCH_CRASH_KILLS", 50);
    let seed = setting("NIGHTLATCH_CRASH_SEED", u64::from(std::process::id()));
    println!("NIGHTLATCH_CRASH_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let (log, expected) = log_and_truth(folder.path(), n_events);
    let topic = broker::unique("events");
    broker::create_topic(&topic, PARTITIONS as i32);
    produce(&topic, &log);
    let receiver = Receiver::start();
    let config = configuration(folder.path(), &topic, &receiver);

    let mut moments = Moments(seed | 1);
    for kill in 0..n_kills {
        let failpoint = FAILPOINTS.get(kill as usize / 3).filter(|_| kill % 3 == 0);
        let environment: Vec<_> =
            failpoint.iter().map(|point| ("NIGHTLATCH_FAILPOINTS", **point)).collect();
        let mut run = Run::start_with(&config, &environment);
        let pause = Duration::from_millis(500 + moments.next(4_500));
        let started = std::time::Instant::now();
        while started.elapsed() < pause && run.child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some(status) = run.child.try_wait().unwrap() {
            assert!(status.code().is_none(), "it ended by itself: {status}\n{}", run.log());
        }
        run.crash();
    }
    let mut run = Run::start(&config);
    let all = |receiver: &Receiver| {
        newest(receiver.got().into_values().map(|copies| copies[0].clone())).len() >= expected.len()
    };
    run.within(Duration::from_secs(600), "every alert", |_| all(&receiver));
    run.until("a lag of 0", |run| run.metric("nightlatch_kafka_lag_messages") == Some(0.0));
    run.until("an empty outbox", |run| run.metric("nightlatch_outbox_entries") == Some(0.0));
    // The last revisions come when all inputs have long been idle.
    let same = |receiver: &Receiver| {
        newest(receiver.got().into_values().map(|copies| copies[0].clone())) == expected
    };
    let started = std::time::Instant::now();
    while !same(&receiver) && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(run.terminate(), Some(0), "{}", run.log());

    let got = receiver.got();
    assert_copies_agree(&got);
    compare(&newest(got.into_values().map(|copies| copies[0].clone())), &expected, "webhook");
    let file = std::fs::read_to_string(folder.path().join("alerts.jsonl")).unwrap();
    let written = file.lines().map(|line| serde_json::from_str(line).unwrap());
    compare(&newest(written), &expected, "file");
}
