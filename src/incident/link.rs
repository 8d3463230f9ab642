//! Which two alerts belong together. A property of the two alone, so that the order in which alerts
//! come decides nothing.

use std::collections::BTreeMap;

use super::IncidentConfig;
use super::marks::About;
use super::member::Member;

/// A key under which members are found that may link.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// An account that is a victim: one that was merely tried is none.
    Account(String),
    Insider(String),
    Session(String),
    Device(String),
    Fingerprint(String),
    Ip(String),
}

/// The keys of a member. Popular devices and fingerprints are none.
pub(super) fn keys(member: &Member) -> Vec<Key> {
    let marks = &member.marks;
    let mut keys = Vec::new();
    if member.about == About::Account {
        keys.extend(member.victims.first().cloned().map(Key::Account));
    }
    keys.extend(marks.insider.clone().map(Key::Insider));
    keys.extend(marks.sessions.iter().cloned().map(Key::Session));
    keys.extend(rare(&marks.devices).map(Key::Device));
    keys.extend(rare(&marks.fingerprints).map(Key::Fingerprint));
    keys.extend(marks.ips.keys().cloned().map(Key::Ip));
    keys
}

fn rare(marks: &BTreeMap<String, bool>) -> impl Iterator<Item = String> + '_ {
    marks.iter().filter(|(_, is_popular)| !**is_popular).map(|(mark, _)| mark.clone())
}

/// Whether two members that have this key in common belong together.
pub(super) fn linked(key: &Key, one: &Member, other: &Member, config: &IncidentConfig) -> bool {
    near(one, other, config)
        && match key {
            Key::Device(device) => is_rare(&one.marks.devices, &other.marks.devices, device),
            Key::Fingerprint(mark) => {
                is_rare(&one.marks.fingerprints, &other.marks.fingerprints, mark)
            }
            Key::Ip(ip) => by_address(ip, one, other, config),
            Key::Account(_) | Key::Insider(_) | Key::Session(_) => true,
        }
}

fn near(one: &Member, other: &Member, config: &IncidentConfig) -> bool {
    let gap =
        |earlier: &Member, later: &Member| later.started_at.saturating_sub(earlier.updated_at);
    gap(one, other).max(gap(other, one)) <= config.window_micros
}

fn is_rare(one: &BTreeMap<String, bool>, other: &BTreeMap<String, bool>, mark: &str) -> bool {
    [one, other].iter().all(|marks| marks.get(mark) == Some(&false))
}

/// An address where many are at home says nothing by itself: one of the two must name the other's
/// account. Elsewhere it links unless the two were made with different clients.
fn by_address(ip: &str, one: &Member, other: &Member, config: &IncidentConfig) -> bool {
    let at_home = |member: &Member| member.marks.ips.get(ip).copied().unwrap_or(0);
    let at_home = usize::try_from(at_home(one).max(at_home(other))).unwrap_or(0);
    if at_home > config.shared_accounts {
        return names_account(one, other) || names_account(other, one);
    }
    !different_clients(one, other)
}

/// Whether one of them, an attack on many, tried the account that is the other's victim.
fn names_account(one: &Member, other: &Member) -> bool {
    one.about == About::Source
        && other.about == About::Account
        && other.victims.first().is_some_and(|victim| one.accounts.contains(victim))
}

/// Whether both say with which clients they were made, and have none in common. Attacks on many
/// accounts say it of one attempt only, which is nothing.
fn different_clients(one: &Member, other: &Member) -> bool {
    let (left, right) = (&one.marks, &other.marks);
    if one.about == About::Source || other.about == About::Source {
        return false;
    }
    if left.devices.is_empty() || right.devices.is_empty() {
        return disjoint(&left.fingerprints, &right.fingerprints);
    }
    disjoint(&left.devices, &right.devices)
}

fn disjoint(one: &BTreeMap<String, bool>, other: &BTreeMap<String, bool>) -> bool {
    !one.is_empty() && !other.is_empty() && !one.keys().any(|mark| other.contains_key(mark))
}
