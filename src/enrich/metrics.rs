//! What is counted of enrichment.

use prometheus::{IntCounter, IntGaugeVec};

use super::Enricher;

/// Metrics of enrichment.
#[derive(Debug, Clone)]
pub struct EnrichMetrics {
    /// When the data of each file was built, in seconds since the epoch.
    pub built_seconds: IntGaugeVec,
    /// Records of data files that could not be read.
    pub failures: IntCounter,
}

impl EnrichMetrics {
    /// Takes over what a stage knows of its files and has counted.
    pub fn set(&self, stage: &Enricher) {
        for version in stage.versions() {
            let built = version.built_seconds.and_then(|seconds| i64::try_from(seconds).ok());
            self.built_seconds.with_label_values(&[&version.file]).set(built.unwrap_or_default());
        }
        self.failures.inc_by(stage.failures().saturating_sub(self.failures.get()));
    }
}
