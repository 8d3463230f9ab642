//! The consumer that makes alerts: windows and rules, episodes, delivery.

use arrow::array::RecordBatch;
use prometheus::IntCounter;

use super::early::Early;
use super::{Consumer, ConsumerManifest};
use crate::Result;
use crate::alert::{Alert, AlertConfig, Episodes, RestoredEpisodes, Status};
use crate::delivery::Destination;
use crate::event::{Origins, TimeMicros};
use crate::incident::Incidents;
use crate::order::Arrived;
use crate::rules::{EarlyEngine, Engine, Matches};
use crate::serve::Metrics;
use crate::serve::metrics::{gauge, raise};
use crate::store::{BlockReader, BlockWriter, Manifest};

/// Runs the rules on each batch and delivers the alerts that come of it.
pub struct Alerting {
    engine: Engine,
    episodes: Episodes,
    /// Alerts that belong together; absent where nobody asks for them.
    incidents: Option<Incidents>,
    /// Rules that are told before the time of their events is over; absent where nobody asks for them.
    early: Option<Early>,
    destinations: Vec<Box<dyn Destination>>,
    /// Revisions of an earlier event time were delivered before a restart.
    suppress_before: Option<TimeMicros>,
    /// Revisions that were suppressed.
    suppressed: IntCounter,
    /// Sees the matches of each batch before alerts are made of them.
    see_matches: Option<SeeMatches>,
}

/// Sees the rows that rules let through.
pub type SeeMatches = Box<dyn FnMut(&[Matches])>;

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
        destinations: Vec<Box<dyn Destination>>,
        metrics: &Metrics,
    ) -> Result<Self> {
        metrics.know_rules(engine.rules());
        let episodes = Episodes::new(engine.rules(), config)?;
        let suppressed = metrics.alerts_suppressed.with_label_values(&["delivered_before"]);
        let (suppress_before, see_matches) = (None, None);
        let (incidents, early) = (None, None);
        Ok(Self {
            engine,
            episodes,
            incidents,
            early,
            destinations,
            suppress_before,
            suppressed,
            see_matches,
        })
    }

    /// Tells of incidents as well.
    pub fn tell_incidents(&mut self, incidents: Incidents) {
        self.incidents = Some(incidents);
    }

    /// Tells alerts early as well, where rules allow it.
    pub fn tell_early(&mut self, engine: EarlyEngine) {
        self.early = Some(Early::new(engine));
    }

    /// Shows the matches of each batch, before alerts are made of them.
    pub fn show_matches(&mut self, see: SeeMatches) {
        self.see_matches = Some(see);
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
        if let (Some(incidents), Some(saved)) = (&mut self.incidents, &manifest.incidents) {
            incidents.restore(saved, blocks, manifest.watermark.unwrap_or(TimeMicros::MIN))?;
        }
        Ok(RestoredState { episodes, rebuild_from: self.restore_windows(manifest, blocks) })
    }

    /// Takes back the windows that fit the rules, and says from which event time on the others want
    /// their events again.
    fn restore_windows(&mut self, manifest: &Manifest, blocks: &BlockReader) -> Option<TimeMicros> {
        let watermark = manifest.watermark?;
        let restored = self.engine.restore(manifest.engine.as_ref()?, blocks, watermark);
        for (lane, why) in &restored.rebuilding {
            tracing::warn!(lane, why, "the windows of a lane are rebuilt from Kafka");
        }
        tracing::info!(kept = restored.kept.len(), rebuilt = restored.rebuilding.len(), "windows");
        Some(watermark.saturating_sub(self.engine.rebuilding_reach_micros()?))
    }

    /// How far back the windows of all rules look.
    pub fn reach_micros(&self) -> TimeMicros {
        self.engine.reach_micros()
    }

    /// The rules, and the alerts that each has opened.
    pub fn alerts_by_rule(&self) -> Vec<(String, u64)> {
        let rules = self.engine.rules().iter().zip(&self.episodes.stats().rules);
        rules.map(|(rule, stats)| (rule.id.clone(), stats.opened)).collect()
    }

    /// The rules, and the rows that each has let through.
    pub fn matches_by_rule(&self) -> Vec<(String, u64)> {
        let rules = self.engine.rules().iter().zip(self.engine.rule_stats());
        rules.map(|(rule, stats)| (rule.id.clone(), stats.matches)).collect()
    }

    fn deliver(&mut self, mut alerts: Vec<Alert>) -> Result<()> {
        self.suppress(&mut alerts);
        if alerts.is_empty() {
            return Ok(());
        }
        self.destinations.iter_mut().try_for_each(|destination| destination.deliver(&alerts))
    }

    /// Delivers alerts with the incidents that come of them.
    fn deliver_with(
        &mut self,
        mut alerts: Vec<Alert>,
        find: impl FnOnce(&mut Incidents, Vec<Alert>) -> Vec<Alert>,
    ) -> Result<()> {
        if let Some(incidents) = &mut self.incidents {
            alerts = find(incidents, alerts);
        }
        self.deliver(alerts)
    }

    fn suppress(&self, alerts: &mut Vec<Alert>) {
        let Some(time) = self.suppress_before else { return };
        let before = alerts.len();
        alerts.retain(|alert| alert.at >= time);
        self.suppressed.inc_by((before - alerts.len()) as u64);
    }
}

impl Consumer for Alerting {
    fn take(&mut self, batch: &RecordBatch, origins: &Origins) -> Result<()> {
        let matches = self.engine.process(batch)?;
        if let Some(see) = &mut self.see_matches {
            see(&matches);
        }
        let (engine, mut failure) = (&mut self.engine, None);
        let mut frame = |rule, row, max| {
            engine.witnesses(rule, row, max).unwrap_or_else(|error| {
                failure = Some(error);
                Default::default()
            })
        };
        let alerts = self.episodes.observe(batch, &matches, origins, &mut frame);
        // An alert that lacks evidence is not delivered.
        failure.map_or(Ok(()), Err)?;
        if let Some(early) = &mut self.early {
            early.confirm(&alerts);
        }
        self.deliver_with(alerts, |incidents, alerts| incidents.take(batch, alerts))
    }

    fn takes_arrivals(&self) -> bool {
        self.early.is_some()
    }

    fn arrive(&mut self, arrived: &Arrived, origins: &Origins) -> Result<()> {
        let Some(early) = &mut self.early else { return Ok(()) };
        let alerts = early.take(arrived, &self.episodes, origins)?;
        self.deliver(alerts)
    }

    fn advance(&mut self, stream_time: TimeMicros) -> Result<()> {
        if let Some(early) = &mut self.early {
            let unconfirmed = early.advance(stream_time);
            self.deliver(unconfirmed)?;
        }
        let alerts = self.episodes.advance(stream_time);
        self.deliver_with(alerts, |incidents, alerts| incidents.advance(stream_time, alerts))?;
        self.destinations.iter_mut().for_each(|destination| destination.advance(stream_time));
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let alerts = self.episodes.flush();
        self.deliver_with(alerts, Incidents::flush)
    }

    fn finish(&mut self) -> Result<()> {
        self.settle()?;
        self.suspend()
    }

    fn suspend(&mut self) -> Result<()> {
        self.destinations.iter_mut().try_for_each(|destination| destination.flush())
    }

    fn checkpoint(&mut self, blocks: &mut BlockWriter) -> Result<Option<ConsumerManifest>> {
        let episodes = self.episodes.checkpoint(blocks);
        let incidents = self.incidents.as_mut().map(|incidents| incidents.checkpoint(blocks));
        let engine = self.engine.checkpoint(blocks)?;
        Ok(Some(ConsumerManifest { engine, episodes, incidents }))
    }

    fn seal(&mut self, blocks: &mut BlockWriter) -> Result<bool> {
        self.engine.seal(blocks)
    }

    fn found(&self) -> u64 {
        self.episodes.stats().rules.iter().map(|rule| rule.opened).sum()
    }

    fn reader_gone(&self) -> bool {
        self.destinations.iter().any(|destination| destination.reader_gone())
    }

    fn measure(&self, metrics: &Metrics) {
        metrics.set_lanes(&self.engine.lane_stats());
        metrics.spill.set(&self.engine.spill_stats());
        metrics.set_rules(self.engine.rules(), self.engine.rule_stats());
        if let Some(early) = &self.early {
            metrics.set_early(early.stats());
        }
        if let Some(incidents) = &self.incidents {
            metrics.set_incidents(&incidents.stats());
        }
        let stats = self.episodes.stats();
        metrics.alerts_open.set(gauge(stats.open));
        raise(&metrics.alerts_untracked, stats.untracked);
        let dropped = metrics.alerts_dropped.with_label_values(&["entity_null"]);
        raise(&dropped, stats.dropped_entity_null);
        for (rule, stats) in self.engine.rules().iter().zip(&stats.rules) {
            let id = rule.id.as_str();
            let severity = rule.front.severity.label();
            raise(&metrics.alerts.with_label_values(&[id, severity]), stats.opened);
            let revisions = [
                (Status::Opened, stats.opened),
                (Status::Updated, stats.updated),
                (Status::Closed, stats.closed),
            ];
            for (status, total) in revisions {
                raise(&metrics.alert_revisions.with_label_values(&[id, status.label()]), total);
            }
        }
    }
}
