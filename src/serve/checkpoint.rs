//! What there is to know about checkpoints.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGauge};

use super::metrics::{Maker, Outcome};
use crate::store::Written;

/// Metrics of checkpoints and of the state folder.
#[derive(Debug)]
pub struct CheckpointMetrics {
    timestamp_seconds: Gauge,
    duration_seconds: GaugeVec,
    bytes: IntGauge,
    folder_bytes: IntGauge,
    failed: IntGauge,
    outcomes: IntCounterVec,
}

impl CheckpointMetrics {
    pub(super) fn new(make: &Maker) -> Outcome<Self> {
        let metrics = Self {
            timestamp_seconds: make.seconds(
                "checkpoint_timestamp_seconds",
                "When the newest checkpoint became durable.",
            )?,
            duration_seconds: make.seconds_by(
                "checkpoint_duration_seconds",
                &["phase"],
                "How long the newest checkpoint held events up (pause), and the disk took (sync).",
            )?,
            bytes: make.gauge("checkpoint_bytes", "Bytes that the newest checkpoint wrote.")?,
            folder_bytes: make
                .gauge("state_folder_bytes", "Bytes of all files in state.folder.")?,
            failed: make.gauge(
                "checkpoint_failed",
                "1 when the newest checkpoint could not be written; the one before it is good.",
            )?,
            outcomes: make.counters(
                "checkpoints_total",
                &["outcome"],
                "Checkpoints by outcome; skipped: the one before was not on the disk yet.",
            )?,
        };
        for phase in ["pause", "sync"] {
            metrics.duration_seconds.with_label_values(&[phase]);
        }
        for outcome in ["written", "failed", "skipped"] {
            metrics.outcomes.with_label_values(&[outcome]);
        }
        Ok(metrics)
    }

    /// A checkpoint held events up for so long.
    pub fn paused(&self, pause: Duration) {
        self.duration_seconds.with_label_values(&["pause"]).set(pause.as_secs_f64());
    }

    /// A checkpoint is durable.
    pub fn written(&self, written: &Written, sync: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.timestamp_seconds.set(now.as_secs_f64());
        self.duration_seconds.with_label_values(&["sync"]).set(sync.as_secs_f64());
        self.bytes.set(i64::try_from(written.n_bytes).unwrap_or(i64::MAX));
        self.folder_bytes.set(i64::try_from(written.folder_bytes).unwrap_or(i64::MAX));
        self.failed.set(0);
        self.outcomes.with_label_values(&["written"]).inc();
    }

    /// A checkpoint could not be written.
    pub fn failed(&self) {
        self.failed.set(1);
        self.outcomes.with_label_values(&["failed"]).inc();
    }

    /// A checkpoint was due while the one before was not on the disk yet.
    pub fn skipped(&self) {
        self.outcomes.with_label_values(&["skipped"]).inc();
    }
}
