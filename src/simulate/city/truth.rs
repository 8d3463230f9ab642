//! What was planted: gathered while events are written, so that it tells what is really in the log.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::event::{Millis, timestamp};
use super::event::{
    Actor, Event, Name, Resource, push_actor, push_event_id, push_name, push_resource,
};
use super::network::Place;

/// One attack of the log.
#[derive(Debug)]
pub(super) struct Planted {
    kind: &'static str,
    evasion: &'static str,
    aftermath: BTreeSet<(Name, &'static str)>,
    planned: u64,
    complete: bool,
    started_at: Millis,
    ended_at: Millis,
    places: BTreeSet<Place>,
    shared_places: BTreeSet<Place>,
    /// Which account was reached from which of the attacker's own places.
    reached: BTreeSet<(Name, Place)>,
    accounts: BTreeSet<Name>,
    actors: BTreeSet<(Actor, Name)>,
    resources: BTreeSet<(Name, Resource)>,
    fell: Vec<Fall>,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Fall {
    account: Name,
    time: Millis,
    number: u64,
}

#[derive(Debug)]
struct Step {
    time: Millis,
    number: u64,
    action: &'static str,
    failed: bool,
    account: Name,
}

#[derive(Serialize)]
struct AttackLine<'a> {
    r#type: &'a str,
    id: String,
    kind: &'a str,
    evasion: &'a str,
    aftermath: BTreeSet<&'a str>,
    complete: bool,
    started_at: String,
    ended_at: String,
    entities: Entities,
    shared_ips: Vec<String>,
    accounts: Vec<String>,
    fell: Vec<FallLine<'a>>,
    events: usize,
    steps: Vec<StepLine<'a>>,
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

#[derive(Serialize)]
struct FallLine<'a> {
    account: String,
    time: String,
    event_id: String,
    ips: Vec<String>,
    aftermath: Vec<&'a str>,
}

#[derive(Serialize)]
struct StepLine<'a> {
    time: String,
    event_id: String,
    action: &'a str,
    outcome: &'a str,
    account: String,
}

impl Planted {
    /// An attack of which nothing is in the log yet.
    pub(super) fn new(kind: &'static str, evasion: &'static str) -> Self {
        Self {
            kind,
            evasion,
            aftermath: BTreeSet::new(),
            planned: 0,
            complete: false,
            started_at: Millis::MAX,
            ended_at: Millis::MIN,
            places: BTreeSet::new(),
            shared_places: BTreeSet::new(),
            reached: BTreeSet::new(),
            accounts: BTreeSet::new(),
            actors: BTreeSet::new(),
            resources: BTreeSet::new(),
            fell: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// One event of it will be written.
    pub(super) fn plan_event(&mut self) {
        self.planned += 1;
    }

    /// What the intruder does with an account.
    pub(super) fn add_aftermath(&mut self, account: Name, name: &'static str) {
        self.aftermath.insert((account, name));
    }

    /// All events are planned.
    pub(super) fn finish(&mut self) {
        self.complete = true;
    }

    /// Whether everything of it is written.
    pub(super) fn is_over(&self) -> bool {
        self.complete && self.planned == self.steps.len() as u64
    }

    /// Whether anything of it is in the log.
    pub(super) fn has_begun(&self) -> bool {
        !self.steps.is_empty()
    }

    /// One event of it was written.
    pub(super) fn add(&mut self, event: &Event, number: u64) {
        self.started_at = self.started_at.min(event.time);
        self.ended_at = self.ended_at.max(event.time);
        if event.place.is_some() {
            let places =
                if event.shared_place { &mut self.shared_places } else { &mut self.places };
            places.insert(event.place);
            if !event.shared_place {
                self.reached.insert((event.account, event.place));
            }
        }
        self.accounts.insert(event.account);
        match event.actor {
            Actor::Owner => {}
            actor => {
                self.actors.insert((actor, event.account));
            }
        }
        let is_video = matches!(event.resource, Resource::Camera(_) | Resource::Recording(_));
        if is_video {
            self.resources.insert((event.account, event.resource));
        }
        if event.falls {
            self.fell.push(Fall { account: event.account, time: event.time, number });
        }
        self.steps.push(Step {
            time: event.time,
            number,
            action: event.action,
            failed: event.reason.is_some(),
            account: event.account,
        });
    }

    /// The attack as one JSON line.
    pub(super) fn line(&self, index: usize, seed: u64) -> String {
        let line = AttackLine {
            r#type: "attack",
            id: format!("attack-{:03}", index + 1),
            kind: self.kind,
            evasion: self.evasion,
            aftermath: self.aftermath.iter().map(|(_, name)| *name).collect(),
            complete: self.is_over(),
            started_at: timestamp(self.started_at),
            ended_at: timestamp(self.ended_at),
            entities: self.entities(),
            shared_ips: self.shared_places.iter().map(|&place| address(place)).collect(),
            accounts: self.accounts.iter().map(|&name| account(name)).collect(),
            fell: self.fell.iter().map(|fall| fall.line(self, seed)).collect(),
            events: self.steps.len(),
            steps: self.steps.iter().map(|step| step.line(seed)).collect(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// What is the attacker's own: an insider's console and a service's servers are not.
    fn entities(&self) -> Entities {
        let actor = |&(actor, name): &(Actor, Name)| text(|to| push_actor(to, actor, name));
        let resource =
            |&(name, resource): &(Name, Resource)| text(|to| push_resource(to, resource, name));
        let actors: BTreeSet<String> = self.actors.iter().map(actor).collect();
        let inside = self.fell.is_empty() && !actors.is_empty();
        Entities {
            ip: self.places.iter().map(|&place| address(place)).collect(),
            account: self.fell.iter().map(|fall| account(fall.account)).collect(),
            actor: actors.into_iter().collect(),
            resource: if inside {
                self.resources.iter().map(resource).collect()
            } else {
                Vec::new()
            },
        }
    }
}

impl Fall {
    fn line<'a>(&self, planted: &'a Planted, seed: u64) -> FallLine<'a> {
        let from = (self.account, Place::NONE);
        let own = planted.reached.range(from..).take_while(|(name, _)| *name == self.account);
        let deeds = planted.aftermath.iter().filter(|(name, _)| *name == self.account);
        FallLine {
            aftermath: deeds.map(|(_, deed)| *deed).collect(),
            ips: own.map(|(_, place)| address(*place)).collect(),
            account: account(self.account),
            time: timestamp(self.time),
            event_id: text(|to| push_event_id(to, seed, self.number)),
        }
    }
}

impl Step {
    fn line(&self, seed: u64) -> StepLine<'_> {
        StepLine {
            time: timestamp(self.time),
            event_id: text(|to| push_event_id(to, seed, self.number)),
            action: self.action,
            outcome: if self.failed { "failure" } else { "success" },
            account: account(self.account),
        }
    }
}

/// Benign behaviour that looks like an attack: who, where, when.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) kind: &'static str,
    pub(super) from: Millis,
    pub(super) to: Millis,
    pub(super) accounts: Vec<Name>,
    pub(super) places: BTreeSet<Place>,
    pub(super) actors: BTreeSet<String>,
}

#[derive(Serialize)]
struct TrapLine<'a> {
    r#type: &'a str,
    id: String,
    kind: &'a str,
    started_at: String,
    ended_at: String,
    entities: Entities,
}

impl Story {
    /// The story as one JSON line.
    pub(super) fn line(&self, index: u64) -> String {
        let line = TrapLine {
            r#type: "trap",
            id: format!("trap-{index:03}"),
            kind: self.kind,
            started_at: timestamp(self.from),
            ended_at: timestamp(self.to),
            entities: Entities {
                ip: self.places.iter().map(|&place| address(place)).collect(),
                account: self.accounts.iter().map(|&name| account(name)).collect(),
                actor: self.actors.iter().cloned().collect(),
                resource: Vec::new(),
            },
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// The log as a whole.
#[derive(Serialize)]
pub(super) struct LogLine {
    pub(super) r#type: &'static str,
    pub(super) scenario: &'static str,
    pub(super) seed: u64,
    pub(super) events: u64,
    pub(super) benign_events: u64,
    pub(super) accounts: u32,
    pub(super) started_at: String,
    pub(super) ended_at: String,
}

fn account(name: Name) -> String {
    text(|to| push_name(to, name))
}

fn address(place: Place) -> String {
    text(|to| place.push_address(to))
}

fn text(write: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    write(&mut text);
    text
}
