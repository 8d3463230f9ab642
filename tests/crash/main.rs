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
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/truth.rs"]
mod truth;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use receiver::Receiver;
use run::{Run, nightlatch};
use truth::{Told, alerts, assert_same, newest, told, without_places};

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

/// Rules of every kind of window, and of what is learned: with all of them a debug build restores for
/// longer than it lives.
const RULES: [&str; 12] = [
    "account_use_after_deletion",
    "brute_force",
    "credential_stuffing",
    "distributed_guessing",
    "login_failure_surge",
    "new_device_then_takeover",
    "new_device_then_two_way_talk",
    "password_spraying",
    "recording_use_after_deletion",
    "shared_device_or_fingerprint",
    "staff_mass_viewing",
    "success_after_attack",
];

fn copy_rules(folder: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    std::fs::create_dir(folder.join("rules")).unwrap();
    for name in RULES.map(|rule| format!("{rule}.sql")) {
        std::fs::copy(from.join(&name), folder.join("rules").join(&name)).unwrap();
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A simulated log, and what one uninterrupted replay of it finds.
fn log_and_truth(folder: &Path, n_events: u64) -> (String, Told) {
    let log = folder.join("log.jsonl");
    let n_events = n_events.to_string();
    let simulate = ["simulate", "--seed", "11", "--events", &n_events, "-o"];
    assert!(nightlatch().args(simulate).arg(&log).status().unwrap().success());
    let mut replay = nightlatch();
    replay.args(["replay", "--json", "--quiet", "--rules"]).arg(folder.join("rules")).arg(&log);
    let replay = replay.output().unwrap();
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
    let expected = newest(&told(alerts(&replay.stdout)));
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
        "rules = \"{folder}/rules\"\n\n\
         [http]\nlisten = \"127.0.0.1:0\"\n\n[state]\nfolder = \"{folder}/state\"\n\
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

#[test]
fn killed_fifty_times_it_delivers_what_one_replay_finds() {
    let n_events = setting("NIGHTLATCH_CRASH_EVENTS", 1_000_000);
    let n_kills = setting("NIGHTLATCH_CRASH_KILLS", 50);
    let seed = setting("NIGHTLATCH_CRASH_SEED", u64::from(std::process::id()));
    println!("NIGHTLATCH_CRASH_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    copy_rules(folder.path());
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
    let found =
        |receiver: &Receiver| newest(&told(receiver.in_order().into_iter().map(without_places)));
    run.within(Duration::from_secs(600), "every alert", |_| {
        found(&receiver).len() >= expected.len()
    });
    run.until("a lag of 0", |run| run.metric("nightlatch_kafka_lag_messages") == Some(0.0));
    run.until("an empty outbox", |run| run.metric("nightlatch_outbox_entries") == Some(0.0));
    // The last revisions come when all inputs have long been idle.
    let started = std::time::Instant::now();
    while found(&receiver) != expected && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(run.terminate(), Some(0), "{}", run.log());

    assert_same(&found(&receiver), &expected, "webhook");
    let file = std::fs::read(folder.path().join("alerts.jsonl")).unwrap();
    assert_same(&newest(&told(alerts(&file))), &expected, "file");
}
