//! What delivery counts.

use prometheus::{Gauge, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::outbox::OutboxStats;
use crate::serve::metrics::raise;

/// How an entry ended, or an attempt to deliver it.
pub(crate) const OUTCOMES: [&str; 5] = ["delivered", "failed", "refused", "skipped", "silenced"];

/// Metrics of the outbox and of all destinations; a clone is the same ones.
#[derive(Debug, Clone)]
pub struct DeliveryMetrics {
    /// Entries that some destination has not got yet.
    pub outbox_entries: IntGauge,
    /// Bytes of the outbox on disk.
    pub outbox_bytes: IntGauge,
    /// When the oldest of these entries was appended.
    pub outbox_oldest_seconds: Gauge,
    /// 1 while the pipeline waits for room.
    pub outbox_full: IntGauge,
    /// Entries given up because the outbox was full.
    pub outbox_dropped: IntCounter,
    /// Damaged stretches of the log.
    pub outbox_damaged: IntCounter,
    /// Outcomes, by destination.
    pub deliveries: IntCounterVec,
    /// How long attempts took, by destination.
    pub duration: HistogramVec,
    /// Attempts after the first, by destination.
    pub retries: IntCounterVec,
    /// Revisions that a destination got and does not follow, by destination.
    pub untracked: IntCounterVec,
    /// 1 for a destination that wants nothing more.
    pub disabled: IntGaugeVec,
    /// Revisions that a silence hid, by silence.
    pub silenced: IntCounterVec,
}

impl DeliveryMetrics {
    /// Creates the series of a destination.
    pub(crate) fn know(&self, destination: &str) {
        for outcome in OUTCOMES {
            self.deliveries.with_label_values(&[destination, outcome]);
        }
        self.duration.with_label_values(&[destination]);
        self.retries.with_label_values(&[destination]);
        self.untracked.with_label_values(&[destination]);
        self.disabled.with_label_values(&[destination]).set(0);
    }

    pub(crate) fn count(&self, destination: &str, outcome: &str) {
        self.deliveries.with_label_values(&[destination, outcome]).inc();
    }

    #[allow(clippy::cast_precision_loss)] // microseconds of our time as seconds
    pub(crate) fn set_outbox(&self, stats: &OutboxStats) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.outbox_entries.set(whole(stats.entries));
        self.outbox_bytes.set(whole(stats.bytes));
        self.outbox_oldest_seconds.set(stats.oldest_appended_at.unwrap_or(0) as f64 / 1e6);
        self.outbox_full.set(i64::from(stats.full));
        raise(&self.outbox_dropped, stats.dropped);
        raise(&self.outbox_damaged, stats.damaged);
    }
}
