//! Different texts: the first few by name, the others by count.

use std::collections::HashSet;
use std::sync::Arc;

use crate::store::KeyedHash;

/// The first texts that appeared, and how many different ones there were.
///
/// Beyond the names only a keyed 64-bit hash is kept of each, so that an attacker who sends long
/// names cannot fill the memory, nor make two names collide.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    pub(super) names: Vec<Arc<str>>,
    pub(super) seen: HashSet<u64, foldhash::fast::RandomState>,
}

impl Distinct {
    /// Takes a text; `false` when it may be new but there is no room to tell.
    pub(super) fn add(&mut self, text: &str, limits: Limits<'_>) -> bool {
        let hash = limits.key.one(text);
        if self.seen.len() >= limits.distinct_max {
            return self.seen.contains(&hash);
        }
        if self.seen.insert(hash) && self.names.len() < limits.names_max {
            self.names.push(text.into());
        }
        true
    }

    pub(super) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    pub(super) fn total(&self) -> usize {
        self.seen.len()
    }
}

/// How much a [`Distinct`] may keep, and the key of its hashes.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    pub(super) key: &'a KeyedHash,
    pub(super) names_max: usize,
    pub(super) distinct_max: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_capped_and_the_total_is_exact_until_its_own_limit() {
        let key = KeyedHash::random();
        let limits = Limits { key: &key, names_max: 2, distinct_max: 4 };
        let mut distinct = Distinct::default();
        let told = ["b", "a", "b", "c", "d", "e", "a"].map(|text| distinct.add(text, limits));
        assert_eq!(told, [true, true, true, true, true, false, true]);
        assert_eq!(distinct.names(), ["b".into(), "a".into()]);
        assert_eq!(distinct.total(), 4);
    }
}
