//! The few things that are asked of a cluster by its administration protocol.

use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Cluster, Listener, refused};
use crate::Result;

const PATIENCE: Duration = Duration::from_secs(10);
/// "As the broker has it by default."
const DEFAULT_REPLICATION: i32 = -1;

struct Context(Listener);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(&error, reason);
    }
}

/// What a topic's own configuration says of how long its records stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The topic.
    pub topic: String,
    /// How long records stay; `None`: for ever.
    pub time: Option<Duration>,
    /// Whether older records of a key may vanish before that.
    pub compacted: bool,
}

/// The library gives the administration client no way to a token that is not in the configuration.
fn client(cluster: &Cluster) -> Result<AdminClient<Context>, String> {
    if cluster.security.tokens().is_some() {
        return Err("it cannot be asked with OAUTHBEARER".to_owned());
    }
    let config = cluster.client_config(&[], &[]);
    let context = Context(Listener::new(cluster));
    config.create_with_context(context).map_err(|error| refused(&error).to_string())
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// Creates a topic, unless it is there.
///
/// # Errors
/// The reason why it cannot be created.
pub(crate) fn create_topic(cluster: &Cluster, name: &str, partitions: i32) -> Result<(), String> {
    let admin = client(cluster)?;
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(DEFAULT_REPLICATION));
    let results = block_on(admin.create_topics([&topic], &options()));
    for result in results.map_err(|error| error.to_string())? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, reason)) => return Err(reason.to_string()),
        }
    }
    Ok(())
}

/// How long records stay in these topics.
///
/// # Errors
/// The reason why nobody says it.
pub(crate) fn retentions(cluster: &Cluster, topics: &[&str]) -> Result<Vec<Retention>, String> {
    let admin = client(cluster)?;
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let results = block_on(admin.describe_configs(&resources, &options()));
    let mut retentions = Vec::new();
    for result in results.map_err(|error| error.to_string())? {
        let described = result.map_err(|reason| reason.to_string())?;
        let OwnedResourceSpecifier::Topic(topic) = &described.specifier else { continue };
        let value = |name: &str| described.get(name)?.value.clone();
        let policy = value("cleanup.policy").unwrap_or_default();
        let milliseconds = value("retention.ms").and_then(|text| text.parse().ok());
        retentions.push(Retention {
            topic: topic.clone(),
            // A policy that only compacts has no time.
            time: milliseconds
                .filter(|_| policy.is_empty() || policy.contains("delete"))
                .map(Duration::from_millis),
            compacted: policy.contains("compact"),
        });
    }
    Ok(retentions)
}
