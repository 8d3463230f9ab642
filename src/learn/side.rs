//! The two sides of a login, its network and its client, and what all remembered logins had of them.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::budget::Budget;
use super::codec::coded_struct;
use super::slab::Slab;
use super::values::{GONE, Key, Values};
use crate::Result;
use crate::store::{BlockReader, BlockRef, BlockWriter};

/// Features of a side.
pub(super) const N_LEVELS: usize = 4;

/// Features of the network. The first is the one that the others describe.
pub(super) const IP: usize = 0;
pub(super) const ASN: usize = 1;
pub(super) const COUNTRY: usize = 2;
pub(super) const PREFIX: usize = 3;
/// Features of the client.
pub(super) const USER_AGENT: usize = 0;
pub(super) const AGENT: usize = 1;
pub(super) const DEVICE_TYPE: usize = 3;

/// Combinations of one leading value that [`Side::n_together`] looks at, the newest. Hardly anything but
/// NULL has more.
const TOGETHER_MAX: usize = 64;

/// Numbers of the values of one login.
pub(super) type Ids = [u32; N_LEVELS];

/// Values that came together in a login that is remembered: its account's use holds it.
#[derive(Debug)]
struct Combo {
    ids: Ids,
    n_holders: u32,
}

coded_struct!(Combo { ids, n_holders });

/// The entry and its place in the tables.
const COMBO_BYTES: usize = 64;

/// All values of a side, and which of them came together.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) levels: [Values; N_LEVELS],
    combos: Slab<Combo>,
    index: HashTable<u32>,
    hasher: RandomState,
}

impl Side {
    /// The combination of a row's values, held; `None` when there is no room. `found` are the numbers of
    /// those that are known.
    pub(super) fn hold(
        &mut self,
        keys: &[Key<'_>; N_LEVELS],
        found: Ids,
        budget: &mut Budget,
    ) -> Option<(u32, Ids)> {
        let mut ids = [GONE; N_LEVELS];
        for (level, key) in keys.iter().enumerate() {
            match self.levels[level].hold(*key, found[level], budget) {
                Some(id) => ids[level] = id,
                None => {
                    self.release_values(ids, budget);
                    return None;
                }
            }
        }
        self.hold_ids(ids, budget).map(|combo| (combo, ids))
    }

    /// The combination of values that the caller holds; it holds them from now on.
    fn hold_ids(&mut self, ids: Ids, budget: &mut Budget) -> Option<u32> {
        let hash = self.hasher.hash_one(ids);
        let Self { combos, index, hasher, .. } = self;
        let is_it = |id: &u32| combos.get(*id).is_some_and(|combo| combo.ids == ids);
        if let Some(&id) = index.find(hash, is_it) {
            if let Some(combo) = combos.get_mut(id) {
                combo.n_holders += 1;
            }
            self.release_values(ids, budget);
            return Some(id);
        }
        if !budget.take(COMBO_BYTES) {
            self.release_values(ids, budget);
            return None;
        }
        let id = combos.insert(Combo { ids, n_holders: 1 });
        let rehash = |id: &u32| combos.get(*id).map_or(0, |combo| hasher.hash_one(combo.ids));
        index.insert_unique(hash, id, rehash);
        if let Some(value) = self.levels[0].get_mut(ids[0]) {
            if value.combos.is_empty() {
                value.combos.reserve_exact(1);
            }
            value.combos.push(id);
        }
        Some(id)
    }

    fn release_values(&mut self, ids: Ids, budget: &mut Budget) {
        for (level, id) in ids.into_iter().enumerate() {
            self.levels[level].release(id, budget);
        }
    }

    /// Lets a combination go; one that nobody holds is forgotten with its values.
    pub(super) fn release(&mut self, combo: u32, budget: &mut Budget) {
        let Some(entry) = self.combos.get_mut(combo) else { return };
        entry.n_holders = entry.n_holders.saturating_sub(1);
        if entry.n_holders > 0 {
            return;
        }
        let ids = entry.ids;
        let hash = self.hasher.hash_one(ids);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == combo) {
            entry.remove();
        }
        self.combos.remove(combo);
        budget.give(COMBO_BYTES);
        if let Some(value) = self.levels[0].get_mut(ids[0]) {
            value.combos.retain(|other| *other != combo);
        }
        self.release_values(ids, budget);
    }

    /// Counts logins that had the values.
    pub(super) fn add(&mut self, ids: Ids, n_logins: u32) {
        for (level, id) in ids.into_iter().enumerate() {
            self.levels[level].add(id, n_logins);
        }
    }

    /// Counts them no more.
    pub(super) fn subtract(&mut self, ids: Ids, n_logins: u32) {
        for (level, id) in ids.into_iter().enumerate() {
            self.levels[level].subtract(id, n_logins);
        }
    }

    /// The combination without the value that leads it, held. `is_left` says which other values stay.
    pub(super) fn hold_rest(
        &mut self,
        ids: Ids,
        is_left: [bool; N_LEVELS],
        budget: &mut Budget,
    ) -> Option<(u32, Ids)> {
        let mut rest = [GONE; N_LEVELS];
        for (level, id) in ids.into_iter().enumerate().filter(|(level, _)| is_left[*level]) {
            self.levels[level].hold_id(id);
            rest[level] = id;
        }
        self.hold_ids(rest, budget).map(|combo| (combo, rest))
    }

    /// Different values that remembered logins had together with a value of the first level.
    pub(super) fn n_together(&self, first: u32, level: usize) -> u32 {
        match self.levels[0].get(first).map(|value| value.combos.as_slice()) {
            None | Some([]) => 0,
            // Hardly any address changes its network.
            Some([_]) => 1,
            Some(combos) => {
                let newest = combos.iter().rev().take(TOGETHER_MAX);
                let combos = newest.filter_map(|id| self.combos.get(*id));
                let mut ids: Vec<u32> = combos.map(|combo| combo.ids[level]).collect();
                ids.sort_unstable();
                ids.dedup();
                ids.len() as u32
            }
        }
    }

    /// Blocks of the levels, then of the combinations.
    pub(super) fn checkpoint(&mut self, writer: &mut BlockWriter) -> Vec<Vec<BlockRef>> {
        let levels = self.levels.iter_mut().map(|values| values.checkpoint(writer));
        let mut blocks: Vec<_> = levels.collect();
        blocks.push(self.combos.checkpoint(writer));
        blocks
    }

    pub(super) fn restore(
        reader: &BlockReader,
        blocks: &[Vec<BlockRef>],
        budget: &mut Budget,
    ) -> Result<Self> {
        let [levels @ .., combos] = blocks else { return Err(super::slab::damaged()) };
        let mut side = Self::default();
        if levels.len() != N_LEVELS {
            return Err(super::slab::damaged());
        }
        for (values, blocks) in side.levels.iter_mut().zip(levels) {
            *values = Values::restore(reader, blocks, budget)?;
        }
        side.combos = Slab::restore(reader, combos)?;
        let Self { combos, index, hasher, .. } = &mut side;
        for (id, combo) in combos.iter() {
            let rehash = |id: &u32| combos.get(*id).map_or(0, |c| hasher.hash_one(c.ids));
            index.insert_unique(hasher.hash_one(combo.ids), id, rehash);
            budget.force(COMBO_BYTES);
        }
        Ok(side)
    }
}
