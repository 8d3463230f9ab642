//! How a revision of an alert comes into an incident: which one it belongs to, and what its intruder did.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::acts::hash;
use super::incidents::{Deadline, Due, Incidents, Open};
use super::link::{keys, linked};
use super::marks::{Mark, RowFacts};
use super::member::Member;
use super::victim::Taken;
use crate::alert::{Alert, Status};
use crate::event::TimeMicros;

/// Members under one key; further ones do not link by it.
const KEY_MEMBERS_MAX: usize = 4_096;

impl Incidents {
    /// Takes a revision of an alert into its incident; incidents that begin are added to `started`.
    pub(super) fn join(
        &mut self,
        alert: &Alert,
        row: Option<&RowFacts>,
        started: &mut BTreeSet<u64>,
        told: &mut Vec<Alert>,
    ) {
        let since = alert.at.saturating_sub(self.config.lookback_micros);
        let known = self.members.get(&alert.id);
        let is_known = known.is_some();
        let mut member = known.cloned().unwrap_or_else(|| Member::new(alert));
        let marks_before = member.marks.clone();
        let is_new = member.take(alert, row, &|mark| self.is_popular(&mark, since));
        let mut linked = self.linked(&member);
        let own = self.incident_of.get(&alert.id).copied();
        linked.extend(own);
        if !is_known && !self.has_room(&linked, alert) {
            return;
        }
        let (victims, started_at) = (member.victims.clone(), member.started_at);
        let marks_changed = member.marks != marks_before;
        self.index(&alert.id, &member);
        self.members.insert(alert.id.clone(), member);
        let number = self.unite(&alert.id, started_at, &linked, alert.at, told);
        self.incident_of.insert(alert.id.clone(), number);
        let mut acted_at = None;
        for account in victims {
            acted_at = acted_at.max(self.look_back(&account, &alert.id, since, marks_changed));
        }
        if self.open.get(&number).is_some_and(|open| open.revision == 0) {
            started.insert(number);
        }
        if is_new || !is_known || acted_at.is_some() || linked.len() > usize::from(own.is_some()) {
            let active_at = alert.updated_at.max(acted_at.unwrap_or(TimeMicros::MIN));
            self.touch(number, alert.at, active_at);
        }
    }

    fn is_popular(&self, mark: &Mark<'_>, since: TimeMicros) -> bool {
        let max = self.config.popular_accounts;
        let is_victim = |account| self.victims.contains_key(&account);
        match mark {
            Mark::Device(text) => {
                let wanted = hash(&self.key, text);
                self.acts.is_popular(|chunk| &chunk.devices, wanted, since, max, &is_victim)
            }
            Mark::Fingerprint(text) => {
                let wanted = hash(&self.key, text);
                self.acts.is_popular(|chunk| &chunk.fingerprints, wanted, since, max, &is_victim)
            }
        }
    }

    /// The open incidents with a member that this one belongs to.
    fn linked(&self, member: &Member) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        for key in keys(member) {
            for id in self.by_key.get(&key).into_iter().flatten() {
                let Some(&number) = self.incident_of.get(id) else { continue };
                let Some(other) = self.members.get(id) else { continue };
                if !found.contains(&number) && linked(&key, member, other, &self.config) {
                    found.insert(number);
                }
            }
        }
        found
    }

    /// Whether a new member may be kept; says who pays when not.
    fn has_room(&mut self, linked: &BTreeSet<u64>, alert: &Alert) -> bool {
        if linked.is_empty() {
            let has_room = self.open.len() < self.config.open_max;
            self.stats.open_max += u64::from(!has_room && alert.revision == 1);
            return has_room;
        }
        let max = self.config.members_max;
        let full = linked.iter().find(|n| self.open.get(n).is_some_and(|o| o.members.len() >= max));
        let Some(&full) = full else { return true };
        if alert.revision == 1 {
            self.stats.members_max += 1;
            if let Some(open) = self.open.get_mut(&full) {
                open.uncounted += 1;
            }
            self.touch(full, alert.at, alert.updated_at);
        }
        false
    }

    pub(super) fn index(&mut self, id: &Arc<str>, member: &Member) {
        for key in keys(member) {
            let under = self.by_key.entry(key).or_default();
            if under.len() < KEY_MEMBERS_MAX {
                under.insert(id.clone());
            } else if !under.contains(id) {
                self.stats.crowded += 1;
            }
        }
    }

    /// Makes one incident of those that are linked, with the member in it, and gives its number. The
    /// one with the earliest member goes on; of the others, those that were told say where they went.
    fn unite(
        &mut self,
        id: &Arc<str>,
        started_at: TimeMicros,
        linked: &BTreeSet<u64>,
        at: TimeMicros,
        told: &mut Vec<Alert>,
    ) -> u64 {
        let mut members: BTreeSet<_> = [(started_at, id.clone())].into();
        let all = linked.iter().filter_map(|number| self.open.get(number));
        members.extend(all.flat_map(|open| open.members.iter().cloned()));
        let new_id = members.first().map_or_else(|| id.clone(), |(_, first)| self.id_of(first));
        let is_it = |number: &&u64| self.open.get(*number).is_some_and(|open| open.id == new_id);
        let number = linked.iter().find(is_it).copied().unwrap_or_else(|| self.begin(&new_id, at));
        for other in linked.iter().filter(|other| **other != number) {
            let revision = self.revise(*other, Status::Closed, at, Some(&new_id));
            let Some(open) = self.remove(*other) else { continue };
            if open.revision > 0 {
                told.extend(revision);
                self.stats.merged += 1;
            }
            for (_, member) in &open.members {
                self.incident_of.insert(member.clone(), number);
            }
            self.touch(number, at, open.active_at);
            if let Some(into) = self.open.get_mut(&number) {
                into.uncounted += open.uncounted;
            }
        }
        if let Some(open) = self.open.get_mut(&number) {
            open.members = members;
        }
        number
    }

    /// The id of the incident that begins with this alert.
    fn id_of(&self, first: &Arc<str>) -> Arc<str> {
        let revision = self.members.get(first).map_or(1, |member| member.first_revision);
        let text = match revision {
            1 => format!("incident\0{first}"),
            later => format!("incident\0{first}\0{later}"),
        };
        let digest = Sha256::digest(text);
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }

    fn begin(&mut self, id: &Arc<str>, at: TimeMicros) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        let time = at.saturating_add(self.config.quiet_micros);
        let open = Open { id: id.clone(), active_at: at, close_due: time, ..Open::default() };
        self.open.insert(number, open);
        self.deadlines.insert(Deadline { time, due: Due::Close, number });
        number
    }

    /// Looks in what was done lately for acts of the intruder; gives the time of the newest new one.
    fn look_back(
        &mut self,
        account: &str,
        member: &Arc<str>,
        since: TimeMicros,
        marks_changed: bool,
    ) -> Option<TimeMicros> {
        let hash = hash(&self.key, account);
        let victim = self.victims.entry(hash).or_default();
        if victim.members.is_empty() {
            account.clone_into(&mut victim.account);
        } else if victim.account != account {
            return None;
        }
        let is_known = !victim.members.insert(member.clone());
        let marks = &self.members.get(member)?.marks;
        if is_known && !marks_changed {
            return None;
        }
        let shared = self.config.shared_accounts;
        let acts = self.acts.of_account(hash, since);
        let mut newest = None;
        for act in acts.filter(|act| act.account == account && marks.did(act, shared)) {
            let time = act.time;
            match victim.take(act, self.config.steps_max) {
                Taken::New => newest = Some(time),
                Taken::Known => {}
                Taken::Lost => self.stats.steps_max += 1,
            }
        }
        newest
    }
}
