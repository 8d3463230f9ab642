//! One simulated event: ids while it waits, JSON when it is written.

use super::population::Accounts;
use super::random::mix;

/// Milliseconds since the epoch.
pub(super) type Millis = i64;

/// Milliseconds of a minute, an hour, a day.
pub(super) const MINUTE: Millis = 60_000;
pub(super) const HOUR: Millis = 60 * MINUTE;
pub(super) const DAY: Millis = 24 * HOUR;

/// An account of the service, or a name of a leaked list that nobody has here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// Index into [`Accounts`].
    Account(u32),
    /// A name that is only on the attacker's list.
    Leaked(u32),
}

/// A client's address; all of them from ranges that belong to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    /// The service did not log one.
    None,
    /// IPv4.
    V4(u32),
    /// A home's /48 in 2001:db8::/32 and what the device made of the rest.
    V6(u16, u16),
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    /// The account itself.
    Owner,
    /// Somebody the owner shared the cameras with.
    Shared,
    /// A member of staff, by number.
    Staff(u16),
    /// A system of the service.
    Service(&'static str),
}

/// What is watched or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    /// Nothing in particular.
    None,
    /// A camera of the account, by number.
    Camera(u8),
    /// A recording of the account's camera, by number.
    Recording(u8, u32),
}

/// One event before it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) action: &'static str,
    pub(super) outcome: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) account: Name,
    pub(super) actor: Actor,
    pub(super) address: Address,
    pub(super) agent: &'static str,
    /// 0: none was sent.
    pub(super) device: u32,
    /// 0: there is none.
    pub(super) session: u64,
    pub(super) resource: Resource,
    /// 0: none.
    pub(super) ticket: u32,
    /// Index of the planted attack and one; 0: nobody's.
    pub(super) planted: u16,
}

impl Event {
    /// A success of the account's owner, everything else empty.
    pub(super) fn new(action: &'static str, account: Name) -> Self {
        Self {
            action,
            outcome: "success",
            reason: None,
            account,
            actor: Actor::Owner,
            address: Address::None,
            agent: "",
            device: 0,
            session: 0,
            resource: Resource::None,
            ticket: 0,
            planted: 0,
        }
    }

    /// The same as a failure.
    pub(super) fn failed(mut self, reason: &'static str) -> Self {
        self.outcome = "failure";
        self.reason = Some(reason);
        self
    }

    /// The same on a camera or recording.
    pub(super) fn on(mut self, resource: Resource) -> Self {
        self.resource = resource;
        self
    }

    fn source(&self) -> &'static str {
        match self.actor {
            Actor::Staff(_) => "support-console",
            Actor::Service(name) => name,
            _ if matches!(self.resource, Resource::None) => "accounts",
            _ => "video",
        }
    }
}

/// Writes events as JSON lines into a buffer.
#[derive(Debug)]
pub(super) struct Writer {
    /// Lines not yet handed on.
    pub(super) buffer: String,
    seed: u64,
    written: u64,
    day: i64,
    date: String,
}

impl Writer {
    /// The seed becomes a part of the event ids.
    pub(super) fn new(seed: u64) -> Self {
        Self { buffer: String::new(), seed, written: 0, day: i64::MIN, date: String::new() }
    }

    /// Appends one line; returns the number of the event, which names it.
    pub(super) fn write(&mut self, time: Millis, event: &Event, accounts: &Accounts) -> u64 {
        self.written += 1;
        self.buffer.push_str("{\"time\":\"");
        self.time(time);
        self.field("action", event.action);
        self.field("outcome", event.outcome);
        self.buffer.push_str("\",\"account\":\"");
        push_name(&mut self.buffer, event.account, accounts);
        self.actor(event, accounts);
        if let Some(reason) = event.reason {
            self.field("reason", reason);
        }
        self.client(event);
        self.resource(event, accounts);
        self.buffer.push_str("\",\"event_id\":\"");
        push_event_id(&mut self.buffer, self.seed, self.written);
        self.field("source", event.source());
        self.buffer.push_str("\"}\n");
        self.written
    }

    /// Closes the value before, names a field and writes its value; the next field closes it.
    fn field(&mut self, name: &str, value: &str) {
        self.buffer.push_str("\",\"");
        self.buffer.push_str(name);
        self.buffer.push_str("\":\"");
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

    fn actor(&mut self, event: &Event, accounts: &Accounts) {
        match event.actor {
            Actor::Owner => {}
            Actor::Shared => {
                self.buffer.push_str("\",\"actor\":\"with.");
                push_name(&mut self.buffer, event.account, accounts);
                self.field("actor_type", "shared_user");
            }
            Actor::Staff(number) => {
                self.field("actor", "staff-");
                push_number(&mut self.buffer, u64::from(number), 3);
                self.field("actor_type", "employee");
            }
            Actor::Service(name) => {
                self.field("actor", name);
                self.field("actor_type", "service");
            }
        }
        if event.ticket != 0 {
            self.field("ticket", "CASE-");
            push_number(&mut self.buffer, u64::from(event.ticket), 5);
        }
    }

    fn client(&mut self, event: &Event) {
        if event.address != Address::None {
            self.field("ip", "");
            push_address(&mut self.buffer, event.address);
        }
        if let Address::V6(home, _) = event.address {
            self.field("ip_prefix", "2001:db8:");
            push_hex(&mut self.buffer, u64::from(home), 1);
            self.buffer.push_str("::/48");
        }
        if !event.agent.is_empty() {
            self.field("user_agent", event.agent);
        }
        if event.device != 0 {
            self.field("device", "dev-");
            push_hex(&mut self.buffer, u64::from(event.device), 8);
        }
        if event.session != 0 {
            self.field("session", "s-");
            push_hex(&mut self.buffer, mix(event.session) >> 16, 12);
        }
    }

    fn resource(&mut self, event: &Event, accounts: &Accounts) {
        let Name::Account(account) = event.account else { return };
        let camera = match event.resource {
            Resource::None => return,
            Resource::Camera(camera) | Resource::Recording(camera, _) => camera,
        };
        self.field("resource", "");
        push_resource(&mut self.buffer, account, event.resource);
        self.field("resource_label", accounts.camera_label(account, camera));
    }
}

/// Appends the name of an account.
pub(super) fn push_name(to: &mut String, name: Name, accounts: &Accounts) {
    match name {
        Name::Account(index) => to.push_str(accounts.name(index)),
        Name::Leaked(number) => {
            to.push_str(super::population::first_name(number));
            push_number(to, mix(u64::from(number)) % 9000 + 1000, 4);
        }
    }
}

/// Appends an address as people write it.
pub(super) fn push_address(to: &mut String, address: Address) {
    match address {
        Address::None => {}
        Address::V4(bits) => {
            for (index, byte) in bits.to_be_bytes().into_iter().enumerate() {
                if index > 0 {
                    to.push('.');
                }
                push_number(to, u64::from(byte), 1);
            }
        }
        Address::V6(home, device) => {
            to.push_str("2001:db8:");
            push_hex(to, u64::from(home), 1);
            to.push_str("::");
            push_hex(to, u64::from(device), 1);
        }
    }
}

/// Appends the id of a camera or recording.
pub(super) fn push_resource(to: &mut String, account: u32, resource: Resource) {
    let (kind, camera, recording) = match resource {
        Resource::None => return,
        Resource::Camera(camera) => ("cam-", camera, None),
        Resource::Recording(camera, number) => ("rec-", camera, Some(number)),
    };
    to.push_str(kind);
    push_number(to, u64::from(account), 1);
    to.push('-');
    push_number(to, u64::from(camera) + 1, 1);
    if let Some(number) = recording {
        to.push('-');
        push_number(to, u64::from(number), 1);
    }
}

/// Appends an event's id.
pub(super) fn push_event_id(to: &mut String, seed: u64, number: u64) {
    to.push('r');
    push_number(to, seed, 1);
    to.push('-');
    push_number(to, number, 8);
}

/// An instant as RFC 3339 with milliseconds.
pub(super) fn timestamp(time: Millis) -> String {
    let mut text = date(time.div_euclid(DAY));
    push_clock(&mut text, time.rem_euclid(DAY));
    text
}

/// `2019-11-04T` of a day since the epoch (the civil calendar by Hinnant's arithmetic).
pub(super) fn date(day: i64) -> String {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}T")
}

/// Appends the time of day, `Z` behind it.
pub(super) fn push_clock(to: &mut String, of_day: Millis) {
    let of_day = of_day.unsigned_abs();
    push_number(to, of_day / 3_600_000, 2);
    to.push(':');
    push_number(to, of_day / 60_000 % 60, 2);
    to.push(':');
    push_number(to, of_day / 1000 % 60, 2);
    to.push('.');
    push_number(to, of_day % 1000, 3);
    to.push('Z');
}

/// Appends a decimal number of at least `width` digits.
pub(super) fn push_number(to: &mut String, number: u64, width: usize) {
    push_digits(to, number, width, 10);
}

/// Appends a hexadecimal number of at least `width` digits.
pub(super) fn push_hex(to: &mut String, number: u64, width: usize) {
    push_digits(to, number, width, 16);
}

fn push_digits(to: &mut String, mut number: u64, width: usize, base: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 || digits.len() - start < width.max(1) {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(number % base) as usize];
        number /= base;
    }
    to.extend(digits[start..].iter().map(|&digit| char::from(digit)));
}
