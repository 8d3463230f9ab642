//! Reading the columns of a batch that learning looks at.

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::side::N_LEVELS;
use super::values::Key;
use crate::event::TimeMicros;
use crate::event::schema::{self, index_of};
use crate::{Error, Result};

const ACTION: usize = index_of("action");
const OUTCOME: usize = index_of("outcome");
const ACTOR: usize = index_of("actor");
const ACTOR_TYPE: usize = index_of("actor_type");
const DEVICE: usize = index_of("device");
const ASN: usize = index_of("asn");
const COUNTRY: usize = index_of("country");
const PREFIX: usize = index_of("ip_prefix");
const USER_AGENT: usize = index_of("user_agent");
const AGENT: usize = index_of("agent");
const OS: usize = index_of("os");
const DEVICE_TYPE: usize = index_of("device_type");

/// How an event ended, if it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
    Unknown,
}

/// One event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) time: TimeMicros,
    pub(super) is_login: bool,
    pub(super) outcome: Outcome,
    pub(super) account: &'a str,
    pub(super) actor: &'a str,
    pub(super) actor_type: &'a str,
    pub(super) network: [Key<'a>; N_LEVELS],
    pub(super) client: [Key<'a>; N_LEVELS],
    pub(super) device: Key<'a>,
}

impl Row<'_> {
    /// Whether somebody acts on another's account whose work that is.
    pub(super) fn is_staff(&self) -> bool {
        self.actor_type != "customer"
    }

    /// Whether it is a login that says how it ended.
    pub(super) fn login_succeeded(&self) -> Option<bool> {
        match self.outcome {
            _ if !self.is_login => None,
            Outcome::Success => Some(true),
            Outcome::Failure => Some(false),
            Outcome::Unknown => None,
        }
    }
}

/// The columns of a batch.
pub(super) struct Rows<'a> {
    pub(super) times: &'a [TimeMicros],
    action: &'a StringViewArray,
    outcome: &'a StringViewArray,
    account: &'a StringViewArray,
    actor: &'a StringViewArray,
    actor_type: &'a StringViewArray,
    ip: &'a StringViewArray,
    asn: &'a Int64Array,
    country: &'a StringViewArray,
    prefix: &'a StringViewArray,
    user_agent: &'a StringViewArray,
    agent: &'a StringViewArray,
    os: &'a StringViewArray,
    device_type: &'a StringViewArray,
    device: &'a StringViewArray,
}

fn text(column: &StringViewArray, row: usize) -> Key<'_> {
    if column.is_null(row) { Key::Null } else { Key::Text(column.value(row)) }
}

impl<'a> Rows<'a> {
    /// # Errors
    /// When it is no event batch.
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        if batch.schema_ref().fields() != schema::event_batch().fields() {
            return Err(Error::unexpected("this is no batch of events"));
        }
        let text = |column: usize| batch.column(column).as_string_view();
        let times = batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>();
        Ok(Self {
            times: times.values(),
            action: text(ACTION),
            outcome: text(OUTCOME),
            account: text(schema::ACCOUNT),
            actor: text(ACTOR),
            actor_type: text(ACTOR_TYPE),
            ip: text(schema::IP),
            asn: batch.column(ASN).as_primitive::<Int64Type>(),
            country: text(COUNTRY),
            prefix: text(PREFIX),
            user_agent: text(USER_AGENT),
            agent: text(AGENT),
            os: text(OS),
            device_type: text(DEVICE_TYPE),
            device: text(DEVICE),
        })
    }

    /// Length of the group of equal times that begins at a row.
    pub(super) fn group(&self, start: usize) -> usize {
        let rest = &self.times[start..];
        rest.iter().take_while(|time| **time == rest[0]).count()
    }

    pub(super) fn row(&self, row: usize) -> Row<'a> {
        let asn = self.asn.is_valid(row).then(|| Key::Number(self.asn.value(row).to_le_bytes()));
        Row {
            time: self.times[row],
            is_login: self.action.value(row) == "login",
            outcome: match self.outcome.value(row) {
                "success" => Outcome::Success,
                "failure" => Outcome::Failure,
                _ => Outcome::Unknown,
            },
            account: self.account.value(row),
            actor: self.actor.value(row),
            actor_type: self.actor_type.value(row),
            // In the order of the levels of `side`.
            network: [
                text(self.ip, row),
                asn.unwrap_or(Key::Null),
                text(self.country, row),
                text(self.prefix, row),
            ],
            client: [
                text(self.user_agent, row),
                text(self.agent, row),
                text(self.os, row),
                text(self.device_type, row),
            ],
            device: text(self.device, row),
        }
    }
}
