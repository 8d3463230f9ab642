//! Links between the rows of a lane that have the same key and value: what makes an exact sliding
//! distinct count O(1).

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::bits::Bits;
use super::log::Log;
use super::snapshot::Damage;

/// For one argument column under one mask: each row's distance to the previous row with equal key and
/// equal value; 0 where there is none.
#[derive(Debug)]
pub(crate) struct Links {
    newest: HashTable<Newest>,
    pub(crate) previous: Log<u32>,
    /// Rows that a newer one has the key and value of.
    superseded: Bits,
    hasher: RandomState,
}

/// The newest row of a key and value. It repeats what the log has: a look there would be a cache miss.
#[derive(Debug, Clone, Copy)]
struct Newest {
    value: u64,
    slot: u32,
    /// Low 32 bits of the row's index.
    row: u32,
}

/// The row whose low 32 bits are `low`, in a log whose oldest row is `head`; a lane holds fewer than
/// 2^32 rows.
fn index(low: u32, head: u64) -> u64 {
    head + u64::from(low.wrapping_sub(head as u32))
}

impl Links {
    pub(crate) fn new() -> Self {
        Self {
            newest: HashTable::new(),
            previous: Log::new(),
            superseded: Bits::new(),
            hasher: RandomState::default(),
        }
    }

    fn hash(hasher: &RandomState, slot: u32, value: u64) -> u64 {
        let mut state = hasher.build_hasher();
        state.write_u64(value);
        state.write_u32(slot);
        state.finish()
    }

    /// Links the rows that were just appended to the log, from `first` on: their slots and values, and
    /// whether they count. `head` is the oldest row of the log.
    pub(crate) fn append(
        &mut self,
        head: u64,
        first: u64,
        slots: &[u32],
        values: &[u64],
        counts: impl Iterator<Item = bool>,
    ) {
        let rows = (first..).zip(slots.iter().zip(values)).zip(counts);
        let distances: Vec<u32> = rows
            .map(|((index, (slot, value)), counts)| match counts {
                true => self.link(head, index, *slot, *value),
                false => 0,
            })
            .collect();
        self.previous.extend(&distances);
    }

    #[inline]
    fn link(&mut self, head: u64, row: u64, slot: u32, value: u64) -> u32 {
        let hash = Self::hash(&self.hasher, slot, value);
        let is_same = |newest: &Newest| newest.value == value && newest.slot == slot;
        if let Some(newest) = self.newest.find_mut(hash, is_same) {
            let previous = index(newest.row, head);
            newest.row = row as u32;
            self.superseded.insert(previous, head);
            return (row - previous) as u32;
        }
        let hasher = &self.hasher;
        let newest = Newest { value, slot, row: row as u32 };
        self.newest
            .insert_unique(hash, newest, |other| Self::hash(hasher, other.slot, other.value));
        0
    }

    /// An empty set of links whose first row will have the index `base`.
    pub(crate) fn starting_at(base: u64) -> Self {
        Self { previous: Log::starting_at(base), ..Self::new() }
    }

    /// Takes rows of an earlier process, whose distances to their previous rows are known; those before
    /// `head` may be gone.
    pub(crate) fn append_known(
        &mut self,
        head: u64,
        first: u64,
        (slots, values): (&[u32], &[u64]),
        counts: impl Iterator<Item = bool>,
        previous: &[u32],
    ) -> Result<(), Damage> {
        let rows = (first..).zip(slots.iter().zip(values)).zip(counts).zip(previous);
        for (((row, (slot, value)), counts), known) in rows {
            let found = if counts { self.link(head, row, *slot, *value) } else { 0 };
            let is_gone = found == 0 && counts && row < head + u64::from(*known);
            if found != *known && !is_gone {
                return Err("a row is linked to one that is not its twin");
            }
        }
        self.previous.extend(previous);
        Ok(())
    }

    /// Forgets a row that is about to leave the log.
    #[inline]
    pub(crate) fn remove(&mut self, row: u64, slot: u32, value: u64) {
        if self.superseded.contains(row) {
            return;
        }
        let hash = Self::hash(&self.hasher, slot, value);
        if let Ok(found) = self.newest.find_entry(hash, |newest| newest.row == row as u32) {
            found.remove();
        }
    }

    pub(crate) fn trim(&mut self, index: u64) {
        self.previous.trim(index);
        self.superseded.trim(index);
    }

    pub(crate) fn bytes(&self) -> usize {
        let entry = size_of::<Newest>() + 1;
        self.newest.capacity() * 8 / 7 * entry + self.previous.bytes() + self.superseded.bytes()
    }
}
