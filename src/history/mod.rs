//! The history: alerts and incidents as they were delivered, and what people said of them, in one
//! SQLite file.
//!
//! ```text
//! dispatcher ──> writer ──┐
//!                         v
//! API ──────> pool ──> SQLite <── keeper (retention, metrics)
//!  └──> verdicts ───────^ └──> reader ──> `nightlatch alerts`
//! ```
//!
//! It is outside of detection: nothing that it holds ever changes an alert, and its retention goes by
//! the clock.

mod counts;
mod details;
mod file;
mod keeper;
mod metrics;
mod page;
mod pool;
mod reader;
#[cfg(test)]
mod tests;
mod verdicts;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use counts::DayCount;
pub use details::{Details, RevisionRow};
pub use keeper::Keeper;
pub use metrics::HistoryMetrics;
pub use page::{Cursor, Filter, Page, PageItem, StatusFilter};
pub use reader::Reader;
pub use verdicts::{Given, NewVerdict, RuleCounts, Verdict, VerdictLabel};
pub use writer::{Revision, Unusable, Writer};

use crate::event::TimeMicros;
use crate::{Error, Result};
use pool::Pool;

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// An episode of one rule.
    Alert,
    /// Alerts that belong together.
    Incident,
}

impl FindingKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Alert, Self::Incident];

    /// `alert` or `incident`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Incident => "incident",
        }
    }
}

/// How long what is kept, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A finding without a new revision for so long is deleted.
    pub retention: Duration,
    /// Of more findings, those whose newest revision came first are deleted.
    pub rows_max: usize,
}

/// The history for those who read it and who judge what it holds. Nothing is opened before it is asked.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    limits: Limits,
    readers: Pool,
}

impl History {
    /// The history in a file, which is made when it is first asked for.
    pub fn new(path: &Path, limits: Limits) -> Self {
        Self { path: path.to_owned(), limits, readers: Pool::new(path, file::open) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A page of findings, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page(&self, filter: &Filter, limit: usize) -> Result<Page> {
        self.readers.read(|connection| page::read(connection, filter, limit))
    }

    /// One finding with all that is known of it; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn details(&self, kind: FindingKind, id: &str) -> Result<Option<Details>> {
        self.readers.read(|connection| details::read(connection, kind, id))
    }

    /// Takes a verdict on a finding.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn give(&self, kind: FindingKind, id: &str, verdict: &NewVerdict) -> Result<Given> {
        let mut opened = file::open(&self.path)?;
        // Somebody was told that it is kept.
        let durable = opened.connection.pragma_update(None, "synchronous", "FULL");
        durable
            .and_then(|()| verdicts::give(&mut opened.connection, kind, id, verdict))
            .map_err(|error| unusable(&self.path, &error))
    }

    /// Alerts and newest verdicts by rule.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rules(&self) -> Result<Vec<RuleCounts>> {
        self.readers.read(verdicts::by_rule)
    }

    /// How many alerts of each rule began on each day, from a time on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn days(&self, from: TimeMicros) -> Result<Vec<DayCount>> {
        self.readers.read(|connection| counts::by_day(connection, from))
    }

    /// The incident that an alert belongs to: its newest one that no other took over, else its newest.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn incident_of(&self, alert: &str) -> Result<Option<Box<RawValue>>> {
        self.readers.read(|connection| details::incident_of(connection, alert))
    }

    /// Takes the verdicts over into the metrics.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn measure_verdicts(&self, metrics: &HistoryMetrics) -> Result<()> {
        self.readers.read(|connection| metrics.set_verdicts(connection))
    }
}

/// What SQLite said, for people.
fn unusable(path: &Path, error: &rusqlite::Error) -> Error {
    let told = Error::unavailable("the history cannot be used")
        .at(path.display().to_string())
        .detail(error.to_string());
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => told.hint(
            "the file is damaged: move it away with its -wal and -shm files; a new one is begun, and \
             docs/history.md says how to save what is in the old one",
        ),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            told.hint("another program holds a lock on the file")
        }
        Some(rusqlite::ErrorCode::DiskFull) => told.hint("the disk is full"),
        _ => told.hint("the file, and its folder, must be writable for the user that runs nightlatch"),
    }
}
