//! The consumer that makes alerts: windows and rules, episodes, delivery.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{Consumer, ConsumerManifest};
use crate::Result;
use crate::alert::{Alert, AlertConfig, Episodes, RestoredEpisodes};
use crate::delivery::Destination;
use crate::event::{Origins, TimeMicros};
use crate::rules::Engine;
use crate::serve::Metrics;
use crate::serve::metrics::{gauge, raise, severity_label};
use crate::store::{BlockReader, BlockWriter, Manifest};

/// A destination, and the label it has in metrics.
pub struct Sink {
    /// `stdout`, `file` or `topic`.
    pub label: &'static str,
    /// Where alerts go.
    pub destination: Box<dyn Destination>,
}

/// Runs the rules on each batch and delivers the alerts that come of it.
pub struct Alerting {
    engine: Engine,
    episodes: Episodes,
    sinks: Vec<Sink>,
    /// Revisions of an earlier event time were delivered before a restart.
    suppress_before: Option<TimeMicros>,
    metrics: Arc<Metrics>,
}

/// What a manifest gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoredState {
    /// Episodes that are open again, and those that are not.
    pub episodes: RestoredEpisodes,
    /// Event time from which on events are to be read again, for windows that could not be restored.
    pub rebuild_from: Option<TimeMicros>,
}

impl Alerting {
    /// Rules, the limits of alerts, and where they go.
    ///
    /// # Errors
    /// When a rule's summary is malformed.
    pub fn new(
        engine: Engine,
        config: AlertConfig,
        sinks: Vec<Sink>,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        metrics.know_rules(engine.rules());
        let episodes = Episodes::new(engine.rules(), config)?;
        Ok(Self { engine, episodes, sinks, suppress_before: None, metrics })
    }

    /// Revisions that were due before this event time are not delivered: they were.
    pub fn suppress_before(&mut self, time: Option<TimeMicros>) {
        self.suppress_before = time;
    }

    /// Takes over windows and episodes of a manifest.
    ///
    /// # Errors
    /// When the episodes cannot be read; nothing has changed then.
    pub fn restore(&mut self, manifest: &Manifest, blocks: &BlockReader) -> Result<RestoredState> {
        let episodes = match &manifest.episodes {
            Some(saved) => self.episodes.restore(saved, blocks)?,
            None => RestoredEpisodes::default(),
        };
        Ok(RestoredState { episodes, rebuild_from: None })
    }

    /// The rules, and the alerts that each has opened.
    pub fn alerts_by_rule(&self) -> Vec<(String, u64)> {
        let rules = self.engine.rules().iter().zip(&self.episodes.stats().rules);
        rules.map(|(rule, stats)| (rule.id.clone(), stats.opened)).collect()
    }

    fn deliver(&mut self, mut alerts: Vec<Alert>) -> Result<()> {
        self.suppress(&mut alerts);
        if alerts.is_empty() {
            return Ok(());
        }
        for sink in &mut self.sinks {
            let delivered = sink.destination.deliver(&alerts);
            let outcome = if delivered.is_ok() { "delivered" } else { "failed" };
            let counter = self.metrics.deliveries.with_label_values(&[sink.label, outcome]);
            counter.inc_by(alerts.len() as u64);
            delivered?;
        }
        Ok(())
    }

    fn suppress(&self, alerts: &mut Vec<Alert>) {
        let Some(time) = self.suppress_before else { return };
        let before = alerts.len();
        alerts.retain(|alert| alert.at >= time);
        let counter = self.metrics.alerts_suppressed.with_label_values(&["delivered_before"]);
        counter.inc_by((before - alerts.len()) as u64);
    }
}

impl Consumer for Alerting {
    fn take(&mut self, batch: &RecordBatch, origins: &Origins) -> Result<()> {
        let matches = self.engine.process(batch);
        let engine = &self.engine;
        let mut frame = |rule, row, max| engine.witnesses(rule, row, max);
        let alerts = self.episodes.observe(batch, &matches, origins, &mut frame);
        self.deliver(alerts)
    }

    fn advance(&mut self, stream_time: TimeMicros) -> Result<()> {
        let alerts = self.episodes.advance(stream_time);
        self.deliver(alerts)
    }

    fn settle(&mut self) -> Result<()> {
        let alerts = self.episodes.flush();
        self.deliver(alerts)
    }

    fn finish(&mut self) -> Result<()> {
        self.settle()?;
        self.suspend()
    }

    fn suspend(&mut self) -> Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.destination.flush())
    }

    fn checkpoint(&mut self, blocks: &mut BlockWriter) -> Option<ConsumerManifest> {
        let episodes = self.episodes.checkpoint(blocks);
        // Placeholder until the engine's own checkpoint is merged.
        Some(ConsumerManifest { engine: serde_json::Value::Null, episodes })
    }

    fn found(&self) -> u64 {
        self.episodes.stats().rules.iter().map(|rule| rule.opened).sum()
    }

    fn reader_gone(&self) -> bool {
        self.sinks.iter().any(|sink| sink.destination.reader_gone())
    }

    fn measure(&self, metrics: &Metrics) {
        metrics.set_lanes(&self.engine.lane_stats());
        metrics.set_rules(self.engine.rules(), self.engine.rule_stats());
        let stats = self.episodes.stats();
        metrics.alerts_open.set(gauge(stats.open));
        raise(&metrics.alerts_untracked, stats.untracked);
        let dropped = metrics.alerts_dropped.with_label_values(&["entity_null"]);
        raise(&dropped, stats.dropped_entity_null);
        for (rule, stats) in self.engine.rules().iter().zip(&stats.rules) {
            let id = rule.id.as_str();
            let severity = severity_label(rule.front.severity);
            raise(&metrics.alerts.with_label_values(&[id, severity]), stats.opened);
            let revisions =
                [("opened", stats.opened), ("updated", stats.updated), ("closed", stats.closed)];
            for (status, total) in revisions {
                raise(&metrics.alert_revisions.with_label_values(&[id, status]), total);
            }
        }
    }
}
