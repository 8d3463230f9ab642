//! What the consumer tells Prometheus.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::{Error, Result};

/// Kinds of `nightlatch_kafka_errors_total`, all there from the start.
const ERROR_KINDS: [&str; 5] = ["broker", "poll_interval", "commit", "authorization", "other"];

/// Metrics of the Kafka consumer; clones share the numbers.
#[derive(Debug, Clone)]
pub struct KafkaMetrics {
    pub(super) lag_messages: IntGaugeVec,
    pub(super) errors: IntCounterVec,
    pub(super) connected: IntGauge,
    pub(super) tombstones: IntCounter,
    pub(super) redelivered: IntCounter,
}

impl KafkaMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// When a metric of one of these names is registered already.
    pub fn register(registry: &Registry) -> Result<Self> {
        Self::try_register(registry).map_err(|error| {
            Error::unexpected("cannot register the metrics of Kafka").detail(error.to_string())
        })
    }

    fn try_register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            lag_messages: IntGaugeVec::new(
                Opts::new("nightlatch_kafka_lag_messages", "Messages still to be read"),
                &["topic", "partition"],
            )?,
            errors: IntCounterVec::new(
                Opts::new("nightlatch_kafka_errors_total", "Errors of the Kafka consumer"),
                &["kind"],
            )?,
            connected: IntGauge::new(
                "nightlatch_kafka_connected",
                "1 while at least one Kafka broker is connected",
            )?,
            tombstones: IntCounter::new(
                "nightlatch_kafka_tombstones_dropped_total",
                "Messages without a value, which hold no event",
            )?,
            redelivered: IntCounter::new(
                "nightlatch_kafka_redelivered_dropped_total",
                "Messages read again after a rebalance that had been handed on before it",
            )?,
        };
        for kind in ERROR_KINDS {
            metrics.errors.with_label_values(&[kind]);
        }
        registry.register(Box::new(metrics.lag_messages.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.connected.clone()))?;
        registry.register(Box::new(metrics.tombstones.clone()))?;
        registry.register(Box::new(metrics.redelivered.clone()))?;
        Ok(metrics)
    }

    pub(super) fn error(&self, kind: &str) {
        self.errors.with_label_values(&[kind]).inc();
    }

    pub(super) fn set_lag(&self, topic: &str, partition: i32, messages: i64) {
        self.lag_messages.with_label_values(&[topic, &partition.to_string()]).set(messages);
    }

    /// A partition that another process reads now must not leave its last number behind.
    pub(super) fn forget_lag(&self, topic: &str, partition: i32) {
        let _ = self.lag_messages.remove_label_values(&[topic, &partition.to_string()]);
    }
}
