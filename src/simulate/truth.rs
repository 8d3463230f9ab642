//! What was planted: gathered while events are written, so that it tells what is really in the log.

use std::collections::BTreeSet;

use serde::Serialize;

use super::event::{
    Actor, Address, Event, Millis, Name, Resource, push_address, push_event_id, push_name,
    push_number, push_resource, timestamp,
};
use super::population::Accounts;

/// Event ids named for each attack.
const EVENT_IDS_MAX: usize = 10;

/// Which column of the expected rule names the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entity {
    /// `ip`
    Address,
    /// `account`
    Account,
    /// `actor`
    Actor,
    /// `resource`
    Resource,
}

/// One attack of the log.
#[derive(Debug)]
pub(super) struct Planted {
    kind: &'static str,
    rule: Option<&'static str>,
    entity: Entity,
    events: u64,
    planned: u64,
    finished: bool,
    started_at: Millis,
    ended_at: Millis,
    addresses: BTreeSet<Address>,
    accounts: BTreeSet<Name>,
    named: BTreeSet<String>,
    fell: BTreeSet<Name>,
    event_numbers: Vec<u64>,
}

#[derive(Serialize)]
struct Line<'a> {
    id: String,
    kind: &'a str,
    rule: Option<&'a str>,
    started_at: String,
    ended_at: String,
    entities: Entities,
    accounts: Vec<String>,
    fell: Vec<String>,
    events: u64,
    event_ids: Vec<String>,
}

#[derive(Serialize, Default)]
struct Entities {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ip: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    account: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actor: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource: Vec<String>,
}

impl Planted {
    /// An attack of which nothing is in the log yet.
    pub(super) fn new(kind: &'static str, rule: Option<&'static str>, entity: Entity) -> Self {
        Self {
            kind,
            rule,
            entity,
            events: 0,
            planned: 0,
            finished: false,
            started_at: 0,
            ended_at: 0,
            addresses: BTreeSet::new(),
            accounts: BTreeSet::new(),
            named: BTreeSet::new(),
            fell: BTreeSet::new(),
            event_numbers: Vec::new(),
        }
    }

    /// One event of it will be written.
    pub(super) fn plan_event(&mut self) {
        self.planned += 1;
    }

    /// Nothing more is planned.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// An account fell to it.
    pub(super) fn felled(&mut self, account: Name) {
        self.fell.insert(account);
    }

    /// The rule that should find it; none where the end of the log cuts it short.
    fn rule(&self) -> Option<&'static str> {
        self.rule.filter(|_| self.finished && self.planned == self.events)
    }

    /// One event of it was written.
    pub(super) fn add(&mut self, time: Millis, event: &Event, number: u64) {
        if self.events == 0 {
            self.started_at = time;
        }
        self.events += 1;
        self.ended_at = time;
        if event.address != Address::None {
            self.addresses.insert(event.address);
        }
        self.accounts.insert(event.account);
        if event.action == "login" && event.outcome == "success" {
            self.fell.insert(event.account);
        }
        self.name(event);
        if self.event_numbers.len() < EVENT_IDS_MAX {
            self.event_numbers.push(number);
        }
    }

    fn name(&mut self, event: &Event) {
        let mut text = String::new();
        match (self.entity, event.actor, event.account) {
            (Entity::Actor, Actor::Staff(number), _) => {
                text.push_str("staff-");
                push_number(&mut text, u64::from(number), 3);
            }
            (Entity::Resource, _, Name::Account(account)) if event.resource != Resource::None => {
                push_resource(&mut text, account, event.resource);
            }
            _ => return,
        }
        self.named.insert(text);
    }

    /// The attack as one JSON line, unless nothing of it is in the log.
    pub(super) fn line(&self, index: usize, seed: u64, accounts: &Accounts) -> Option<String> {
        if self.events == 0 {
            return None;
        }
        let event_id = |&number: &u64| text(|to| push_event_id(to, seed, number));
        let line = Line {
            id: format!("planted-{:03}", index + 1),
            kind: self.kind,
            rule: self.rule(),
            started_at: timestamp(self.started_at),
            ended_at: timestamp(self.ended_at),
            entities: self.entities(accounts),
            accounts: names(&self.accounts, accounts),
            fell: names(&self.fell, accounts),
            events: self.events,
            event_ids: self.event_numbers.iter().map(event_id).collect(),
        };
        serde_json::to_string(&line).ok()
    }

    fn entities(&self, accounts: &Accounts) -> Entities {
        let address = |&address: &Address| text(|to| push_address(to, address));
        let ip = self.addresses.iter().map(address).collect();
        let named = || self.named.iter().cloned().collect();
        match self.entity {
            Entity::Address => Entities { ip, ..Entities::default() },
            Entity::Account => {
                Entities { ip, account: names(&self.accounts, accounts), ..Entities::default() }
            }
            Entity::Actor => Entities { actor: named(), ..Entities::default() },
            Entity::Resource => Entities { resource: named(), ..Entities::default() },
        }
    }
}

fn names(from: &BTreeSet<Name>, accounts: &Accounts) -> Vec<String> {
    from.iter().map(|&name| text(|to| push_name(to, name, accounts))).collect()
}

fn text(write: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    write(&mut text);
    text
}
