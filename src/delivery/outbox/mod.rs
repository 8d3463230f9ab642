//! The outbox: every revision of every alert on disk, until each destination has it.
//!
//! An append-only log in segments. An entry is appended to the page cache, synced before it is
//! delivered, and recognised when the stream is read again after a crash and makes it once more.

mod cursor;
mod entry;
mod log;
mod reader;
mod segment;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub(crate) use cursor::{Cursor, Open};
pub use entry::Entry;
use entry::NewEntry;
pub(crate) use reader::Reader;
use state::State;

use super::Destination;
use crate::alert::Alert;
use crate::config::WhenFull;
use crate::event::TimeMicros;
use crate::{Error, Result};

/// How often somebody who waits for room looks whether the program is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const REMINDER: Duration = Duration::from_secs(30);
/// A full log is cut into about so many segments, of at least and at most so many bytes.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES_MIN: u64 = 4 << 10;
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

/// How large the outbox may grow, and what happens then.
#[derive(Debug, Clone)]
pub struct OutboxLimits {
    /// Bytes that may wait for a destination.
    pub bytes_max: u64,
    /// What happens when more would wait.
    pub when_full: WhenFull,
    /// Ends the waiting for room.
    pub stop: Arc<AtomicBool>,
    /// Grows while it waits: whoever waits for room is held back, and does not hang.
    pub alive: Arc<AtomicU64>,
}

/// Numbers about the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxStats {
    /// Entries that some destination has not got yet.
    pub entries: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// When the oldest of these entries was appended, in microseconds since 1970.
    pub oldest_appended_at: Option<TimeMicros>,
    /// Whether the pipeline waits for room.
    pub full: bool,
    /// Entries given up because of `when_full = "drop_oldest"`.
    pub dropped: u64,
    /// Places of the log that are damaged.
    pub damaged: u64,
}

/// The log; a clone is the same log.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    limits: OutboxLimits,
    segment_bytes: u64,
    state: Mutex<State>,
    /// Told when a destination has got on.
    room: Condvar,
    /// One sync at a time.
    syncing: Mutex<()>,
    appended: watch::Sender<u64>,
    synced: watch::Sender<u64>,
}

impl Outbox {
    /// Opens the log of a folder, which is created when it is not there. Whatever a crash has left
    /// is put in order.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or when a newer program has written it.
    pub fn open(folder: &Path, limits: &OutboxLimits) -> Result<Self> {
        let state = log::open(folder)?;
        let (next, synced) = (state.next, state.synced);
        let segment_bytes = limits.bytes_max / SEGMENTS;
        Ok(Self(Arc::new(Shared {
            folder: folder.to_owned(),
            limits: limits.clone(),
            segment_bytes: segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
            state: Mutex::new(state),
            room: Condvar::new(),
            syncing: Mutex::new(()),
            appended: watch::Sender::new(next),
            synced: watch::Sender::new(synced),
        })))
    }

    /// Appends revisions, all of which are in the page cache when it returns. What is recognised as
    /// being there is left out.
    ///
    /// Waits while the outbox or the disk is full, if that is its policy.
    ///
    /// # Errors
    /// When a stop is asked for while it waits.
    pub fn append(&self, alerts: &[Alert]) -> Result<()> {
        let mut batch = Vec::with_capacity(alerts.len());
        let mut n_bytes = 0;
        for alert in alerts {
            let native = alert.to_json();
            let entry = NewEntry { at: alert.at, id: &alert.id, revision: alert.revision, native };
            n_bytes += entry.n_bytes() as u64;
            batch.push(entry);
            if n_bytes >= self.0.segment_bytes {
                self.append_batch(&mut batch)?;
                n_bytes = 0;
            }
        }
        self.append_batch(&mut batch)
    }

    fn append_batch(&self, batch: &mut Vec<NewEntry<'_>>) -> Result<()> {
        let mut state = self.state();
        batch.retain(|entry| !state.may_come_again.recognise(&entry.native));
        let mut waiting = Waiting::default();
        while !batch.is_empty() {
            let outcome = self.0.write(&mut state, batch);
            state.full = outcome.is_err();
            match outcome {
                Ok(()) => {
                    self.0.appended.send_replace(state.next);
                    break;
                }
                Err(reason) => waiting.go_on(&reason, &self.0.limits)?,
            }
            let woken = self.0.room.wait_timeout(state, LOOK_EVERY);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        batch.clear();
        Ok(())
    }

    /// Returns once everything appended is on disk for good. The answer is the position for a
    /// manifest, as [`Outbox::position`] gives it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> Result<u64> {
        let _one = self.0.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.sync().map_err(|error| {
            Error::unavailable("the outbox cannot be brought to disk")
                .at(self.0.folder.display().to_string())
                .detail(error.to_string())
        })
    }

    /// The position for a manifest that is made now: after the last entry; or, while the stream is
    /// read again, before the first one that may still come again.
    pub fn position(&self) -> u64 {
        self.state().position()
    }

    /// The stream is about to be read again by a manifest that knows the outbox up to here, or by none
    /// (0): entries from there on are recognised when they are made again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn resume(&self, position: u64) -> Result<()> {
        self.sync()?;
        let mut reader = self.reader(position);
        let entries = std::iter::from_fn(|| reader.next());
        let mut may_come_again = self.state().may_come_again.emptied();
        entries.for_each(|entry| may_come_again.add(&entry));
        let mut state = self.state();
        state.may_come_again = may_come_again;
        state.stream_time = None;
        drop(state);
        self.confirmed(position);
        Ok(())
    }

    /// A manifest is durable that knows the outbox up to here: entries before the position will never
    /// be made again.
    pub fn confirmed(&self, position: u64) {
        let mut state = self.state();
        state.confirmed = state.confirmed.max(position);
        // What the manifest knows counts as used, even where a disk has lost it.
        state.next = state.next.max(position);
        state.may_come_again.forget_before(position);
        self.0.reclaim(&mut state);
    }

    /// Every revision that was due before this event time has been appended.
    pub fn advance(&self, stream_time: TimeMicros) {
        let mut state = self.state();
        state.stream_time = state.stream_time.max(Some(stream_time));
        state.may_come_again.forget_due_before(stream_time);
    }

    /// The event time before which every revision is delivered to every destination; `None` while
    /// nothing is known about it.
    pub fn delivered_until(&self) -> Option<TimeMicros> {
        self.state().delivered_until()
    }

    /// For a standby: another instance has delivered every revision that was due before this event
    /// time.
    pub fn drop_before(&self, at: TimeMicros) {
        let mut state = self.state();
        state.delivered_elsewhere = state.delivered_elsewhere.max(Some(at));
    }

    /// Numbers about it.
    pub fn stats(&self) -> OutboxStats {
        let mut state = self.state();
        OutboxStats {
            entries: state.n_pending(),
            bytes: state.total_bytes(),
            oldest_appended_at: state.oldest_appended_at(),
            full: state.full,
            dropped: state.dropped,
            damaged: state.damaged.len() as u64,
        }
    }

    /// See [`Outbox::drop_before`].
    pub(crate) fn delivered_elsewhere(&self) -> TimeMicros {
        self.state().delivered_elsewhere.unwrap_or(TimeMicros::MIN)
    }

    /// See [`Outbox::advance`].
    pub(crate) fn stream_time(&self) -> Option<TimeMicros> {
        self.state().stream_time
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Entries from a sequence number on, as far as they are synced.
    pub(crate) fn reader(&self, from: u64) -> Reader {
        Reader::new(self.clone(), from)
    }

    /// Told with each append.
    pub(crate) fn appended(&self) -> watch::Receiver<u64> {
        self.0.appended.subscribe()
    }

    /// Told with each sync that brought something to disk.
    pub(crate) fn synced(&self) -> watch::Receiver<u64> {
        self.0.synced.subscribe()
    }

    /// How far a destination is. A new one starts at the end.
    pub(crate) fn cursor(&self, name: &str) -> Result<Cursor> {
        let mut state = self.state();
        if let Some(cursor) = state.cursors.get(name) {
            return Ok(cursor.clone());
        }
        let cursor = Cursor { next: state.next, ..Cursor::default() };
        cursor.write(&self.0.folder, name)?;
        state.cursors.insert(name.to_owned(), cursor.clone());
        Ok(cursor)
    }

    /// A destination is so far, on disk too when this returns without an error.
    pub(crate) fn move_cursor(&self, name: &str, cursor: Cursor) -> Result<()> {
        let written = cursor.write(&self.0.folder, name);
        let mut state = self.state();
        state.cursors.insert(name.to_owned(), cursor);
        self.0.reclaim(&mut state);
        drop(state);
        self.0.room.notify_all();
        written
    }

    /// Forgets every destination that is not named.
    pub(crate) fn keep_cursors(&self, names: &[&str]) {
        let mut state = self.state();
        let gone: Vec<String> =
            state.cursors.keys().filter(|name| !names.contains(&name.as_str())).cloned().collect();
        for name in gone {
            cursor::remove(&self.0.folder, &name);
            state.cursors.remove(&name);
        }
        self.0.reclaim(&mut state);
        drop(state);
        self.0.room.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For a pipeline that hands its alerts to a destination: appended, and delivered later.
impl Destination for Outbox {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        self.append(alerts)
    }

    fn advance(&mut self, stream_time: TimeMicros) {
        Self::advance(self, stream_time);
    }

    fn flush(&mut self) -> Result<()> {
        self.sync().map(|_| ())
    }
}

/// Waits for room: says so now and again, and ends when the program is to stop.
#[derive(Default)]
struct Waiting {
    said_at: Option<Instant>,
}

impl Waiting {
    fn go_on(&mut self, reason: &str, limits: &OutboxLimits) -> Result<()> {
        limits.alive.fetch_add(1, Ordering::Relaxed);
        if self.said_at.is_none_or(|said| said.elapsed() >= REMINDER) {
            self.said_at = Some(Instant::now());
            tracing::warn!("alerts wait: {reason}");
        }
        if limits.stop.load(Ordering::Relaxed) {
            return Err(Error::unavailable("alerts found last are not in the outbox")
                .detail(reason.to_owned())
                .hint("their offsets are not committed: a restart makes the same alerts again"));
        }
        Ok(())
    }
}

/// What waits for each destination, by name: read while another process may be at work.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn pending(folder: &Path) -> Result<Vec<(String, Vec<Entry>)>> {
    log::pending(folder)
}
