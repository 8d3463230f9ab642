//! A bounded memory of answers.

use std::borrow::Borrow;
use std::hash::Hash;

use hashbrown::HashMap;

/// Remembers answers for the keys that were asked for lately.
///
/// Two halves: answers go into the new one; when that is full it becomes the old one, and the old one is
/// forgotten. What is found in the old half moves to the new one. So a key that is asked for again within
/// half as many others stays, and each call costs a constant time. Forgetting never changes an answer. The hash
/// has a random seed: keys are chosen by strangers.
pub(super) struct Cache<K, V> {
    new: HashMap<K, V, foldhash::quality::RandomState>,
    old: HashMap<K, V, foldhash::quality::RandomState>,
    half: usize,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// A memory of at most so many answers, but of two at least.
    pub(super) fn new(entries_max: usize) -> Self {
        Self { new: HashMap::default(), old: HashMap::default(), half: (entries_max / 2).max(1) }
    }

    /// The remembered answer.
    pub(super) fn get<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(value) = self.new.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.put(key, value.clone());
        Some(value)
    }

    /// Remembers an answer.
    pub(super) fn put(&mut self, key: K, value: V) {
        if self.new.len() >= self.half {
            std::mem::swap(&mut self.new, &mut self.old);
            self.new.clear();
        }
        self.new.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let mut cache = Cache::new(8);
        cache.put(0, "often");
        for key in 1..1000 {
            cache.put(key, "once");
            assert_eq!(cache.get(&0), Some("often"), "{key}");
            let n_entries = cache.new.len() + cache.old.len();
            assert!(n_entries <= 8, "{n_entries}");
        }
        assert_eq!(cache.get(&999), Some("once"));
        assert_eq!(cache.get(&500), None);
    }
}
