//! What every client of the library hears: log lines, errors, and requests for a token.

use std::error::Error as StdError;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::Cluster;
use super::token::Tokens;

/// The ears of one client; its context passes all callbacks on to it.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Why no broker could be reached the last time that one could not.
    reason: Mutex<Option<String>>,
    tokens: Option<Tokens>,
}

impl Listener {
    /// The ears of a client of this cluster.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self { reason: Mutex::default(), tokens: cluster.security.tokens().cloned() }
    }

    /// The library's own words are detail: what matters is said by us, once.
    pub(crate) fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", "{facility}: {message}");
            }
            _ => tracing::debug!(target: "librdkafka", "{facility}: {message}"),
        }
    }

    /// Keeps the reason of a failed connection.
    pub(crate) fn error(&self, error: &KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // The end of a partition comes by this way too, and is no error.
            Some(RDKafkaErrorCode::PartitionEOF) => return,
            Some(
                RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SSL
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::BrokerTransportFailure,
            ) => *self.kept() = Some(reason.to_owned()),
            _ => {}
        }
        tracing::debug!(target: "librdkafka", %error, reason);
    }

    /// A token for OAUTHBEARER.
    pub(crate) fn token(&self) -> Result<OAuthToken, Box<dyn StdError>> {
        let tokens = self.tokens.as_ref().ok_or("no source of tokens is configured")?;
        tokens.next().map_err(|error| {
            let error = error.to_string();
            *self.kept() = Some(error.clone());
            error.into()
        })
    }

    /// Why no broker could be reached the last time.
    pub(crate) fn reason(&self) -> Option<String> {
        self.kept().clone()
    }

    fn kept(&self) -> MutexGuard<'_, Option<String>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
