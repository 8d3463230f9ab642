//! Decoding: a batch of raw records becomes columns, rejections and counts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use arrow::array::RecordBatch;
use twox_hash::XxHash3_64;

use super::builder::{EventBuilder, Row, Value};
use super::framing;
use super::json::Json;
use super::reject::{Refusal, RejectReason, Rejection};
use super::schema::{self, index_of};
use super::sshd::{Sshd, SshdOptions};
use crate::Result;
use crate::source::RawBatch;

/// Format of the records.
#[derive(Debug, Clone, Default)]
pub enum Format {
    /// One JSON object a record, as the `events` table has it.
    #[default]
    Native,
    /// Syslog lines of OpenSSH.
    Sshd(SshdOptions),
}

/// Limits of one record.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// Longest string of a field.
    pub string_bytes_max: usize,
    /// Longest `details`.
    pub details_bytes_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { string_bytes_max: 4 * 1024, details_bytes_max: 64 * 1024 }
    }
}

/// What became of a [`RawBatch`].
#[derive(Debug)]
pub struct Decoded {
    /// The events: schema [`schema::event_batch`].
    pub batch: RecordBatch,
    /// For each row of `batch` the index of its record in the raw batch.
    pub records: Vec<u32>,
    /// Records that are no events, those that the source cut out included.
    pub rejections: Vec<Rejection>,
    /// Records of the format that are no events and no errors, such as other lines of a syslog.
    pub ignored: u64,
}

impl Decoded {
    /// The rejection that says why row `row` was turned away by the order stage.
    pub fn turned_away(&self, raw: &RawBatch, row: u32, reason: RejectReason) -> Rejection {
        let record = self.records.get(row as usize).map_or(usize::MAX, |record| *record as usize);
        let message = match reason {
            RejectReason::Future => "time is ahead of the clock by more than order.clock_skew",
            _ => "time is behind the watermark by more than order.lateness allows",
        };
        Refusal::new(reason, message).with(raw.place(record), raw.record(record))
    }
}

/// Names that no column has, so that a misspelt field can be told to the user once.
#[derive(Debug, Clone, Default)]
pub struct UnknownFields {
    /// How many fields were ignored.
    pub total: u64,
    /// First misspelt names, each with the column that it may mean; at most 32.
    pub near_misses: BTreeMap<String, &'static str>,
}

enum Parser {
    Native(Box<Json>),
    Sshd(Box<Sshd>),
}

/// Turns records into events; it keeps what a format must remember from line to line.
pub struct Decoder {
    parser: Parser,
    builder: EventBuilder,
    limits: DecodeLimits,
}

impl Decoder {
    /// A decoder for one run.
    pub fn new(format: Format, limits: DecodeLimits) -> Self {
        let parser = match format {
            Format::Native => Parser::Native(Box::default()),
            Format::Sshd(options) => Parser::Sshd(Box::new(Sshd::new(options))),
        };
        Self { parser, builder: EventBuilder::new(), limits }
    }

    /// Fields that were ignored so far.
    pub fn unknown_fields(&self) -> Option<&UnknownFields> {
        match &self.parser {
            Parser::Native(json) => Some(&json.unknown),
            Parser::Sshd(_) => None,
        }
    }

    /// Decodes a batch; every record becomes rows, a rejection, or a count in `ignored`.
    ///
    /// # Errors
    /// Only when arrow refuses the columns, which no input can cause.
    pub fn decode(&mut self, raw: &mut RawBatch) -> Result<Decoded> {
        let mut rejections = std::mem::take(&mut raw.rejections);
        let mut records = Vec::with_capacity(raw.len());
        let mut ignored = 0;
        let mut row = Row::new();
        for index in 0..raw.len() {
            match self.record(raw, index, &mut row) {
                Ok(0) => ignored += 1,
                Ok(times) => records.extend((0..times).map(|_| index as u32)),
                Err(refusal) => rejections.push(refusal.with(raw.place(index), raw.record(index))),
            }
        }
        Ok(Decoded { batch: self.builder.finish()?, records, rejections, ignored })
    }

    /// Reads one record and appends its rows: how many.
    fn record<'a>(
        &mut self,
        raw: &'a RawBatch,
        index: usize,
        row: &mut Row<'a>,
    ) -> Result<u32, Refusal> {
        let bytes = match self.parser {
            Parser::Native(_) => framing::payload(raw.record(index)),
            Parser::Sshd(_) => raw.record(index),
        };
        let text = checked_text(bytes)?;
        row.clear();
        let times = match &mut self.parser {
            Parser::Native(json) => {
                json.read(text, row, &self.limits)?;
                1
            }
            Parser::Sshd(sshd) => sshd.read(text, raw, row)?,
        };
        if times > 0 {
            let time = complete(row)?;
            let (place, hash) = (raw.place(index), XxHash3_64::oneshot(bytes));
            (0..times).for_each(|_| self.builder.append(time, row, place, hash));
        }
        Ok(times)
    }
}

fn checked_text(bytes: &[u8]) -> Result<&str, Refusal> {
    if let Some(at) = memchr::memchr(0, bytes) {
        let message = format!("NUL byte at byte {}", at + 1);
        return Err(Refusal::new(RejectReason::NulByte, message));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let hint = if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            "\nhint: this looks like UTF-16; convert it to UTF-8"
        } else {
            ""
        };
        let message = format!("not UTF-8 at byte {}{hint}", error.valid_up_to() + 1);
        Refusal::new(RejectReason::InvalidUtf8, message)
    })
}

const ACTION: usize = index_of("action");
const OUTCOME: usize = index_of("outcome");
const ACTOR: usize = index_of("actor");
const ACTOR_TYPE: usize = index_of("actor_type");

/// Fills in the defaults, and says the time of a row that has all that is required.
fn complete(row: &mut Row<'_>) -> Result<i64, Refusal> {
    let Value::Time(time) = row.get(schema::TIME) else { return Err(missing("time")) };
    for (column, name) in [(ACTION, "action"), (schema::ACCOUNT, "account")] {
        match row.text(column) {
            None => return Err(missing(name)),
            Some("") => return Err(empty(name)),
            Some(_) => {}
        }
    }
    let account = row.get(schema::ACCOUNT);
    let defaults = [
        (OUTCOME, Value::Text("unknown")),
        (ACTOR, account),
        (ACTOR_TYPE, Value::Text("customer")),
    ];
    for (column, value) in defaults {
        if matches!(row.get(column), Value::Null) {
            row.set(column, value);
        }
    }
    fold_address(row);
    Ok(time)
}

fn missing(name: &str) -> Refusal {
    Refusal::new(RejectReason::MissingField, format!("required field `{name}` is missing or null"))
}

fn empty(name: &str) -> Refusal {
    Refusal::new(RejectReason::MissingField, format!("required field `{name}` is empty"))
}

/// Writes an IPv4 address that was mapped into IPv6 (`::ffff:192.0.2.1`) as IPv4: one client, one name.
fn fold_address(row: &mut Row<'_>) {
    let Some(text) = row.text(schema::IP) else { return };
    if !text.starts_with([':', '0']) {
        return;
    }
    if let Some(address) =
        text.parse::<Ipv6Addr>().ok().and_then(|address| address.to_ipv4_mapped())
    {
        row.set_scratch(schema::IP, &IpAddr::V4(address).to_string());
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
