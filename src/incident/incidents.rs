//! All open incidents: rows and revisions of alerts in, revisions of incidents out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::acts::{Acts, Rows, hash};
use super::link::{Key, keys};
use super::member::Member;
use super::telling::{Told, tell};
use super::victim::{Taken, Victim};
use super::{IncidentConfig, IncidentStats};
use crate::alert::{Alert, AlertConfig, Status};
use crate::event::TimeMicros;
use crate::store::KeyedHash;

/// The open incidents, and what they are made of.
///
/// A moment at a time: the rows up to it, what is due before it, then its alerts. An incident speaks
/// when its first alert does, then at most once in `update_every`, and when it is over.
#[derive(Debug)]
pub struct Incidents {
    pub(super) config: IncidentConfig,
    /// Limits that incidents share with alerts.
    pub(super) limits: AlertConfig,
    pub(super) key: KeyedHash,
    pub(super) members: HashMap<Arc<str>, Member>,
    /// The open incident of each member, by number.
    pub(super) incident_of: HashMap<Arc<str>, u64>,
    pub(super) by_key: HashMap<Key, BTreeSet<Arc<str>>>,
    pub(super) open: BTreeMap<u64, Open>,
    /// By the hash of the account.
    pub(super) victims: HashMap<u64, Victim>,
    pub(super) acts: Acts,
    pub(super) deadlines: BTreeSet<Deadline>,
    pub(super) next_number: u64,
    /// Time that the stream has reached.
    pub(super) reached: TimeMicros,
    /// Rows before were taken before a restart.
    pub(super) rows_from: TimeMicros,
    pub(super) stats: IncidentStats,
}

/// One open incident.
#[derive(Debug, Clone, Default)]
pub(super) struct Open {
    pub(super) id: Arc<str>,
    /// Start and id of its alerts: the first gives the incident its id.
    pub(super) members: BTreeSet<(TimeMicros, Arc<str>)>,
    /// Alerts that are counted and not kept.
    pub(super) uncounted: u64,
    /// 0 until it has been told.
    pub(super) revision: u64,
    /// Event time of the newest revision.
    pub(super) emitted_at: TimeMicros,
    /// Event time of its newest alert or step.
    pub(super) active_at: TimeMicros,
    /// When it is looked at whether it is over.
    pub(super) close_due: TimeMicros,
    pub(super) update_due: Option<TimeMicros>,
}

/// When something is due, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    pub(super) time: TimeMicros,
    pub(super) due: Due,
    pub(super) number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Close,
    Update,
}

/// Alerts that are due together. At one time those that matches open come before those that deadlines
/// bring, in a call of their own maybe: they are two moments.
fn moments(alerts: &[Alert]) -> impl Iterator<Item = &[Alert]> {
    let moment = |alert: &Alert| (alert.at, alert.status == Status::Opened);
    alerts.chunk_by(move |one, other| moment(one) == moment(other))
}

impl Incidents {
    /// No incidents yet. Evidence, names and updates have the limits of alerts.
    pub fn new(config: IncidentConfig, limits: AlertConfig) -> Self {
        Self {
            config,
            limits,
            key: KeyedHash::random(),
            members: HashMap::new(),
            incident_of: HashMap::new(),
            by_key: HashMap::new(),
            open: BTreeMap::new(),
            victims: HashMap::new(),
            acts: Acts::default(),
            deadlines: BTreeSet::new(),
            next_number: 0,
            reached: TimeMicros::MIN,
            rows_from: TimeMicros::MIN,
            stats: IncidentStats::default(),
        }
    }

    /// Counters since the start.
    pub fn stats(&self) -> IncidentStats {
        IncidentStats { open: self.open.len(), ..self.stats }
    }

    /// Takes a released batch and the revisions that came of it, in their order, and gives them back
    /// with the revisions of incidents that are due by then, each behind those of its moment.
    pub fn take(&mut self, batch: &RecordBatch, alerts: Vec<Alert>) -> Vec<Alert> {
        let rows = Rows::new(batch);
        let mut told = Vec::new();
        let mut next_row = rows.first_at(self.rows_from);
        for moment in moments(&alerts) {
            self.take_rows(&rows, &mut next_row, moment[0].at, &mut told);
            self.take_moment(moment, Some(&rows), &mut told);
        }
        self.take_rows(&rows, &mut next_row, TimeMicros::MAX, &mut told);
        if let Some(last) = rows.len().checked_sub(1) {
            self.fire_before(rows.time(last), &mut told);
        }
        let oldest = self.reached.saturating_sub(self.config.lookback_micros);
        self.stats.recent_max += self.acts.forget(self.config.recent_max, oldest);
        told
    }

    /// Takes the revisions that came of nothing but time, and gives them back with those of incidents
    /// that are due before `stream_time`.
    pub fn advance(&mut self, stream_time: TimeMicros, alerts: Vec<Alert>) -> Vec<Alert> {
        let mut told = Vec::new();
        moments(&alerts).for_each(|moment| self.take_moment(moment, None, &mut told));
        self.fire_before(stream_time, &mut told);
        told
    }

    /// Takes the last revisions and says what is unsaid. Closes nothing.
    pub fn flush(&mut self, alerts: Vec<Alert>) -> Vec<Alert> {
        let mut told = Vec::new();
        moments(&alerts).for_each(|moment| self.join_all(moment, None, &mut told));
        let updates: Vec<Deadline> =
            self.deadlines.iter().filter(|one| one.due == Due::Update).copied().collect();
        for deadline in updates {
            self.deadlines.remove(&deadline);
            self.update(deadline, &mut told);
        }
        told
    }

    /// What is due before the moment, then its alerts.
    fn take_moment(&mut self, moment: &[Alert], rows: Option<&Rows<'_>>, told: &mut Vec<Alert>) {
        self.fire_before(moment[0].at, told);
        self.join_all(moment, rows, told);
    }

    /// The alerts of a moment, and what incidents say of them at once.
    fn join_all(&mut self, moment: &[Alert], rows: Option<&Rows<'_>>, told: &mut Vec<Alert>) {
        told.extend(moment.iter().cloned());
        let mut started = BTreeSet::new();
        for alert in moment {
            let row = rows.filter(|_| alert.revision == 1).and_then(|rows| rows.of(alert));
            self.join(alert, row.as_ref(), &mut started, told);
        }
        self.open_all(&started, moment[0].at, told);
    }

    /// Tells the incidents that began at this moment, and that none took over at once.
    fn open_all(&mut self, started: &BTreeSet<u64>, at: TimeMicros, told: &mut Vec<Alert>) {
        for number in started {
            if self.open.get(number).is_some_and(|open| open.revision == 0) {
                told.extend(self.revise(*number, Status::Opened, at, None));
            }
        }
    }

    /// Takes the rows up to a time, in order.
    fn take_rows(
        &mut self,
        rows: &Rows<'_>,
        next: &mut usize,
        until: TimeMicros,
        told: &mut Vec<Alert>,
    ) {
        while *next < rows.len() && rows.time(*next) <= until {
            if rows.is_act(*next) {
                let account = self.acts.push(rows, *next, &self.key);
                if self.victims.contains_key(&account) {
                    self.take_act(account, told);
                }
            }
            *next += 1;
        }
    }

    /// The newest act is on an account that alerts are about.
    fn take_act(&mut self, account: u64, told: &mut Vec<Alert>) {
        let Some(act) = self.acts.newest() else { return };
        let Some(victim) = self.victims.get(&account) else { return };
        let shared = self.config.shared_accounts;
        let mut members = victim.members.iter().filter_map(|id| self.members.get(id));
        if victim.account != act.account || !members.any(|one| one.marks.did(&act, shared)) {
            return;
        }
        let time = act.time;
        self.fire_before(time, told);
        let Some(victim) = self.victims.get_mut(&account) else { return };
        match victim.take(act, self.config.steps_max) {
            Taken::New => {}
            Taken::Known => return,
            Taken::Lost => {
                self.stats.steps_max += 1;
                return;
            }
        }
        let numbers = victim.members.iter().filter_map(|id| self.incident_of.get(id)).copied();
        for number in numbers.collect::<BTreeSet<u64>>() {
            self.touch(number, time, time);
        }
    }

    /// Takes an incident away, with what is due of it.
    pub(super) fn remove(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        self.deadlines.remove(&Deadline { time: open.close_due, due: Due::Close, number });
        if let Some(time) = open.update_due {
            self.deadlines.remove(&Deadline { time, due: Due::Update, number });
        }
        Some(open)
    }

    /// Something new: the incident is to be told again, and stays open for longer.
    pub(super) fn touch(&mut self, number: u64, now: TimeMicros, active_at: TimeMicros) {
        let Some(open) = self.open.get_mut(&number) else { return };
        open.active_at = open.active_at.max(active_at);
        if open.revision == 0 || open.update_due.is_some() {
            return;
        }
        let time = open.emitted_at.saturating_add(self.limits.update_every_micros).max(now);
        open.update_due = Some(time);
        self.deadlines.insert(Deadline { time, due: Due::Update, number });
    }

    /// Does all that is due before `time`, in order.
    fn fire_before(&mut self, time: TimeMicros, told: &mut Vec<Alert>) {
        self.reached = self.reached.max(time);
        while let Some(deadline) = self.deadlines.first().filter(|one| one.time < time).copied() {
            self.deadlines.remove(&deadline);
            match deadline.due {
                Due::Update => self.update(deadline, told),
                Due::Close => self.close(deadline, told),
            }
        }
    }

    fn update(&mut self, deadline: Deadline, told: &mut Vec<Alert>) {
        let Some(open) = self.open.get_mut(&deadline.number) else { return };
        open.update_due = None;
        // At the end of the stream an update is told before it is due.
        let at = deadline.time.min(self.reached);
        told.extend(self.revise(deadline.number, Status::Updated, at, None));
    }

    /// Closes an incident, or waits on when something came since the deadline was set.
    fn close(&mut self, deadline: Deadline, told: &mut Vec<Alert>) {
        let Some(open) = self.open.get_mut(&deadline.number) else { return };
        let time = open.active_at.saturating_add(self.config.quiet_micros);
        if time > deadline.time {
            open.close_due = time;
            self.deadlines.insert(Deadline { time, ..deadline });
            return;
        }
        told.extend(self.revise(deadline.number, Status::Closed, deadline.time, None));
        if let Some(open) = self.remove(deadline.number) {
            open.members.iter().for_each(|(_, member)| self.forget(member));
        }
    }

    /// Forgets a member of a closed incident.
    fn forget(&mut self, id: &Arc<str>) {
        self.incident_of.remove(id);
        let Some(member) = self.members.remove(id) else { return };
        for key in keys(&member) {
            if let Some(under) = self.by_key.get_mut(&key) {
                under.remove(id);
                if under.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        for account in &member.victims {
            let hash = hash(&self.key, account);
            if let Some(victim) = self.victims.get_mut(&hash) {
                victim.members.remove(id);
                if victim.members.is_empty() {
                    self.victims.remove(&hash);
                }
            }
        }
    }

    /// The next revision of an incident.
    pub(super) fn revise(
        &mut self,
        number: u64,
        status: Status,
        at: TimeMicros,
        merged_into: Option<&Arc<str>>,
    ) -> Option<Alert> {
        let open = self.open.get_mut(&number)?;
        open.revision += u64::from(merged_into.is_none() || open.revision > 0);
        open.emitted_at = at;
        if merged_into.is_some() && open.revision == 0 {
            return None;
        }
        match status {
            Status::Opened => self.stats.opened += 1,
            Status::Updated => self.stats.updated += 1,
            Status::Closed => self.stats.closed += 1,
        }
        let open = self.open.get(&number)?;
        let members = open.members.iter().filter_map(|(_, id)| self.members.get(id)).collect();
        let victims = |account: &str| {
            let victim = self.victims.get(&hash(&self.key, account))?;
            (victim.account == account).then_some(victim)
        };
        let told = tell(&Told {
            open,
            members,
            victims: &victims,
            status,
            at,
            merged_into: merged_into.map(ToString::to_string),
            config: &self.config,
            limits: &self.limits,
        });
        self.stats.accounts_max +=
            u64::from(told.incident.as_ref().is_some_and(|part| part.is_cut()));
        Some(told)
    }
}
