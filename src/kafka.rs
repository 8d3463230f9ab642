//! A Kafka cluster: how to reach it, and waiting for it with patience.

mod admin;
mod certificate;
mod listener;
mod security;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::KafkaConfig;
use crate::{Error, Result};

pub use admin::Retention;
pub(crate) use admin::{create_topic, retentions};
pub(crate) use listener::Listener;
pub use security::Security;

/// One attempt to reach a broker takes at most this long, so that a stop request is seen.
const ATTEMPT: Duration = Duration::from_millis(500);
/// And so long where an answer is work for the brokers.
const ANSWER: Duration = Duration::from_secs(2);
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
    /// How connections are encrypted, and who this user is.
    pub security: Security,
}

impl Cluster {
    /// The cluster of a configuration; secrets are read from their files.
    ///
    /// # Errors
    /// When a file cannot be read, or when others can read a secret.
    pub fn new(config: &KafkaConfig) -> Result<Self> {
        Ok(Self {
            brokers: config.brokers.clone(),
            patience: config.patience,
            librdkafka: config.librdkafka.clone(),
            security: Security::read(config)?,
        })
    }

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
        self.security.apply(&mut config);
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// Returns once a broker answers and has the topics. `serve` is called between attempts, so that
    /// `listener` hears why none does.
    ///
    /// # Errors
    /// When that takes longer than the patience, or when `stop` is set meanwhile.
    pub(crate) fn wait_for<C: ClientContext>(
        &self,
        client: &Client<C>,
        listener: &Listener,
        topics: &[String],
        stop: &AtomicBool,
        serve: impl Fn(),
    ) -> Result<()> {
        self.try_until(listener, stop, serve, || {
            let any = topics.is_empty().then(|| client.fetch_metadata(None, ATTEMPT));
            let broker = any.and_then(Result::err).map(|error| Missing::Brokers(error.to_string()));
            match broker.or_else(|| topics.iter().find_map(|name| missing(client, name))) {
                Some(missing) => Err(missing),
                None => Ok(()),
            }
        })
    }

    /// Asks the brokers until they answer.
    ///
    /// # Errors
    /// As [`Cluster::wait_for`].
    pub(crate) fn ask<T>(
        &self,
        listener: &Listener,
        stop: &AtomicBool,
        serve: impl Fn(),
        question: impl Fn(Duration) -> KafkaResult<T>,
    ) -> Result<T> {
        let question = || question(ANSWER).map_err(|error| Missing::Brokers(error.to_string()));
        self.try_until(listener, stop, serve, question)
    }

    fn try_until<T>(
        &self,
        listener: &Listener,
        stop: &AtomicBool,
        serve: impl Fn(),
        attempt: impl Fn() -> Result<T, Missing>,
    ) -> Result<T> {
        let (started, mut said) = (Instant::now(), None);
        loop {
            let mut missing = match attempt() {
                Ok(answer) => return Ok(answer),
                Err(missing) => missing,
            };
            serve();
            // The library knows more than that it waited in vain.
            if let (Missing::Brokers(reason), Some(heard)) = (&mut missing, listener.reason()) {
                *reason = heard;
            }
            if started.elapsed() >= self.patience || stop.load(Ordering::Relaxed) {
                return Err(self.unavailable(&missing, started.elapsed()));
            }
            let text = missing.to_string();
            if said.as_ref() != Some(&text) {
                let (brokers, patience) = (&self.brokers, self.patience);
                tracing::info!(brokers, ?patience, "waiting for {text}");
                said = Some(text);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn unavailable(&self, missing: &Missing, waited: Duration) -> Error {
        let brokers = &self.brokers;
        let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
        match missing {
            Missing::Brokers(reason) => {
                let fault = self.security.certificate_fault(brokers, reason);
                let reason = fault.map_or(reason.clone(), |fault| format!("{reason}: {fault}"));
                Error::unavailable(format!("no Kafka broker answers at {brokers}"))
                    .at("kafka.brokers")
                    .detail(format!("waited {waited}; the last attempt said: {reason}"))
                    .hint(way_out(&reason))
            }
            Missing::Topic(name, reason) => {
                Error::unavailable(format!("the Kafka cluster at {brokers} has no topic `{name}`"))
                    .detail(format!("waited {waited}; the broker said: {reason}"))
                    .hint("create the topic, correct its name, or give this user access to it")
            }
        }
    }
}

/// What to do about a connection that fails for this reason.
fn way_out(reason: &str) -> &'static str {
    const ISSUER: &str = "`kafka.tls.ca_file` does not hold the authority that signed the broker's \
                          certificate";
    const HOST: &str = "the broker's certificate does not name the host in `kafka.brokers`: write \
                        the name that it holds";
    const TOKEN: &str = "check [kafka.sasl]: it gives no token";
    const WAYS: [(&str, &str); 11] = [
        ("OAUTHBEARER token", TOKEN),
        ("token for Kafka", TOKEN),
        ("secret file", TOKEN),
        ("Unsupported mechanism", "the broker knows no such `kafka.sasl.mechanism` at this port"),
        (
            "SASL",
            "the broker refuses this user: check `mechanism`, `user` and `password_file` in \
             [kafka.sasl]",
        ),
        ("mismatch", HOST),
        ("expired", "the time of the broker's certificate is over: it needs a new one"),
        ("issuer certificate", ISSUER),
        ("self-signed certificate", ISSUER),
        ("certificate verify failed", "check `kafka.tls.ca_file` and the broker's certificate"),
        (
            "SSL",
            "check [kafka.tls]: this port may speak no TLS, or want a certificate of this client",
        ),
    ];
    let known = WAYS.iter().find(|(mark, _)| reason.contains(mark));
    known.map_or(
        "start the broker, correct `kafka.brokers`, or raise `kafka.patience`; a port that wants TLS \
         needs [kafka.tls]",
        |(_, hint)| hint,
    )
}

/// The configuration cannot make a client. A property's value is not repeated: it may be a secret.
pub(crate) fn refused(error: &KafkaError) -> Error {
    let (place, detail) = match error {
        KafkaError::ClientConfig(_, reason, key, _) => {
            ("kafka.librdkafka", format!("{reason} (`{key}`)"))
        }
        KafkaError::ClientCreation(reason) if reason.contains("ssl.") => {
            ("kafka.tls", reason.clone())
        }
        other => ("kafka.librdkafka", other.to_string()),
    };
    Error::usage("librdkafka refuses the configuration")
        .at(place)
        .detail(detail)
        .hint("names and values are those of librdkafka's CONFIGURATION.md")
}

/// Runs a future on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    Some(runtime.block_on(future))
}

/// An error with its causes, which say what was wrong; without the address.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let (mut text, mut cause) = (error.to_string(), std::error::Error::source(&error));
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
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

fn missing<C: ClientContext>(client: &Client<C>, name: &str) -> Option<Missing> {
    match client.fetch_metadata(Some(name), ATTEMPT) {
        Err(error) => Some(Missing::Brokers(error.to_string())),
        Ok(metadata) => {
            let topic = metadata.topics().iter().find(|topic| topic.name() == name);
            let error = topic.and_then(|topic| topic.error()).map(RDKafkaErrorCode::from);
            error.map(|reason| Missing::Topic(name.to_owned(), reason.to_string()))
        }
    }
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
            security: Security::default(),
        };
        let defaults = [("auto.offset.reset", "earliest")];
        let config = cluster.client_config(&defaults, &[("enable.auto.commit", "false")]);
        assert_eq!(config.get("auto.offset.reset"), Some("latest"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("bootstrap.servers"), Some("127.0.0.1:9092"));
    }

    #[test]
    fn the_way_out_fits_the_reason() {
        let hint = |reason| way_out(reason);
        assert!(hint("SASL authentication error: invalid credentials").contains("password_file"));
        assert!(hint("SSL handshake failed: certificate verify failed").contains("ca_file"));
        assert!(hint("certificate verify failed: hostname mismatch").contains("does not name"));
        assert!(hint("Connection refused").contains("start the broker"));
    }
}
