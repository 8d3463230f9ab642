//! Alerts to a topic in transactions: a reader of committed records sees each revision once.
//!
//! Each transaction holds alerts and, as the metadata of an offset of a group that nobody is a member
//! of, which of them is the last. Whoever takes over first ends what the one before has begun (the
//! broker fences that one off), then reads from the group up to where all is delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::batch::{BatchDestination, Item, Position, Refusal};
use super::Topic;
use super::alerts::{Reach, not_connected, refusals, send};
use crate::kafka::{Cluster, Listener, refused};
use crate::{Error, Result};

/// One call to the broker takes at most so long.
const CALL: Duration = Duration::from_secs(15);

/// A topic that takes alerts exactly once.
pub(crate) struct TransactionalTopic {
    reach: Reach,
    /// `transactional.id`, and the name of the group.
    id: String,
    connection: Option<Connection>,
}

struct Connection {
    topic: Topic,
    /// Reads and names the group; it takes part in nothing.
    group: BaseConsumer<Ears>,
}

/// What the client of the group hears.
struct Ears(Listener);

impl ClientContext for Ears {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(&error, reason);
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.0.token()
    }
}

impl ConsumerContext for Ears {}

impl TransactionalTopic {
    pub(crate) fn new(
        cluster: &Cluster,
        config: &crate::config::TopicConfig,
        id: String,
        halt: &Arc<AtomicBool>,
    ) -> Self {
        Self { reach: Reach::new(cluster, config, halt), id, connection: None }
    }

    fn connect(&self) -> Result<(Connection, Option<Position>)> {
        let topic = self.reach.connect(&[("transactional.id", &self.id)])?;
        let said = |error: KafkaError| self.failed("cannot begin", &error);
        topic.producer.init_transactions(CALL).map_err(said)?;
        let properties = [
            ("group.id", self.id.as_str()),
            ("enable.auto.commit", "false"),
            ("isolation.level", "read_committed"),
        ];
        let cluster = &self.reach.cluster;
        let group: BaseConsumer<Ears> = cluster
            .client_config(&[], &properties)
            .create_with_context(Ears(Listener::new(cluster)))
            .map_err(|error| refused(&error))?;
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic.name, 0);
        let committed = cluster.ask(
            &group.context().0,
            &self.reach.halt,
            || drop(group.poll(Duration::ZERO)),
            |patience| group.committed_offsets(list.clone(), patience),
        )?;
        let elements = committed.elements();
        let position = elements.first().and_then(|one| serde_json::from_str(one.metadata()).ok());
        Ok((Connection { topic, group }, position))
    }

    fn failed(&self, what: &str, error: &KafkaError) -> Error {
        let topic = &self.reach.config.topic;
        Error::unavailable(format!("a transaction on the topic `{topic}` {what}"))
            .detail(error.to_string())
    }

    /// One transaction after the other, until one holds all items but those that are refused.
    fn try_deliver(&self, items: &[Item]) -> Result<Vec<Refusal>> {
        let Some(connection) = &self.connection else { return Err(not_connected()) };
        let mut out: BTreeMap<usize, Refusal> = BTreeMap::new();
        loop {
            let refused = self.transaction(connection, items, &out)?;
            if refused.is_empty() {
                return Ok(out.into_values().collect());
            }
            // A record that nobody takes spoils its transaction: again without it.
            out.extend(refused.into_iter().map(|refusal| (refusal.index, refusal)));
            let aborted = connection.topic.producer.abort_transaction(CALL);
            aborted.map_err(|error| self.failed("cannot be given up", &error))?;
            connection.topic.producer.context().failed().clear();
        }
    }

    /// Commits all items but those that are out; or commits nothing, and says which spoil it.
    fn transaction(
        &self,
        connection: &Connection,
        items: &[Item],
        out: &BTreeMap<usize, Refusal>,
    ) -> Result<Vec<Refusal>> {
        let topic = &connection.topic;
        topic.producer.begin_transaction().map_err(|error| self.failed("cannot begin", &error))?;
        send(topic, self.reach.config.encoding, items, |index| out.contains_key(&index))?;
        let refused = refusals(topic, topic.settle()?)?;
        if !refused.is_empty() {
            return Ok(refused);
        }
        let said = |error: KafkaError| self.failed("cannot be committed", &error);
        let list = self.position(items).map_err(said)?;
        let group = connection.group.group_metadata().ok_or_else(not_connected)?;
        topic.producer.send_offsets_to_transaction(&list, &group, CALL).map_err(said)?;
        topic.producer.commit_transaction(CALL).map_err(said)?;
        Ok(Vec::new())
    }

    /// The last item, as the metadata of an offset.
    fn position(&self, items: &[Item]) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        let topic = &self.reach.config.topic;
        list.add_partition_offset(topic, 0, Offset::Offset(0))?;
        if let (Some(last), Some(mut element)) = (items.last(), list.find_partition(topic, 0)) {
            let entry = &last.entry;
            let (at, id, revision) = (entry.at, entry.id.clone(), entry.revision);
            let text = serde_json::to_string(&Position { at, id, revision });
            element.set_metadata(text.unwrap_or_default());
        }
        Ok(list)
    }
}

impl BatchDestination for TransactionalTopic {
    fn is_ready(&self) -> bool {
        self.connection.is_some()
    }

    fn begin(&mut self) -> Result<Option<Position>> {
        let (connection, position) = self.connect()?;
        self.connection = Some(connection);
        Ok(position)
    }

    fn deliver(&mut self, items: &[Item]) -> Result<Vec<Refusal>> {
        let delivered = self.try_deliver(items);
        if delivered.is_err() {
            // How the transaction ended is found out by beginning anew.
            self.connection = None;
        }
        delivered
    }

    /// Only one instance may hold the transactional id.
    fn pause(&mut self) {
        self.connection = None;
    }
}
