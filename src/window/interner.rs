//! Texts to integers: lanes compare and hash integers only.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::event::TimeMicros;

/// How many generations a horizon is cut into: the slack by which a text outlives its last use.
const GENERATIONS: i64 = 4;

/// A set of texts, each with an id that stays valid for `horizon` of event time after its last use.
///
/// The hash is SipHash with a random key (`std`'s `RandomState`): names and addresses are chosen by
/// attackers. Expiry is by generation: each text knows the newest generation that used it, each
/// generation lists the texts it was the first to use; a list is walked once, when its time is over.
#[derive(Debug)]
pub struct Interner {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    hasher: RandomState,
    /// Length of a generation in event time; `None` when nothing is kept beyond the batch.
    generation_micros: i64,
    generation: i64,
    lists: VecDeque<(i64, Vec<u32>)>,
    text_bytes: usize,
    entries_max: usize,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    generation: i64,
}

impl Interner {
    /// An empty set.
    pub fn new(horizon: TimeMicros, entries_max: usize) -> Self {
        Self {
            table: HashTable::new(),
            entries: Vec::new(),
            free: Vec::new(),
            hasher: RandomState::new(),
            generation_micros: horizon / GENERATIONS + 1,
            generation: i64::MIN,
            lists: VecDeque::new(),
            text_bytes: 0,
            entries_max: entries_max.min(u32::MAX as usize),
        }
    }

    /// Frees what was not used within the horizon before `oldest`, and files new uses under `newest`.
    pub fn advance(&mut self, oldest: TimeMicros, newest: TimeMicros) {
        let over = oldest.div_euclid(self.generation_micros) - GENERATIONS - 1;
        while self.lists.front().is_some_and(|(generation, _)| *generation < over) {
            if let Some((generation, ids)) = self.lists.pop_front() {
                self.free_unused(generation, &ids);
            }
        }
        self.generation = newest.div_euclid(self.generation_micros).max(self.generation);
    }

    fn free_unused(&mut self, generation: i64, ids: &[u32]) {
        for &id in ids {
            let entry = &mut self.entries[id as usize];
            if entry.generation != generation {
                continue;
            }
            let hash = self.hasher.hash_one(&*entry.text);
            if let Ok(found) = self.table.find_entry(hash, |&other| other == id) {
                found.remove();
            }
            self.text_bytes -= entry.text.len();
            entry.text = Box::default();
            self.free.push(id);
        }
    }

    /// The id of a text; `None` when the limit on texts is reached and this one is new.
    pub fn intern(&mut self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        let entries = &self.entries;
        let found = self.table.find(hash, |&id| &*entries[id as usize].text == text).copied();
        let id = match found {
            Some(id) => id,
            None => self.insert(text, hash)?,
        };
        let entry = &mut self.entries[id as usize];
        if entry.generation != self.generation {
            entry.generation = self.generation;
            match self.lists.back_mut() {
                Some((generation, ids)) if *generation == self.generation => ids.push(id),
                _ => self.lists.push_back((self.generation, vec![id])),
            }
        }
        Some(id)
    }

    fn insert(&mut self, text: &str, hash: u64) -> Option<u32> {
        if self.table.len() >= self.entries_max {
            return None;
        }
        let entry = Entry { text: text.into(), generation: i64::MIN };
        self.text_bytes += text.len();
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).ok()?
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.table
            .insert_unique(hash, id, |&other| hasher.hash_one(&*entries[other as usize].text));
        Some(id)
    }

    /// The text of an id; empty for an id that was never given.
    pub fn text(&self, id: u32) -> &str {
        self.entries.get(id as usize).map_or("", |entry| &entry.text)
    }

    /// Texts alive now.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no text is alive.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let lists: usize = self.lists.iter().map(|(_, ids)| ids.capacity() * 4).sum();
        self.text_bytes
            + self.entries.capacity() * size_of::<Entry>()
            + self.table.capacity() * 8 / 7 * (size_of::<u32>() + 1)
            + self.free.capacity() * 4
            + lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_id_for_the_horizon_and_is_freed_after_it() {
        let mut interner = Interner::new(100, usize::MAX);
        interner.advance(0, 0);
        let anna = interner.intern("anna");
        for time in (0..1_000).step_by(90) {
            interner.advance(time, time);
            assert_eq!(interner.intern("anna"), anna);
        }
        interner.intern("ben");
        interner.advance(2_000, 2_000);
        assert_eq!((interner.len(), interner.text_bytes), (0, 0));
    }

    #[test]
    fn at_the_limit_only_known_texts_have_ids() {
        let mut interner = Interner::new(100, 1);
        interner.advance(0, 0);
        assert!(interner.intern("anna").is_some());
        assert!(interner.intern("ben").is_none());
        assert!(interner.intern("anna").is_some());
    }
}
