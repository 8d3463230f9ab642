//! Links between the rows of a lane that have the same key and value: what makes an exact sliding
//! distinct count O(1).

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::log::Log;
use super::snapshot::Damage;

/// For one argument column under one mask: each row's distance to the previous and to the next row
/// with equal key and equal value; 0 where there is none.
#[derive(Debug)]
pub(crate) struct Links {
    newest: HashTable<Newest>,
    pub(crate) previous: Log<u32>,
    pub(crate) next: Log<u32>,
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

/// Where the columns that identify a row are.
#[derive(Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) slots: &'a Log<u32>,
    pub(crate) values: &'a Log<u64>,
    /// Oldest row of the log.
    pub(crate) head: u64,
}

impl Identity<'_> {
    /// The row whose low 32 bits are `low`; a lane holds fewer than 2^32 rows.
    fn index(&self, low: u32) -> u64 {
        self.head + u64::from(low.wrapping_sub(self.head as u32))
    }
}

impl Links {
    pub(crate) fn new() -> Self {
        Self {
            newest: HashTable::new(),
            previous: Log::new(),
            next: Log::new(),
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
    /// whether they count.
    pub(crate) fn append(
        &mut self,
        log: Identity<'_>,
        first: u64,
        slots: &[u32],
        values: &[u64],
        counts: impl Iterator<Item = bool>,
    ) {
        self.next.extend(&vec![0; slots.len()]);
        let rows = (first..).zip(slots.iter().zip(values)).zip(counts);
        let distances: Vec<u32> = rows
            .map(|((index, (slot, value)), counts)| match counts {
                true => self.link(log, index, *slot, *value),
                false => 0,
            })
            .collect();
        self.previous.extend(&distances);
    }

    #[inline]
    fn link(&mut self, log: Identity<'_>, index: u64, slot: u32, value: u64) -> u32 {
        let hash = Self::hash(&self.hasher, slot, value);
        let is_same = |newest: &Newest| newest.value == value && newest.slot == slot;
        if let Some(newest) = self.newest.find_mut(hash, is_same) {
            let previous = log.index(newest.row);
            newest.row = index as u32;
            let distance = (index - previous) as u32;
            self.next.set(previous, distance);
            return distance;
        }
        let hasher = &self.hasher;
        let newest = Newest { value, slot, row: index as u32 };
        self.newest
            .insert_unique(hash, newest, |other| Self::hash(hasher, other.slot, other.value));
        0
    }

    /// An empty set of links whose first row will have the index `base`.
    pub(crate) fn starting_at(base: u64) -> Self {
        Self { previous: Log::starting_at(base), next: Log::starting_at(base), ..Self::new() }
    }

    /// Takes rows of an earlier process, whose distances to their previous rows are known.
    pub(crate) fn append_known(&mut self, previous: &[u32]) {
        self.previous.extend(previous);
        self.next.extend(&vec![0; previous.len()]);
    }

    /// Finds again what follows from the distances: the way forward, and the newest row of each key
    /// and value. `counts` says which rows count.
    pub(crate) fn relink(
        &mut self,
        log: Identity<'_>,
        counts: impl Fn(u64) -> bool,
    ) -> Result<(), Damage> {
        let rows = log.head..self.previous.end();
        let mut n_newest = 0;
        for index in rows.clone().filter(|index| counts(*index)) {
            n_newest += 1;
            let distance = self.previous.get(index);
            let Some(previous) = index.checked_sub(u64::from(distance)) else {
                return Err("a row is linked to one before the first");
            };
            if distance == 0 || previous < log.head {
                continue;
            }
            let is_twin = log.slots.get(previous) == log.slots.get(index)
                && log.values.get(previous) == log.values.get(index)
                && counts(previous);
            if !is_twin || self.next.get(previous) != 0 {
                return Err("a row is linked to one that is not its twin");
            }
            self.next.set(previous, distance);
            n_newest -= 1;
        }
        let hasher = &self.hasher;
        let hash = |newest: &Newest| Self::hash(hasher, newest.slot, newest.value);
        self.newest.reserve(n_newest, hash);
        for index in rows.filter(|index| counts(*index)) {
            if self.next.get(index) == 0 {
                let (slot, value) = (log.slots.get(index), log.values.get(index));
                let newest = Newest { value, slot, row: index as u32 };
                self.newest.insert_unique(hash(&newest), newest, hash);
            }
        }
        Ok(())
    }

    /// Forgets a row that is about to leave the log.
    pub(crate) fn remove(&mut self, log: Identity<'_>, index: u64) {
        if self.next.get(index) != 0 {
            return;
        }
        let hash = Self::hash(&self.hasher, log.slots.get(index), log.values.get(index));
        if let Ok(found) = self.newest.find_entry(hash, |newest| newest.row == index as u32) {
            found.remove();
        }
    }

    pub(crate) fn trim(&mut self, index: u64) {
        self.previous.trim(index);
        self.next.trim(index);
    }

    pub(crate) fn bytes(&self) -> usize {
        let entry = size_of::<Newest>() + 1;
        self.newest.capacity() * 8 / 7 * entry + self.previous.bytes() + self.next.bytes()
    }
}
