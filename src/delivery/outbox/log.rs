//! The log on disk: opening, writing, syncing, and giving room back.

use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Shared;
use super::cursor::Cursor;
use super::entry::{Entry, NewEntry};
use super::segment::{self, Segment};
use super::state::{Known, State};
use crate::config::WhenFull;
use crate::event::TimeMicros;
use crate::store::failpoint;
use crate::{Error, Result};

/// Beyond so many times its limit, not even what may come again is kept.
const KEPT_FACTOR: u64 = 2;

/// Reads what is there, puts it in order, and starts a new segment behind it.
pub(super) fn open(folder: &Path) -> Result<State> {
    let refused = |error: std::io::Error| unusable(folder, &error);
    // What the outbox holds about accounts is nobody else's.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refused)?;
    let mut state = State {
        may_come_again: Known::new(seed()?),
        cursors: Cursor::all(folder).map_err(refused)?,
        ..State::default()
    };
    // A cursor may be ahead of what a disk has kept: those numbers are used up.
    state.next = state.cursors.values().map(|cursor| cursor.next).max().unwrap_or(0);
    let segments = segment::list(folder).map_err(refused)?;
    let last = segments.len().saturating_sub(1);
    for (index, (first, path)) in segments.into_iter().enumerate() {
        let scan = segment::scan(&path)?;
        let behind = scan.n_bytes_behind;
        if behind > 0 {
            tracing::warn!(file = %path.display(), behind, "the outbox ended within an entry: cut off");
        }
        // Only the last file can have been cut by a crash.
        let damaged_end = (behind > 0 && index < last).then_some(scan.sound);
        for at in scan.damaged.iter().copied().chain(damaged_end) {
            state.damage(first, at);
        }
        let Some(end) = scan.entries.iter().map(|entry| entry.sequence + 1).max() else {
            std::fs::remove_file(&path).map_err(refused)?;
            continue;
        };
        let file = std::fs::File::options().read(true).write(true).open(&path).map_err(refused)?;
        file.set_len(scan.sound).map_err(refused)?;
        for entry in &scan.entries {
            state.add(entry.sequence, entry.at, entry.appended_at);
            state.may_come_again.add(entry);
        }
        state.next = state.next.max(end);
        state.segments.push_back(Segment {
            first,
            end,
            path,
            file: Arc::new(file),
            n_bytes: scan.sound,
            n_bytes_synced: 0,
        });
    }
    begin_segment(folder, &mut state).map_err(refused)?;
    sync_all(folder, &mut state).map_err(refused)?;
    Ok(state)
}

/// What was in the page cache when the last process ended must not be delivered before it is on disk.
fn sync_all(folder: &Path, state: &mut State) -> std::io::Result<()> {
    for segment in &mut state.segments {
        segment.file.sync_data()?;
        segment.n_bytes_synced = segment.n_bytes;
    }
    std::fs::File::open(folder)?.sync_all()?;
    state.folder_is_dirty = false;
    state.synced = state.next;
    Ok(())
}

fn begin_segment(folder: &Path, state: &mut State) -> std::io::Result<()> {
    let segment = Segment::create(folder, state.next)?;
    state.segments.push_back(segment);
    state.folder_is_dirty = true;
    Ok(())
}

fn seed() -> Result<u64> {
    getrandom::u64().map_err(|error| {
        Error::unexpected("the system gives no random numbers").detail(error.to_string())
    })
}

fn unusable(folder: &Path, error: &std::io::Error) -> Error {
    Error::unavailable("the outbox cannot be opened")
        .at(folder.display().to_string())
        .detail(error.to_string())
        .hint("check that `state.folder` can be written")
}

impl Shared {
    /// Appends the batch in one write; if not, the reason.
    pub(super) fn write(
        &self,
        state: &mut State,
        batch: &[NewEntry<'_>],
    ) -> std::result::Result<(), String> {
        let n_bytes = batch.iter().map(NewEntry::n_bytes).sum::<usize>();
        self.make_room(state, n_bytes as u64)?;
        let disk = |error: std::io::Error| {
            format!("the outbox cannot be written in {}: {error}", self.folder.display())
        };
        if state.segments.back().is_none_or(|last| last.n_bytes >= self.segment_bytes) {
            begin_segment(&self.folder, state).map_err(disk)?;
        }
        let (first, appended_at) = (state.next, now_micros());
        let mut bytes = Vec::with_capacity(n_bytes);
        for (sequence, entry) in (first..).zip(batch) {
            entry.write(sequence, appended_at, &mut bytes);
        }
        let Some(last) = state.segments.back_mut() else { return Ok(()) };
        // What a failed write leaves behind the end is written over by the next one.
        last.file.write_all_at(&bytes, last.n_bytes).map_err(disk)?;
        failpoint("outbox.appended").map_err(disk)?;
        last.n_bytes += bytes.len() as u64;
        last.end = first + batch.len() as u64;
        state.next = last.end;
        for (sequence, entry) in (first..).zip(batch) {
            state.add(sequence, entry.at, appended_at);
        }
        Ok(())
    }

    fn make_room(&self, state: &mut State, n_bytes: u64) -> std::result::Result<(), String> {
        let bytes_max = self.limits.bytes_max;
        while state.n_pending() > 0 && state.needed_bytes() + n_bytes > bytes_max {
            let dropped = self.limits.when_full == WhenFull::DropOldest
                && drop_oldest(&self.folder, state).unwrap_or(false);
            if !dropped {
                let limit =
                    "`outbox.bytes_max` is reached: some destination does not take its alerts";
                return Err(limit.to_owned());
            }
        }
        Ok(())
    }

    /// See [`super::Outbox::sync`].
    pub(super) fn sync(&self) -> std::io::Result<u64> {
        let lock = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = lock();
        let (next, folder_is_dirty) = (state.next, std::mem::take(&mut state.folder_is_dirty));
        let position = state.position();
        let dirty = state.segments.iter().filter(|one| one.n_bytes > one.n_bytes_synced);
        let dirty: Vec<Segment> = dirty.cloned().collect();
        drop(state);
        let synced = dirty.iter().try_for_each(|segment| segment.file.sync_data()).and_then(|()| {
            if folder_is_dirty { std::fs::File::open(&self.folder)?.sync_all() } else { Ok(()) }
        });
        let synced = synced.and_then(|()| failpoint("outbox.synced"));
        let mut state = lock();
        if let Err(error) = synced {
            state.folder_is_dirty |= folder_is_dirty;
            return Err(error);
        }
        for segment in &mut state.segments {
            if let Some(synced) = dirty.iter().find(|synced| synced.first == segment.first) {
                segment.n_bytes_synced = synced.n_bytes;
            }
        }
        let has_more = state.synced < next;
        state.synced = state.synced.max(next);
        if has_more {
            self.synced.send_replace(state.synced);
        }
        Ok(position)
    }

    /// Deletes segments that nobody needs.
    pub(super) fn reclaim(&self, state: &mut State) {
        let kept_max = self.limits.bytes_max.saturating_mul(KEPT_FACTOR);
        let mut index = 0;
        while index + 1 < state.segments.len() {
            let segment = &state.segments[index];
            let goes = !state.is_needed(segment)
                && (segment.end <= state.confirmed || state.total_bytes() > kept_max);
            if goes {
                remove(state, index);
            } else {
                index += 1;
            }
        }
    }
}

/// Gives up the oldest entries that wait; false when there are none.
fn drop_oldest(folder: &Path, state: &mut State) -> std::io::Result<bool> {
    let Some(index) = state.segments.iter().position(|segment| state.is_needed(segment)) else {
        return Ok(false);
    };
    if index + 1 == state.segments.len() {
        begin_segment(folder, state)?;
    }
    let Segment { first, end, .. } = state.segments[index];
    let wanted = |sequence: &u64| state.cursors.values().any(|cursor| cursor.wants(*sequence));
    let n_dropped = (first..end).filter(wanted).count() as u64;
    state.dropped += n_dropped;
    tracing::warn!(n_dropped, "the outbox is full: its oldest alerts are dropped");
    for cursor in state.cursors.values_mut() {
        cursor.open.retain(|sequence, _| !(first..end).contains(sequence));
        if (first..end).contains(&cursor.next) {
            cursor.next = end;
        }
    }
    remove(state, index);
    Ok(true)
}

fn remove(state: &mut State, index: usize) {
    let Some(segment) = state.segments.remove(index) else { return };
    if let Err(error) = std::fs::remove_file(&segment.path) {
        tracing::warn!(file = %segment.path.display(), %error, "a delivered part of the outbox cannot be deleted");
    }
}

fn now_micros() -> TimeMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeMicros::try_from(since.as_micros()).unwrap_or(TimeMicros::MAX)
}

/// See [`super::pending`].
pub(super) fn pending(folder: &Path) -> Result<Vec<(String, Vec<Entry>)>> {
    let refused = |error: std::io::Error| unusable(folder, &error);
    let cursors = Cursor::all(folder).map_err(refused)?;
    let mut waiting: Vec<(String, Vec<Entry>)> =
        cursors.keys().map(|name| (name.clone(), Vec::new())).collect();
    for (_, path) in segment::list(folder).map_err(refused)? {
        // Deleted meanwhile: its entries are delivered.
        if !path.exists() {
            continue;
        }
        for entry in segment::scan(&path)?.entries {
            for (name, entries) in &mut waiting {
                if cursors.get(name).is_some_and(|cursor| cursor.wants(entry.sequence)) {
                    entries.push(entry.clone());
                }
            }
        }
    }
    Ok(waiting)
}
