//! A Kafka cluster: how to reach it, and waiting for it with patience.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::{Error, Result};

/// One attempt to reach a broker takes at most this long, so that a stop request is seen.
const ATTEMPT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(200);

/// How to reach the brokers of one cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Brokers to ask first, `host:port,host:port`.
    pub brokers: String,
    /// How long the start may wait for a broker and for the topics.
    pub patience: Duration,
    /// Any property of librdkafka.
    pub librdkafka: BTreeMap<String, String>,
}

impl Cluster {
    /// A client's properties: `defaults`, over them the user's, over them `fixed`.
    pub(crate) fn client_config(
        &self,
        defaults: &[(&str, &str)],
        fixed: &[(&str, &str)],
    ) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "nightlatch");
        let user = self.librdkafka.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in defaults.iter().copied().chain(user).chain(fixed.iter().copied()) {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// Returns once a broker answers and has the topics. `serve` is called between attempts.
    ///
    /// # Errors
    /// When that takes longer than the patience, or when `stop` is set meanwhile.
    pub(crate) fn wait_for<C: ClientContext>(
        &self,
        client: &Client<C>,
        topics: &[String],
        stop: &AtomicBool,
        serve: impl Fn(),
    ) -> Result<()> {
        let started = Instant::now();
        let mut said = false;
        while let Some(missing) = missing(client, topics) {
            if started.elapsed() >= self.patience || stop.load(Ordering::Relaxed) {
                return Err(self.unavailable(&missing));
            }
            if !said {
                let (brokers, patience) = (&self.brokers, self.patience);
                tracing::info!(brokers, ?patience, "waiting for {missing}");
                said = true;
            }
            serve();
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn unavailable(&self, missing: &Missing) -> Error {
        let brokers = &self.brokers;
        let patience = humantime::format_duration(self.patience);
        match missing {
            Missing::Brokers(reason) => {
                Error::unavailable(format!("no Kafka broker answers at {brokers}"))
                    .at("kafka.brokers")
                    .detail(format!("waited {patience}; the last attempt said: {reason}"))
                    .hint("start the broker, correct `kafka.brokers`, or raise `kafka.patience`")
            }
            Missing::Topic(name, reason) => {
                Error::unavailable(format!("the Kafka cluster at {brokers} has no topic `{name}`"))
                    .detail(format!("waited {patience}; the broker said: {reason}"))
                    .hint("create the topic, correct its name, or give this user access to it")
            }
        }
    }
}

/// The user's properties cannot make a client.
pub(crate) fn refused(error: &KafkaError) -> Error {
    Error::usage("librdkafka refuses the configuration")
        .at("kafka.librdkafka")
        .detail(error.to_string())
        .hint("names and values are those of librdkafka's CONFIGURATION.md")
}

/// What keeps the start waiting.
enum Missing {
    Brokers(String),
    Topic(String, String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brokers(reason) => write!(f, "a Kafka broker: {reason}"),
            Self::Topic(name, reason) => write!(f, "the Kafka topic `{name}`: {reason}"),
        }
    }
}

fn missing<C: ClientContext>(client: &Client<C>, topics: &[String]) -> Option<Missing> {
    topics.iter().find_map(|name| match client.fetch_metadata(Some(name), ATTEMPT) {
        Err(error) => Some(Missing::Brokers(error.to_string())),
        Ok(metadata) => {
            let topic = metadata.topics().iter().find(|topic| topic.name() == name);
            let error = topic.and_then(|topic| topic.error()).map(RDKafkaErrorCode::from);
            error.map(|reason| Missing::Topic(name.clone(), reason.to_string()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_may_change_defaults_but_not_what_correctness_needs() {
        let librdkafka = [("auto.offset.reset", "latest"), ("enable.auto.commit", "true")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let cluster = Cluster {
            brokers: "127.0.0.1:9092".to_owned(),
            patience: Duration::ZERO,
            librdkafka: librdkafka.into(),
        };
        let defaults = [("auto.offset.reset", "earliest")];
        let config = cluster.client_config(&defaults, &[("enable.auto.commit", "false")]);
        assert_eq!(config.get("auto.offset.reset"), Some("latest"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("bootstrap.servers"), Some("127.0.0.1:9092"));
    }
}
