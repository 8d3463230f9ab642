//! Holds alerts against attacks.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Micros;
use super::read::{Alert, Attack, Fall, Severity, Trap, Truth};
use super::report::{FalseAlert, Missed, Report};

/// False alerts that are listed; the others are counted.
const FALSE_LIST_MAX: usize = 1000;

/// What a false alert is about that no trap explains.
const EVERYDAY: &str = "everyday life";

/// Adds one log to the report.
pub(super) fn score(alerts: &[Alert], truth: &Truth, grace: Micros, report: &mut Report) {
    report.logs += 1;
    add_size(truth, report);
    let index = Index::new(&truth.attacks);
    let mut by_attack: Vec<Vec<&Alert>> = vec![Vec::new(); truth.attacks.len()];
    let mut false_alerts = Vec::new();
    for alert in alerts {
        let concerned = index.concerned(alert, &truth.attacks, grace);
        count_alert(alert, !concerned.is_empty(), report);
        if concerned.is_empty() && alert.severity >= Severity::Medium {
            false_alerts.push(alert);
        }
        concerned.into_iter().for_each(|attack| by_attack[attack].push(alert));
    }
    for (attack, alerts) in truth.attacks.iter().zip(&by_attack) {
        add_attack(attack, alerts, report);
    }
    for trap in &truth.traps {
        let row = report.traps.entry(trap.kind.clone()).or_default();
        row.trap.clone_from(&trap.kind);
        row.occurrences += 1;
    }
    for alert in false_alerts {
        add_false(alert, &truth.traps, report);
    }
}

fn add_size(truth: &Truth, report: &mut Report) {
    let Some(size) = truth.size else {
        (report.events, report.benign_events, report.account_days) = (None, None, None);
        return;
    };
    let days = size.micros as f64 / 86_400e6;
    report.events = report.events.map(|events| events + size.events);
    report.benign_events = report.benign_events.map(|events| events + size.benign_events);
    report.account_days = report.account_days.map(|all| all + size.accounts as f64 * days);
}

fn count_alert(alert: &Alert, is_true: bool, report: &mut Report) {
    report.alerts += 1;
    let row = report.rules.entry(alert.rule.clone()).or_default();
    row.rule.clone_from(&alert.rule);
    alert.severity.label().clone_into(&mut row.severity);
    row.alerts += 1;
    row.true_alerts += u64::from(is_true);
}

/// Which attacks have a name.
struct Index<'a> {
    ips: HashMap<&'a str, Vec<usize>>,
    actors: HashMap<&'a str, Vec<usize>>,
    resources: HashMap<&'a str, Vec<usize>>,
    accounts: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Index<'a> {
    fn new(attacks: &'a [Attack]) -> Self {
        let by = |names: fn(&Attack) -> &HashSet<String>| {
            let mut map: HashMap<&str, Vec<usize>> = HashMap::new();
            for (index, attack) in attacks.iter().enumerate() {
                names(attack).iter().for_each(|name| map.entry(name).or_default().push(index));
            }
            map
        };
        Self {
            ips: by(|attack| &attack.ips),
            actors: by(|attack| &attack.actors),
            resources: by(|attack| &attack.resources),
            accounts: by(|attack| &attack.accounts),
        }
    }

    /// The attacks that an alert concerns.
    fn concerned(&self, alert: &Alert, attacks: &[Attack], grace: Micros) -> BTreeSet<usize> {
        let mut named = BTreeSet::new();
        let mut add = |map: &HashMap<&str, Vec<usize>>, name: &str| {
            named.extend(map.get(name).into_iter().flatten().copied());
        };
        alert.ips.keys().for_each(|ip| add(&self.ips, ip));
        for (map, value) in [(&self.actors, &alert.actor), (&self.resources, &alert.resource)] {
            value.iter().for_each(|name| add(map, name));
        }
        for map in [&self.ips, &self.actors, &self.resources, &self.accounts] {
            add(map, &alert.entity);
        }
        named.extend(self.by_accounts(alert));
        named.retain(|&index| {
            let attack = &attacks[index];
            let by_actor_only = names_actor(alert, attack)
                && !attack.accounts.contains(&alert.entity)
                && !attack.resources.contains(&alert.entity);
            if by_actor_only && !shares_account(alert, attack) {
                return false;
            }
            alert.started <= attack.ended + grace && alert.updated >= attack.started
        });
        named
    }

    /// Attacks of half of the alert's accounts or more.
    fn by_accounts(&self, alert: &Alert) -> impl Iterator<Item = usize> {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for account in alert.accounts.keys() {
            for &attack in self.accounts.get(account.as_str()).into_iter().flatten() {
                *counts.entry(attack).or_default() += 1;
            }
        }
        let all = alert.accounts.len();
        counts.into_iter().filter(move |(_, count)| count * 2 >= all).map(|(attack, _)| attack)
    }
}

/// Whether an alert is about an actor of the attack.
fn names_actor(alert: &Alert, attack: &Attack) -> bool {
    attack.actors.contains(&alert.entity)
        || alert.actor.as_ref().is_some_and(|actor| attack.actors.contains(actor))
}

/// One insider may be up to more than one thing: some account has to be the attack's.
fn shares_account(alert: &Alert, attack: &Attack) -> bool {
    alert.accounts.is_empty()
        || alert.accounts.keys().any(|account| attack.accounts.contains(account))
}

fn add_attack(attack: &Attack, alerts: &[&Alert], report: &mut Report) {
    let key = (attack.kind.clone(), attack.evasion.clone());
    let row = report.kinds.entry(key).or_default();
    row.kind.clone_from(&attack.kind);
    row.evasion.clone_from(&attack.evasion);
    if attack.fell.is_empty() {
        let first = alerts.iter().map(|alert| alert.started).min();
        let wait = first.map(|first| seconds(first - attack.started));
        row.others.add(wait);
        report.others.add(wait);
        credit(alerts.iter().map(|alert| alert.rule.as_str()).collect(), report, |row, alone| {
            row.others += 1;
            row.others_alone += u64::from(alone);
        });
        if first.is_none() {
            miss(attack, None, &[], report);
        }
        return;
    }
    for (account, fall) in &attack.fell {
        add_takeover(attack, account, fall, alerts, report);
    }
}

fn add_takeover(
    attack: &Attack,
    account: &str,
    fall: &Fall,
    alerts: &[&Alert],
    report: &mut Report,
) {
    let names =
        |alert: &&Alert| named_at(alert, attack, account, fall).map(|at| (at, alert.rule.clone()));
    let found: Vec<(Micros, String)> = alerts.iter().filter_map(names).collect();
    let first = found.iter().map(|(at, _)| *at).min();
    let wait = first.map(|first| seconds(first - fall.time));
    report.takeovers.add(wait);
    let key = (attack.kind.clone(), attack.evasion.clone());
    report.kinds.entry(key).or_default().takeovers.add(wait);
    for aftermath in &fall.aftermath {
        let row = report.aftermaths.entry(aftermath.clone()).or_default();
        row.aftermath.clone_from(aftermath);
        row.takeovers.add(wait);
    }
    credit(found.iter().map(|(_, rule)| rule.as_str()).collect(), report, |row, alone| {
        row.takeovers += 1;
        row.takeovers_alone += u64::from(alone);
    });
    if first.is_none() {
        miss(attack, Some(account.to_owned()), &fall.aftermath, report);
    }
}

/// When an alert named a fallen account first, or an address or actor of the attack that reached it.
fn named_at(alert: &Alert, attack: &Attack, account: &str, fall: &Fall) -> Option<Micros> {
    let is_entity = alert.entity == account
        || fall.ips.contains(&alert.entity)
        || attack.actors.contains(&alert.entity);
    let entity = is_entity.then_some(alert.started);
    let ips = alert.ips.iter().filter(|(ip, _)| fall.ips.contains(*ip)).map(|(_, at)| *at).min();
    let actor = alert.actor.as_ref().filter(|actor| attack.actors.contains(*actor));
    let listed = alert.accounts.get(account).copied();
    [entity, ips, listed, actor.map(|_| alert.started)].into_iter().flatten().min()
}

/// Seconds; an alert before the success did not keep anybody waiting.
fn seconds(micros: Micros) -> f64 {
    micros.max(0) as f64 / 1e6
}

fn credit(
    rules: BTreeSet<&str>,
    report: &mut Report,
    count: impl Fn(&mut super::report::RuleRow, bool),
) {
    let alone = rules.len() == 1;
    for rule in rules {
        count(report.rules.entry(rule.to_owned()).or_default(), alone);
    }
}

fn miss(attack: &Attack, account: Option<String>, aftermath: &[String], report: &mut Report) {
    report.missed.push(Missed {
        log: report.logs,
        attack: attack.id.clone(),
        kind: attack.kind.clone(),
        evasion: attack.evasion.clone(),
        aftermath: aftermath.to_vec(),
        account,
    });
}

fn add_false(alert: &Alert, traps: &[Trap], report: &mut Report) {
    report.false_alerts += 1;
    report.rules.entry(alert.rule.clone()).or_default().false_alerts += 1;
    let trap = blame(alert, traps).map_or(EVERYDAY, |trap| trap.kind.as_str());
    let row = report.traps.entry(trap.to_owned()).or_default();
    trap.clone_into(&mut row.trap);
    row.false_alerts += 1;
    *row.rules.entry(alert.rule.clone()).or_default() += 1;
    if report.false_list.len() < FALSE_LIST_MAX {
        report.false_list.push(FalseAlert {
            log: report.logs,
            id: alert.id.clone(),
            rule: alert.rule.clone(),
            severity: alert.severity.label(),
            entity: alert.entity.clone(),
            started_micros: alert.started,
            trap: trap.to_owned(),
        });
    }
}

/// The narrowest trap that an alert may be about: passing ones before standing ones, of few before
/// of many; one that names nobody, such as an outage, before those that always stand.
fn blame<'a>(alert: &Alert, traps: &'a [Trap]) -> Option<&'a Trap> {
    const HOUR: Micros = 3_600_000_000;
    let standing = traps.iter().map(|trap| trap.ended - trap.started).max().unwrap_or_default() / 2;
    let fits = |trap: &&Trap| {
        let meets = alert.started <= trap.ended + HOUR && alert.updated >= trap.started;
        meets && (trap.names.is_empty() || names_somebody(alert, trap))
    };
    let rank = |trap: &&Trap| {
        let stands = trap.ended - trap.started > standing;
        (stands, trap.names.is_empty(), trap.names.len())
    };
    traps.iter().filter(fits).min_by_key(rank)
}

fn names_somebody(alert: &Alert, trap: &Trap) -> bool {
    let named = |name: &String| trap.names.contains(name);
    let accounts = alert.accounts.keys().filter(|account| named(account)).count();
    named(&alert.entity)
        || alert.actor.as_ref().is_some_and(named)
        || (accounts > 0 && accounts * 2 >= alert.accounts.len())
        || alert.ips.keys().any(named)
}
