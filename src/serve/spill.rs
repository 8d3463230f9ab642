//! What there is to know about rows of windows on disk.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::metrics::{Maker, Outcome, raise};
use crate::store::SpillStats;

/// Metrics of the rows that memory has no room for.
#[derive(Debug)]
pub struct SpillMetrics {
    disk_bytes: IntGauge,
    written_bytes: IntCounter,
    read_bytes: IntCounter,
    refused: IntCounterVec,
    unreadable: IntCounter,
}

impl SpillMetrics {
    pub(super) fn new(make: &Maker) -> Outcome<Self> {
        let metrics = Self {
            disk_bytes: make.gauge("spill_disk_bytes", "Bytes of window rows on disk.")?,
            written_bytes: make.counter(
                "spill_written_bytes_total",
                "Bytes of window rows written to the disk.",
            )?,
            read_bytes: make.counter(
                "spill_read_bytes_total",
                "Bytes of window rows read back from the disk.",
            )?,
            refused: make.counters(
                "spill_refused_total",
                &["reason"],
                "Blocks of window rows that stayed in memory: a limit, or the disk, kept them out.",
            )?,
            unreadable: make.counter(
                "spill_unreadable_total",
                "Blocks of window rows that the disk did not give back; each ends the pipeline.",
            )?,
        };
        for reason in ["limit", "disk"] {
            metrics.refused.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    /// Takes over what was counted.
    pub fn set(&self, stats: &SpillStats) {
        self.disk_bytes.set(i64::try_from(stats.disk_bytes).unwrap_or(i64::MAX));
        raise(&self.written_bytes, stats.written_bytes);
        raise(&self.read_bytes, stats.read_bytes);
        raise(&self.refused.with_label_values(&["limit"]), stats.refused_by_limit);
        raise(&self.refused.with_label_values(&["disk"]), stats.refused_by_disk);
        raise(&self.unreadable, stats.unreadable);
    }
}
