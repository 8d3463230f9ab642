//! A real Kafka broker, started by `scripts/test-broker` when the first test asks for it.
//!
//! It serves every test binary that runs, and stops once none is left. A test that cannot have its
//! broker fails, and says what to do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A message as it was read back.
#[derive(Debug)]
pub struct Read {
    pub partition: i32,
    pub key: Option<String>,
    pub value: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

/// `host:port` of the broker.
pub fn address() -> &'static str {
    static ADDRESS: OnceLock<Result<String, String>> = OnceLock::new();
    match ADDRESS.get_or_init(start) {
        Ok(address) => address,
        Err(reason) => panic!(
            "this test needs a real Kafka broker, and there is none: {reason}\n\
             run `scripts/install-prerequisites --tests` once, then `scripts/test-broker` to see it \
             start, or name a broker of yours: NIGHTLATCH_TEST_KAFKA=host:port"
        ),
    }
}

fn start() -> Result<String, String> {
    script(&["start", "--for", &std::process::id().to_string()], |_| {})
}

fn script(arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Result<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-broker");
    let mut command = Command::new(&script);
    prepare(command.args(arguments));
    let output =
        command.output().map_err(|error| format!("{} does not run: {error}", script.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The other ports of a broker that has TLS and SASL, and what a client needs for them.
pub struct Listeners {
    /// Without TLS and SASL.
    pub plain: String,
    /// TLS; wants a certificate of the client.
    pub tls: String,
    /// SASL over TLS.
    pub sasl_tls: String,
    /// SASL in the clear.
    pub sasl: String,
    /// TLS, with a certificate that names another host.
    pub other_host: String,
    /// TLS, with a certificate whose time is over.
    pub expired: String,
    certificates: PathBuf,
}

impl Listeners {
    /// A file among the certificates: `ca.pem`, `other-ca.pem`, `client.pem`, `client.key`,
    /// `client.locked.key`, `password`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.certificates.join(name)
    }
}

/// The shared broker, or one beside it where that has no such listeners.
pub fn listeners() -> &'static Listeners {
    static LISTENERS: OnceLock<Listeners> = OnceLock::new();
    LISTENERS.get_or_init(|| {
        let plain = address().to_owned();
        if let Ok(text) = script(&["listeners"], |_| {}) {
            return listeners_of(plain, &text);
        }
        let folder = std::env::temp_dir().join("nightlatch-test-broker-listeners");
        let prepare = |command: &mut Command| {
            command.env_remove("NIGHTLATCH_TEST_KAFKA");
            command.env("NIGHTLATCH_TEST_BROKER_JARS", "1");
            command.env("NIGHTLATCH_TEST_BROKER_DIR", &folder);
        };
        let id = std::process::id().to_string();
        let plain = script(&["start", "--for", &id], prepare).unwrap_or_else(|r| no_own_broker(&r));
        listeners_of(plain, &script(&["listeners"], prepare).unwrap_or_else(|r| no_own_broker(&r)))
    })
}

fn listeners_of(plain: String, text: &str) -> Listeners {
    let values: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let value = |name: &str| values[name].to_owned();
    Listeners {
        plain,
        tls: value("tls"),
        sasl_tls: value("sasl_tls"),
        sasl: value("sasl"),
        other_host: value("other_host"),
        expired: value("expired"),
        certificates: value("certificates").into(),
    }
}

fn no_own_broker(reason: &str) -> ! {
    panic!(
        "this test needs a Kafka broker of its own: {reason}\n\
         run `scripts/install-prerequisites --tests` once"
    )
}

/// A broker of a test's own, which it may freeze and kill.
pub struct OwnBroker {
    folder: tempfile::TempDir,
    pub address: String,
}

impl OwnBroker {
    /// Starts it; it stops when this is dropped, or when the process ends.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut broker = Self { folder, address: String::new() };
        broker.address = broker.script(&["start", "--for", &std::process::id().to_string()]);
        broker
    }

    /// From now on it answers nothing.
    pub fn pause(&self) {
        self.script(&["pause"]);
    }

    /// It goes on where it was frozen.
    pub fn resume(&self) {
        self.script(&["continue"]);
    }

    /// It dies as a machine does that loses its power.
    pub fn kill(&self) {
        self.script(&["kill"]);
    }

    /// It starts again after that, with its data and its ports.
    pub fn restart(&self) {
        self.script(&["restart"]);
    }

    fn script(&self, arguments: &[&str]) -> String {
        self.try_script(arguments).unwrap_or_else(|reason| no_own_broker(&reason))
    }

    fn try_script(&self, arguments: &[&str]) -> Result<String, String> {
        script(arguments, |command| {
            command.env_remove("NIGHTLATCH_TEST_KAFKA");
            command.env("NIGHTLATCH_TEST_BROKER_DIR", self.folder.path());
        })
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        let _ = self.try_script(&["continue"]);
        let _ = self.try_script(&["stop"]);
    }
}

fn client_of(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

fn client() -> ClientConfig {
    client_of(address())
}

/// A name that no other test and no earlier run has used.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{}-{count}", since.as_millis(), std::process::id())
}

/// Creates a topic, by the broker's own protocol.
pub fn create_topic(name: &str, partitions: i32) {
    create_topic_at(address(), name, partitions);
}

/// As [`create_topic`], at some broker.
pub fn create_topic_at(address: &str, name: &str, partitions: i32) {
    create_topic_with(address, name, partitions, &[]);
}

/// As [`create_topic_at`], with a configuration of its own.
pub fn create_topic_with(address: &str, name: &str, partitions: i32, config: &[(&str, &str)]) {
    use rdkafka::admin::{NewTopic, TopicReplication};
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let topic = config.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
    let admin = admin(address);
    let results = block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    results.into_iter().for_each(|result| assert_eq!(result.unwrap(), name));
}

/// Gives a topic so many partitions.
pub fn grow_topic(name: &str, partitions: usize) {
    let (admin, options) = (admin(address()), AdminOptions::new());
    let new = rdkafka::admin::NewPartitions::new(name, partitions);
    let results = block_on(admin.create_partitions([&new], &options)).unwrap();
    results.into_iter().for_each(|result| assert_eq!(result.unwrap(), name));
}

/// Deletes a topic.
pub fn delete_topic(name: &str) {
    let (admin, options) = (admin(address()), AdminOptions::new());
    let results = block_on(admin.delete_topics(&[name], &options)).unwrap();
    results.into_iter().for_each(|result| assert_eq!(result.unwrap(), name));
}

/// Deletes the records of a partition before an offset, as retention does.
pub fn delete_records(topic: &str, partition: i32, before: i64) {
    let (admin, options) = (admin(address()), AdminOptions::new());
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
    block_on(admin.delete_records(&list, &options)).unwrap();
}

fn admin(address: &str) -> AdminClient<DefaultClientContext> {
    client_of(address).create().unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// Writes values to partitions; `None` is a tombstone.
pub fn produce<'a>(topic: &str, values: impl IntoIterator<Item = (i32, Option<&'a [u8]>)>) {
    produce_at(address(), topic, values);
}

/// As [`produce`], at some broker.
pub fn produce_at<'a>(
    address: &str,
    topic: &str,
    values: impl IntoIterator<Item = (i32, Option<&'a [u8]>)>,
) {
    send(address, topic, values.into_iter().map(|(partition, value)| (partition, value, None)));
}

/// As [`produce`], each with the broker's time of the record in milliseconds.
pub fn produce_timed<'a>(topic: &str, values: impl IntoIterator<Item = (i32, &'a [u8], i64)>) {
    produce_timed_at(address(), topic, values);
}

/// As [`produce_timed`], at some broker.
pub fn produce_timed_at<'a>(
    address: &str,
    topic: &str,
    values: impl IntoIterator<Item = (i32, &'a [u8], i64)>,
) {
    let values =
        values.into_iter().map(|(partition, value, at)| (partition, Some(value), Some(at)));
    send(address, topic, values);
}

/// Every record has a header, as those of other programs have.
fn send<'a>(
    address: &str,
    topic: &str,
    values: impl IntoIterator<Item = (i32, Option<&'a [u8]>, Option<i64>)>,
) {
    let producer: BaseProducer =
        client_of(address).set("enable.idempotence", "true").create().unwrap();
    for (partition, value, at) in values {
        let trace = Header { key: "traceparent", value: Some("00-ab-cd-01") };
        let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(topic)
            .partition(partition)
            .key("some key")
            .headers(OwnedHeaders::new().insert(trace));
        (record.payload, record.timestamp) = (value, at);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((error, back)) => {
                    let code = error.rdkafka_error_code();
                    assert_eq!(code, Some(RDKafkaErrorCode::QueueFull), "{error}");
                    record = back;
                    producer.poll(Duration::from_millis(10));
                }
            }
        }
    }
    producer.flush(TIMEOUT).unwrap();
}

/// Reads all that is in a topic now.
pub fn read_all(topic: &str) -> Vec<Read> {
    let consumer: BaseConsumer = client()
        .set("group.id", unique("reader"))
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).unwrap();
    let partitions: Vec<i32> = metadata.topics()[0].partitions().iter().map(|p| p.id()).collect();
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut read, mut ended, started) = (Vec::new(), 0, Instant::now());
    while ended < partitions.len() {
        assert!(started.elapsed() < TIMEOUT, "{topic} was not read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => read.push(Read {
                partition: message.partition(),
                key: message.key().map(|key| String::from_utf8_lossy(key).into_owned()),
                value: message.payload().unwrap_or_default().to_vec(),
                headers: message.headers().into_iter().flat_map(|h| h.iter()).map(header).collect(),
            }),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    read
}

fn header(header: rdkafka::message::Header<'_, &[u8]>) -> (String, String) {
    let value = header.value.map(String::from_utf8_lossy).unwrap_or_default();
    (header.key.to_owned(), value.into_owned())
}

/// What a group has committed: partition, offset, and the text beside it.
pub fn committed(
    address: &str,
    group: &str,
    topic: &str,
    partitions: i32,
) -> Vec<(i32, Option<i64>, String)> {
    let consumer: BaseConsumer = client_of(address).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    (0..partitions).for_each(|partition| {
        list.add_partition(topic, partition);
    });
    let list = consumer.committed_offsets(list, TIMEOUT).unwrap();
    let elements = list.elements();
    let offset = |offset: Offset| match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    elements.iter().map(|e| (e.partition(), offset(e.offset()), e.metadata().to_owned())).collect()
}

/// How many partitions a topic has now.
pub fn partitions(topic: &str) -> usize {
    let consumer: BaseConsumer = client().create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).unwrap();
    metadata.topics()[0].partitions().len()
}
