//! Log lines of OpenSSH: one attempt to log in is one event, however many lines tell of it.
//!
//! `sshd` writes up to four lines about one attempt, and which ones depends on version, level and
//! method. Lines about one connection share host and process id. The first line that proves the
//! attempt becomes the event; what follows about the same attempt is swallowed:
//! - *early* lines (`Invalid user`, `User ... not allowed`, `error: PAM: ...`, `Failed none`) announce
//!   an attempt: one `Failed` line for the same user is the same attempt, and so is an early line of
//!   another kind;
//! - *closing* lines (`Connection closed by authenticating user`, ...) are an event only where
//!   nothing else was said about the connection: a client whose keys were refused without a word.
//!
//! Lines of PAM modules are ignored: a module also reports failures that the next module turns into
//! a success, and what fails in the end has a line of `sshd` itself.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::IpAddr;

use chrono_tz::Tz;
use hashbrown::HashMap;

use super::TimeMicros;
use super::builder::{Row, Value};
use super::reject::{Refusal, RejectReason};
use super::schema::{self, index_of};
use super::syslog::{self, Calendar, Line};
use crate::source::{InputId, RawBatch};

/// How lines without a year or a zone are read.
#[derive(Debug, Clone, Copy)]
pub struct SshdOptions {
    /// Year of the first line; the default is the newest one that the file's own time allows.
    pub year: Option<i32>,
    /// Zone of lines that carry none.
    pub time_zone: Tz,
}

impl Default for SshdOptions {
    fn default() -> Self {
        Self { year: None, time_zone: Tz::UTC }
    }
}

/// Account of an attempt with no user name at all.
pub const EMPTY_USER: &str = "(empty)";

const CONNECTIONS_MAX: usize = 4_096;
/// `message repeated N times` with a bigger N is not believed.
const REPEATS_MAX: u32 = 100_000;
/// A process id may be given out again; `LoginGraceTime` is two minutes by default.
const CONNECTION_MICROS: TimeMicros = 10 * 60 * 1_000_000;

const ACTION: usize = index_of("action");
const OUTCOME: usize = index_of("outcome");
const REASON: usize = index_of("reason");

/// What one line says about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt<'a> {
    kind: Kind,
    user: &'a str,
    address: Option<&'a str>,
    reason: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Accepted,
    Failed,
    /// Announces an attempt; a bit tells one kind from another.
    Early(u8),
    Closing,
}

const INVALID: Kind = Kind::Early(1);
const NOT_ALLOWED: Kind = Kind::Early(2);
const PAM: Kind = Kind::Early(4);
const NONE_METHOD: Kind = Kind::Early(8);

/// What was said about a connection so far.
#[derive(Debug)]
struct Connection {
    user: String,
    /// Early lines of the attempt that is under way.
    announced: u8,
    time: TimeMicros,
}

type ConnectionKey = (String, u32);

/// What one input must remember.
#[derive(Debug)]
struct InputState {
    calendar: Calendar,
    connections: HashMap<ConnectionKey, Connection>,
    /// Oldest first.
    order: VecDeque<ConnectionKey>,
}

/// Reader of `sshd` lines.
pub(super) struct Sshd {
    options: SshdOptions,
    inputs: HashMap<InputId, InputState>,
}

impl Sshd {
    pub(super) fn new(options: SshdOptions) -> Self {
        Self { options, inputs: HashMap::new() }
    }

    /// Reads a line into `row`; how often the event is to be counted, 0 for no event.
    pub(super) fn read<'a>(
        &mut self,
        text: &'a str,
        raw: &RawBatch,
        row: &mut Row<'a>,
    ) -> Result<u32, Refusal> {
        let Some(line) = syslog::split(text) else {
            return if syslog::has_head(text) { Ok(0) } else { Err(not_syslog()) };
        };
        let options = self.options;
        let input = self.inputs.entry(raw.input).or_insert_with(|| InputState::new(options));
        // Every line moves the calendar, so that a quiet turn of the year is not missed.
        let time = input.calendar.instant(line.stamp, raw.written_at)?;
        if !matches!(line.program, "sshd" | "sshd-session" | "sshd-auth") {
            return Ok(0);
        }
        let (message, times) = repeated(line.message)?;
        let Some(attempt) = attempt(message) else { return Ok(0) };
        let fresh = input.count(&line, &attempt, times, time);
        if fresh > 0 {
            fill(row, &attempt, time);
        }
        Ok(fresh)
    }
}

fn not_syslog() -> Refusal {
    let message = "not a syslog line\nhint: expected `Nov 30 06:47:01 host sshd[123]: ...`";
    Refusal::new(RejectReason::NotSyslog, message)
}

impl InputState {
    fn new(options: SshdOptions) -> Self {
        let calendar = Calendar::new(options.time_zone, options.year);
        Self { calendar, connections: HashMap::new(), order: VecDeque::new() }
    }

    /// How many of `times` attempts have not been told by an earlier line.
    fn count(
        &mut self,
        line: &Line<'_>,
        attempt: &Attempt<'_>,
        times: u32,
        time: TimeMicros,
    ) -> u32 {
        let Some(pid) = line.pid else { return times };
        let connection = self.connection((line.host.to_owned(), pid), time);
        let known = connection.time != TimeMicros::MIN;
        let same_user = known && connection.user == attempt.user;
        let announced = if same_user { connection.announced } else { 0 };
        let (fresh, announced) = match attempt.kind {
            Kind::Accepted => (times, 0),
            Kind::Closing => (if known { 0 } else { times }, 0),
            Kind::Failed => (times - u32::from(announced != 0), 0),
            Kind::Early(kind) if announced == 0 || announced & kind != 0 => (times, kind),
            Kind::Early(kind) => (times - 1, announced | kind),
        };
        connection.announced = announced;
        connection.time = time;
        if !same_user {
            attempt.user.clone_into(&mut connection.user);
        }
        fresh
    }

    /// What is known about a connection; a new one has the time `MIN`.
    fn connection(&mut self, key: ConnectionKey, time: TimeMicros) -> &mut Connection {
        if !self.connections.contains_key(&key) {
            if self.order.len() >= CONNECTIONS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.connections.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        let new = || Connection { user: String::new(), announced: 0, time: TimeMicros::MIN };
        let connection = self.connections.entry(key).or_insert_with(new);
        if time.saturating_sub(connection.time) > CONNECTION_MICROS {
            *connection = new();
        }
        connection
    }
}

fn fill<'a>(row: &mut Row<'a>, attempt: &Attempt<'a>, time: TimeMicros) {
    let success = attempt.kind == Kind::Accepted;
    row.set(schema::TIME, Value::Time(time));
    row.set(ACTION, Value::Text("login"));
    row.set(OUTCOME, Value::Text(if success { "success" } else { "failure" }));
    row.set(
        schema::ACCOUNT,
        Value::Text(if attempt.user.is_empty() { EMPTY_USER } else { attempt.user }),
    );
    row.set(schema::SOURCE, Value::Text("sshd"));
    if let Some(address) = attempt.address {
        row.set(schema::IP, Value::Text(address));
    }
    if let Some(reason) = attempt.reason {
        row.set(REASON, Value::Text(reason));
    }
}

/// The message inside `message repeated N times: [ ... ]`, and N.
fn repeated(message: &str) -> Result<(&str, u32), Refusal> {
    let parts = message
        .strip_prefix("message repeated ")
        .and_then(|rest| rest.split_once(" times: ["))
        .and_then(|(times, inner)| Some((times, inner.strip_suffix(']')?)));
    let Some((times, inner)) = parts else { return Ok((message, 1)) };
    match times.parse() {
        Ok(times @ 1..=REPEATS_MAX) => Ok((inner.trim(), times)),
        _ => {
            let message = Cow::from(format!("message repeated {times} times is not believed"));
            Err(Refusal::new(RejectReason::OutOfRange, message))
        }
    }
}

/// Reads what `sshd` says; `None` for a line that tells of no attempt.
fn attempt(message: &str) -> Option<Attempt<'_>> {
    let message = message.strip_suffix(" [preauth]").unwrap_or(message);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    if let Some(rest) = message.strip_prefix("Accepted ") {
        return accepted(rest);
    }
    if let Some(rest) = message.strip_prefix("Failed ") {
        return failed(rest);
    }
    if let Some(rest) =
        message.strip_prefix("Invalid user ").or_else(|| message.strip_prefix("Illegal user "))
    {
        return early(INVALID, rest, "unknown_account");
    }
    if let Some(rest) = message.strip_prefix("PAM: ") {
        let (_, rest) = rest.split_once(" for ")?;
        let (user, invalid) = without_invalid(rest);
        return early(PAM, user, if invalid { "unknown_account" } else { "bad_password" });
    }
    if let Some(rest) = message.strip_prefix("User ") {
        let (rest, _) = rest.rsplit_once(" not allowed because")?;
        return early(NOT_ALLOWED, rest, "not_allowed");
    }
    closing(message)
}

/// `password for bob from 192.0.2.1 port 22 ssh2: ...`. The name is that of a real account, and what
/// follows the address may hold text of the client's (a certificate's id): the first ` from ` counts.
fn accepted(rest: &str) -> Option<Attempt<'_>> {
    let (_, rest) = rest.split_once(" for ")?;
    let (user, tail) = rest.split_once(" from ")?;
    Some(Attempt { kind: Kind::Accepted, user, address: address(tail), reason: None })
}

/// `password for [invalid user] bob from 192.0.2.1 port 22 ssh2`.
fn failed(rest: &str) -> Option<Attempt<'_>> {
    let (method, rest) = rest.split_once(" for ")?;
    let (rest, invalid) = without_invalid(rest);
    let (user, tail) = rest.rsplit_once(" from ")?;
    // The client chooses the name, and the id of a certificate behind the address: with two
    // addresses in the line none of them can be trusted.
    let ambiguous = method.starts_with("publickey") && rest.matches(" from ").count() > 1;
    let reason = match method {
        _ if invalid => "unknown_account",
        "password" | "keyboard-interactive/pam" => "bad_password",
        "publickey" | "hostbased" => "bad_key",
        _ => "bad_credentials",
    };
    let kind = if method == "none" { NONE_METHOD } else { Kind::Failed };
    let address = if ambiguous { None } else { address(tail) };
    Some(Attempt { kind, user, address, reason: Some(reason) })
}

/// `bob from 192.0.2.1 [port 22]`. The client chooses the name, so the last ` from ` counts.
fn early<'a>(kind: Kind, rest: &'a str, reason: &'static str) -> Option<Attempt<'a>> {
    // An empty name leaves its blanks: `Invalid user  from ...` is cut to ` from ...`.
    let (user, tail) =
        rest.rsplit_once(" from ").or_else(|| Some(("", rest.strip_prefix("from ")?)))?;
    Some(Attempt { kind, user, address: address(tail), reason: Some(reason) })
}

const CLOSINGS: [&str; 5] = [
    "Connection closed by ",
    "Connection reset by ",
    "Disconnected from ",
    "Disconnecting ",
    "maximum authentication attempts exceeded for ",
];

/// `Connection closed by authenticating user bob 192.0.2.1 port 22`.
fn closing(message: &str) -> Option<Attempt<'_>> {
    let rest = CLOSINGS.iter().find_map(|prefix| message.strip_prefix(prefix))?;
    let (user, tail, reason) = if message.starts_with("maximum") {
        let (user, tail) = without_invalid(rest).0.rsplit_once(" from ")?;
        (user, tail, "too_many_attempts")
    } else {
        let authenticating = rest.strip_prefix("authenticating user ");
        let rest = authenticating.or_else(|| rest.strip_prefix("invalid user "))?;
        let (head, _) = rest.rsplit_once(" port ")?;
        let (user, tail) = head.rsplit_once(' ')?;
        (user, tail, "abandoned")
    };
    Some(Attempt { kind: Kind::Closing, user, address: address(tail), reason: Some(reason) })
}

fn without_invalid(rest: &str) -> (&str, bool) {
    match rest.strip_prefix("invalid user ").or_else(|| rest.strip_prefix("illegal user ")) {
        Some(rest) => (rest, true),
        None => (rest, false),
    }
}

/// The address at the head of `192.0.2.1 port 22 ssh2`; a host name is none.
fn address(tail: &str) -> Option<&str> {
    let word = tail.split(' ').next()?;
    let bare = word.split('%').next()?;
    bare.parse::<IpAddr>().ok().map(|_| word)
}

#[cfg(test)]
#[path = "sshd_tests.rs"]
mod tests;
