//! What an alert says about its intruder: addresses, devices, fingerprints, sessions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::acts::Act;
use crate::alert::Alert;

/// Marks of one kind that one alert may have.
const MARKS_MAX: usize = 128;

/// Marks of the intruder of one alert. They only ever grow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    /// Addresses, and how many accounts are at home at each as far as that is known.
    pub(super) ips: BTreeMap<String, i64>,
    /// Devices, and whether each is popular.
    pub(super) devices: BTreeMap<String, bool>,
    /// TLS fingerprints, and whether each is popular.
    pub(super) fingerprints: BTreeMap<String, bool>,
    pub(super) sessions: BTreeSet<String>,
    /// Addresses and devices of the owner (columns `ip_before`, `device_before`).
    pub(super) owner: BTreeSet<String>,
    /// Somebody inside the company.
    pub(super) insider: Option<String>,
    pub(super) asns: BTreeSet<i64>,
}

/// What an alert is about, as far as linking goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum About {
    /// One account.
    Account,
    /// Somebody inside the company.
    Insider,
    /// An address, a network, a fingerprint: whom it tried is no victim yet.
    Source,
    /// A device or a session.
    Client,
    /// Something that is nobody's, such as an action.
    Nothing,
}

/// What the matching event says beyond the columns of the query.
#[derive(Debug, Clone, Default)]
pub(super) struct RowFacts {
    pub(super) account: String,
    pub(super) actor: String,
    pub(super) actor_type: String,
    pub(super) ip: String,
    pub(super) ip_accounts: i64,
    pub(super) asn: Option<i64>,
    pub(super) device: String,
    pub(super) session: String,
    pub(super) fingerprint: String,
}

/// Whether the actor is a customer or somebody whom a customer let in.
pub(super) fn is_customer(actor_type: &str) -> bool {
    matches!(actor_type, "" | "customer" | "shared_user")
}

impl Marks {
    /// Takes what a revision says, and what the event of the first match says. `popular` tells
    /// whether many accounts use a device or a fingerprint.
    pub(super) fn take(
        &mut self,
        alert: &Alert,
        row: Option<&RowFacts>,
        popular: &dyn Fn(Mark<'_>) -> bool,
    ) -> About {
        let none = RowFacts::default();
        let row = row.unwrap_or(&none);
        let said = |name: &str, otherwise: &str| {
            let value = alert.values.iter().find(|(column, _)| *column == name);
            value.and_then(|(_, value)| value.as_str()).unwrap_or(otherwise).to_owned()
        };
        let now_inside = insider(alert, &said, row);
        if self.is_empty() {
            self.insider.clone_from(&now_inside);
        }
        let about = about(alert, self.insider.is_some());
        // What somebody inside did to the victim of a stranger says nothing of the stranger.
        if matches!(about, About::Insider | About::Nothing) || now_inside.is_some() {
            return about;
        }
        self.asns.extend(row.asn);
        self.ip(
            &said("ip", &row.ip),
            if said("ip", &row.ip) == row.ip { row.ip_accounts } else { 0 },
        );
        self.fingerprint(&said("tls_fingerprint", &row.fingerprint), popular);
        if about == About::Source {
            self.source(alert, popular);
            return about;
        }
        self.device(&said("device", &row.device), popular);
        self.session(&said("session", &row.session));
        for column in ["ip_before", "device_before"] {
            let name = said(column, "");
            if !name.is_empty() && self.owner.len() < MARKS_MAX {
                self.owner.insert(name);
            }
        }
        about
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// An alert about sources: its entity, and the addresses of its events, which are all hostile.
    fn source(&mut self, alert: &Alert, popular: &dyn Fn(Mark<'_>) -> bool) {
        match &*alert.entity_type {
            "ip" => return self.ip(&alert.entity, 0),
            "asn" => self.asns.extend(alert.entity.parse::<i64>()),
            _ => self.fingerprint(&alert.entity, popular),
        }
        alert.ips.iter().for_each(|ip| self.ip(ip, 0));
    }

    fn ip(&mut self, ip: &str, accounts: i64) {
        if !ip.is_empty() && (self.ips.len() < MARKS_MAX || self.ips.contains_key(ip)) {
            let known = self.ips.entry(ip.to_owned()).or_default();
            *known = accounts.max(*known);
        }
    }

    fn device(&mut self, device: &str, popular: &dyn Fn(Mark<'_>) -> bool) {
        if !device.is_empty() && self.devices.len() < MARKS_MAX {
            let is_popular = || popular(Mark::Device(device));
            self.devices.entry(device.to_owned()).or_insert_with(is_popular);
        }
    }

    fn fingerprint(&mut self, fingerprint: &str, popular: &dyn Fn(Mark<'_>) -> bool) {
        if !fingerprint.is_empty() && self.fingerprints.len() < MARKS_MAX {
            let is_popular = || popular(Mark::Fingerprint(fingerprint));
            self.fingerprints.entry(fingerprint.to_owned()).or_insert_with(is_popular);
        }
    }

    fn session(&mut self, session: &str) {
        if !session.is_empty() && self.sessions.len() < MARKS_MAX {
            self.sessions.insert(session.to_owned());
        }
    }

    /// Whether an act is that of this intruder: by session, or by device and address. Without a
    /// device the address must do, unless many are at home there.
    pub(super) fn did(&self, act: &Act, shared_accounts: usize) -> bool {
        if let Some(insider) = &self.insider {
            return act.actor == *insider;
        }
        if !act.actor.is_empty() || self.is_owners(act) {
            return false;
        }
        if self.sessions.contains(&act.session) {
            return true;
        }
        let Some(&accounts) = self.ips.get(&act.ip) else { return false };
        if act.device.is_empty() {
            return usize::try_from(accounts).unwrap_or(0) <= shared_accounts;
        }
        self.devices.contains_key(&act.device)
    }

    fn is_owners(&self, act: &Act) -> bool {
        (self.owner.contains(&act.ip) && !self.ips.contains_key(&act.ip))
            || (self.owner.contains(&act.device) && !self.devices.contains_key(&act.device))
    }
}

/// A mark of which it matters how many use it.
pub(super) enum Mark<'a> {
    Device(&'a str),
    Fingerprint(&'a str),
}

fn insider(alert: &Alert, said: &dyn Fn(&str, &str) -> String, row: &RowFacts) -> Option<String> {
    if &*alert.entity_type == "actor" {
        return Some(alert.entity.to_string());
    }
    let (actor, actor_type) = (said("actor", &row.actor), said("actor_type", &row.actor_type));
    (!actor.is_empty() && !is_customer(&actor_type)).then_some(actor)
}

fn about(alert: &Alert, by_insider: bool) -> About {
    match &*alert.entity_type {
        _ if by_insider => About::Insider,
        "account" => About::Account,
        "ip" | "asn" | "fingerprint" | "tls_fingerprint" => About::Source,
        "device" | "session" => About::Client,
        "resource" if alert.values.iter().any(|(name, value)| is_account(name, value)) => {
            About::Account
        }
        _ => About::Nothing,
    }
}

fn is_account(name: &str, value: &Value) -> bool {
    name == "account" && value.is_string()
}
