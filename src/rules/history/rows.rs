//! Witnesses of some rows of the stream, in memory.

use crate::event::{Witness, WitnessColumns};

/// Witnesses of the rows `first_row..end_row`, or of some of them.
pub(super) struct HeldRows {
    pub(super) first_row: u64,
    /// One behind the last row.
    pub(super) end_row: u64,
    /// Distances from `first_row` of the rows that are kept; `None` for all.
    kept: Option<Vec<u32>>,
    pub(super) columns: WitnessColumns,
    /// Bytes of all that.
    pub(super) bytes: usize,
}

impl HeldRows {
    pub(super) fn new(
        first_row: u64,
        end_row: u64,
        kept: Option<Vec<u32>>,
        columns: WitnessColumns,
    ) -> Self {
        let bytes = columns.bytes() + kept.as_ref().map_or(0, |kept| kept.len() * 4);
        Self { first_row, end_row, kept, columns, bytes }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.kept.as_ref().map_or((self.end_row - self.first_row) as usize, Vec::len)
    }

    /// Numbers of its rows.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        let all = self.kept.is_none().then_some(self.first_row..self.end_row);
        let some = self.kept.iter().flatten().map(|d| self.first_row + u64::from(*d));
        all.into_iter().flatten().chain(some)
    }

    /// The witness of a row.
    pub(super) fn witness(&self, row: u64) -> Option<Witness> {
        Some(self.columns.get(self.index(row)?))
    }

    /// Index of a row in the columns.
    fn index(&self, row: u64) -> Option<usize> {
        let distance = u32::try_from(row.checked_sub(self.first_row)?).ok()?;
        match &self.kept {
            Some(kept) => kept.binary_search(&distance).ok(),
            None => (row < self.end_row).then_some(distance as usize),
        }
    }

    /// Those rows that are in an ascending list, too.
    pub(super) fn only(&self, rows: &[u64]) -> Self {
        let rows = rows.iter().filter(|row| self.index(**row).is_some());
        let distances: Vec<u32> = rows.map(|row| (row - self.first_row) as u32).collect();
        let indices = distances.iter().filter_map(|d| self.index(self.first_row + u64::from(*d)));
        let columns = self.columns.take(&indices.map(|index| index as u32).collect::<Vec<_>>());
        Self::new(self.first_row, self.end_row, Some(distances), columns)
    }

    /// A piece of it, by the indices of its rows.
    pub(super) fn piece(&self, from: usize, to: usize) -> Self {
        let numbers: Vec<u64> = self.numbers().skip(from).take(to - from).collect();
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
            return self.only(&[]);
        };
        let indices: Vec<u32> = (from as u32..to as u32).collect();
        let distances = numbers.iter().map(|row| (row - first) as u32).collect();
        Self::new(*first, last + 1, Some(distances), self.columns.take(&indices))
    }

    /// The same rows as those of `first_row..end_row` that are kept.
    pub(super) fn within(self, first_row: u64, end_row: u64) -> Self {
        let distances: Vec<u32> = self.numbers().map(|row| (row - first_row) as u32).collect();
        let kept = (distances.len() as u64 != end_row - first_row).then_some(distances);
        Self::new(first_row, end_row, kept, self.columns)
    }

    /// Successive rows as one.
    pub(super) fn merged(parts: &[Self]) -> Option<Self> {
        let (first, last) = (parts.first()?, parts.last()?);
        let numbers = parts.iter().flat_map(|part| part.numbers());
        let distances: Vec<u32> = numbers.map(|row| (row - first.first_row) as u32).collect();
        let span = (last.end_row - first.first_row) as usize;
        let columns: Vec<&WitnessColumns> = parts.iter().map(|part| &part.columns).collect();
        let kept = (distances.len() < span).then_some(distances);
        Some(Self::new(first.first_row, last.end_row, kept, WitnessColumns::concat(&columns)))
    }
}
