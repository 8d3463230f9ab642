//! One revision of an incident: its alerts and the acts of its intruder, put together.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::incidents::Open;
use super::marks::About;
use super::member::Member;
use super::paragraph;
use super::part::{FallPart, IncidentPart, MemberPart, SourcesPart, StepPart};
use super::victim::{Deed, Victim};
use super::{IncidentConfig, KIND};
use crate::alert::{Alert, AlertConfig, Evidence, Status, Values, rfc3339};
use crate::event::TimeMicros;
use crate::rules::Severity;

/// Names of one kind of source that are listed.
const SOURCES_MAX: usize = 100;
/// So many fallen accounts are critical, whatever was done with them.
const FALLEN_CRITICAL: usize = 3;

/// What a revision is made of.
pub(super) struct Told<'a> {
    pub(super) open: &'a Open,
    /// In the order of start and id.
    pub(super) members: Vec<&'a Member>,
    pub(super) victims: &'a dyn Fn(&str) -> Option<&'a Victim>,
    pub(super) status: Status,
    pub(super) at: TimeMicros,
    pub(super) merged_into: Option<String>,
    pub(super) config: &'a IncidentConfig,
    pub(super) limits: &'a AlertConfig,
}

/// One account with the intruder's acts.
#[derive(Debug, Clone)]
pub(super) struct Fall<'a> {
    pub(super) account: &'a str,
    pub(super) at: TimeMicros,
    pub(super) how: String,
    pub(super) steps: Vec<Deed>,
}

/// How many there are; not exact where alerts name but some of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) number: usize,
    pub(super) exact: bool,
}

/// All that a revision says, before it is cut to its limits.
pub(super) struct Facts<'a> {
    pub(super) members: &'a [&'a Member],
    pub(super) members_total: u64,
    pub(super) fallen: Vec<Fall<'a>>,
    pub(super) viewed: Vec<Fall<'a>>,
    pub(super) accounts: Vec<&'a str>,
    pub(super) accounts_total: Total,
    pub(super) ips: Vec<&'a str>,
    pub(super) ips_total: Total,
    pub(super) asns: BTreeSet<i64>,
    pub(super) devices: BTreeSet<&'a str>,
    pub(super) fingerprints: BTreeSet<&'a str>,
    pub(super) sessions: BTreeSet<&'a str>,
    pub(super) seen_from: TimeMicros,
    pub(super) updated_at: TimeMicros,
    pub(super) status: Status,
    pub(super) merged_into: Option<&'a str>,
}

/// The revision.
pub(super) fn tell(told: &Told<'_>) -> Alert {
    let facts = facts(told);
    let (evidence, evidence_total) = evidence(&told.members, told.limits.evidence_max);
    let attack: BTreeSet<&str> =
        told.members.iter().flat_map(|one| one.attack.iter().map(String::as_str)).collect();
    let names = |names: &[&str], max: usize| -> Vec<Arc<str>> {
        names.iter().take(max).map(|name| (*name).into()).collect()
    };
    let started_at = told.open.members.first().map_or(told.at, |(time, _)| *time);
    Alert {
        id: told.open.id.clone(),
        revision: told.open.revision,
        status: told.status,
        at: told.at,
        rule: KIND.into(),
        rule_version: "".into(),
        title: paragraph::title(&facts).into(),
        severity: severity(&facts),
        entity_type: KIND.into(),
        entity: told.open.id.clone(),
        started_at,
        updated_at: facts.updated_at,
        accounts: names(&facts.accounts, told.limits.accounts_max),
        accounts_total: facts.accounts_total.number,
        ips: names(&facts.ips, told.limits.ips_max),
        ips_total: facts.ips_total.number,
        summary: paragraph::paragraph(&facts),
        values: Values::none(),
        matches: facts.members_total,
        evidence,
        evidence_total,
        attack: attack.into_iter().map(Into::into).collect(),
        enrichment: told.limits.enrichment.clone(),
        early: false,
        incident: Some(Box::new(part(&facts, told))),
    }
}

fn facts<'a>(told: &'a Told<'_>) -> Facts<'a> {
    let members = &told.members;
    let (fallen, viewed) = falls(told);
    let steps = fallen.iter().chain(&viewed).flat_map(|fall| fall.steps.iter().map(|s| s.to));
    let updated_at = members.iter().map(|one| one.updated_at).chain(steps).max();
    let falls = fallen.iter().map(|fall| fall.at);
    let seen_from = members.iter().map(|one| one.seen_from()).chain(falls).min();
    let first = fallen.iter().chain(&viewed).map(|fall| fall.account);
    let named = members.iter().map(|one| (&one.accounts, one.accounts_total));
    let (accounts, accounts_total) = together(first, named);
    let marked = members.iter().flat_map(|one| one.marks.ips.keys().map(String::as_str));
    let ips = members.iter().filter(|one| is_all_hostile(one)).map(|one| (&one.ips, one.ips_total));
    let (ips, ips_total) = together(marked, ips);
    let marks = || members.iter().map(|one| &one.marks);
    Facts {
        members,
        members_total: members.len() as u64 + told.open.uncounted,
        fallen,
        viewed,
        accounts,
        accounts_total,
        ips,
        ips_total,
        asns: marks().flat_map(|marks| marks.asns.iter().copied()).collect(),
        devices: marks().flat_map(|m| m.devices.keys().map(String::as_str)).collect(),
        fingerprints: marks().flat_map(|m| m.fingerprints.keys().map(String::as_str)).collect(),
        sessions: marks().flat_map(|m| m.sessions.iter().map(String::as_str)).collect(),
        seen_from: seen_from.unwrap_or(told.at),
        updated_at: updated_at.unwrap_or(told.at),
        status: told.status,
        merged_into: told.merged_into.as_deref(),
    }
}

/// An alert without a session is made of attempts alone: all its addresses are the intruder's.
fn is_all_hostile(member: &Member) -> bool {
    member.about == About::Insider
        || member.about == About::Source
        || (member.about == About::Account && member.marks.sessions.is_empty())
}

/// Names in the order of their first mention, and how many there are at least. A large incident has
/// hundreds of alerts of a hundred names each, so names are only copied when they are told.
fn together<'a>(
    first: impl Iterator<Item = &'a str>,
    lists: impl Iterator<Item = (&'a Vec<String>, usize)>,
) -> (Vec<&'a str>, Total) {
    let (mut names, mut seen) = (Vec::new(), HashSet::with_hasher(RandomState::default()));
    let mut add = |name: &'a str| {
        if seen.insert(name) {
            names.push(name);
        }
    };
    first.for_each(&mut add);
    let (mut most, mut exact) = (0, true);
    for (list, total) in lists {
        list.iter().for_each(|name| add(name));
        exact &= total <= list.len();
        most = most.max(total);
    }
    let number = names.len().max(most);
    (names, Total { number, exact })
}

/// The accounts that fell, and those that were looked at from inside, by time.
fn falls<'a>(told: &Told<'a>) -> (Vec<Fall<'a>>, Vec<Fall<'a>>) {
    let mut alerts_about: BTreeMap<&'a str, Vec<&Member>> = BTreeMap::new();
    for member in &told.members {
        for account in &member.victims {
            alerts_about.entry(account).or_default().push(member);
        }
    }
    let (mut fallen, mut viewed) = (Vec::new(), Vec::new());
    for (account, alerts) in alerts_about {
        let Some(victim) = (told.victims)(account) else { continue };
        let (inside, outside): (Vec<&Member>, Vec<&Member>) =
            alerts.into_iter().partition(|one| one.about == About::Insider);
        if is_believed(&outside) {
            fallen.extend(fall(account, victim, &outside, false));
        }
        viewed.extend(fall(account, victim, &inside, true));
    }
    let by_time =
        |one: &Fall<'_>, other: &Fall<'_>| (one.at, one.account).cmp(&(other.at, other.account));
    fallen.sort_by(by_time);
    viewed.sort_by(by_time);
    (fallen, viewed)
}

/// The story of one account, as far as somebody got in.
fn fall<'a>(
    account: &'a str,
    victim: &Victim,
    alerts: &[&Member],
    inside: bool,
) -> Option<Fall<'a>> {
    let (how, first) = (loudest(alerts)?, victim.first(inside)?);
    Some(Fall { account, at: first.from, how: how.title.clone(), steps: victim.steps(inside) })
}

/// Alerts of low severity are believed when two rules agree.
fn is_believed(alerts: &[&Member]) -> bool {
    let rules: BTreeSet<&str> = alerts.iter().map(|one| one.rule.as_str()).collect();
    rules.len() >= 2 || alerts.iter().any(|one| one.severity >= Severity::Medium)
}

/// The alert of the highest severity, the earliest of these.
fn loudest<'a>(alerts: &[&'a Member]) -> Option<&'a Member> {
    alerts
        .iter()
        .copied()
        .reduce(|one, other| if other.severity > one.severity { other } else { one })
}

/// The highest of its alerts. Critical when three accounts fell, or when in one that fell somebody
/// was spoken to, frightened or locked out.
fn severity(facts: &Facts<'_>) -> Severity {
    let highest = facts.members.iter().map(|one| one.severity).max().unwrap_or(Severity::Info);
    let is_grave = |fall: &Fall<'_>| fall.steps.iter().any(|step| is_grave(&step.action));
    if facts.fallen.len() >= FALLEN_CRITICAL || facts.fallen.iter().any(is_grave) {
        return Severity::Critical;
    }
    highest
}

fn is_grave(action: &str) -> bool {
    matches!(
        action,
        "two_way_talk"
            | "siren"
            | "password_change"
            | "password_reset"
            | "email_change"
            | "mfa_change"
    )
}

/// Events of all alerts, each once, the first ones; and how many there are at least.
fn evidence(members: &[&Member], max: usize) -> (Vec<Evidence>, usize) {
    let mut all: Vec<&Evidence> = members.iter().flat_map(|one| &one.evidence).collect();
    // Each alert's are in order: this sort makes use of that.
    all.sort();
    all.dedup();
    let most = members.iter().map(|one| one.evidence_total).max().unwrap_or(0);
    let total = all.len().max(most);
    (all.into_iter().take(max).cloned().collect(), total)
}

fn part(facts: &Facts<'_>, told: &Told<'_>) -> IncidentPart {
    let alerts = facts.members.iter().take(told.limits.evidence_max);
    let falls = |falls: &[Fall<'_>]| -> Vec<FallPart> {
        let told_of = falls.iter().take(told.config.accounts_max);
        told_of.map(|fall| fall_part(fall, told.config.steps_max)).collect()
    };
    IncidentPart {
        kind: KIND.to_owned(),
        alerts: alerts.map(|one| member_part(one)).collect(),
        alerts_total: facts.members_total,
        fallen: falls(&facts.fallen),
        fallen_total: facts.fallen.len() as u64,
        viewed: falls(&facts.viewed),
        viewed_total: facts.viewed.len() as u64,
        sources: sources(facts),
        merged_into: told.merged_into.clone(),
    }
}

fn member_part(member: &Member) -> MemberPart {
    MemberPart {
        id: member.id.clone(),
        rule: member.rule.clone(),
        severity: member.severity,
        entity_type: member.entity_type.clone(),
        entity: member.entity.clone(),
        started_at: rfc3339(member.started_at),
    }
}

fn fall_part(fall: &Fall<'_>, steps_max: usize) -> FallPart {
    let step = |deed: &Deed| StepPart {
        from: rfc3339(deed.from),
        to: rfc3339(deed.to),
        action: deed.action.clone(),
        count: deed.count,
        resources: deed.resources.clone(),
        ip: deed.ip.clone(),
    };
    FallPart {
        account: fall.account.to_owned(),
        fell_at: rfc3339(fall.at),
        how: fall.how.clone(),
        steps: fall.steps.iter().take(steps_max).map(step).collect(),
    }
}

fn sources(facts: &Facts<'_>) -> SourcesPart {
    let first = |names: &BTreeSet<&str>| -> Vec<String> {
        names.iter().take(SOURCES_MAX).map(|name| (*name).to_owned()).collect()
    };
    SourcesPart {
        ips_total: facts.ips_total.number as u64,
        asns: facts.asns.iter().take(SOURCES_MAX).copied().collect(),
        devices: first(&facts.devices),
        fingerprints: first(&facts.fingerprints),
        sessions: first(&facts.sessions),
    }
}
