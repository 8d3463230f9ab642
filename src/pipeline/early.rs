//! Rules that are told early: see [`crate::rules::EarlyEngine`] and [`EarlyAlerts`].

use crate::Result;
use crate::alert::{Alert, EarlyAlerts, EarlyStats, Episodes};
use crate::event::{Origins, TimeMicros};
use crate::order::Arrived;
use crate::rules::EarlyEngine;

/// Runs rules over rows as they arrive.
pub(super) struct Early {
    engine: EarlyEngine,
    alerts: EarlyAlerts,
}

impl Early {
    pub(super) fn new(engine: EarlyEngine) -> Self {
        Self { engine, alerts: EarlyAlerts::default() }
    }

    /// Takes rows that have just arrived, and gives the alerts that are new.
    pub(super) fn take(
        &mut self,
        arrived: &Arrived,
        episodes: &Episodes,
        origins: &Origins,
    ) -> Result<Vec<Alert>> {
        let EarlyEngine { engine, rules } = &mut self.engine;
        let mut matches = engine.process(&arrived.batch)?;
        matches.iter_mut().for_each(|matches| matches.rule = rules[matches.rule]);
        let Arrived { batch, n_late } = arrived;
        Ok(self.alerts.observe(episodes, batch, *n_late, &matches, origins))
    }

    /// Takes note of exact alerts.
    pub(super) fn confirm(&mut self, alerts: &[Alert]) {
        self.alerts.confirm(alerts);
    }

    /// All rows before this time have been looked at.
    pub(super) fn advance(&mut self, stream_time: TimeMicros) -> Vec<Alert> {
        self.alerts.advance(stream_time)
    }

    pub(super) fn stats(&self) -> EarlyStats {
        self.alerts.stats()
    }
}
