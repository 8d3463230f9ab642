//! All open episodes: matches in, revisions out, in the order of event time.

use std::collections::HashMap;
use std::sync::Arc;

use super::alert::{Alert, Evidence, EvidencePlace, Status, Values};
use super::deadline::{Deadline, Deadlines, Due};
use super::distinct::Limits;
use super::episode::{Episode, RuleFacts, episode_id};
use super::value::text_value;
use super::{AlertConfig, AlertStats, RuleAlertStats};
use crate::event::{Origins, TimeMicros, Witness, schema, witness};
use crate::rules::{Matches, Rule};
use crate::store::KeyedHash;
use crate::{Result, event};
use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

/// Rows inside a rule's frames at one row of the batch: `(rule, row, max)` gives the newest `max`
/// of them and how many there are. [`crate::rules::Engine::witnesses`] is one.
pub type Frame<'f> = dyn FnMut(usize, u32, usize) -> (Vec<Witness>, usize) + 'f;

/// The open episodes of all rules.
///
/// Matches and deadlines are handled in the order of event time: a deadline fires when a later
/// time is seen, before the matches of that time. Deadlines of one moment fire in the order kind,
/// rule id, entity; matches of one moment open episodes in the order rule id, row.
#[derive(Debug)]
pub struct Episodes {
    pub(super) rules: Vec<RuleFacts>,
    /// For each rule its place in the order of ids, and the other way round.
    pub(super) rank_of: Vec<usize>,
    rule_at: Vec<usize>,
    pub(super) open: Vec<HashMap<Arc<str>, Episode>>,
    pub(super) deadlines: Deadlines,
    pub(super) config: AlertConfig,
    pub(super) stats: AlertStats,
    pub(super) key: KeyedHash,
    /// Time that the stream has reached.
    pub(super) reached: TimeMicros,
}

/// One row of one rule's matches.
pub(super) struct Match<'a> {
    pub(super) rule: usize,
    pub(super) time: TimeMicros,
    /// Row of the event batch.
    pub(super) row: u32,
    /// Row of `columns`.
    pub(super) index: usize,
    columns: &'a RecordBatch,
    pub(super) entity: Option<&'a ArrayRef>,
}

impl Match<'_> {
    pub(super) fn values(&self, rule: &RuleFacts) -> Values {
        Values::read(self.columns, self.index, rule.entity_type.clone())
    }
}

impl Episodes {
    /// No open episodes; [`Matches::rule`] indexes `rules`.
    ///
    /// # Errors
    /// When a rule's summary is malformed.
    pub fn new(rules: &[Rule], config: AlertConfig) -> Result<Self> {
        let mut rule_at: Vec<usize> = (0..rules.len()).collect();
        rule_at.sort_by_key(|rule| &rules[*rule].id);
        let mut rank_of = vec![0; rules.len()];
        rule_at.iter().enumerate().for_each(|(rank, rule)| rank_of[*rule] = rank);
        Ok(Self {
            rules: rules.iter().map(|rule| RuleFacts::new(rule, &config)).collect::<Result<_>>()?,
            rank_of,
            rule_at,
            open: rules.iter().map(|_| HashMap::new()).collect(),
            deadlines: Deadlines::default(),
            config,
            stats: AlertStats {
                rules: vec![RuleAlertStats::default(); rules.len()],
                ..AlertStats::default()
            },
            key: KeyedHash::random(),
            reached: TimeMicros::MIN,
        })
    }

    /// Counters since the start.
    pub fn stats(&self) -> &AlertStats {
        &self.stats
    }

    /// Takes the matches of all rules in one released batch (schema
    /// [`crate::event::schema::event_batch`]) and gives the revisions that are due by then.
    ///
    /// `frame` is asked once for each episode that opens.
    pub fn observe(
        &mut self,
        batch: &RecordBatch,
        matches: &[Matches],
        origins: &Origins,
        frame: &mut Frame<'_>,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for found in self.in_order(batch, matches) {
            self.fire_before(found.time, &mut alerts);
            self.take(&found, batch, origins, frame, &mut alerts);
        }
        if let Some(last) = batch.num_rows().checked_sub(1) {
            self.fire_before(time_at(batch, last), &mut alerts);
        }
        alerts
    }

    /// Gives the revisions that are due before `stream_time`: every row that is still to come is
    /// promised to be at that time or later.
    pub fn advance(&mut self, stream_time: TimeMicros) -> Vec<Alert> {
        let mut alerts = Vec::new();
        self.fire_before(stream_time, &mut alerts);
        alerts
    }

    /// Says what is unsaid, at the end of the stream. Closes nothing.
    pub fn flush(&mut self) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for deadline in self.deadlines.take_updates() {
            self.update(&deadline, &mut alerts);
        }
        alerts
    }

    /// The matches of all rules in the order time, rule id, row.
    pub(super) fn in_order<'a>(
        &self,
        batch: &RecordBatch,
        matches: &'a [Matches],
    ) -> Vec<Match<'a>> {
        let mut all: Vec<Match<'a>> = Vec::new();
        for found in matches {
            let Some(rule) = self.rules.get(found.rule) else { continue };
            let entity = found.columns.column_by_name(&rule.entity_type);
            let rows = found.rows.iter().enumerate();
            all.extend(rows.map(|(index, &row)| Match {
                rule: found.rule,
                time: time_at(batch, row as usize),
                row,
                index,
                columns: &found.columns,
                entity,
            }));
        }
        all.sort_by_key(|found| (found.time, self.rank_of[found.rule], found.row));
        all
    }

    fn take(
        &mut self,
        found: &Match<'_>,
        batch: &RecordBatch,
        origins: &Origins,
        frame: &mut Frame<'_>,
        alerts: &mut Vec<Alert>,
    ) {
        let entity = found.entity.and_then(|column| text_value(column.as_ref(), found.index));
        let Some(entity) = entity else {
            self.stats.dropped_entity_null += 1;
            return;
        };
        let own = witness(batch, found.row as usize);
        if self.open[found.rule].contains_key(&*entity) {
            self.extend(found, &entity, own, origins);
        } else {
            let frame = frame(found.rule, found.row, self.frame_rows_max());
            self.start(found, &entity, own, frame, origins, alerts);
        }
    }

    /// Rows of a frame to read now. An attacker who has opened all episodes that there may be
    /// shall not have a whole frame read for each further match.
    fn frame_rows_max(&self) -> usize {
        if self.is_full() { self.config.evidence_max } else { self.config.frame_rows_max }
    }

    pub(super) fn is_full(&self) -> bool {
        self.stats.open >= self.config.open_max
    }

    /// A match of an open episode.
    fn extend(&mut self, found: &Match<'_>, entity: &str, own: Witness, origins: &Origins) {
        let rule = &self.rules[found.rule];
        let Some(episode) = self.open[found.rule].get_mut(entity) else { return };
        if episode.updated_at < found.time {
            episode.newest_places.clear();
            episode.updated_at = found.time;
        }
        episode.saved = None;
        episode.matches += 1;
        episode.newest = found.values(rule);
        if episode.update_due.is_none() {
            let due = episode.emitted_at.saturating_add(self.config.update_every_micros);
            let time = due.max(found.time);
            episode.update_due = Some(time);
            let (rank, entity) = (self.rank_of[found.rule], episode.entity.clone());
            self.deadlines.insert(Deadline { time, due: Due::Update, rank, entity });
        }
        if episode.newest_places.insert(own.place) {
            count_names(&mut self.stats, &self.config, &self.key, episode, &own);
            episode.evidence_total += 1;
            if episode.evidence.len() < self.config.evidence_max {
                let evidence = evidence_of(own, origins);
                let at = episode.evidence.partition_point(|other| *other <= evidence);
                episode.evidence.insert(at, evidence);
            }
        }
    }

    /// The first match of an episode.
    fn start(
        &mut self,
        found: &Match<'_>,
        entity: &str,
        own: Witness,
        frame: (Vec<Witness>, usize),
        origins: &Origins,
        alerts: &mut Vec<Alert>,
    ) {
        let rule = &self.rules[found.rule];
        let entity: Arc<str> = entity.into();
        let id = episode_id(rule, &entity, found.time);
        let mut episode = Episode::new(id, entity.clone(), found.time, found.values(rule));
        self.fill(&mut episode, own, frame, origins);
        self.stats.rules[found.rule].opened += 1;
        alerts.push(episode.revise(&self.rules[found.rule], Status::Opened, found.time));
        if self.is_full() {
            self.stats.untracked += 1;
            return;
        }
        self.stats.open += 1;
        let time = found.time.saturating_add(self.rules[found.rule].quiet_micros);
        let rank = self.rank_of[found.rule];
        self.deadlines.insert(Deadline { time, due: Due::Close, rank, entity: entity.clone() });
        self.open[found.rule].insert(entity, episode);
    }

    /// Takes the rows of the frame, and the row itself, into a new episode.
    fn fill(
        &mut self,
        episode: &mut Episode,
        own: Witness,
        (mut witnesses, total): (Vec<Witness>, usize),
        origins: &Origins,
    ) {
        let truncated = total > witnesses.len();
        self.stats.truncated_frames += u64::from(truncated);
        let own_place = own.place;
        // A truncated frame has counted the row even where it does not show it.
        let alone = !witnesses.iter().any(|one| one.place == own_place);
        episode.evidence_total = total + usize::from(alone && !truncated);
        if alone {
            witnesses.push(own);
        }
        witnesses.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        for one in &witnesses {
            count_names(&mut self.stats, &self.config, &self.key, episode, one);
            if one.time == episode.started_at {
                episode.newest_places.insert(one.place);
            }
        }
        episode.evidence = opening_evidence(witnesses, own_place, &self.config, origins);
    }

    /// Fires all deadlines before `time`, in order.
    fn fire_before(&mut self, time: TimeMicros, alerts: &mut Vec<Alert>) {
        self.reached = self.reached.max(time);
        while let Some(deadline) = self.deadlines.pop_before(time) {
            match deadline.due {
                Due::Update => self.update(&deadline, alerts),
                Due::Close => self.close(deadline, alerts),
            }
        }
    }

    fn update(&mut self, deadline: &Deadline, alerts: &mut Vec<Alert>) {
        let rule = self.rule_at[deadline.rank];
        let Some(episode) = self.open[rule].get_mut(&deadline.entity) else { return };
        episode.update_due = None;
        episode.emitted_at = deadline.time;
        self.stats.rules[rule].updated += 1;
        // At the end of the stream an update is told before it is due.
        let at = deadline.time.min(self.reached);
        alerts.push(episode.revise(&self.rules[rule], Status::Updated, at));
    }

    /// Closes an episode, or waits on when matches came since the deadline was set.
    fn close(&mut self, deadline: Deadline, alerts: &mut Vec<Alert>) {
        let rule = self.rule_at[deadline.rank];
        let Some(episode) = self.open[rule].get(&deadline.entity) else { return };
        let time = episode.updated_at.saturating_add(self.rules[rule].quiet_micros);
        if time > deadline.time {
            self.deadlines.insert(Deadline { time, ..deadline });
            return;
        }
        let Some(mut episode) = self.open[rule].remove(&deadline.entity) else { return };
        if let Some(time) = episode.update_due {
            self.deadlines.remove(&Deadline { time, due: Due::Update, ..deadline });
        }
        self.stats.open -= 1;
        self.stats.rules[rule].closed += 1;
        alerts.push(episode.revise(&self.rules[rule], Status::Closed, deadline.time));
    }
}

fn time_at(batch: &RecordBatch, row: usize) -> TimeMicros {
    batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>().value(row)
}

pub(super) fn count_names(
    stats: &mut AlertStats,
    config: &AlertConfig,
    key: &KeyedHash,
    episode: &mut Episode,
    one: &Witness,
) {
    let limits = |names_max| Limits { key, names_max, distinct_max: config.accounts_tracked_max };
    if !episode.accounts.add(&one.account, limits(config.accounts_max)) {
        stats.uncounted_accounts += 1;
    }
    let Some(ip) = &one.ip else { return };
    if !episode.ips.add(ip, limits(config.ips_max)) {
        stats.uncounted_ips += 1;
    }
}

/// Order of a frame's rows: the place comes last, so that it decides nothing but what it names.
fn sort_key(
    one: &Witness,
) -> (TimeMicros, &Option<String>, &Option<String>, &str, &Option<String>, event::Place) {
    (one.time, &one.event_id, &one.source, &one.account, &one.ip, one.place)
}

/// The newest rows of the sorted frame, the row itself always among them.
fn opening_evidence(
    witnesses: Vec<Witness>,
    own: event::Place,
    config: &AlertConfig,
    origins: &Origins,
) -> Vec<Evidence> {
    let mut room = config.evidence_max;
    let mut own_is_due = true;
    let mut evidence: Vec<Evidence> = Vec::with_capacity(room.min(witnesses.len()));
    for one in witnesses.into_iter().rev() {
        let is_own = one.place == own;
        if room > usize::from(own_is_due && !is_own) {
            room -= 1;
            evidence.push(evidence_of(one, origins));
        }
        own_is_due &= !is_own;
    }
    evidence.sort();
    evidence
}

pub(super) fn evidence_of(one: Witness, origins: &Origins) -> Evidence {
    Evidence {
        time: one.time,
        event_id: one.event_id.map(Into::into),
        source: one.source.map(Into::into),
        place: EvidencePlace::new(one.place, origins.get(one.place.origin)),
    }
}
