//! One bit for each row of a log that forgets its oldest rows.

use super::log::Log;

/// A set of rows, addressed by their index. Unlike the rows themselves it stays in memory, however
/// long the log is.
#[derive(Debug)]
pub(crate) struct Bits {
    words: Log<u64>,
}

impl Bits {
    pub(crate) fn new() -> Self {
        Self { words: Log::new() }
    }

    /// Adds a row. Nothing below `oldest` is there, or will ever be.
    #[inline]
    pub(crate) fn insert(&mut self, row: u64, oldest: u64) {
        let word = row >> 6;
        if word >= self.words.end() {
            self.grow(word, oldest >> 6);
        }
        self.words.set(word, self.words.get(word) | 1 << (row & 63));
    }

    #[cold]
    fn grow(&mut self, word: u64, oldest: u64) {
        if self.words.is_empty() {
            self.words = Log::starting_at(oldest);
        }
        while self.words.end() <= word {
            self.words.extend(&[0; 64]);
        }
    }

    #[inline]
    pub(crate) fn contains(&self, row: u64) -> bool {
        let word = row >> 6;
        let is_held = word >= self.words.base() && word < self.words.end();
        is_held && self.words.get(word) & 1 << (row & 63) != 0
    }

    /// Forgets rows below one.
    #[inline]
    pub(crate) fn trim(&mut self, row: u64) {
        self.words.trim(row >> 6);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.words.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_there_until_they_are_trimmed() {
        let mut bits = Bits::new();
        let first = 5_000_000_000;
        for row in (first..first + 1_000_000).step_by(3) {
            bits.insert(row, first);
        }
        assert!(
            (first..first + 1_000_000).all(|row| bits.contains(row) == ((row - first) % 3 == 0))
        );
        assert!(bits.bytes() < 1_000_000 / 8 + 65_536);
        bits.trim(first + 900_000);
        assert!(bits.contains(first + 900_000) && bits.bytes() < 65_536);
        bits.trim(first + 2_000_000);
        assert!(!bits.contains(first + 999_999));
        bits.insert(first + 2_000_010, first + 2_000_001);
        assert!(bits.contains(first + 2_000_010) && !bits.contains(first + 2_000_009));
    }
}
