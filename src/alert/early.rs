//! Alerts that are told before the time of their events is over.
//!
//! An early alert has the id that the exact one will have, and revision 0. Both follow from where the
//! episode starts: at a row that is still to be looked at, between the time that is settled and the row
//! that matched early. All starts within a piece of time as long as `quiet` have one id, so the id is
//! known whenever no border between two pieces lies in between; else nothing is told early.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::AlertStats;
use super::alert::{Alert, Status};
use super::episode::{Episode, episode_id};
use super::episodes::{Episodes, Match, count_names, evidence_of};
use super::value::text_value;
use crate::event::{Origins, TimeMicros, Witness, witness};
use crate::rules::Matches;
use arrow::array::RecordBatch;

/// What became of early alerts, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EarlyStats {
    /// Alerts told early.
    pub told: u64,
    /// Of these, those whose exact alert has come.
    pub confirmed: u64,
    /// Of these, those that were closed because no exact alert came.
    pub unconfirmed: u64,
    /// Matches that were left to the exact pass, because an id could not be known.
    pub undecided: u64,
}

/// Early alerts that wait for the exact ones.
#[derive(Debug, Default)]
pub struct EarlyAlerts {
    /// By start and id.
    waiting: BTreeMap<(TimeMicros, Arc<str>), Alert>,
    start_of: HashMap<Arc<str>, TimeMicros>,
    stats: EarlyStats,
}

impl EarlyAlerts {
    /// Takes the matches of rows that have just arrived and gives the alerts that are new. Matches
    /// before row `n_late` of the batch are of rows whose time is not their own: they tell nothing.
    pub fn observe(
        &mut self,
        episodes: &Episodes,
        batch: &RecordBatch,
        n_late: usize,
        matches: &[Matches],
        origins: &Origins,
    ) -> Vec<Alert> {
        let found = episodes.in_order(batch, matches).into_iter();
        let own = found.filter(|found| found.row as usize >= n_late);
        own.filter_map(|found| {
            let witness = witness(batch, found.row as usize);
            self.tell(episodes, &found, &witness, origins)
        })
        .collect()
    }

    fn tell(
        &mut self,
        episodes: &Episodes,
        found: &Match<'_>,
        own: &Witness,
        origins: &Origins,
    ) -> Option<Alert> {
        let entity: Arc<str> = text_value(found.entity?.as_ref(), found.index)?.as_ref().into();
        let rule = &episodes.rules[found.rule];
        if episodes.is_full() || episodes.open[found.rule].contains_key(&entity) {
            return None;
        }
        if rule.start_piece(found.time) != rule.start_piece(episodes.reached) {
            self.stats.undecided += 1;
            return None;
        }
        let id = episode_id(rule, &entity, found.time);
        if self.start_of.contains_key(&id) || self.waiting.len() >= episodes.config.open_max {
            return None;
        }
        let mut episode = Episode::new(id.clone(), entity, found.time, found.values(rule));
        let (config, key) = (&episodes.config, &episodes.key);
        count_names(&mut AlertStats::default(), config, key, &mut episode, own);
        episode.evidence_total = 1;
        episode.evidence.push(evidence_of(own.clone(), origins));
        let alert = episode.revise(rule, Status::Opened, episodes.reached);
        let alert = Alert { revision: 0, early: true, ..alert };
        self.start_of.insert(id.clone(), found.time);
        self.waiting.insert((found.time, id), alert.clone());
        self.stats.told += 1;
        Some(alert)
    }

    /// Takes note of exact alerts.
    pub fn confirm(&mut self, alerts: &[Alert]) {
        if self.waiting.is_empty() {
            return;
        }
        for alert in alerts.iter().filter(|alert| alert.status == Status::Opened) {
            if let Some((id, start)) = self.start_of.remove_entry(&alert.id) {
                self.waiting.remove(&(start, id));
                self.stats.confirmed += 1;
            }
        }
    }

    /// Closes alerts that no exact one has confirmed although all rows before `stream_time` have been
    /// looked at. That happens only where what was counted early was not counted in the end: rows were
    /// kept out by a limit, or one event came twice with two times.
    pub fn advance(&mut self, stream_time: TimeMicros) -> Vec<Alert> {
        let mut closed = Vec::new();
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 < stream_time
        {
            let ((_, id), alert) = entry.remove_entry();
            self.start_of.remove(&id);
            self.stats.unconfirmed += 1;
            closed.push(Alert { revision: 1, status: Status::Closed, at: stream_time, ..alert });
        }
        closed
    }

    /// Counters since the start.
    pub fn stats(&self) -> EarlyStats {
        self.stats
    }
}
