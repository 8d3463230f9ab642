//! What the consumer counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// Kinds of errors: the label of `nightlatch_kafka_errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaErrorKind {
    /// A broker cannot be reached.
    Broker,
    /// The pipeline took nothing for `max.poll.interval.ms`.
    PollInterval,
    /// Offsets were not committed.
    Commit,
    /// A broker refuses this user.
    Authorization,
    /// Anything else.
    Other,
}

impl KafkaErrorKind {
    /// All kinds, for counters that start at 0.
    pub const ALL: [Self; 5] =
        [Self::Broker, Self::PollInterval, Self::Commit, Self::Authorization, Self::Other];

    /// The value of the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::PollInterval => "poll_interval",
            Self::Commit => "commit",
            Self::Authorization => "authorization",
            Self::Other => "other",
        }
    }
}

/// Metrics of the Kafka consumer; clones share the numbers.
#[derive(Debug, Clone)]
pub struct KafkaMetrics {
    /// Messages between the position in a partition and its end, by topic and partition.
    pub lag_messages: IntGaugeVec,
    /// Errors, by kind.
    pub errors: IntCounterVec,
    /// 1 while a broker answers.
    pub connected: IntGauge,
    /// Messages without a value.
    pub tombstones_dropped: IntCounter,
    /// Messages read again after a rebalance that had been handed on before it.
    pub redelivered_dropped: IntCounter,
}

impl KafkaMetrics {
    pub(super) fn error(&self, kind: KafkaErrorKind) {
        self.errors.with_label_values(&[kind.label()]).inc();
    }

    pub(super) fn set_lag(&self, topic: &str, partition: i32, messages: i64) {
        self.lag_messages.with_label_values(&[topic, &partition.to_string()]).set(messages);
    }

    /// A partition that another process reads now must not leave its last number behind.
    pub(super) fn forget_lag(&self, topic: &str, partition: i32) {
        let _ = self.lag_messages.remove_label_values(&[topic, &partition.to_string()]);
    }
}
