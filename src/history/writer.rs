//! Takes what is delivered: revisions of alerts and incidents, many in one transaction.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Deserialize;

use super::file::{self, Opened};
use super::{FindingKind, unusable};
use crate::delivery::record::AlertRecord;
use crate::event::TimeMicros;
use crate::event::time::parse_rfc3339;
use crate::{Error, Result};

/// One revision, as destinations get it.
#[derive(Debug, Clone, Copy)]
pub struct Revision<'a> {
    /// What it says.
    pub record: &'a AlertRecord,
    /// Its JSON, which is kept as it is.
    pub native: &'a [u8],
}

/// A revision that the history will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Which of those that came.
    pub index: usize,
    /// Why.
    pub reason: &'static str,
}

/// The one that writes.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    opened: Opened,
}

impl Writer {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), opened: file::open(path)? })
    }

    /// Takes all of them or, after an error, none. What it has already is passed over.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, revisions: &[Revision<'_>], now: TimeMicros) -> Result<Vec<Unusable>> {
        let mut unusable_ones = Vec::new();
        let mut write = || {
            let connection = &mut self.opened.connection;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (index, revision) in revisions.iter().enumerate() {
                match Row::read(revision, now) {
                    Ok(row) => row.write(&transaction)?,
                    Err(reason) => unusable_ones.push(Unusable { index, reason }),
                }
            }
            transaction.commit()
        };
        write().map_err(|error| unusable(&self.path, &error))?;
        Ok(unusable_ones)
    }

    /// Makes what was written safe from a crash of the machine.
    ///
    /// # Errors
    /// When the disk refuses, or when the file is no longer the one that was written.
    pub fn sync(&self) -> Result<()> {
        if !self.opened.is_current(&self.path) {
            return Err(Error::unavailable("the history was taken away or replaced")
                .at(self.path.display().to_string())
                .detail(
                    "what was written to the old file since the last moment is written again",
                ));
        }
        let log = file::log_path(&self.path);
        match File::open(&log).and_then(|log| log.sync_data()) {
            // Without a log everything is in the file, which SQLite has synced.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file::unreachable(&log, &error))
            }
            _ => Ok(()),
        }
    }
}

/// Alerts have no `kind`.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    kind: Option<FindingKind>,
}

/// What of a revision goes into columns.
struct Row<'a> {
    record: &'a AlertRecord,
    document: &'a str,
    kind: &'static str,
    revision: i64,
    started_at: TimeMicros,
    updated_at: TimeMicros,
    now: TimeMicros,
}

impl<'a> Row<'a> {
    fn read(revision: &Revision<'a>, now: TimeMicros) -> Result<Self, &'static str> {
        let record = revision.record;
        let document =
            std::str::from_utf8(revision.native).map_err(|_| "the document is not text")?;
        let head: Head =
            serde_json::from_str(document).map_err(|_| "the document is of an unknown kind")?;
        let time = |text: &str| parse_rfc3339(text).ok_or("a time of it is no time");
        Ok(Self {
            record,
            document,
            kind: head.kind.unwrap_or(FindingKind::Alert).label(),
            revision: i64::try_from(record.revision).map_err(|_| "its revision is no number")?,
            started_at: time(&record.started_at)?,
            updated_at: time(&record.updated_at)?,
            now,
        })
    }

    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut known = transaction.prepare_cached(
            "SELECT finding, revision, started_at FROM findings WHERE kind = ? AND id = ?",
        )?;
        let known: Option<(i64, i64, TimeMicros)> = known
            .query_row(params![self.kind, self.record.id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        match known {
            None => {
                let finding = self.insert(transaction)?;
                self.note_revision(transaction, finding)?;
                self.write_names(transaction, finding)?;
                self.write_members(transaction, finding)
            }
            Some((finding, revision, started_at)) => {
                self.note_revision(transaction, finding)?;
                if self.revision <= revision {
                    return Ok(());
                }
                self.update(transaction, finding)?;
                if started_at != self.started_at {
                    let mut delete =
                        transaction.prepare_cached("DELETE FROM names WHERE finding = ?")?;
                    delete.execute([finding])?;
                }
                self.write_names(transaction, finding)?;
                self.write_members(transaction, finding)
            }
        }
    }

    fn insert(&self, transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
        let record = self.record;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO findings (kind, id, revision, status, rule, severity, entity_type, entity, \
             started_at, updated_at, received_at, revised_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
        )?;
        let finding = insert.insert(params![
            self.kind,
            record.id,
            self.revision,
            record.status.label(),
            record.rule,
            record.severity as i64,
            record.entity_type,
            record.entity,
            self.started_at,
            self.updated_at,
            self.now,
        ])?;
        let mut document = transaction
            .prepare_cached("INSERT INTO documents (finding, document) VALUES (?, ?)")?;
        document.execute(params![finding, self.document])?;
        Ok(finding)
    }

    /// The verdict stays: it was given on the finding, not on one revision.
    fn update(&self, transaction: &Transaction<'_>, finding: i64) -> rusqlite::Result<()> {
        let record = self.record;
        let mut update = transaction.prepare_cached(
            "UPDATE findings SET revision = ?2, status = ?3, rule = ?4, severity = ?5, \
             entity_type = ?6, entity = ?7, started_at = ?8, updated_at = ?9, revised_at = ?10 \
             WHERE finding = ?1",
        )?;
        update.execute(params![
            finding,
            self.revision,
            record.status.label(),
            record.rule,
            record.severity as i64,
            record.entity_type,
            record.entity,
            self.started_at,
            self.updated_at,
            self.now,
        ])?;
        let mut document =
            transaction.prepare_cached("UPDATE documents SET document = ?2 WHERE finding = ?1")?;
        document.execute(params![finding, self.document]).map(drop)
    }

    fn note_revision(&self, transaction: &Transaction<'_>, finding: i64) -> rusqlite::Result<()> {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO revisions (finding, revision, status, updated_at, received_at) \
             VALUES (?, ?, ?, ?, ?)",
        )?;
        let status = self.record.status.label();
        insert.execute(params![finding, self.revision, status, self.updated_at, self.now]).map(drop)
    }

    fn write_names(&self, transaction: &Transaction<'_>, finding: i64) -> rusqlite::Result<()> {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO names (type, name, kind, started_at, finding) \
             VALUES (?, ?, ?, ?, ?)",
        )?;
        let accounts = self.record.accounts.iter().map(|account| ("account", account));
        let ips = self.record.ips.iter().map(|ip| ("ip", ip));
        for (role, name) in accounts.chain(ips) {
            insert.execute(params![role, name, self.kind, self.started_at, finding])?;
        }
        Ok(())
    }

    /// Alerts come to an incident and never leave it.
    fn write_members(&self, transaction: &Transaction<'_>, finding: i64) -> rusqlite::Result<()> {
        let Some(incident) = &self.record.incident else { return Ok(()) };
        let mut insert = transaction
            .prepare_cached("INSERT OR IGNORE INTO members (alert, finding) VALUES (?, ?)")?;
        for member in &incident.alerts {
            insert.execute(params![member.id, finding])?;
        }
        Ok(())
    }
}
