//! What the consumer counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// Kinds of errors: the label of `nightlatch_kafka_errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaErrorKind {
    /// A broker cannot be reached.
    Broker,
    /// The pipeline stood still for `max.poll.interval.ms`.
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

/// How the lease changes: the label of `nightlatch_rebalances_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseChange {
    /// This instance is active from now on.
    Gained,
    /// The group took the lease away: nothing was heard of this instance, or its pipeline stood still.
    Lost,
    /// The lease went to another instance in good order.
    Revoked,
}

impl LeaseChange {
    /// All changes, for counters that start at 0.
    pub const ALL: [Self; 3] = [Self::Gained, Self::Lost, Self::Revoked];

    /// The value of the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Gained => "gained",
            Self::Lost => "lost",
            Self::Revoked => "revoked",
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
    /// Messages that retention deleted before they were read.
    pub lost: IntCounter,
    /// Topics that were read and are no more.
    pub topics_vanished: IntCounter,
    /// 1 while nothing is fetched because the pipeline takes nothing.
    pub paused: IntGauge,
    /// 1 while this instance owns the lease.
    pub active: IntGauge,
    /// Changes of the lease, by kind.
    pub rebalances: IntCounterVec,
    /// Commits dropped because the lease was no longer ours.
    pub commits_fenced: IntCounter,
}

impl KafkaMetrics {
    pub(super) fn error(&self, kind: KafkaErrorKind) {
        self.errors.with_label_values(&[kind.label()]).inc();
    }

    pub(super) fn set_lag(&self, topic: &str, partition: i32, messages: i64) {
        self.lag_messages.with_label_values(&[topic, &partition.to_string()]).set(messages);
    }

    /// Retention was faster than reading.
    pub(super) fn lost(&self, topic: &str, partition: i32, messages: i64) {
        self.lost.inc_by(messages.unsigned_abs());
        tracing::warn!(
            topic,
            partition,
            messages,
            "retention deleted messages before they were read; going on at the oldest one"
        );
    }

    pub(super) fn lease(&self, change: LeaseChange) {
        self.rebalances.with_label_values(&[change.label()]).inc();
        self.active.set(i64::from(change == LeaseChange::Gained));
    }

    /// A partition that is gone must not leave its last number behind.
    pub(super) fn forget_lag(&self, topic: &str, partition: i32) {
        let _ = self.lag_messages.remove_label_values(&[topic, &partition.to_string()]);
    }
}
