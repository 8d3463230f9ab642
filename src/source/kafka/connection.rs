//! Making the consumer, and waiting for its brokers with patience.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::context::Context;
use crate::{Error, Result};

/// One attempt to reach a broker takes at most this long, so that a stop request is seen.
const ATTEMPT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(200);

/// How to reach the brokers, and what to read.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Brokers to ask first, `host:port,host:port`.
    pub brokers: String,
    /// Consumer group.
    pub group: String,
    /// Topics to read.
    pub topics: Vec<String>,
    /// How long the start may wait for a broker and for the topics.
    pub patience: Duration,
    /// A partition that stands at its end for so long is idle.
    pub idle_after: Duration,
    /// A longer record is set aside.
    pub record_bytes_max: usize,
    /// A batch holds at most so many records.
    pub batch_events: usize,
    /// Any property of librdkafka.
    pub librdkafka: BTreeMap<String, String>,
}

/// Defaults that differ from the library's, on purpose; a user may change them.
const DEFAULTS: [(&str, &str); 4] = [
    ("client.id", "nightlatch"),
    // A detector that starts late still wants what happened before.
    ("auto.offset.reset", "earliest"),
    // Memory is bounded: so much is fetched ahead, over all partitions.
    ("queued.max.messages.kbytes", "32768"),
    // How soon fetching goes on after that limit.
    ("fetch.queue.backoff.ms", "50"),
];

/// What the source cannot do without; set last.
const FIXED: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("statistics.interval.ms", "1000"),
];

pub(super) fn client_config(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in DEFAULTS {
        config.set(key, value);
    }
    for (key, value) in &options.librdkafka {
        config.set(key, value);
    }
    for (key, value) in FIXED {
        config.set(key, value);
    }
    config.set("bootstrap.servers", &options.brokers).set("group.id", &options.group);
    config
}

/// Makes the consumer and subscribes it, once the brokers answer and have the topics.
pub(super) fn connect(
    options: &KafkaOptions,
    context: Context,
    stop: &AtomicBool,
) -> Result<BaseConsumer<Context>> {
    if let Some(pattern) = options.topics.iter().find(|topic| topic.starts_with('^')) {
        return Err(Error::usage(format!("`{pattern}` is a pattern, not a topic"))
            .at("kafka.topics")
            .hint("name each topic"));
    }
    let consumer: BaseConsumer<Context> =
        client_config(options).create_with_context(context).map_err(|error| {
            Error::usage("librdkafka refuses the configuration")
                .at("kafka.librdkafka")
                .detail(error.to_string())
                .hint("property names and values are those of librdkafka's CONFIGURATION.md")
        })?;
    wait_for_topics(options, &consumer, stop)?;
    let topics: Vec<&str> = options.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).map_err(|error| {
        Error::unexpected("cannot subscribe to the topics").detail(error.to_string())
    })?;
    Ok(consumer)
}

/// What kept the start waiting.
enum Missing {
    Brokers(String),
    Topic(String, String),
}

fn wait_for_topics(
    options: &KafkaOptions,
    consumer: &BaseConsumer<Context>,
    stop: &AtomicBool,
) -> Result<()> {
    let started = Instant::now();
    let mut said = false;
    loop {
        let Some(missing) = missing(options, consumer) else { return Ok(()) };
        // Logs, errors and tokens are served by polling; there is no message yet.
        let _ = consumer.poll(Duration::ZERO);
        if started.elapsed() >= options.patience || stop.load(Ordering::Relaxed) {
            return Err(unavailable(options, &missing));
        }
        if !said {
            tracing::info!(brokers = options.brokers, patience = ?options.patience, "waiting for Kafka");
            said = true;
        }
        std::thread::sleep(PAUSE);
    }
}

fn missing(options: &KafkaOptions, consumer: &BaseConsumer<Context>) -> Option<Missing> {
    options.topics.iter().find_map(|name| match consumer.fetch_metadata(Some(name), ATTEMPT) {
        Err(error) => Some(Missing::Brokers(error.to_string())),
        Ok(metadata) => {
            let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
            let error = topic
                .error()
                .map(|error| rdkafka::types::RDKafkaErrorCode::from(error).to_string());
            error.map(|reason| Missing::Topic(name.clone(), reason))
        }
    })
}

fn unavailable(options: &KafkaOptions, missing: &Missing) -> Error {
    let patience = humantime::format_duration(options.patience);
    match missing {
        Missing::Brokers(reason) => {
            Error::unavailable(format!("no Kafka broker answers at {}", options.brokers))
                .at("kafka.brokers")
                .detail(format!("waited {patience}; the last attempt said: {reason}"))
                .hint("start the broker, correct kafka.brokers, or raise kafka.patience")
        }
        Missing::Topic(name, reason) => Error::unavailable(format!(
            "Kafka at {} does not offer the topic `{name}`",
            options.brokers
        ))
        .at("kafka.topics")
        .detail(format!("waited {patience}; the broker said: {reason}"))
        .hint("create the topic, correct kafka.topics, or let this user read it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_may_change_defaults_but_not_what_correctness_needs() {
        let librdkafka = [("auto.offset.reset", "latest"), ("enable.auto.commit", "true")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config = client_config(&KafkaOptions {
            brokers: "127.0.0.1:9092".to_owned(),
            group: "g".to_owned(),
            topics: vec!["events".to_owned()],
            patience: Duration::ZERO,
            idle_after: Duration::ZERO,
            record_bytes_max: 1024,
            batch_events: 10,
            librdkafka: librdkafka.into(),
        });
        assert_eq!(config.get("auto.offset.reset"), Some("latest"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("bootstrap.servers"), Some("127.0.0.1:9092"));
    }
}
