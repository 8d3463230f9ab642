//! What was done lately, by everybody: acts that did not fail, as compact columns.
//!
//! An alert speaks on the fourth view; the first three are here. Acts are appended to chunks of a fixed
//! number, and a full chunk never changes: a checkpoint writes it once.

use std::collections::{HashSet, VecDeque};

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::marks::{RowFacts, is_customer};
use crate::alert::Alert;
use crate::event::{TimeMicros, schema};
use crate::store::{BlockRef, KeyedHash};

/// Acts of one chunk: small enough to forget in pieces.
const CHUNK_ACTS: usize = 4_096;
/// Bytes of one text that are kept; longer ones are cut, and compared as far as that.
const TEXT_BYTES_MAX: usize = 256;
/// Texts of one act.
const N_TEXTS: usize = 7;

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    /// Its number among all acts: 0, 1, ...
    pub(super) seq: u64,
    pub(super) time: TimeMicros,
    pub(super) account: String,
    pub(super) action: String,
    /// Who did it, when it was no customer; else empty.
    pub(super) actor: String,
    pub(super) ip: String,
    pub(super) device: String,
    pub(super) session: String,
    pub(super) resource: String,
}

/// Acts in a row.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) first_seq: u64,
    pub(super) times: Vec<TimeMicros>,
    pub(super) accounts: Vec<u64>,
    pub(super) devices: Vec<u64>,
    pub(super) fingerprints: Vec<u64>,
    /// Where the texts of each act end.
    pub(super) ends: Vec<u32>,
    /// Each text with its length in two bytes before it.
    pub(super) texts: Vec<u8>,
    /// The block that holds it, once it is full.
    pub(super) saved: Option<BlockRef>,
}

/// The newest acts.
#[derive(Debug, Default)]
pub(super) struct Acts {
    pub(super) chunks: VecDeque<Chunk>,
    pub(super) next_seq: u64,
}

/// Columns of a batch that acts are read from.
pub(super) struct Rows<'a> {
    times: &'a [TimeMicros],
    action: &'a StringViewArray,
    outcome: &'a StringViewArray,
    account: &'a StringViewArray,
    actor: &'a StringViewArray,
    actor_type: &'a StringViewArray,
    ip: &'a StringViewArray,
    device: &'a StringViewArray,
    session: &'a StringViewArray,
    fingerprint: &'a StringViewArray,
    resource: &'a StringViewArray,
    batch: &'a RecordBatch,
}

const ACTION: usize = schema::index_of("action");
const OUTCOME: usize = schema::index_of("outcome");
const ACTOR: usize = schema::index_of("actor");
const ACTOR_TYPE: usize = schema::index_of("actor_type");
const DEVICE: usize = schema::index_of("device");
const SESSION: usize = schema::index_of("session");
const FINGERPRINT: usize = schema::index_of("tls_fingerprint");
const RESOURCE: usize = schema::index_of("resource");
const IP_ACCOUNTS: usize = schema::index_of("ip_accounts");
const ASN: usize = schema::index_of("asn");

impl<'a> Rows<'a> {
    pub(super) fn new(batch: &'a RecordBatch) -> Self {
        let text = |column: usize| batch.column(column).as_string_view();
        Self {
            times: batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>().values(),
            action: text(ACTION),
            outcome: text(OUTCOME),
            account: text(schema::ACCOUNT),
            actor: text(ACTOR),
            actor_type: text(ACTOR_TYPE),
            ip: text(schema::IP),
            device: text(DEVICE),
            session: text(SESSION),
            fingerprint: text(FINGERPRINT),
            resource: text(RESOURCE),
            batch,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// The first row that is not before a time.
    pub(super) fn first_at(&self, time: TimeMicros) -> usize {
        self.times.partition_point(|at| *at < time)
    }

    pub(super) fn time(&self, row: usize) -> TimeMicros {
        self.times[row]
    }

    /// Whether the row is an act worth remembering: it did not fail, and no machine did it.
    pub(super) fn is_act(&self, row: usize) -> bool {
        self.outcome.value(row) != "failure"
            && self.actor_type.value(row) != "service"
            && !self.account.value(row).is_empty()
            && self.action.value(row) != "mfa_challenge"
    }

    /// The event that opened an alert: the first of its time that has the alert's entity and values.
    pub(super) fn of(&self, alert: &Alert) -> Option<RowFacts> {
        let first = self.times.partition_point(|time| *time < alert.started_at);
        let same_time = (first..self.len()).take_while(|row| self.times[*row] == alert.started_at);
        let row = same_time.into_iter().find(|row| self.fits(*row, alert))?;
        let number = |column: usize| {
            let column = self.batch.column(column).as_primitive::<Int64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        Some(RowFacts {
            account: value(self.account, row).to_owned(),
            actor: value(self.actor, row).to_owned(),
            actor_type: value(self.actor_type, row).to_owned(),
            ip: value(self.ip, row).to_owned(),
            ip_accounts: number(IP_ACCOUNTS).unwrap_or(0),
            asn: number(ASN),
            device: value(self.device, row).to_owned(),
            session: value(self.session, row).to_owned(),
            fingerprint: value(self.fingerprint, row).to_owned(),
        })
    }

    fn fits(&self, row: usize, alert: &Alert) -> bool {
        let is = |name: &str, expected: &str| match self.column(name) {
            Some(column) => value(column, row) == expected,
            None => true,
        };
        is(&alert.entity_type, &alert.entity)
            && alert.values.iter().all(|(name, value)| match value.as_str() {
                Some(text) => is(name, text),
                None => true,
            })
    }

    fn column(&self, name: &str) -> Option<&'a StringViewArray> {
        match name {
            "action" => Some(self.action),
            "outcome" => Some(self.outcome),
            "account" => Some(self.account),
            "actor" => Some(self.actor),
            "ip" => Some(self.ip),
            "device" => Some(self.device),
            "session" => Some(self.session),
            "tls_fingerprint" => Some(self.fingerprint),
            "resource" => Some(self.resource),
            _ => None,
        }
    }
}

fn value(column: &StringViewArray, row: usize) -> &str {
    if column.is_null(row) { "" } else { column.value(row) }
}

impl Acts {
    /// Takes a row; gives the hash of its account.
    pub(super) fn push(&mut self, rows: &Rows<'_>, row: usize, key: &KeyedHash) -> u64 {
        if self.chunks.back().is_none_or(|chunk| chunk.times.len() >= CHUNK_ACTS) {
            self.chunks.push_back(Chunk { first_seq: self.next_seq, ..Chunk::default() });
        }
        let account = hash(key, rows.account.value(row));
        self.next_seq += 1;
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(rows, row, account, key);
        }
        account
    }

    /// Forgets the oldest acts when there are too many, and those before `time`. Gives how many of
    /// them were not before it.
    pub(super) fn forget(&mut self, max: usize, time: TimeMicros) -> u64 {
        let mut lost = 0;
        while let Some(oldest) = self.chunks.front() {
            let is_old = oldest.is_full() && oldest.times.last().is_none_or(|last| *last < time);
            let kept = self.next_seq.saturating_sub(oldest.first_seq) as usize;
            if !is_old && kept <= max.max(CHUNK_ACTS) {
                break;
            }
            if !is_old {
                lost += oldest.times.iter().filter(|at| **at >= time).count() as u64;
            }
            self.chunks.pop_front();
        }
        lost
    }

    /// The acts on an account from `since` on, in order.
    pub(super) fn of_account<'a>(
        &'a self,
        account: u64,
        since: TimeMicros,
    ) -> impl Iterator<Item = Act> + 'a {
        let chunks =
            self.chunks.iter().filter(move |c| c.times.last().is_some_and(|t| *t >= since));
        chunks.flat_map(move |chunk| {
            let rows = chunk.accounts.iter().enumerate().filter(move |(_, hash)| **hash == account);
            rows.filter(move |(row, _)| chunk.times[*row] >= since).map(|(row, _)| chunk.act(row))
        })
    }

    /// The newest act.
    pub(super) fn newest(&self) -> Option<Act> {
        let chunk = self.chunks.back()?;
        Some(chunk.act(chunk.times.len().checked_sub(1)?))
    }

    /// Whether more than `max` accounts, those left out that `is_victim` names, used this device, or
    /// this fingerprint, since.
    pub(super) fn is_popular(
        &self,
        column: fn(&Chunk) -> &Vec<u64>,
        wanted: u64,
        since: TimeMicros,
        max: usize,
        is_victim: &dyn Fn(u64) -> bool,
    ) -> bool {
        let mut accounts = HashSet::new();
        for chunk in &self.chunks {
            for (row, _) in column(chunk).iter().enumerate().filter(|(_, hash)| **hash == wanted) {
                let account = chunk.accounts[row];
                if chunk.times[row] >= since && !is_victim(account) && accounts.insert(account) {
                    if accounts.len() > max {
                        return true;
                    }
                }
            }
        }
        false
    }
}

/// The hash under which a text is found; 0 for no text.
pub(super) fn hash(key: &KeyedHash, text: &str) -> u64 {
    if text.is_empty() { 0 } else { key.one(text) }
}

impl Chunk {
    pub(super) fn is_full(&self) -> bool {
        self.times.len() >= CHUNK_ACTS
    }

    fn push(&mut self, rows: &Rows<'_>, row: usize, account: u64, key: &KeyedHash) {
        let is_customer = is_customer(value(rows.actor_type, row));
        let actor = if is_customer { "" } else { value(rows.actor, row) };
        self.times.push(rows.time(row));
        self.accounts.push(account);
        self.devices.push(hash(key, value(rows.device, row)));
        self.fingerprints.push(hash(key, value(rows.fingerprint, row)));
        let texts: [&str; N_TEXTS] = [
            rows.account.value(row),
            rows.action.value(row),
            actor,
            value(rows.ip, row),
            value(rows.device, row),
            value(rows.session, row),
            value(rows.resource, row),
        ];
        for text in texts {
            let text = &text.as_bytes()[..text.floor_char_boundary(TEXT_BYTES_MAX)];
            self.texts.extend((text.len() as u16).to_le_bytes());
            self.texts.extend(text);
        }
        self.ends.push(self.texts.len() as u32);
    }

    /// The act of a row. A chunk that was damaged, which its checksum would tell, has empty texts.
    fn act(&self, row: usize) -> Act {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        let mut rest = self.texts.get(start..).unwrap_or_default();
        let mut text = || {
            let Some((length, tail)) = rest.split_first_chunk::<2>() else { return String::new() };
            let length = usize::from(u16::from_le_bytes(*length)).min(tail.len());
            let (text, tail) = tail.split_at(length);
            rest = tail;
            String::from_utf8_lossy(text).into_owned()
        };
        Act {
            seq: self.first_seq + row as u64,
            time: self.times[row],
            account: text(),
            action: text(),
            actor: text(),
            ip: text(),
            device: text(),
            session: text(),
            resource: text(),
        }
    }
}
