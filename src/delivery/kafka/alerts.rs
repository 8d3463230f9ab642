//! Alerts to a topic: the key is the entity, so that all revisions of an alert are in one partition
//! and in order. The producer is idempotent: a retry of its own is no second copy.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rdkafka::producer::BaseRecord;

use super::super::batch::{BatchDestination, Item, Position, Refusal};
use super::{Failed, Topic};
use crate::config::TopicConfig;
use crate::delivery::encoding::Encoding;
use crate::kafka::Cluster;
use crate::{Error, Result};

/// One attempt to connect takes at most so long; there is always another one.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How to reach the topic of a destination.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) cluster: Cluster,
    pub(super) config: TopicConfig,
    /// Ends every wait.
    pub(super) halt: Arc<AtomicBool>,
}

impl Reach {
    pub(super) fn new(cluster: &Cluster, config: &TopicConfig, halt: &Arc<AtomicBool>) -> Self {
        let cluster = Cluster { patience: ATTEMPT.min(cluster.patience), ..cluster.clone() };
        Self { cluster, config: config.clone(), halt: halt.clone() }
    }

    pub(super) fn connect(&self, properties: &[(&str, &str)]) -> Result<Topic> {
        let name = &self.config.topic;
        let mut topic = Topic::connect_with(&self.cluster, name, properties, self.halt.clone())?;
        topic.stop_patience = Duration::ZERO;
        Ok(topic)
    }
}

/// Hands the items to the client, but for those that `leave_out` names.
pub(super) fn send(
    topic: &Topic,
    encoding: Encoding,
    items: &[Item],
    leave_out: impl Fn(usize) -> bool,
) -> Result<()> {
    for (index, item) in items.iter().enumerate().filter(|(index, _)| !leave_out(*index)) {
        let value = encoding.encode(&item.alert, &item.entry.native, usize::MAX);
        let record = BaseRecord::with_opaque_to(&topic.name, index)
            .key(item.alert.entity.as_bytes())
            .payload(&*value);
        topic.send(record)?;
    }
    Ok(())
}

/// The records that will never be taken, or the error that was no record's fault.
pub(super) fn refusals(topic: &Topic, failed: Vec<Failed>) -> Result<Vec<Refusal>> {
    let (for_good, for_now): (Vec<Failed>, Vec<Failed>) =
        failed.into_iter().partition(Failed::is_for_good);
    match for_now.first() {
        Some(first) => Err(Error::unavailable(format!(
            "{} record(s) for the topic `{}` failed",
            for_now.len(),
            topic.name
        ))
        .detail(first.reason.clone())),
        None => Ok(for_good.into_iter().map(Refusal::from).collect()),
    }
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Self {
        Self { index: failed.index, reason: failed.reason }
    }
}

/// A topic that takes alerts at least once.
pub(crate) struct AlertTopic {
    reach: Reach,
    topic: Option<Topic>,
}

impl AlertTopic {
    pub(crate) fn new(cluster: &Cluster, config: &TopicConfig, halt: &Arc<AtomicBool>) -> Self {
        Self { reach: Reach::new(cluster, config, halt), topic: None }
    }

    fn try_deliver(&self, items: &[Item]) -> Result<Vec<Refusal>> {
        let Some(topic) = &self.topic else { return Err(not_connected()) };
        send(topic, self.reach.config.encoding, items, |_| false)?;
        refusals(topic, topic.settle()?)
    }
}

pub(super) fn not_connected() -> Error {
    Error::unavailable("the Kafka topic is not connected")
}

impl BatchDestination for AlertTopic {
    fn is_ready(&self) -> bool {
        self.topic.is_some()
    }

    fn begin(&mut self) -> Result<Option<Position>> {
        self.topic = Some(self.reach.connect(&[])?);
        Ok(None)
    }

    /// Returns once a broker has confirmed the alerts.
    fn deliver(&mut self, items: &[Item]) -> Result<Vec<Refusal>> {
        let delivered = self.try_deliver(items);
        if delivered.is_err() {
            // A client that has failed for good fails for ever.
            self.topic = None;
        }
        delivered
    }
}
