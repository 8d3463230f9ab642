//! Making the consumer.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::context::Context;
use crate::kafka::{Cluster, refused};
use crate::{Error, Result};

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// The cluster.
    pub cluster: Cluster,
    /// Consumer group.
    pub group: String,
    /// Topics to read.
    pub topics: Vec<String>,
    /// A partition that stands at its end for so long is idle.
    pub idle_after: Duration,
    /// A longer record is set aside.
    pub record_bytes_max: usize,
    /// A batch holds at most so many records.
    pub batch_events: usize,
}

/// Defaults that differ from the library's, on purpose; a user may change them.
const DEFAULTS: [(&str, &str); 3] = [
    // A detector that starts late still wants what happened before.
    ("auto.offset.reset", "earliest"),
    // Memory is bounded: so much is fetched ahead, over all partitions.
    ("queued.max.messages.kbytes", "32768"),
    // How soon fetching goes on after that limit.
    ("fetch.queue.backoff.ms", "50"),
];

/// What the source cannot do without.
const FIXED: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("statistics.interval.ms", "1000"),
];

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
    let mut config = options.cluster.client_config(&DEFAULTS, &FIXED);
    config.set("group.id", &options.group);
    let consumer: BaseConsumer<Context> =
        config.create_with_context(context).map_err(|error| refused(&error))?;
    let serve = || drop(consumer.poll(Duration::ZERO));
    options.cluster.wait_for(consumer.client(), &options.topics, stop, serve)?;
    let topics: Vec<&str> = options.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).map_err(|error| {
        Error::unexpected("cannot subscribe to the topics").detail(error.to_string())
    })?;
    Ok(consumer)
}
