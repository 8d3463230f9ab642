//! The values of a feature, each with a number: texts, network numbers, and NULL as a value of its own.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::budget::Budget;
use super::codec::{Coded, coded_struct};
use super::slab::Slab;
use super::tries::Tries;
use crate::Result;
use crate::store::{BlockReader, BlockRef, BlockWriter};

/// The number of no value: the row's is not known here.
pub(super) const UNKNOWN: u32 = u32::MAX - 1;
/// The number of no value: it was known, and was forgotten.
pub(super) const GONE: u32 = u32::MAX;

/// A value of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// There is none.
    Null,
    Text(&'a str),
    /// Of a network; little-endian.
    Number([u8; 8]),
}

impl Key<'_> {
    pub(super) fn is_null(self) -> bool {
        self == Self::Null
    }

    /// As one kind of thing; a text is UTF-8, which NULL's byte is not.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Null => &[0xff],
            Self::Text(text) => text.as_bytes(),
            Self::Number(bytes) => bytes,
        }
    }
}

/// Bytes of a key that lie in its entry: one wait for the memory less for most names.
const SHORT: usize = 30;

/// The bytes of a key.
#[derive(Debug)]
enum Bytes {
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT];
        match short.get_mut(..bytes.len()) {
            None => Self::Long(bytes.into()),
            Some(head) => {
                head.copy_from_slice(bytes);
                Self::Short(bytes.len() as u8, short)
            }
        }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl Coded for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        self.len().encode(out);
        out.extend_from_slice(self);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let n_bytes = usize::decode(bytes)?;
        let (head, rest) = bytes.split_at_checked(n_bytes)?;
        *bytes = rest;
        Some(head.into())
    }
}

/// A value that somebody holds.
#[derive(Debug)]
pub(super) struct Value {
    key: Bytes,
    n_holders: u32,
    /// Logins of remembered accounts that had it.
    pub(super) n_logins: u32,
    /// Combinations that it leads, if it is of the first feature of a side.
    pub(super) combos: Vec<u32>,
    pub(super) tries: Tries,
}

coded_struct!(Value { key, n_holders, n_logins, combos, tries });

/// The entry, its hash and its place in the tables.
const VALUE_BYTES: usize = 128;

impl Value {
    fn n_bytes(key: &[u8]) -> usize {
        VALUE_BYTES + key.len().saturating_sub(SHORT)
    }
}

/// A value in the index: half of its hash, so that hardly another value is looked at, and its number.
#[derive(Debug, Clone, Copy)]
struct Indexed {
    half: u32,
    id: u32,
}

/// The half that the table itself does not use to find the place.
fn half(hash: u64) -> u32 {
    (hash >> 25) as u32
}

/// Rows that are looked up in one go.
pub(super) const MANY: usize = 64;

/// All values of a feature. Numbers live as long as somebody holds them.
#[derive(Debug, Default)]
pub(super) struct Values {
    slab: Slab<Value>,
    index: HashTable<Indexed>,
    hasher: RandomState,
    /// Changes whenever a value gets a number or loses it.
    pub(super) version: u64,
    /// Values that a login had.
    n_used: u32,
    null: Option<u32>,
}

impl Values {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn get(&self, id: u32) -> Option<&Value> {
        self.slab.get(id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Value> {
        self.slab.get_mut(id)
    }

    /// The number of a value, or [`UNKNOWN`].
    pub(super) fn find(&self, key: Key<'_>) -> u32 {
        let hash = self.hasher.hash_one(key.bytes());
        self.find_hashed(key.bytes(), hash).unwrap_or(UNKNOWN)
    }

    /// The number of a value that had number `id` when the version was `since`.
    pub(super) fn find_again(&self, key: Key<'_>, id: u32, since: u64) -> u32 {
        let is_it = |value: &Value| *value.key == *key.bytes();
        match self.version == since || self.slab.get(id).is_some_and(is_it) {
            true => id,
            false => self.find(key),
        }
    }

    fn find_hashed(&self, key: &[u8], hash: u64) -> Option<u32> {
        let is_it = |entry: &Indexed| {
            entry.half == half(hash) && self.slab.get(entry.id).is_some_and(|v| *v.key == *key)
        };
        self.index.find(hash, is_it).map(|entry| entry.id)
    }

    /// The numbers of many values. Each step is done for all of them before the next: the processor
    /// then waits for the memory of several at a time.
    pub(super) fn find_many<'a>(
        &self,
        n: usize,
        key: impl Fn(usize) -> Key<'a>,
        mut found: impl FnMut(usize, u32),
    ) {
        let (mut hashes, mut ids) = ([0; MANY], [UNKNOWN; MANY]);
        for start in (0..n).step_by(MANY) {
            let count = MANY.min(n - start);
            for (index, hash) in hashes[..count].iter_mut().enumerate() {
                *hash = self.hasher.hash_one(key(start + index).bytes());
            }
            for (hash, id) in hashes[..count].iter().zip(&mut ids) {
                let entry = self.index.find(*hash, |entry| entry.half == half(*hash));
                *id = entry.map_or(UNKNOWN, |entry| entry.id);
            }
            for (index, id) in ids[..count].iter().enumerate() {
                let key = key(start + index);
                let id = match self.slab.get(*id) {
                    Some(value) if *value.key == *key.bytes() => *id,
                    None => UNKNOWN,
                    Some(_) => self.find(key),
                };
                found(start + index, id);
            }
        }
    }

    /// The number of a value, a new one if there is room; whoever takes it holds it. `found` is its
    /// number if it is known to have one.
    pub(super) fn hold(&mut self, key: Key<'_>, found: u32, budget: &mut Budget) -> Option<u32> {
        let id = match found {
            UNKNOWN => {
                let hash = self.hasher.hash_one(key.bytes());
                match self.find_hashed(key.bytes(), hash) {
                    Some(id) => id,
                    None => self.insert(key, hash, budget)?,
                }
            }
            found => found,
        };
        self.hold_id(id);
        Some(id)
    }

    fn insert(&mut self, key: Key<'_>, hash: u64, budget: &mut Budget) -> Option<u32> {
        let bytes = key.bytes();
        if !budget.take(Value::n_bytes(bytes)) {
            return None;
        }
        let combos = Vec::new();
        let tries = Tries::default();
        let id =
            self.slab.insert(Value { key: bytes.into(), n_holders: 0, n_logins: 0, combos, tries });
        self.put(id, hash);
        if key.is_null() {
            self.null = Some(id);
        }
        Some(id)
    }

    fn put(&mut self, id: u32, hash: u64) {
        self.version += 1;
        let Self { slab, index, hasher, .. } = self;
        let rehash =
            |entry: &Indexed| slab.get(entry.id).map_or(0, |value| hasher.hash_one(&*value.key));
        index.insert_unique(hash, Indexed { half: half(hash), id }, rehash);
    }

    pub(super) fn hold_id(&mut self, id: u32) {
        if let Some(value) = self.slab.get_mut(id) {
            value.n_holders += 1;
        }
    }

    /// Lets a value go; one that nobody holds is forgotten.
    pub(super) fn release(&mut self, id: u32, budget: &mut Budget) {
        let Some(value) = self.slab.get_mut(id) else { return };
        value.n_holders = value.n_holders.saturating_sub(1);
        if value.n_holders > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&*value.key);
        if let Ok(entry) = self.index.find_entry(hash, |entry| entry.id == id) {
            entry.remove();
        }
        self.version += 1;
        if let Some(value) = self.slab.remove(id) {
            self.n_used -= u32::from(value.n_logins > 0);
            budget.give(Value::n_bytes(&value.key));
        }
        self.null = self.null.filter(|null| *null != id);
    }

    pub(super) fn n_logins(&self, id: u32) -> u32 {
        self.slab.get(id).map_or(0, |value| value.n_logins)
    }

    /// Counts logins that had the value.
    pub(super) fn add(&mut self, id: u32, n_logins: u32) {
        if let Some(value) = self.slab.get_mut(id) {
            self.n_used += u32::from(value.n_logins == 0 && n_logins > 0);
            value.n_logins += n_logins;
        }
    }

    /// Counts them no more.
    pub(super) fn subtract(&mut self, id: u32, n_logins: u32) {
        if let Some(value) = self.slab.get_mut(id) {
            let left = value.n_logins.saturating_sub(n_logins);
            self.n_used -= u32::from(value.n_logins > 0 && left == 0);
            value.n_logins = left;
        }
    }

    /// Different values that remembered logins had, NULL among them.
    pub(super) fn n_used(&self) -> u32 {
        self.n_used
    }

    /// Whether a remembered login had a value other than NULL.
    pub(super) fn is_in_use(&self) -> bool {
        let null = self.null.is_some_and(|id| self.n_logins(id) > 0);
        self.n_used > u32::from(null)
    }

    pub(super) fn checkpoint(&mut self, writer: &mut BlockWriter) -> Vec<BlockRef> {
        self.slab.checkpoint(writer)
    }

    pub(super) fn restore(
        reader: &BlockReader,
        blocks: &[BlockRef],
        budget: &mut Budget,
    ) -> Result<Self> {
        let mut values = Self { slab: Slab::restore(reader, blocks)?, ..Self::default() };
        let found: Vec<(u32, u64)> =
            values.slab.iter().map(|(id, v)| (id, values.hasher.hash_one(&*v.key))).collect();
        for (id, hash) in found {
            values.put(id, hash);
        }
        for (id, value) in values.slab.iter() {
            budget.force(Value::n_bytes(&value.key));
            values.n_used += u32::from(value.n_logins > 0);
            if *value.key == *Key::Null.bytes() {
                values.null = Some(id);
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lives_as_long_as_it_is_held() {
        let mut budget = Budget::new(10_000);
        let mut values = Values::default();
        let first = values.hold(Key::Text("a"), UNKNOWN, &mut budget).unwrap();
        assert_eq!(values.hold(Key::Text("a"), UNKNOWN, &mut budget), Some(first));
        let null = values.hold(Key::Null, UNKNOWN, &mut budget).unwrap();
        let number =
            values.hold(Key::Number(3320_i64.to_le_bytes()), UNKNOWN, &mut budget).unwrap();
        assert_eq!((values.find(Key::Text("a")), values.find(Key::Null)), (first, null));
        assert_eq!(values.find(Key::Number(3320_i64.to_le_bytes())), number);
        values.release(first, &mut budget);
        assert_eq!(values.find(Key::Text("a")), first);
        for id in [first, null, number] {
            values.release(id, &mut budget);
        }
        assert_eq!(values.find(Key::Text("a")), UNKNOWN);
        assert_eq!((values.len(), budget.used()), (0, 0));
    }

    #[test]
    fn many_are_found_as_one_is() {
        let mut budget = Budget::new(u64::MAX);
        let mut values = Values::default();
        let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        for name in names.iter().step_by(2) {
            values.hold(Key::Text(name), UNKNOWN, &mut budget);
        }
        let mut n_found = 0;
        values.find_many(
            1000,
            |index| Key::Text(&names[index]),
            |index, id| {
                assert_eq!(id, values.find(Key::Text(&names[index])));
                assert_eq!(id == UNKNOWN, index % 2 == 1);
                n_found += 1;
            },
        );
        assert_eq!(n_found, 1000);
    }

    #[test]
    fn null_alone_is_no_use() {
        let mut budget = Budget::new(10_000);
        let mut values = Values::default();
        let null = values.hold(Key::Null, UNKNOWN, &mut budget).unwrap();
        values.add(null, 2);
        assert!(!values.is_in_use());
        let text = values.hold(Key::Text("a"), UNKNOWN, &mut budget).unwrap();
        values.add(text, 1);
        assert!(values.is_in_use());
        assert_eq!(values.n_used(), 2);
        values.subtract(text, 1);
        assert!(!values.is_in_use());
    }

    #[test]
    fn what_finds_no_room_is_not_taken() {
        let mut budget = Budget::new(300);
        let mut values = Values::default();
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        let n_taken = names
            .iter()
            .filter(|n| values.hold(Key::Text(n), UNKNOWN, &mut budget).is_some())
            .count();
        assert_eq!((n_taken, values.len()), (2, 2));
        let long = "x".repeat(SHORT + 1);
        assert_eq!(values.hold(Key::Text(&long), UNKNOWN, &mut Budget::new(0)), None);
        assert!(budget.used() <= 300);
    }
}
