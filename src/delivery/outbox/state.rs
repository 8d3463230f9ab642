//! What the outbox knows in memory: segments, who has got how far, what may come again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::cursor::Cursor;
use super::entry::Entry;
use super::segment::Segment;
use crate::event::TimeMicros;

/// The clock of appending is remembered once in so long.
const APPENDED_STEP_MICROS: TimeMicros = 1_000_000;

/// Everything behind the lock.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Oldest first; the last one is written to.
    pub(super) segments: VecDeque<Segment>,
    /// Number of the next entry.
    pub(super) next: u64,
    /// Entries before it are on disk for good.
    pub(super) synced: u64,
    /// Entries before it will never be made again.
    pub(super) confirmed: u64,
    pub(super) may_come_again: Known,
    pub(super) cursors: BTreeMap<String, Cursor>,
    pub(super) waiting: Waiting,
    pub(super) stream_time: Option<TimeMicros>,
    /// Revisions before this time were delivered by another instance.
    pub(super) delivered_elsewhere: Option<TimeMicros>,
    pub(super) full: bool,
    pub(super) dropped: u64,
    /// Damaged places: segment and offset.
    pub(super) damaged: BTreeSet<(u64, u64)>,
    /// A segment was made since the folder was synced.
    pub(super) folder_is_dirty: bool,
}

impl State {
    /// An entry is there from now on.
    pub(super) fn add(&mut self, sequence: u64, at: TimeMicros, appended_at: TimeMicros) {
        self.waiting.push(sequence, at, appended_at);
    }

    /// Entries there cannot be read and are skipped; told once.
    pub(super) fn damage(&mut self, segment: u64, at: u64) {
        if self.damaged.insert((segment, at)) {
            tracing::error!(segment, at, "a part of the outbox is damaged and skipped");
        }
    }

    /// Entries from here on may be made again after a restart.
    pub(super) fn position(&self) -> u64 {
        self.may_come_again.first().unwrap_or(self.next).clamp(self.confirmed, self.next)
    }

    /// The first entry that some destination has not taken yet.
    pub(super) fn first_untaken(&self) -> u64 {
        let kept = self.segments.front().map_or(self.next, |segment| segment.first);
        self.cursors.values().map(|cursor| cursor.next).min().unwrap_or(kept).max(kept)
    }

    /// Entries that some destination has not got yet.
    pub(super) fn n_pending(&self) -> u64 {
        let untaken = self.first_untaken();
        let open: BTreeSet<u64> = self
            .cursors
            .values()
            .flat_map(|cursor| cursor.open.range(..untaken).map(|(sequence, _)| *sequence))
            .collect();
        self.next.saturating_sub(untaken) + open.len() as u64
    }

    /// Whether some destination still needs the segment.
    pub(super) fn is_needed(&self, segment: &Segment) -> bool {
        if self.cursors.is_empty() {
            return segment.end > segment.first;
        }
        self.cursors.values().any(|cursor| cursor.wants_any(segment.first, segment.end))
    }

    /// Bytes of segments that some destination still needs.
    pub(super) fn needed_bytes(&self) -> u64 {
        let needed = self.segments.iter().filter(|segment| self.is_needed(segment));
        needed.map(|segment| segment.n_bytes).sum()
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.n_bytes).sum()
    }

    /// See [`super::Outbox::delivered_until`].
    pub(super) fn delivered_until(&mut self) -> Option<TimeMicros> {
        self.waiting.forget_before(self.first_untaken());
        let open =
            self.cursors.values().flat_map(|cursor| cursor.open.values().map(|open| open.at));
        let pending = open.chain(self.waiting.at_min()).min();
        pending.into_iter().chain(self.stream_time).min()
    }

    /// When the oldest pending entry was appended.
    pub(super) fn oldest_appended_at(&mut self) -> Option<TimeMicros> {
        self.waiting.forget_before(self.first_untaken());
        let untaken = (self.first_untaken() < self.next).then(|| self.waiting.appended_min());
        let open = self.cursors.values();
        let open = open.flat_map(|cursor| cursor.open.values().map(|open| open.appended_at));
        open.chain(untaken.flatten()).min()
    }
}

/// Least `at` and first `appended_at` of the entries that are not taken yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Sequence numbers and times, both ascending: an entry with a later one of a lower time behind
    /// it is never the least.
    at: VecDeque<(u64, TimeMicros)>,
    appended: VecDeque<(u64, TimeMicros)>,
}

impl Waiting {
    fn push(&mut self, sequence: u64, at: TimeMicros, appended_at: TimeMicros) {
        while self.at.back().is_some_and(|(_, last)| *last >= at) {
            self.at.pop_back();
        }
        self.at.push_back((sequence, at));
        let last = self.appended.back().map(|(_, last)| *last);
        if last.is_none_or(|last| (appended_at - last).abs() >= APPENDED_STEP_MICROS) {
            self.appended.push_back((sequence, appended_at));
        }
    }

    fn forget_before(&mut self, sequence: u64) {
        while self.at.front().is_some_and(|(first, _)| *first < sequence) {
            self.at.pop_front();
        }
        // An entry was appended when the last remembered one at or before it was.
        while self.appended.get(1).is_some_and(|(second, _)| *second <= sequence) {
            self.appended.pop_front();
        }
    }

    fn at_min(&self) -> Option<TimeMicros> {
        self.at.front().map(|(_, at)| *at)
    }

    fn appended_min(&self) -> Option<TimeMicros> {
        self.appended.front().map(|(_, appended_at)| *appended_at)
    }
}

/// Entries that were on disk at the start and may be made again by reading the stream again.
#[derive(Debug, Default)]
pub(super) struct Known {
    by_fingerprint: HashMap<u64, u64>,
    by_sequence: BTreeMap<u64, (u64, TimeMicros)>,
    seed: u64,
}

impl Known {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// One that knows nothing, with the same seed.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.seed)
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        let fingerprint = self.fingerprint(&entry.native);
        self.by_fingerprint.insert(fingerprint, entry.sequence);
        self.by_sequence.insert(entry.sequence, (fingerprint, entry.at));
    }

    /// Id and revision are in the bytes. The seed is random: nobody can make two alerts meet.
    fn fingerprint(&self, native: &[u8]) -> u64 {
        twox_hash::XxHash3_64::oneshot_with_seed(self.seed, native)
    }

    /// Whether these bytes are there already; they are expected no more then.
    pub(super) fn recognise(&mut self, native: &[u8]) -> bool {
        if self.by_fingerprint.is_empty() {
            return false;
        }
        let Some(sequence) = self.by_fingerprint.remove(&self.fingerprint(native)) else {
            return false;
        };
        self.by_sequence.remove(&sequence);
        true
    }

    /// The first entry that may still come again.
    pub(super) fn first(&self) -> Option<u64> {
        self.by_sequence.keys().next().copied()
    }

    /// Entries before this one never come again.
    pub(super) fn forget_before(&mut self, sequence: u64) {
        self.forget_while(|first, _| first < sequence);
    }

    /// The stream has passed this time: what was due before it would have come by now.
    pub(super) fn forget_due_before(&mut self, time: TimeMicros) {
        self.forget_while(|_, at| at < time);
    }

    fn forget_while(&mut self, mut gone: impl FnMut(u64, TimeMicros) -> bool) {
        while let Some(first) = self.by_sequence.first_entry() {
            let (fingerprint, at) = *first.get();
            if !gone(*first.key(), at) {
                return;
            }
            let sequence = first.remove_entry().0;
            if self.by_fingerprint.get(&fingerprint) == Some(&sequence) {
                self.by_fingerprint.remove(&fingerprint);
            }
        }
    }
}
