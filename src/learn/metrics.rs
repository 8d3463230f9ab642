//! What is counted of learning.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use super::LearnStats;

/// Metrics of learning.
#[derive(Debug, Clone)]
pub struct LearnMetrics {
    /// Bytes that the memory takes.
    pub bytes: IntGauge,
    /// What is remembered, by kind.
    pub entries: IntGaugeVec,
    /// What was forgotten or never taken in, by reason.
    pub dropped: IntCounterVec,
}

impl LearnMetrics {
    /// Takes over what a stage knows.
    pub fn set(&self, stats: &LearnStats) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.bytes.set(gauge(stats.bytes));
        let entries = [
            ("accounts", stats.accounts),
            ("logins", stats.logins),
            ("addresses", stats.addresses),
            ("failing", stats.failing),
        ];
        for (kind, n) in entries {
            self.entries.with_label_values(&[kind]).set(gauge(n));
        }
        let dropped = [
            ("forget_after", stats.accounts_forgotten),
            ("values_per_account_max", stats.values_dropped),
            ("memory_max", stats.refused),
            ("failing_max", stats.failing_dropped),
        ];
        for (limit, total) in dropped {
            let counter = self.dropped.with_label_values(&[limit]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}
