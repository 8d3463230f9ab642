//! Logins that succeeded and failed, on an address or the like, over the last four weeks.

use std::hash::BuildHasher;
use std::mem;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::codec::{Coded, coded_struct};
use super::values::Key;

/// Counts are kept for periods of so many days of event time: this one and the one before.
pub(super) const PERIOD_DAYS: i32 = 14;

/// Counts of one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tries {
    successes: [u32; 2],
    failures: [u32; 2],
    /// Number of the period that index 0 counts.
    period: i32,
}

coded_struct!(Tries { successes, failures, period });

impl Tries {
    /// The counts as they stand on a day.
    fn on(mut self, day: i32) -> Self {
        let period = day.div_euclid(PERIOD_DAYS);
        match period.saturating_sub(self.period) {
            i32::MIN..=0 => return self,
            1 => {
                self.successes = [0, self.successes[0]];
                self.failures = [0, self.failures[0]];
            }
            2.. => self = Self::default(),
        }
        self.period = period;
        self
    }

    pub(super) fn add(&mut self, day: i32, is_success: bool) {
        *self = self.on(day);
        let counts = if is_success { &mut self.successes } else { &mut self.failures };
        counts[0] = counts[0].saturating_add(1);
    }

    /// Successes of all.
    pub(super) fn ratio(self, day: i32) -> Option<f64> {
        let now = self.on(day);
        let sum = |counts: [u32; 2]| f64::from(counts[0]) + f64::from(counts[1]);
        let (successes, failures) = (sum(now.successes), sum(now.failures));
        (successes + failures > 0.0).then(|| successes / (successes + failures))
    }
}

#[derive(Debug, Clone)]
struct Entry {
    key: Box<[u8]>,
    tries: Tries,
}

coded_struct!(Entry { key, tries });

/// Places without any remembered success, so many at most. They have no right to stay: a place that is
/// not seen while half as many others are is forgotten.
#[derive(Debug)]
pub(super) struct Failing {
    young: HashTable<Entry>,
    old: HashTable<Entry>,
    half: usize,
    hasher: RandomState,
    /// Places that were forgotten for want of room.
    pub(super) n_forgotten: u64,
}

impl Failing {
    pub(super) fn new(max: usize) -> Self {
        let half = max.div_ceil(2);
        let (young, old) = (HashTable::new(), HashTable::new());
        Self { young, old, half, hasher: RandomState::default(), n_forgotten: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(super) fn get(&self, key: Key<'_>) -> Option<Tries> {
        if self.len() == 0 {
            return None;
        }
        let hash = self.hasher.hash_one(key.bytes());
        let is_it = |entry: &Entry| *entry.key == *key.bytes();
        let found = self.young.find(hash, is_it).or_else(|| self.old.find(hash, is_it));
        found.map(|entry| entry.tries)
    }

    pub(super) fn add(&mut self, key: Key<'_>, day: i32, is_success: bool) {
        if self.half == 0 {
            return;
        }
        let hash = self.hasher.hash_one(key.bytes());
        let is_it = |entry: &Entry| *entry.key == *key.bytes();
        if let Some(entry) = self.young.find_mut(hash, is_it) {
            entry.tries.add(day, is_success);
            return;
        }
        let mut entry = match self.old.find_entry(hash, is_it) {
            Ok(entry) => entry.remove().0,
            Err(_) => Entry { key: key.bytes().into(), tries: Tries::default() },
        };
        entry.tries.add(day, is_success);
        self.insert(hash, entry);
    }

    fn insert(&mut self, hash: u64, entry: Entry) {
        if self.young.len() >= self.half {
            mem::swap(&mut self.young, &mut self.old);
            self.n_forgotten += self.young.len() as u64;
            self.young.clear();
        }
        let hasher = &self.hasher;
        self.young.insert_unique(hash, entry, |entry| hasher.hash_one(&*entry.key));
    }

    /// Takes a place out that has had a success.
    pub(super) fn take(&mut self, key: Key<'_>) -> Tries {
        let hash = self.hasher.hash_one(key.bytes());
        let is_it = |entry: &Entry| *entry.key == *key.bytes();
        for table in [&mut self.young, &mut self.old] {
            if let Ok(entry) = table.find_entry(hash, is_it) {
                return entry.remove().0.tries;
            }
        }
        Tries::default()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for table in [&self.young, &self.old] {
            table.len().encode(out);
            table.iter().for_each(|entry| entry.encode(out));
        }
    }

    /// The places that were written, as many as there is room for.
    pub(super) fn decode(max: usize, bytes: &mut &[u8]) -> Option<Self> {
        let mut failing = Self::new(max);
        let young = Vec::<Entry>::decode(bytes)?;
        let old = Vec::<Entry>::decode(bytes)?;
        let Self { young: to_young, old: to_old, hasher, half, .. } = &mut failing;
        for (from, to) in [(young, to_young), (old, to_old)] {
            for entry in from.into_iter().take(*half) {
                let hash = hasher.hash_one(&*entry.key);
                to.insert_unique(hash, entry, |entry| hasher.hash_one(&*entry.key));
            }
        }
        Some(failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_of_this_period_and_the_one_before() {
        let mut tries = Tries::default();
        let day = 100 * PERIOD_DAYS;
        assert_eq!(tries.ratio(day), None);
        tries.add(day, true);
        tries.add(day + 13, false);
        assert_eq!(tries.ratio(day + 13), Some(0.5));
        tries.add(day + 14, false);
        tries.add(day + 14, false);
        assert_eq!(tries.ratio(day + 14), Some(0.25));
        assert_eq!(tries.ratio(day + 28), Some(0.0));
        assert_eq!(tries.ratio(day + 42), None);
        assert_eq!(tries.ratio(i32::MAX), None);
    }

    #[test]
    fn a_flood_does_not_push_out_a_place_that_is_seen() {
        let mut failing = Failing::new(100);
        for n in 0..10_000_u32 {
            let name = n.to_string();
            failing.add(Key::Text(&name), 0, false);
            if n % 40 == 0 {
                failing.add(Key::Text("slow"), 0, false);
            }
            assert!(failing.len() <= 100);
        }
        assert!(failing.n_forgotten > 9_000);
        let slow = failing.take(Key::Text("slow"));
        assert_eq!(slow.failures, [250, 0]);
        assert_eq!(failing.get(Key::Text("slow")), None);
        assert_eq!(failing.get(Key::Text("0")), None);
    }
}
