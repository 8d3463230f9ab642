//! An account that an alert is about, and what its intruder did there.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::acts::Act;
use crate::event::TimeMicros;

/// Resources that one step names.
const RESOURCES_MAX: usize = 16;
/// Two acts of one action that lie further apart are two steps.
const GAP_MICROS: TimeMicros = 1_800_000_000;

/// An account, and the acts of those whom the alerts about it describe.
#[derive(Debug, Default)]
pub(super) struct Victim {
    pub(super) account: String,
    /// The alerts about it.
    pub(super) members: BTreeSet<Arc<str>>,
    /// By their number.
    pub(super) acts: Vec<Deed>,
}

/// An act of an intruder, or several of one action when there was no room for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deed {
    pub(super) seq: u64,
    /// The last one that it stands for.
    pub(super) last_seq: u64,
    pub(super) from: TimeMicros,
    pub(super) to: TimeMicros,
    pub(super) action: String,
    pub(super) count: u64,
    pub(super) resources: Vec<String>,
    pub(super) ip: String,
    /// Whether somebody inside the company did it.
    pub(super) inside: bool,
}

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    New,
    Known,
    /// There is no room for it.
    Lost,
}

impl Victim {
    /// Takes an act of the intruder; at most `max` are kept.
    pub(super) fn take(&mut self, act: Act, max: usize) -> Taken {
        let at = self.acts.partition_point(|deed| deed.seq <= act.seq);
        if at > 0 && self.acts[at - 1].last_seq >= act.seq {
            return Taken::Known;
        }
        if self.acts.len() < max {
            self.acts.insert(at, Deed::of(act));
            return Taken::New;
        }
        match self.acts.last_mut() {
            Some(last) if last.last_seq < act.seq && last.goes_on(&Deed::of(act.clone())) => {
                last.last_seq = act.seq;
                last.add(act.time, 1, (!act.resource.is_empty()).then_some(&act.resource));
                Taken::New
            }
            _ => Taken::Lost,
        }
    }

    /// The first act from inside the company, or from outside.
    pub(super) fn first(&self, inside: bool) -> Option<&Deed> {
        self.acts.iter().find(|deed| deed.inside == inside)
    }

    /// What was done, in order: runs of one action. Getting in and out is no step.
    pub(super) fn steps(&self, inside: bool) -> Vec<Deed> {
        let mut steps: Vec<Deed> = Vec::new();
        let own = self.acts.iter().filter(|deed| deed.inside == inside);
        for deed in own.filter(|deed| !is_door(&deed.action)) {
            match steps.last_mut() {
                Some(last) if last.goes_on(deed) => {
                    last.add(deed.to, deed.count, &deed.resources);
                }
                _ => steps.push(deed.clone()),
            }
        }
        steps
    }
}

fn is_door(action: &str) -> bool {
    matches!(action, "login" | "logout" | "session_refresh" | "mfa_verify")
}

impl Deed {
    fn of(act: Act) -> Self {
        let resources = if act.resource.is_empty() { Vec::new() } else { vec![act.resource] };
        Self {
            seq: act.seq,
            last_seq: act.seq,
            from: act.time,
            to: act.time,
            action: act.action,
            count: 1,
            resources,
            ip: act.ip,
            inside: !act.actor.is_empty(),
        }
    }

    fn goes_on(&self, next: &Self) -> bool {
        self.action == next.action
            && self.ip == next.ip
            && self.inside == next.inside
            && next.from.saturating_sub(self.to) <= GAP_MICROS
    }

    fn add<'r>(
        &mut self,
        to: TimeMicros,
        count: u64,
        resources: impl IntoIterator<Item = &'r String>,
    ) {
        self.to = self.to.max(to);
        self.count += count;
        for resource in resources {
            if self.resources.len() < RESOURCES_MAX && !self.resources.contains(resource) {
                self.resources.push(resource.clone());
            }
        }
    }
}
