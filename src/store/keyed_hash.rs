//! A hash under a secret key that may be kept and used again after a restart.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use serde::{Deserialize, Serialize};

/// Two independent hashes of 64 bits. Whoever chooses what is hashed must not know the key: it stands
/// in the state folder, which is private, and in no log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub struct KeyedHash {
    key: [u64; 4],
    shared: [SharedSeed; 2],
}

impl KeyedHash {
    /// A new key, from the system's random numbers.
    pub fn random() -> Self {
        // The standard library asks the system once; this hash of it gives nothing away.
        let state = RandomState::new();
        Self::from([0, 1, 2, 3].map(|part| state.hash_one(part)))
    }

    /// 64 bits.
    pub fn one(&self, value: impl Hash) -> u64 {
        self.hash(0, &value)
    }

    /// 128 bits: different values have different hashes.
    pub fn pair(&self, value: impl Hash) -> (u64, u64) {
        (self.hash(0, &value), self.hash(1, &value))
    }

    fn hash(&self, which: usize, value: &impl Hash) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.key[which], &self.shared[which]);
        value.hash(&mut hasher);
        hasher.finish()
    }
}

impl From<[u64; 4]> for KeyedHash {
    fn from(key: [u64; 4]) -> Self {
        Self { key, shared: [SharedSeed::from_u64(key[2]), SharedSeed::from_u64(key[3])] }
    }
}

impl From<KeyedHash> for [u64; 4] {
    fn from(hash: KeyedHash) -> Self {
        hash.key
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_key_gives_the_same_hashes_and_another_key_others() {
        let hash = KeyedHash::random();
        let text = serde_json::to_string(&hash).unwrap();
        let back: KeyedHash = serde_json::from_str(&text).unwrap();
        let long = "a name of many letters ".repeat(20);
        for value in ["", "a", "alice@example.com", &long] {
            assert_eq!(hash.pair(value), back.pair(value));
            assert_eq!(hash.one(value), hash.pair(value).0);
            assert_ne!(hash.pair(value).0, hash.pair(value).1);
            assert_ne!(hash.pair(value), KeyedHash::random().pair(value));
        }
        assert_eq!(format!("{hash:?}"), "KeyedHash");
    }
}
