//! State that depends on a key's newest rows only: one line a key, however long the frame.

use super::snapshot::{Damage, RecencyEntries};
use super::spec::Cells;
use crate::event::TimeMicros;

const NONE: u32 = u32::MAX;
const NEVER: TimeMicros = TimeMicros::MIN;

/// Slots in the order of their newest row, so that those beyond a horizon are found at the front. What
/// is kept of that row lies beside its time: one line of the processor's cache for both.
#[derive(Debug)]
pub(crate) struct Recency<V> {
    lines: Vec<Line<V>>,
    oldest: u32,
    newest: u32,
}

#[derive(Debug, Clone, Copy)]
struct Line<V> {
    time: TimeMicros,
    older: u32,
    newer: u32,
    value: V,
}

impl<V: Copy + Default> Recency<V> {
    pub(crate) fn new() -> Self {
        Self { lines: Vec::new(), oldest: NONE, newest: NONE }
    }

    pub(crate) fn grow(&mut self, n: usize) {
        let line = Line { time: NEVER, older: NONE, newer: NONE, value: V::default() };
        self.lines.resize(n.max(self.lines.len()), line);
    }

    /// The newest row of a slot, if it has one.
    #[inline]
    fn newest_of(&self, slot: u32) -> Option<(TimeMicros, V)> {
        let line = &self.lines[slot as usize];
        (line.time != NEVER).then_some((line.time, line.value))
    }

    /// Notes a row; true when the slot had none.
    pub(crate) fn touch(&mut self, slot: u32, time: TimeMicros, value: V) -> bool {
        let is_new = self.lines[slot as usize].time == NEVER;
        if self.newest != slot {
            if !is_new {
                self.unlink(slot);
            }
            self.append(slot);
        }
        let line = &mut self.lines[slot as usize];
        (line.time, line.value) = (time.max(NEVER + 1), value);
        is_new
    }

    /// Takes the slot whose newest row is oldest, when that row is older than `limit`.
    pub(crate) fn expire(&mut self, limit: TimeMicros) -> Option<u32> {
        let slot = self.oldest;
        if slot == NONE || self.lines[slot as usize].time >= limit {
            return None;
        }
        self.unlink(slot);
        self.lines[slot as usize].time = NEVER;
        Some(slot)
    }

    /// Slots from the one whose newest row is oldest on.
    fn in_order(&self) -> impl Iterator<Item = u32> {
        let known = |slot: u32| (slot != NONE).then_some(slot);
        std::iter::successors(known(self.oldest), move |slot| {
            known(self.lines[*slot as usize].newer)
        })
    }

    /// Whether a row at `time` may come for this slot next, when none has come for it yet.
    fn may_follow(&self, slot: u32, time: TimeMicros) -> bool {
        let newest = self.lines.get(self.newest as usize).map_or(NEVER, |line| line.time);
        self.lines.get(slot as usize).is_some_and(|line| line.time == NEVER) && time >= newest
    }

    fn append(&mut self, slot: u32) {
        let last = self.newest;
        let line = &mut self.lines[slot as usize];
        (line.older, line.newer) = (last, NONE);
        match last {
            NONE => self.oldest = slot,
            _ => self.lines[last as usize].newer = slot,
        }
        self.newest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Line { older, newer, .. } = self.lines[slot as usize];
        match older {
            NONE => self.oldest = newer,
            _ => self.lines[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            _ => self.lines[newer as usize].older = older,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line<V>>()
    }
}

/// `max(time)` and `last_value(x)`: the newest row of each key that the mask lets in.
#[derive(Debug)]
pub(crate) struct Newest {
    pub(crate) recency: Recency<Option<u64>>,
}

impl Newest {
    pub(crate) fn new() -> Self {
        Self { recency: Recency::new() }
    }

    pub(crate) fn grow(&mut self, n: usize) {
        self.recency.grow(n);
    }

    /// True when the slot was empty before.
    pub(crate) fn enter(&mut self, slot: u32, time: TimeMicros, value: Option<u64>) -> bool {
        self.recency.touch(slot, time, value)
    }

    /// The newest row of each key, for [`Newest::restore`].
    pub(crate) fn entries(&self) -> RecencyEntries {
        let mut entries = RecencyEntries::default();
        for slot in self.recency.in_order() {
            if let Some((time, value)) = self.recency.newest_of(slot) {
                entries.push(slot, time, value);
            }
        }
        entries
    }

    /// Takes the newest rows back into an empty state; slots are below `n_slots`.
    pub(crate) fn restore(
        &mut self,
        n_slots: usize,
        entries: &RecencyEntries,
    ) -> Result<(), Damage> {
        self.grow(n_slots);
        for (slot, time, value) in entries.iter() {
            if !self.recency.may_follow(slot, time) {
                return Err("newest rows of keys are out of order");
            }
            self.enter(slot, time, value);
        }
        Ok(())
    }

    /// The values of these keys at these times, where their rows are no further back than `reach`.
    pub(crate) fn read_all(
        &self,
        slots: &[u32],
        times: &[TimeMicros],
        reach_micros: TimeMicros,
        output: &mut Cells,
    ) {
        let rows = slots.iter().zip(times);
        output.extend(slots.len(), rows, |(slot, time)| {
            let start = time.saturating_sub(reach_micros);
            let newest = self.recency.newest_of(*slot).filter(|(time, _)| *time >= start);
            newest.and_then(|(_, value)| value)
        });
    }

    pub(crate) fn bytes(&self) -> usize {
        self.recency.bytes()
    }
}

/// `lag(x, n)` within a horizon: the last `n` rows of each key.
#[derive(Debug)]
pub(crate) struct Lag {
    pub(crate) recency: Recency<()>,
    /// `n` entries for each slot, newest first.
    entries: Vec<Entry>,
    n: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: TimeMicros,
    value: u64,
    valid: bool,
}

const EMPTY: Entry = Entry { time: NEVER, value: 0, valid: false };

impl Lag {
    pub(crate) fn new(n: usize) -> Self {
        Self { recency: Recency::new(), entries: Vec::new(), n }
    }

    pub(crate) fn grow(&mut self, n_slots: usize) {
        self.recency.grow(n_slots);
        self.entries.resize((n_slots * self.n).max(self.entries.len()), EMPTY);
    }

    /// The value `n` rows back: `None` when there is no such row at or after `start`, `Some(None)`
    /// when the value itself is NULL.
    pub(crate) fn read(&self, slot: u32, start: TimeMicros) -> Option<Option<u64>> {
        let entry = self.entries[(slot as usize + 1) * self.n - 1];
        (entry.time != NEVER && entry.time >= start).then_some(entry.valid.then_some(entry.value))
    }

    /// True when the slot was empty before.
    pub(crate) fn push(&mut self, slot: u32, time: TimeMicros, value: Option<u64>) -> bool {
        let start = slot as usize * self.n;
        let entries = &mut self.entries[start..start + self.n];
        entries.rotate_right(1);
        entries[0] =
            Entry { time: time.max(NEVER + 1), value: value.unwrap_or(0), valid: value.is_some() };
        self.recency.touch(slot, time, ())
    }

    /// The newest rows of each key, for [`Lag::restore`].
    pub(crate) fn entries(&self) -> RecencyEntries {
        let mut entries = RecencyEntries::default();
        for slot in self.recency.in_order() {
            let start = slot as usize * self.n;
            let own = self.entries[start..start + self.n].iter();
            for entry in own.filter(|entry| entry.time != NEVER) {
                entries.push(slot, entry.time, entry.valid.then_some(entry.value));
            }
        }
        entries
    }

    /// Takes the newest rows back into an empty state; slots are below `n_slots`.
    pub(crate) fn restore(
        &mut self,
        n_slots: usize,
        entries: &RecencyEntries,
    ) -> Result<(), Damage> {
        self.grow(n_slots);
        let rows: Vec<_> = entries.iter().collect();
        for run in rows.chunk_by(|left, right| left.0 == right.0) {
            let &[(slot, newest, _), ..] = run else { continue };
            let is_sound = run.len() <= self.n
                && run.is_sorted_by(|left, right| left.1 >= right.1)
                && self.recency.may_follow(slot, newest);
            if !is_sound {
                return Err("newest rows of keys are out of order");
            }
            run.iter().rev().for_each(|(slot, time, value)| {
                self.push(*slot, *time, *value);
            });
        }
        Ok(())
    }

    /// Forgets a slot whose newest row is beyond the horizon.
    pub(crate) fn clear(&mut self, slot: u32) {
        let start = slot as usize * self.n;
        self.entries[start..start + self.n].fill(EMPTY);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.recency.bytes() + self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_expire_in_the_order_of_their_newest_row() {
        let mut recency = Recency::new();
        recency.grow(3);
        for (slot, time) in [(0, 1), (1, 2), (2, 3), (0, 4), (1, 5)] {
            recency.touch(slot, time, ());
        }
        assert_eq!(recency.expire(3), None);
        assert_eq!(recency.expire(6), Some(2));
        assert_eq!(recency.expire(6), Some(0));
        assert_eq!(recency.expire(6), Some(1));
        assert_eq!(recency.expire(6), None);
        assert!(recency.touch(2, 9, ()));
    }
}
