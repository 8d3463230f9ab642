//! How many different members a group has had in the last days, exactly: accounts of an address,
//! devices of an address, accounts that a member of staff touched.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::budget::Budget;
use super::codec::coded_struct;
use super::slab::Slab;
use super::wheel::Wheel;
use crate::Result;
use crate::store::{BlockReader, BlockRef, BlockWriter};

/// A member of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) group: u32,
    pub(super) member: u32,
    last_day: i32,
    /// In which list of the wheel it stands.
    list_day: i32,
}

coded_struct!(Pair { group, member, last_day, list_day });

/// The pair, its place in the index and in the wheel.
const PAIR_BYTES: usize = 40;

/// What became of a pair that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is new: whoever counts members holds both now.
    New,
    /// It was there.
    Again,
    /// There was no room.
    Refused,
}

/// Pairs of group and member. A member counts from its first day until `n_days` after its newest.
#[derive(Debug)]
pub(super) struct Pairs {
    slab: Slab<Pair>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// Members by number of the group.
    counts: Vec<u32>,
    wheel: Wheel,
    n_days: i32,
}

impl Pairs {
    pub(super) fn new(n_days: i32) -> Self {
        Self {
            slab: Slab::default(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            counts: Vec::new(),
            wheel: Wheel::default(),
            n_days,
        }
    }

    /// Members of a group.
    pub(super) fn count(&self, group: u32) -> u32 {
        self.counts.get(group as usize).copied().unwrap_or(0)
    }

    fn hash(hasher: &RandomState, group: u32, member: u32) -> u64 {
        hasher.hash_one((u64::from(group) << 32) | u64::from(member))
    }

    /// The number of a pair.
    #[inline]
    pub(super) fn find(&self, group: u32, member: u32) -> Option<u32> {
        let hash = Self::hash(&self.hasher, group, member);
        let is_it =
            |id: &u32| self.slab.get(*id).is_some_and(|p| (p.group, p.member) == (group, member));
        self.index.find(hash, is_it).copied()
    }

    /// A member is in the group today.
    pub(super) fn see(&mut self, group: u32, member: u32, day: i32, budget: &mut Budget) -> Seen {
        let hash = Self::hash(&self.hasher, group, member);
        let Self { slab, index, hasher, .. } = self;
        let is_it =
            |id: &u32| slab.get(*id).is_some_and(|p| (p.group, p.member) == (group, member));
        if let Some(&id) = index.find(hash, is_it) {
            let is_older = slab.get(id).is_some_and(|pair| pair.last_day < day);
            if let Some(pair) = slab.get_mut(id).filter(|_| is_older) {
                pair.last_day = day;
            }
            return Seen::Again;
        }
        if !budget.take(PAIR_BYTES) {
            return Seen::Refused;
        }
        let id = slab.insert(Pair { group, member, last_day: day, list_day: day });
        let rehash =
            |id: &u32| slab.get(*id).map_or(0, |pair| Self::hash(hasher, pair.group, pair.member));
        index.insert_unique(hash, id, rehash);
        self.wheel.put(day, id);
        self.count_one(group);
        Seen::New
    }

    fn count_one(&mut self, group: u32) {
        let group = group as usize;
        if group >= self.counts.len() {
            self.counts.resize(group + 1, 0);
        }
        self.counts[group] += 1;
    }

    /// Ends what was last seen `n_days` ago; `ended` lets go of what it held.
    pub(super) fn expire(
        &mut self,
        today: i32,
        budget: &mut Budget,
        mut ended: impl FnMut(Pair, &mut Budget),
    ) {
        let last = today.saturating_sub(self.n_days);
        while let Some((day, ids)) = self.wheel.take_until(last) {
            for id in ids {
                let Some(pair) = self.slab.get(id).copied().filter(|p| p.list_day == day) else {
                    continue;
                };
                if pair.last_day <= last {
                    self.remove(id, budget);
                    ended(pair, budget);
                } else if let Some(pair) = self.slab.get_mut(id) {
                    pair.list_day = pair.last_day;
                    self.wheel.put(pair.last_day, id);
                }
            }
        }
    }

    fn remove(&mut self, id: u32, budget: &mut Budget) -> Option<Pair> {
        let pair = self.slab.remove(id)?;
        let hash = Self::hash(&self.hasher, pair.group, pair.member);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        if let Some(count) = self.counts.get_mut(pair.group as usize) {
            *count = count.saturating_sub(1);
        }
        budget.give(PAIR_BYTES);
        Some(pair)
    }

    pub(super) fn checkpoint(&mut self, writer: &mut BlockWriter) -> Vec<BlockRef> {
        self.slab.checkpoint(writer)
    }

    pub(super) fn restore(
        n_days: i32,
        reader: &BlockReader,
        blocks: &[BlockRef],
        budget: &mut Budget,
    ) -> Result<Self> {
        let mut pairs = Self { slab: Slab::restore(reader, blocks)?, ..Self::new(n_days) };
        let found: Vec<(u32, Pair)> = pairs.slab.iter().map(|(id, pair)| (id, *pair)).collect();
        for (id, pair) in found {
            let Self { slab, index, hasher, .. } = &mut pairs;
            let hash = |p: &Pair| Self::hash(hasher, p.group, p.member);
            index.insert_unique(hash(&pair), id, |id| slab.get(*id).map_or(0, hash));
            pairs.wheel.put(pair.list_day, id);
            pairs.count_one(pair.group);
            budget.force(PAIR_BYTES);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The count is that of the definition: members seen on one of the last `n_days` days.
        #[test]
        fn counts_are_exact(seen in prop::collection::vec((0..4_i32, 0..3_u32, 0..6_u32), 0..200)) {
            const N_DAYS: i32 = 3;
            let (mut pairs, mut budget) = (Pairs::new(N_DAYS), Budget::new(u64::MAX));
            let mut newest = BTreeMap::new();
            let mut today = -3;
            for (step, group, member) in seen {
                today += step;
                pairs.expire(today, &mut budget, |_, _| {});
                pairs.see(group, member, today, &mut budget);
                newest.insert((group, member), today);
                let alive: BTreeSet<_> =
                    newest.iter().filter(|(_, day)| **day > today - N_DAYS).map(|(p, _)| *p).collect();
                for group in 0..3 {
                    let wanted = alive.iter().filter(|pair| pair.0 == group).count();
                    prop_assert_eq!(pairs.count(group) as usize, wanted);
                }
                prop_assert_eq!(budget.used() as usize, alive.len() * PAIR_BYTES);
            }
        }
    }
}
