//! Deletes what is too old or too much, and measures the rest. It works on a standby too: what is to be
//! forgotten is forgotten there as well.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::file::{self, Opened};
use super::{History, HistoryMetrics, Limits, unusable};
use crate::config::micros;
use crate::event::TimeMicros;
use crate::{Error, Result};

/// How often it looks.
const TEND_EVERY: Duration = Duration::from_secs(10);
/// So many go in one transaction, so that nobody waits long.
const DELETED_AT_ONCE: i64 = 500;
/// Free pages that go back to the file system in one look: 40 MiB.
const FREED_PAGES_MAX: i64 = 10_000;
/// A failure is told again so often.
const TOLD_EVERY: u32 = 30;

/// Looks after the history until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    /// Dropped, it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts a thread that looks at once, and then every ten seconds.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(history: Arc<History>, metrics: HistoryMetrics) -> Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            let mut tending = Tending { history, metrics, opened: None, failures: 0 };
            loop {
                tending.look();
                match stopped.recv_timeout(TEND_EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("nightlatch-history".to_owned()).spawn(work);
        let thread = thread.map_err(|error| {
            Error::unexpected("cannot start a thread").detail(error.to_string())
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it was told when it happened.
            let _ = thread.join();
        }
    }
}

struct Tending {
    history: Arc<History>,
    metrics: HistoryMetrics,
    opened: Option<Opened>,
    failures: u32,
}

impl Tending {
    fn look(&mut self) {
        match self.tend() {
            Ok(()) => {
                self.failures = 0;
                self.metrics.failed.set(0);
            }
            Err(error) => {
                self.opened = None;
                self.metrics.failed.set(1);
                if self.failures.is_multiple_of(TOLD_EVERY) {
                    tracing::error!("{error}");
                }
                self.failures = self.failures.wrapping_add(1);
            }
        }
    }

    fn tend(&mut self) -> Result<()> {
        let path = self.history.path();
        if self.opened.as_ref().is_none_or(|opened| !opened.is_current(path)) {
            self.opened = Some(file::open(path)?);
        }
        let Some(opened) = &self.opened else { return Ok(()) };
        let now = chrono::Utc::now().timestamp_micros();
        let tended = tend(&opened.connection, path, self.history.limits, now, &self.metrics);
        tended.map_err(|error| unusable(path, &error))
    }
}

/// One look at a given time.
pub(super) fn tend(
    connection: &Connection,
    path: &Path,
    limits: Limits,
    now: TimeMicros,
    metrics: &HistoryMetrics,
) -> rusqlite::Result<()> {
    let too_old = now.saturating_sub(micros(limits.retention));
    let old = delete(connection, |n| delete_before(connection, too_old, n))?;
    let rows: i64 = connection.query_row("SELECT count(*) FROM findings", [], |row| row.get(0))?;
    let mut surplus = rows.saturating_sub(i64::try_from(limits.rows_max).unwrap_or(i64::MAX));
    let much = delete(connection, |n| {
        let deleted = delete_before(connection, TimeMicros::MAX, n.min(surplus))?;
        surplus -= deleted;
        Ok(deleted)
    })?;
    for (limit, deleted) in [("retention", old), ("rows_max", much)] {
        metrics.deleted.with_label_values(&[limit]).inc_by(deleted.unsigned_abs());
        if deleted > 0 {
            tracing::info!(deleted, limit, "history: findings deleted");
        }
    }
    metrics.set_sizes(connection, path)?;
    metrics.set_verdicts(connection)
}

/// Deletes bit by bit until nothing is left to delete, and gives the room back.
fn delete(
    connection: &Connection,
    mut some: impl FnMut(i64) -> rusqlite::Result<i64>,
) -> rusqlite::Result<i64> {
    let mut total = 0;
    loop {
        let deleted = some(DELETED_AT_ONCE)?;
        total += deleted;
        if deleted < DELETED_AT_ONCE {
            break;
        }
    }
    if total > 0 {
        let vacuum = format!("PRAGMA incremental_vacuum({FREED_PAGES_MAX})");
        drain(connection, &vacuum)?;
        // Else what was deleted would stay readable in the log. A reader may be in the way: next time.
        drain(connection, "PRAGMA wal_checkpoint(TRUNCATE)")?;
    }
    Ok(total)
}

fn drain(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    let mut prepared = connection.prepare(statement)?;
    let mut rows = prepared.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Deletes the `n` whose newest revision came first, and before this time.
fn delete_before(connection: &Connection, before: TimeMicros, n: i64) -> rusqlite::Result<i64> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM findings WHERE finding IN (SELECT finding FROM findings WHERE revised_at < ? \
         ORDER BY revised_at LIMIT ?)",
    )?;
    let deleted = delete.execute([before, n.max(0)])?;
    Ok(i64::try_from(deleted).unwrap_or(i64::MAX))
}
