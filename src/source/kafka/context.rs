//! Callbacks of the client library, turned into one closed list of changes.
//!
//! All of them run inside a poll, on the thread that polls; only log lines come from other threads.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;

use super::metrics::KafkaMetrics;
use crate::kafka::Listener;

pub(super) struct Context {
    pub(super) listener: Listener,
    pub(super) metrics: KafkaMetrics,
    statistics: Mutex<Vec<Statistics>>,
    callbacks: AtomicU64,
}

impl Context {
    pub(super) fn new(listener: Listener, metrics: KafkaMetrics) -> Self {
        Self { listener, metrics, statistics: Mutex::default(), callbacks: AtomicU64::new(0) }
    }

    /// What the library has told of brokers and partitions since the last call.
    pub(super) fn take_statistics(&self) -> Vec<Statistics> {
        std::mem::take(&mut *self.statistics())
    }

    /// Number of callbacks so far: a poll that gave nothing, and called nothing back, met an empty
    /// queue.
    pub(super) fn callbacks(&self) -> u64 {
        self.callbacks.load(Ordering::Relaxed)
    }

    fn statistics(&self) -> MutexGuard<'_, Vec<Statistics>> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called_back(&self) {
        self.callbacks.fetch_add(1, Ordering::Relaxed);
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.listener.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.called_back();
        self.statistics().push(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.called_back();
        self.listener.error(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        self.called_back();
        self.listener.token()
    }
}

impl ConsumerContext for Context {}
