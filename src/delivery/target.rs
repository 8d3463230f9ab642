//! From the configuration of a destination to what delivers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::alertmanager::Alertmanager;
use super::batch::BatchDestination;
use super::file::AlertFile;
use super::history::HistoryDestination;
use super::http_destination::HttpDestination;
use super::kafka::{AlertTopic, TransactionalTopic};
use super::pagerduty::PagerDuty;
use super::postgresql::Postgresql;
use super::sender::Sender;
use super::slack::Slack;
use super::splunk::Splunk;
use super::stdout::AlertStdout;
use super::teams::Teams;
use super::webhook::Webhook;
use crate::Result;
use crate::config::{DestinationConfig, Kind};
use crate::kafka::Cluster;

/// What destinations need to know of the program around them.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The brokers of `[kafka]`.
    pub cluster: Cluster,
    /// The consumer group: transactional ids begin with it.
    pub group: String,
}

/// What delivers.
pub(crate) enum Target {
    Http(HttpTarget),
    Batch(Box<dyn BatchDestination>),
}

/// A destination behind HTTP, and the client with its options.
pub(crate) struct HttpTarget {
    pub(crate) destination: Box<dyn HttpDestination>,
    pub(crate) sender: Sender,
    pub(crate) concurrency: usize,
}

impl Target {
    /// Reads the files that the configuration names; connects to nobody. `halt` ends all waiting.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(crate) fn build(
        config: &DestinationConfig,
        around: &Surroundings,
        halt: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let http = |destination: Box<dyn HttpDestination>| {
            let options = config.http.clone().unwrap_or_default();
            let sender = Sender::new(&options)?;
            Ok(Self::Http(HttpTarget { destination, sender, concurrency: options.concurrency }))
        };
        // One line for each kind of destination.
        match &config.kind {
            Kind::Webhook(webhook) => http(Box::new(Webhook::new(webhook)?)),
            Kind::Slack(slack) => http(Box::new(Slack::new(slack)?)),
            Kind::Teams(teams) => http(Box::new(Teams::new(teams)?)),
            Kind::PagerDuty(pagerduty) => http(Box::new(PagerDuty::new(pagerduty)?)),
            Kind::Alertmanager(manager) => http(Box::new(Alertmanager::new(manager)?)),
            Kind::Splunk(splunk) => http(Box::new(Splunk::new(splunk)?)),
            Kind::File(file) => Ok(Self::Batch(Box::new(AlertFile::new(file)))),
            Kind::Postgresql(database) => {
                Ok(Self::Batch(Box::new(Postgresql::new(database, halt)?)))
            }
            Kind::History(history) => Ok(Self::Batch(Box::new(HistoryDestination::new(history)))),
            Kind::Stdout(stdout) => Ok(Self::Batch(Box::new(AlertStdout::new(stdout)))),
            Kind::Kafka(topic) if topic.transactional => {
                let id = format!("{}-{}", around.group, config.common.name);
                let topic = TransactionalTopic::new(&around.cluster, topic, id, halt);
                Ok(Self::Batch(Box::new(topic)))
            }
            Kind::Kafka(topic) => {
                Ok(Self::Batch(Box::new(AlertTopic::new(&around.cluster, topic, halt))))
            }
        }
    }
}
