//! One event of the city: ids while it waits, JSON when it is written.

use super::super::event::{DAY, Millis, date, push_clock, push_hex, push_number};
use super::super::random::mix;
use super::client::{Client, Clients};
use super::labels;
use super::network::{Networks, Place};
use super::people::People;

/// Milliseconds of a week.
pub(super) const WEEK: Millis = 7 * DAY;

/// An account, or a name that somebody hopes is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// A household, by index.
    Household(u32),
    /// A name that nobody has here: from a leaked list, or made up.
    Stranger(u32),
    /// A member of staff: the account that opens the console.
    Staff(u16),
    /// An account made for probes.
    Probe(u8),
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Actor {
    /// The account itself.
    Owner,
    /// Somebody the owner shared the cameras with, by number.
    Guest(u8),
    /// Somebody an intruder shared the cameras with.
    Accomplice(u32),
    /// Another customer, with a link to a clip.
    Viewer(u32),
    /// A member of staff, by number.
    Staff(u16),
    /// A system, by its place in [`SERVICES`].
    Service(u8),
}

/// Systems that act on accounts: the service's own, then those of partners.
pub(super) const SERVICES: [&str; 5] =
    ["svc-training", "svc-thumbnails", "svc-retention", "partner-alarm", "partner-hub"];
/// Trains models on recordings.
pub(super) const TRAINING: u8 = 0;
/// Makes small pictures of recordings.
pub(super) const THUMBNAILS: u8 = 1;
/// An alarm centre that looks after its customers' cameras.
pub(super) const ALARM: u8 = 3;
/// A smart home integration that holds a token for each of its customers.
pub(super) const HUB: u8 = 4;

/// What is watched or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    /// Nothing in particular.
    None,
    /// A camera of the account, by number.
    Camera(u8),
    /// A recording of the account, by number.
    Recording(u32),
    /// The guest that a share is for.
    Guest(u8),
    /// The accomplice that a share is for.
    Accomplice(u32),
}

/// One event before it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// When it happened; it may be written later.
    pub(super) time: Millis,
    pub(super) action: &'static str,
    /// Why it failed; none: it did not.
    pub(super) reason: Option<&'static str>,
    pub(super) account: Name,
    pub(super) actor: Actor,
    pub(super) place: Place,
    pub(super) client: Client,
    /// 0: none was sent.
    pub(super) device: u32,
    /// 0: there is none.
    pub(super) session: u64,
    pub(super) resource: Resource,
    /// 0: none.
    pub(super) ticket: u32,
    /// Number of the planted attack and one; 0: nobody's.
    pub(super) planted: u32,
    /// The account falls with this event.
    pub(super) falls: bool,
    /// The address is that of the innocent as well.
    pub(super) shared_place: bool,
}

impl Event {
    /// A success of the account's owner, everything else empty.
    pub(super) fn new(action: &'static str, account: Name) -> Self {
        Self {
            time: 0,
            action,
            reason: None,
            account,
            actor: Actor::Owner,
            place: Place::NONE,
            client: Client::NONE,
            device: 0,
            session: 0,
            resource: Resource::None,
            ticket: 0,
            planted: 0,
            falls: false,
            shared_place: false,
        }
    }

    /// The same as a failure, without a session.
    pub(super) fn failed(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), session: 0, ..self }
    }

    /// The same client doing something else.
    pub(super) fn then(self, action: &'static str) -> Self {
        Self { action, falls: false, resource: Resource::None, ..self }
    }

    /// The same on a camera or recording.
    pub(super) fn on(self, resource: Resource) -> Self {
        Self { resource, ..self }
    }

    fn source(&self) -> &'static str {
        match self.action {
            "ticket_open" | "ticket_close" => return "helpdesk",
            "login" | "mfa_challenge" | "mfa_verify" => return "accounts",
            _ => {}
        }
        match (self.actor, self.resource) {
            (Actor::Staff(_), _) => "support-console",
            (Actor::Service(number), _) => SERVICES[usize::from(number) % SERVICES.len()],
            (_, Resource::Camera(_) | Resource::Recording(_)) => "video",
            _ => "accounts",
        }
    }
}

/// What is needed to write an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Book<'a> {
    pub(super) people: &'a People,
    pub(super) networks: &'a Networks,
    pub(super) clients: &'a Clients,
}

/// Writes events as JSON lines into a buffer.
#[derive(Debug)]
pub(super) struct Writer {
    /// Lines not yet handed on.
    pub(super) buffer: String,
    seed: u64,
    /// Events written so far.
    pub(super) written: u64,
    day: i64,
    date: String,
}

impl Writer {
    /// The seed becomes a part of the event ids.
    pub(super) fn new(seed: u64) -> Self {
        Self { buffer: String::new(), seed, written: 0, day: i64::MIN, date: String::new() }
    }

    /// Appends one line; returns the number of the event, which names it.
    pub(super) fn write(&mut self, event: &Event, book: Book<'_>) -> u64 {
        self.written += 1;
        self.buffer.push_str("{\"time\":\"");
        self.time(event.time);
        self.field("\",\"action\":\"", event.action);
        let outcome = if event.reason.is_some() { "failure" } else { "success" };
        self.field("\",\"outcome\":\"", outcome);
        self.buffer.push_str("\",\"account\":\"");
        push_name(&mut self.buffer, event.account);
        self.actor(event);
        if let Some(reason) = event.reason {
            self.field("\",\"reason\":\"", reason);
        }
        self.buffer.push_str("\",");
        self.client(event, book);
        self.resource(event, book.people);
        self.buffer.push_str("\"event_id\":\"");
        push_event_id(&mut self.buffer, self.seed, self.written);
        self.field("\",\"source\":\"", event.source());
        self.buffer.push_str("\"}\n");
        self.written
    }

    fn field(&mut self, name: &str, value: &str) {
        self.buffer.push_str(name);
        self.buffer.push_str(value);
    }

    fn time(&mut self, time: Millis) {
        let day = time.div_euclid(DAY);
        if day != self.day {
            self.day = day;
            self.date = date(day);
        }
        self.buffer.push_str(&self.date);
        push_clock(&mut self.buffer, time.rem_euclid(DAY));
    }

    fn actor(&mut self, event: &Event) {
        if event.actor == Actor::Owner {
            if matches!(event.account, Name::Staff(_)) {
                self.field("\",\"actor_type\":\"", actor_type(event.actor, event.account));
            }
            return;
        }
        self.buffer.push_str("\",\"actor\":\"");
        push_actor(&mut self.buffer, event.actor, event.account);
        self.field("\",\"actor_type\":\"", actor_type(event.actor, event.account));
    }

    fn client(&mut self, event: &Event, book: Book<'_>) {
        if event.place.is_some() {
            self.buffer.push_str("\"ip\":\"");
            event.place.push_address(&mut self.buffer);
            self.buffer.push_str("\",\"ip_prefix\":\"");
            event.place.push_prefix(&mut self.buffer);
            self.buffer.push_str("\",");
            self.buffer.push_str(book.networks.fragment(event.place));
            self.buffer.push(',');
        }
        book.clients.push(event.client, &mut self.buffer);
        if event.device != 0 {
            self.buffer.push_str("\"device\":\"dev-");
            push_hex(&mut self.buffer, u64::from(event.device), 8);
            self.buffer.push_str("\",");
        }
        if event.session != 0 {
            self.buffer.push_str("\"session\":\"s-");
            push_hex(&mut self.buffer, mix(event.session) >> 16, 12);
            self.buffer.push_str("\",");
        }
        if event.ticket != 0 {
            self.buffer.push_str("\"ticket\":\"CASE-");
            push_number(&mut self.buffer, u64::from(event.ticket), 6);
            self.buffer.push_str("\",");
        }
    }

    fn resource(&mut self, event: &Event, people: &People) {
        if event.resource == Resource::None {
            return;
        }
        self.buffer.push_str("\"resource\":\"");
        push_resource(&mut self.buffer, event.resource, event.account);
        self.buffer.push_str("\",");
        let Name::Household(index) = event.account else { return };
        let household = people.get(index);
        let camera = match event.resource {
            Resource::Camera(camera) => camera,
            Resource::Recording(number) => household.recording_camera(number),
            _ => return,
        };
        self.buffer.push_str("\"resource_label\":\"");
        self.buffer
            .push_str(labels::label(household.language(), household.cameras[usize::from(camera)]));
        self.buffer.push_str("\",");
        if let Resource::Recording(number) = event.resource {
            self.buffer.push_str("\"recorded_at\":\"");
            self.time(household.recorded_at(number));
            self.buffer.push_str("\",");
        }
    }
}

/// The value of `actor_type`.
fn actor_type(actor: Actor, account: Name) -> &'static str {
    match (actor, account) {
        (Actor::Staff(number), _) | (Actor::Owner, Name::Staff(number)) => {
            if super::staff::is_contractor(number) {
                "contractor"
            } else {
                "employee"
            }
        }
        (Actor::Service(_), _) => "service",
        (Actor::Owner, _) => "customer",
        _ => "shared_user",
    }
}

/// Appends the name of an account.
pub(super) fn push_name(to: &mut String, name: Name) {
    let (text, number, width) = match name {
        Name::Household(index) => (first_name(index), index, 5),
        Name::Stranger(number) => {
            to.push_str(super::super::population::first_name(number));
            push_number(to, u64::from(number >> 8), 1);
            return to.push_str(".x");
        }
        Name::Staff(number) if super::staff::is_contractor(number) => ("con-", number.into(), 3),
        Name::Staff(number) => ("emp-", number.into(), 3),
        Name::Probe(number) => ("probe-", number.into(), 2),
    };
    to.push_str(text);
    if matches!(name, Name::Household(_)) {
        to.push('.');
    }
    push_number(to, u64::from(number), width);
}

fn first_name(index: u32) -> &'static str {
    super::super::population::first_name(super::super::random::mix(u64::from(index)) as u32)
}

/// Appends the name of whoever acts on an account.
pub(super) fn push_actor(to: &mut String, actor: Actor, account: Name) {
    match actor {
        Actor::Owner => push_name(to, account),
        Actor::Guest(number) => {
            to.push_str(["kin.", "friend."][usize::from(number) % 2]);
            push_name(to, account);
        }
        Actor::Accomplice(number) => {
            to.push_str("drop");
            push_number(to, u64::from(number), 4);
        }
        Actor::Viewer(index) => push_name(to, Name::Household(index)),
        Actor::Staff(number) => push_name(to, Name::Staff(number)),
        Actor::Service(number) => to.push_str(SERVICES[usize::from(number) % SERVICES.len()]),
    }
}

/// Appends the id of a camera or recording, or the name of whom a share is for.
pub(super) fn push_resource(to: &mut String, resource: Resource, account: Name) {
    let (kind, number) = match resource {
        Resource::None => return,
        Resource::Guest(number) => return push_actor(to, Actor::Guest(number), account),
        Resource::Accomplice(number) => return push_actor(to, Actor::Accomplice(number), account),
        Resource::Camera(camera) => ("cam-", u32::from(camera) + 1),
        Resource::Recording(number) => ("rec-", number),
    };
    to.push_str(kind);
    if let Name::Household(index) = account {
        push_number(to, u64::from(index), 1);
    }
    to.push('-');
    push_number(to, u64::from(number), 1);
}

/// Appends an event's id.
pub(super) fn push_event_id(to: &mut String, seed: u64, number: u64) {
    to.push('c');
    push_number(to, seed, 1);
    to.push('-');
    push_number(to, number, 8);
}
