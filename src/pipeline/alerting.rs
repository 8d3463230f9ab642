//! The consumer that makes alerts: windows and rules, episodes, delivery.

use arrow::array::RecordBatch;

use super::Consumer;
use crate::Result;
use crate::alert::{Alert, AlertConfig, Episodes};
use crate::delivery::Destination;
use crate::event::{Origins, TimeMicros};
use crate::rules::Engine;
use crate::serve::Metrics;
use crate::serve::metrics::{gauge, raise, severity_label};

/// Runs the rules on each batch and delivers the alerts that come of it.
pub struct Alerting {
    engine: Engine,
    episodes: Episodes,
    destinations: Vec<Box<dyn Destination>>,
}

impl Alerting {
    /// Rules, the limits of alerts, and where they go.
    ///
    /// # Errors
    /// When a rule's summary is malformed.
    pub fn new(
        engine: Engine,
        config: AlertConfig,
        destinations: Vec<Box<dyn Destination>>,
        metrics: &Metrics,
    ) -> Result<Self> {
        metrics.know_rules(engine.rules());
        let episodes = Episodes::new(engine.rules(), config)?;
        Ok(Self { engine, episodes, destinations })
    }

    /// The rules, and the alerts that each has opened.
    pub fn alerts_by_rule(&self) -> Vec<(String, u64)> {
        let rules = self.engine.rules().iter().zip(&self.episodes.stats().rules);
        rules.map(|(rule, stats)| (rule.id.clone(), stats.opened)).collect()
    }

    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        if alerts.is_empty() {
            return Ok(());
        }
        self.destinations.iter_mut().try_for_each(|destination| destination.deliver(alerts))
    }
}

impl Consumer for Alerting {
    fn take(&mut self, batch: &RecordBatch, origins: &Origins) -> Result<()> {
        let matches = self.engine.process(batch);
        let engine = &self.engine;
        let mut frame = |rule, row, max| engine.witnesses(rule, row, max);
        let alerts = self.episodes.observe(batch, &matches, origins, &mut frame);
        self.deliver(&alerts)
    }

    fn advance(&mut self, stream_time: TimeMicros) -> Result<()> {
        let alerts = self.episodes.advance(stream_time);
        self.deliver(&alerts)
    }

    fn settle(&mut self) -> Result<()> {
        let alerts = self.episodes.flush();
        self.deliver(&alerts)
    }

    fn finish(&mut self) -> Result<()> {
        self.settle()?;
        self.destinations.iter_mut().try_for_each(|destination| destination.flush())
    }

    fn found(&self) -> u64 {
        self.episodes.stats().rules.iter().map(|rule| rule.opened).sum()
    }

    fn reader_gone(&self) -> bool {
        self.destinations.iter().any(|destination| destination.reader_gone())
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
