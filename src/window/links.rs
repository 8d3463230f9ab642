//! Links between the rows of a lane that have the same key and value: what makes an exact sliding
//! distinct count O(1).

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::log::Log;

/// For one argument column under one mask: each row's distance to the previous and to the next row
/// with equal key and equal value; 0 where there is none.
#[derive(Debug)]
pub(crate) struct Links {
    /// Low 32 bits of the newest row of each (slot, value).
    newest: HashTable<u32>,
    pub(crate) previous: Log<u32>,
    pub(crate) next: Log<u32>,
    hasher: RandomState,
}

/// What identifies the rows: the lane's slot and value columns.
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

    fn key(&self, index: u64) -> (u32, u64) {
        (self.slots.get(index), self.values.get(index))
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

    fn hash(hasher: &RandomState, (slot, value): (u32, u64)) -> u64 {
        let mut state = hasher.build_hasher();
        state.write_u64(value);
        state.write_u32(slot);
        state.finish()
    }

    /// Links the rows that were just appended to the log, from `first` on; `mask` says which count.
    pub(crate) fn append(
        &mut self,
        rows: Identity<'_>,
        first: u64,
        mask: impl Iterator<Item = bool>,
    ) {
        self.next.extend(&vec![0; (rows.slots.end() - first) as usize]);
        let link = |(index, counts)| if counts { self.link(rows, index) } else { 0 };
        let distances: Vec<u32> = (first..).zip(mask).map(link).collect();
        self.previous.extend(&distances);
    }

    fn link(&mut self, rows: Identity<'_>, index: u64) -> u32 {
        let key = rows.key(index);
        let hash = Self::hash(&self.hasher, key);
        if let Some(low) = self.newest.find_mut(hash, |&low| rows.key(rows.index(low)) == key) {
            let previous = rows.index(*low);
            *low = index as u32;
            let distance = (index - previous) as u32;
            self.next.set(previous, distance);
            return distance;
        }
        let hasher = &self.hasher;
        self.newest.insert_unique(hash, index as u32, |&low| {
            Self::hash(hasher, rows.key(rows.index(low)))
        });
        0
    }

    /// Forgets a row that is about to leave the log.
    pub(crate) fn remove(&mut self, rows: Identity<'_>, index: u64) {
        if self.next.get(index) != 0 {
            return;
        }
        let hash = Self::hash(&self.hasher, rows.key(index));
        if let Ok(found) = self.newest.find_entry(hash, |&low| low == index as u32) {
            found.remove();
        }
    }

    pub(crate) fn trim(&mut self, index: u64) {
        self.previous.trim(index);
        self.next.trim(index);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.newest.capacity() * 8 / 7 * 5 + self.previous.bytes() + self.next.bytes()
    }
}
