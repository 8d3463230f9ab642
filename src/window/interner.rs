//! Texts to integers: lanes compare and hash integers only.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::snapshot::Damage;
use crate::event::TimeMicros;

/// How many generations a horizon is cut into: the slack by which a text outlives its last use.
const GENERATIONS: i64 = 4;
/// New ids noted for the next checkpoint, beyond twice the texts there are.
const NOTED_IDS_MAX: usize = 4096;

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
    /// Ids given since [`Interner::mark`]; `None` when they were not noted.
    added: Option<Vec<u32>>,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    /// Newest generation that used it; [`FREE`] when the id means nothing.
    generation: i64,
}

const FREE: i64 = i64::MIN;

/// Which ids of an interner mean a text, and when each was last used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InternerUses {
    /// Every id, in use or free, is below this.
    pub n_ids: usize,
    /// Length of a generation.
    pub generation_micros: i64,
    /// The generation that new uses are filed under.
    pub generation: i64,
    /// The ids, by ascending generation.
    pub ids: Vec<u32>,
    /// Newest generation that used each.
    pub generations: Vec<i64>,
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
            generation: FREE,
            lists: VecDeque::new(),
            text_bytes: 0,
            entries_max: entries_max.min(u32::MAX as usize),
            added: None,
        }
    }

    /// Takes back what an earlier process had: texts by id in the order in which they were added (a
    /// later one takes the place of an earlier), and which of the ids are in use. No text was used at
    /// `used_before` or later.
    ///
    /// # Errors
    /// When an id in use has no text, or is there twice.
    pub fn restore<'t>(
        &mut self,
        texts: impl Iterator<Item = (u32, &'t str)>,
        uses: &InternerUses,
        used_before: TimeMicros,
    ) -> Result<(), Damage> {
        let mut restored = Self::new(0, self.entries_max);
        restored.generation_micros = self.generation_micros;
        let mut known: Vec<Option<&str>> = Vec::new();
        for (id, text) in texts {
            let index = id as usize;
            if index >= uses.n_ids {
                return Err("a text has an id that was never given");
            }
            known.resize(known.len().max(index + 1), None);
            known[index] = Some(text);
        }
        let mut generations = vec![FREE; known.len()];
        let is_same_length = uses.generation_micros == self.generation_micros;
        let newest = used_before.saturating_sub(1).div_euclid(self.generation_micros);
        restored.generation = if is_same_length { uses.generation } else { newest };
        if uses.ids.len() != uses.generations.len() || !uses.generations.is_sorted() {
            return Err("uses of texts are out of order");
        }
        for (&id, &generation) in uses.ids.iter().zip(&uses.generations) {
            if known.get(id as usize).is_none_or(Option::is_none) {
                return Err("a text is missing");
            }
            // Generations of another length cannot be told apart: all texts live on for a horizon.
            let generation = if is_same_length { generation } else { newest };
            let before = std::mem::replace(&mut generations[id as usize], generation);
            if before != FREE || generation == FREE || generation > restored.generation {
                return Err("uses of texts are out of order");
            }
            restored.file(id, generation);
        }
        restored.table.reserve(uses.ids.len(), |_| 0);
        for (id, (text, generation)) in (0u32..).zip(known.into_iter().zip(generations)) {
            let is_used = generation != FREE;
            let text = text.filter(|_| is_used).unwrap_or_default();
            restored.text_bytes += text.len();
            restored.entries.push(Entry { text: text.into(), generation });
            if is_used {
                restored.enter(id, restored.hasher.hash_one(text));
            } else {
                restored.free.push(id);
            }
        }
        restored.mark();
        *self = restored;
        Ok(())
    }

    /// Which ids are in use.
    pub fn uses(&self) -> InternerUses {
        let (generation_micros, generation) = (self.generation_micros, self.generation);
        let n_ids = self.entries.len();
        let (ids, generations) = (Vec::new(), Vec::new());
        let mut uses = InternerUses { n_ids, generation_micros, generation, ids, generations };
        for (generation, ids) in &self.lists {
            let newest_of = |id: &&u32| self.entries[**id as usize].generation == *generation;
            for &id in ids.iter().filter(newest_of) {
                uses.ids.push(id);
                uses.generations.push(*generation);
            }
        }
        uses
    }

    /// Begins to note which ids are given.
    pub fn mark(&mut self) {
        self.added = Some(Vec::new());
    }

    /// Ids given since [`Interner::mark`] that mean a text, ascending; `None` when too many were given
    /// to note them, or none was asked for.
    pub fn added(&self) -> Option<Vec<u32>> {
        let mut added = self.added.clone()?;
        added.retain(|id| self.entries[*id as usize].generation != FREE);
        added.sort_unstable();
        added.dedup();
        Some(added)
    }

    fn note(&mut self, id: u32) {
        let n_max = 2 * self.table.len() + NOTED_IDS_MAX;
        if self.added.as_ref().is_some_and(|added| added.len() >= n_max) {
            self.added = None;
        }
        if let Some(added) = &mut self.added {
            added.push(id);
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
            entry.generation = FREE;
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
            self.file(id, self.generation);
        }
        Some(id)
    }

    /// Lists a text under the newest generation.
    fn file(&mut self, id: u32, newest: i64) {
        match self.lists.back_mut() {
            Some((generation, ids)) if *generation == newest => ids.push(id),
            _ => self.lists.push_back((newest, vec![id])),
        }
    }

    fn enter(&mut self, id: u32, hash: u64) {
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.table
            .insert_unique(hash, id, |&other| hasher.hash_one(&*entries[other as usize].text));
    }

    fn insert(&mut self, text: &str, hash: u64) -> Option<u32> {
        if self.table.len() >= self.entries_max {
            return None;
        }
        let entry = Entry { text: text.into(), generation: FREE };
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
        self.enter(id, hash);
        self.note(id);
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
    fn texts_taken_back_have_their_ids_and_are_freed_in_time() {
        let mut interner = Interner::new(100, 10);
        interner.advance(0, 0);
        let anna = interner.intern("anna").unwrap();
        interner.advance(90, 90);
        let ben = interner.intern("ben").unwrap();
        let texts = [(anna, "old"), (anna, "anna"), (ben, "ben"), (2, "gone")];
        for horizon in [100, 1_000] {
            let mut restored = Interner::new(horizon, 10);
            let uses = InternerUses { n_ids: 3, ..interner.uses() };
            restored.restore(texts.into_iter(), &uses, 91).unwrap();
            assert_eq!((restored.len(), restored.text_bytes), (2, 7));
            restored.advance(95, 95);
            assert_eq!(restored.intern("anna"), Some(anna));
            assert_eq!(restored.intern("ben"), Some(ben));
            restored.advance(95 + 2 * horizon, 95 + 2 * horizon);
            assert_eq!((restored.len(), restored.text_bytes), (0, 0));
        }
        let mut restored = Interner::new(100, 10);
        let missing = restored.restore([(anna, "anna")].into_iter(), &interner.uses(), 91);
        assert!(missing.is_err() && restored.is_empty());
        assert!(restored.restore(texts.into_iter(), &interner.uses(), 91).is_err());
    }

    #[test]
    fn new_ids_are_noted_until_they_are_too_many() {
        let mut interner = Interner::new(100, usize::MAX);
        interner.advance(0, 0);
        interner.intern("anna");
        assert_eq!(interner.added(), None);
        interner.mark();
        let ben = interner.intern("ben").unwrap();
        interner.intern("anna");
        assert_eq!(interner.added(), Some(vec![ben]));
        for time in 0..200_i64 {
            interner.advance(time * 1_000, time * 1_000);
            (0..100).for_each(|i| assert!(interner.intern(&format!("{time} {i}")).is_some()));
        }
        assert_eq!(interner.added(), None);
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
