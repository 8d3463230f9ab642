//! The different texts of one column of a batch: each is looked at once.

use arrow::array::{Array, StringViewArray, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use hashbrown::HashTable;

use std::hash::BuildHasher;

/// Numbers the different texts of a column. Its table lives as long as the stage: no batch pays for it.
#[derive(Default)]
pub(super) struct Distinct {
    table: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// The first row of each text of the last batch.
    pub(super) rows: Vec<u32>,
}

impl Distinct {
    /// For each row the number of its text, in the order of their first rows; NULL where the text is
    /// NULL or the row is not wanted.
    pub(super) fn number(
        &mut self,
        column: &StringViewArray,
        wanted: Option<&BooleanBuffer>,
    ) -> UInt32Array {
        self.table.clear();
        self.rows.clear();
        let nulls = match (column.nulls(), wanted) {
            (Some(nulls), Some(wanted)) => Some(NullBuffer::new(nulls.inner() & wanted)),
            (Some(nulls), None) => Some(nulls.clone()),
            (None, Some(wanted)) => Some(NullBuffer::new(wanted.clone())),
            (None, None) => None,
        };
        let mut numbers = vec![0u32; column.len()];
        for (row, number) in numbers.iter_mut().enumerate() {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                *number = self.number_of(column, row as u32);
            }
        }
        UInt32Array::new(numbers.into(), nulls)
    }

    fn number_of(&mut self, column: &StringViewArray, row: u32) -> u32 {
        let Self { table, hasher, rows } = self;
        let text = column.value(row as usize);
        let same = |number: &u32| column.value(rows[*number as usize] as usize) == text;
        let hash = hasher.hash_one(text);
        if let Some(number) = table.find(hash, same) {
            return *number;
        }
        let number = rows.len() as u32;
        rows.push(row);
        let rehash = |number: &u32| hasher.hash_one(column.value(rows[*number as usize] as usize));
        table.insert_unique(hash, number, rehash);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_number() {
        let texts =
            [Some("b"), None, Some("a"), Some("b"), Some("a long text, not inline"), Some("a")];
        let column = StringViewArray::from_iter(texts);
        let mut distinct = Distinct::default();
        for _ in 0..2 {
            let numbers = distinct.number(&column, None);
            let expected = [Some(0), None, Some(1), Some(0), Some(2), Some(1)];
            assert_eq!(numbers, UInt32Array::from(expected.to_vec()));
            assert_eq!(distinct.rows, [0, 2, 4]);
        }
        let wanted = BooleanBuffer::from(vec![false, true, true, false, false, true]);
        let numbers = distinct.number(&column, Some(&wanted));
        assert_eq!(numbers, UInt32Array::from(vec![None, None, Some(0), None, None, Some(0)]));
    }
}
