//! Making the consumer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::context::Context;
use super::metrics::KafkaMetrics;
use super::start::{Start, Starter};
use super::topics::{Survey, Topics};
use crate::kafka::{Cluster, Listener, refused};
use crate::{Error, Result};

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// The cluster.
    pub cluster: Cluster,
    /// Consumer group.
    pub group: String,
    /// The topic whose one partition only the active instance owns.
    pub lease_topic: String,
    /// Topics to read: names, and patterns that begin with `^`.
    pub topics: Vec<String>,
    /// Topics that no pattern stands for: those that are written to.
    pub never: Vec<String>,
    /// Where reading begins.
    pub start: Start,
    /// How often new topics and partitions are looked for.
    pub discover_every: Duration,
    /// A partition that stands at its end for so long is idle.
    pub idle_after: Duration,
    /// A longer record is set aside.
    pub record_bytes_max: usize,
    /// A batch holds at most so many records.
    pub batch_events: usize,
}

/// So long without a callback means that none waits.
const SERVE: Duration = Duration::from_millis(20);

/// Defaults that differ from the library's, on purpose; a user may change them.
const DEFAULTS: [(&str, &str); 3] = [
    // Memory is bounded: so much is fetched ahead of each partition.
    ("queued.max.messages.kbytes", "4096"),
    // How soon fetching goes on after that limit.
    ("fetch.queue.backoff.ms", "50"),
    super::lease::SESSION_TIMEOUT,
];

/// What the source cannot do without.
const FIXED: [(&str, &str); 5] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("statistics.interval.ms", "1000"),
    // Of offsets that retention took away. Where a new group begins is decided by `Start`.
    ("auto.offset.reset", "earliest"),
];

/// A consumer whose brokers answer.
pub(super) struct Connection<'a> {
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) topics: Topics,
    options: &'a KafkaOptions,
    stop: &'a AtomicBool,
}

impl<'a> Connection<'a> {
    /// Returns once the brokers answer and have the topics that are named.
    pub(super) fn open(
        options: &'a KafkaOptions,
        metrics: KafkaMetrics,
        stop: &'a AtomicBool,
    ) -> Result<Self> {
        let KafkaOptions { cluster, group, lease_topic, .. } = options;
        let never: Vec<_> = options.never.iter().chain([lease_topic]).cloned().collect();
        let topics = Topics::new(&options.topics, &never)?;
        let mut config = cluster.client_config(&DEFAULTS, &FIXED);
        config.set("group.id", group);
        let context = Context::new(Listener::new(cluster), metrics);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(context).map_err(|error| refused(&error))?;
        let listener = &consumer.context().listener;
        let serve = || serve(&consumer);
        cluster.wait_for(consumer.client(), listener, &topics.names, stop, serve)?;
        Ok(Self { consumer, topics, options, stop })
    }

    /// Asks the brokers until they answer.
    pub(super) fn ask<T>(
        &self,
        question: impl Fn(Duration) -> rdkafka::error::KafkaResult<T>,
    ) -> Result<T> {
        let serve = || serve(&self.consumer);
        let listener = &self.consumer.context().listener;
        self.options.cluster.ask(listener, self.stop, serve, question)
    }

    /// The topics that are there.
    pub(super) fn survey(&self) -> Result<Survey> {
        self.ask(|timeout| self.topics.survey(self.consumer.client(), timeout))
    }

    /// The first offset of each partition; `None` is the beginning.
    pub(super) fn offsets(&self, partitions: &[(String, i32)]) -> Result<Vec<Option<i64>>> {
        let reset = self.options.cluster.librdkafka.get("auto.offset.reset").map(String::as_str);
        let starter = Starter {
            consumer: &self.consumer,
            metrics: &self.consumer.context().metrics,
            at_end: matches!(reset, Some("latest" | "largest" | "end")),
            ask: &|question| self.ask(question),
        };
        starter.offsets(&self.options.start, partitions)
    }
}

/// Serves all callbacks that wait: nothing is assigned yet, and so no record comes.
pub(super) fn serve<C: ConsumerContext>(consumer: &BaseConsumer<C>) {
    while consumer.poll(SERVE).is_some() {}
}

/// Reads these partitions from now on too.
pub(super) fn assign(
    consumer: &Arc<BaseConsumer<Context>>,
    partitions: &[(String, i32, Option<i64>)],
) -> Result<()> {
    if partitions.is_empty() {
        return Ok(());
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    let failed = |error: rdkafka::error::KafkaError| {
        Error::unexpected("partitions cannot be assigned").detail(error.to_string())
    };
    for (topic, number, offset) in partitions {
        let offset = offset.map_or(Offset::Beginning, Offset::Offset);
        list.add_partition_offset(topic, *number, offset).map_err(failed)?;
    }
    consumer.incremental_assign(&list).map_err(failed)
}

/// Reads these partitions no more.
pub(super) fn unassign(consumer: &Arc<BaseConsumer<Context>>, partitions: &[(String, i32)]) {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, number) in partitions {
        list.add_partition(topic, *number);
    }
    if let Err(error) = consumer.incremental_unassign(&list) {
        tracing::debug!(%error, "partitions that have vanished cannot be given back");
    }
}
