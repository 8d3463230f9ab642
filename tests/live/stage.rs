//! A topic, a group, rules, and the configurations of instances that work on them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::broker;
use crate::events::{Event, GUESSING, PARTITIONS, SPREAD};
use crate::program::Run;
use crate::receiver::Receiver;
use crate::truth::{Told, assert_same, told, without_places};

/// A secret of the right form that no log may hold.
pub(crate) const SECRET: &str = "whsec_c2VjcmV0LW9mLWEtdGVzdC10aGF0LW5vYm9keS1tYXktc2Vl";

/// What several instances have in common.
pub(crate) struct Stage {
    folder: TempDir,
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    sent: Arc<Mutex<usize>>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::at(broker::address())
    }

    pub(crate) fn at(brokers: &str) -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            brokers: brokers.to_owned(),
            topic: broker::unique("events"),
            group: broker::unique("group"),
            sent: Arc::default(),
        };
        // Records are as old as their events.
        let keep = [("retention.ms", "-1")];
        broker::create_topic_with(brokers, &stage.topic, PARTITIONS as i32, &keep);
        std::fs::create_dir(stage.rules()).unwrap();
        stage.rule("guessing", GUESSING);
        stage.rule("spread", SPREAD);
        stage
    }

    /// The folder of everything.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of rules.
    pub(crate) fn rules(&self) -> PathBuf {
        self.path().join("rules")
    }

    /// Writes a rule.
    pub(crate) fn rule(&self, name: &str, text: &str) {
        std::fs::write(self.rules().join(format!("{name}.sql")), text).unwrap();
    }

    /// Writes a file that only its owner may read, and gives its path.
    pub(crate) fn secret(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }

    /// The configuration of an instance that delivers to a receiver. Nothing is ever idle in it: what
    /// is told depends on the events alone.
    pub(crate) fn config(&self, instance: &str, receiver: &Receiver) -> Config {
        let folder = self.path().join(instance);
        std::fs::create_dir(&folder).unwrap();
        let mut config = Config { path: folder.join("nightlatch.toml"), table: toml::Table::new() };
        config
            .set("rules", self.rules().display().to_string())
            .set("http/listen", "127.0.0.1:0")
            .set("kafka/brokers", self.brokers.as_str())
            .set("kafka/group", self.group.as_str())
            .set("kafka/topics", vec![self.topic.as_str()])
            .set("kafka/librdkafka/session.timeout.ms", "6000")
            .set("kafka/librdkafka/heartbeat.interval.ms", "500")
            .set("state/checkpoint_every", "300 milliseconds")
            .set("order/idle_after", "1 hour")
            .set("order/idle_release", "1 hour")
            .set("alerts/stdout", false)
            // They live for a day: one that lost its state begins them anew.
            .set("incidents/enabled", false)
            .set("destination", vec![self.webhook("hook", receiver)]);
        config
    }

    /// One `[[destination]]`.
    pub(crate) fn webhook(&self, name: &str, receiver: &Receiver) -> toml::Table {
        let url = format!("http://{}/", receiver.address);
        let mut table = toml::Table::new();
        let mut insert = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
        insert("name", name.into());
        insert("type", "webhook".into());
        insert("url", url.into());
        insert("secret_files", vec![self.secret("webhook.secret", SECRET)].into());
        insert("allow_private", true.into());
        insert("retry_first", "100 milliseconds".into());
        insert("retry_max", "500 milliseconds".into());
        table
    }

    /// Writes events to the topic, one partition after the other.
    pub(crate) fn send(&self, events: &[Event]) {
        send(&self.brokers, &self.topic, &self.sent, events);
    }

    /// Does so bit by bit, within about so long, until the end or until it is dropped.
    pub(crate) fn send_slowly(&self, events: &[Event], within: Duration) -> Feeder {
        const PARTS: usize = 40;
        let (brokers, topic, sent) = (self.brokers.clone(), self.topic.clone(), self.sent.clone());
        let events = events.to_vec();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for part in events.chunks(events.len().div_ceil(PARTS)) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                send(&brokers, &topic, &sent, part);
                std::thread::sleep(within / PARTS as u32);
            }
        });
        Feeder { stop, thread: Some(thread) }
    }

    /// What the group has committed.
    pub(crate) fn committed(&self) -> Vec<(i32, Option<i64>, String)> {
        broker::committed(&self.brokers, &self.group, &self.topic, PARTITIONS as i32)
    }
}

fn send(brokers: &str, topic: &str, sent: &Mutex<usize>, events: &[Event]) {
    let mut sent = sent.lock().unwrap();
    let records = events.iter().enumerate().map(|(index, event)| {
        let partition = (*sent + index) % PARTITIONS;
        (partition as i32, event.line.as_bytes(), event.at_millis)
    });
    broker::produce_timed_at(brokers, topic, records);
    *sent += events.len();
}

/// Writes to a topic until it is dropped.
pub(crate) struct Feeder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    /// Waits until all is written.
    pub(crate) fn wait(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A configuration file that changes.
pub(crate) struct Config {
    pub(crate) path: PathBuf,
    table: toml::Table,
}

impl Config {
    /// Sets a key, a path with slashes, and writes the file.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<toml::Value>) -> &mut Self {
        let mut table = &mut self.table;
        let mut parts = key.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), value.into());
                break;
            }
            let inner = table.entry(part).or_insert_with(|| toml::Table::new().into());
            table = inner.as_table_mut().unwrap();
        }
        self.write(&self.table.to_string());
        self
    }

    /// Writes a text over it.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.path, text).unwrap();
    }

    /// What idles for two seconds holds nobody back, and is released after three.
    pub(crate) fn soon_idle(&mut self) -> &mut Self {
        self.set("order/idle_after", "2 seconds").set("order/idle_release", "3 seconds")
    }

    /// Where the state is, by default beside the file.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.with_file_name("nightlatch-state")
    }

    pub(crate) fn start(&self) -> Run {
        Run::start(&self.path)
    }
}

/// What receivers got, each revision once.
pub(crate) fn got(receivers: &[&Receiver]) -> Told {
    let all = receivers.iter().flat_map(|receiver| receiver.in_order());
    told(all.map(without_places))
}

/// Waits until receivers together have all that is expected.
pub(crate) fn until_all(run: &mut Run, receivers: &[&Receiver], expected: &Told) {
    // What is missing in the end is told better by `assert_same`.
    let patience = Instant::now() + Duration::from_secs(60);
    run.until("every revision", |_| {
        let got = got(receivers);
        Instant::now() > patience || expected.keys().all(|key| got.contains_key(key))
    });
    if Instant::now() > patience {
        println!("{}", run.log());
        assert_same(&got(receivers), expected, "after a minute");
    }
}

/// Waits until an instance is the active one.
pub(crate) fn until_active(run: &mut Run) {
    run.until("the lease", |run| run.metric("nightlatch_active") == Some(1.0));
}
