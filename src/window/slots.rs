//! Partition keys to dense slots: the index of a key's line in every aggregate's state.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::snapshot::Damage;

/// A row without a slot: a limit kept its key out.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// The keys of a lane. A slot lives as long as something refers to it, and is then used again.
///
/// Key parts are integers (interned texts are numbered by us), hashed with a random seed.
#[derive(Debug)]
pub(crate) struct Slots {
    table: HashTable<u32>,
    /// `width` parts for each slot; the last is a bit set of the parts that are NULL.
    parts: Vec<u64>,
    references: Vec<u32>,
    free: Vec<u32>,
    width: usize,
    hasher: RandomState,
    keys_max: usize,
}

impl Slots {
    pub(crate) fn new(n_key_columns: usize, keys_max: usize) -> Self {
        Self {
            table: HashTable::new(),
            parts: Vec::new(),
            references: Vec::new(),
            free: Vec::new(),
            width: n_key_columns + 1,
            hasher: RandomState::default(),
            keys_max: keys_max.min(NO_SLOT as usize),
        }
    }

    /// The slots of an earlier process: key parts of each in `slots`, and how much refers to it. Those
    /// that nothing refers to are free.
    pub(crate) fn known(
        empty: &Self,
        slots: &[u32],
        parts: &[u64],
        references: Vec<u32>,
    ) -> Result<Self, Damage> {
        let width = empty.width;
        if parts.len() != slots.len() * width {
            return Err("key parts do not fit the keys");
        }
        let mut known = Self {
            table: HashTable::with_capacity(slots.len()),
            parts: vec![0; references.len() * width],
            free: Vec::new(),
            hasher: empty.hasher.clone(),
            references,
            ..*empty
        };
        let mut is_named = vec![false; known.references.len()];
        for (&slot, key) in slots.iter().zip(parts.chunks_exact(width)) {
            let index = slot as usize;
            if is_named.get(index).is_none_or(|is_named| *is_named) {
                return Err("a key is there twice");
            }
            is_named[index] = true;
            known.parts[index * width..(index + 1) * width].copy_from_slice(key);
            if known.references[index] > 0 {
                known.enter(slot, Self::hash(&known.hasher, key));
            }
        }
        let needed = known.references.iter().zip(&is_named);
        if needed.clone().any(|(references, is_named)| *references > 0 && !is_named) {
            return Err("a row has an unknown key");
        }
        let unused = (0..).zip(&known.references).filter(|(_, references)| **references == 0);
        known.free = unused.map(|(slot, _)| slot).collect();
        Ok(known)
    }

    /// The slots that something refers to, and their key parts.
    pub(crate) fn live(&self) -> (Vec<u32>, Vec<u64>) {
        let numbered = (0u32..).zip(&self.references);
        let slots: Vec<u32> =
            numbered.filter(|(_, references)| **references > 0).map(|(slot, _)| slot).collect();
        let mut parts = Vec::with_capacity(slots.len() * self.width);
        for &slot in &slots {
            let start = slot as usize * self.width;
            parts.extend_from_slice(&self.parts[start..start + self.width]);
        }
        (slots, parts)
    }

    /// Parts of one key, the NULL bit set included.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    fn hash(hasher: &RandomState, parts: &[u64]) -> u64 {
        let mut state = hasher.build_hasher();
        for part in parts {
            state.write_u64(*part);
        }
        state.finish()
    }

    /// The slot of a key, a new one when needed; [`NO_SLOT`] at the limit.
    #[inline]
    pub(crate) fn find_or_insert(&mut self, key: &[u64]) -> u32 {
        let hash = Self::hash(&self.hasher, key);
        let (parts, width) = (&self.parts, self.width);
        let at = |slot: u32| &parts[slot as usize * width..(slot as usize + 1) * width];
        // Keys are two or three words: a loop beats the call that comparing slices makes.
        let is_equal = |&slot: &u32| at(slot).iter().zip(key).all(|(own, other)| own == other);
        if let Some(&slot) = self.table.find(hash, is_equal) {
            return slot;
        }
        self.insert(key, hash)
    }

    #[cold]
    fn insert(&mut self, key: &[u64], hash: u64) -> u32 {
        if self.table.len() >= self.keys_max {
            return NO_SLOT;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                let start = slot as usize * self.width;
                self.parts[start..start + self.width].copy_from_slice(key);
                slot
            }
            None => {
                self.parts.extend_from_slice(key);
                self.references.push(0);
                (self.references.len() - 1) as u32
            }
        };
        self.enter(slot, hash);
        slot
    }

    /// Puts a slot whose parts are there into the table.
    fn enter(&mut self, slot: u32, hash: u64) {
        let (parts, width, hasher) = (&self.parts, self.width, &self.hasher);
        self.table.insert_unique(hash, slot, |&other| {
            Self::hash(hasher, &parts[other as usize * width..(other as usize + 1) * width])
        });
    }

    /// One more row or entry that needs the slot.
    #[inline]
    pub(crate) fn retain(&mut self, slot: u32) {
        self.references[slot as usize] += 1;
    }

    /// One less; the last one frees the slot.
    #[inline]
    pub(crate) fn release(&mut self, slot: u32) {
        let references = &mut self.references[slot as usize];
        debug_assert!(*references > 0);
        *references -= 1;
        if *references == 0 {
            self.remove(slot);
        }
    }

    #[cold]
    fn remove(&mut self, slot: u32) {
        let start = slot as usize * self.width;
        let hash = Self::hash(&self.hasher, &self.parts[start..start + self.width]);
        if let Ok(found) = self.table.find_entry(hash, |&other| other == slot) {
            found.remove();
        }
        self.free.push(slot);
    }

    /// Keys alive now.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// One more than the highest slot ever used: the length that state vectors need.
    pub(crate) fn capacity(&self) -> usize {
        self.references.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.parts.capacity() * 8
            + self.references.capacity() * 4
            + self.free.capacity() * 4
            + self.table.capacity() * 8 / 7 * 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_freed_with_its_last_reference_and_used_again() {
        let mut slots = Slots::new(1, 2);
        let first = slots.find_or_insert(&[7, 0]);
        slots.retain(first);
        slots.retain(first);
        assert_eq!(slots.find_or_insert(&[7, 0]), first);
        slots.release(first);
        assert_eq!(slots.len(), 1);
        slots.release(first);
        assert_eq!(slots.len(), 0);
        assert_eq!(slots.find_or_insert(&[8, 0]), first);
    }

    #[test]
    fn a_null_part_is_another_key_than_zero_and_the_limit_holds() {
        let mut slots = Slots::new(1, 2);
        assert_ne!(slots.find_or_insert(&[0, 0]), slots.find_or_insert(&[0, 1]));
        assert_eq!(slots.find_or_insert(&[1, 0]), NO_SLOT);
    }
}
