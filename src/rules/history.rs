//! The witnesses of the rows that lanes still hold, by their number in the stream.

use std::collections::VecDeque;

use arrow::array::RecordBatch;

use crate::event::{Witness, WitnessColumns};

/// Rows that no lane holds are let be up to this number, and up to as many as lanes hold.
const SLACK_ROWS: usize = 65_536;

/// Batches of witnesses, oldest first. A batch goes when no lane holds any row as old as its last; rows
/// between those that a long frame holds are taken out by [`History::compact`].
#[derive(Default)]
pub(super) struct History {
    batches: VecDeque<Batch>,
    n_rows: usize,
    /// Number of the next row of the stream.
    next_row: u64,
}

struct Batch {
    first_row: u64,
    /// One behind its last row.
    end_row: u64,
    /// Distances from `first_row` of the rows that are kept; `None` for all.
    kept: Option<Vec<u32>>,
    columns: WitnessColumns,
}

impl Batch {
    fn n_rows(&self) -> usize {
        self.kept.as_ref().map_or((self.end_row - self.first_row) as usize, Vec::len)
    }

    /// Index of a row in the columns.
    fn index(&self, row: u64) -> Option<usize> {
        let distance = u32::try_from(row - self.first_row).ok()?;
        match &self.kept {
            Some(kept) => kept.binary_search(&distance).ok(),
            None => Some(distance as usize),
        }
    }

    /// The batch with only the rows of an ascending list.
    fn only(&self, rows: &[u64]) -> Self {
        let rows = rows.iter().filter(|row| self.index(**row).is_some());
        let distances: Vec<u32> = rows.map(|row| (row - self.first_row) as u32).collect();
        let indices = distances.iter().filter_map(|d| self.index(self.first_row + u64::from(*d)));
        let columns = self.columns.take(&indices.map(|index| index as u32).collect::<Vec<_>>());
        Self { first_row: self.first_row, end_row: self.end_row, kept: Some(distances), columns }
    }
}

impl History {
    /// Number of the first row of the next batch.
    pub(super) fn next_row(&self) -> u64 {
        self.next_row
    }

    pub(super) fn push(&mut self, batch: &RecordBatch) {
        let (first_row, columns) = (self.next_row, WitnessColumns::of(batch));
        self.next_row += batch.num_rows() as u64;
        self.n_rows += batch.num_rows();
        self.batches.push_back(Batch { first_row, end_row: self.next_row, kept: None, columns });
    }

    /// Forgets batches whose rows all come before the row with this number.
    pub(super) fn trim(&mut self, oldest_row: u64) {
        while self.batches.front().is_some_and(|batch| batch.end_row <= oldest_row) {
            self.n_rows -= self.batches.pop_front().map_or(0, |batch| batch.n_rows());
        }
    }

    /// Whether so much is kept beyond what lanes hold that [`History::compact`] is worth its cost.
    pub(super) fn is_loose(&self, n_held: usize) -> bool {
        self.n_rows > 2 * n_held + SLACK_ROWS
    }

    /// Keeps only the rows that lanes hold: their numbers, ascending.
    pub(super) fn compact(&mut self, held: &[u64]) {
        let mut rest = held;
        for batch in &mut self.batches {
            let (own, later) = rest.split_at(rest.partition_point(|row| *row < batch.end_row));
            let own = &own[own.partition_point(|row| *row < batch.first_row)..];
            if own.len() < batch.n_rows() {
                *batch = batch.only(own);
            }
            rest = later;
        }
        self.batches.retain(|batch| batch.n_rows() > 0);
        self.n_rows = self.batches.iter().map(Batch::n_rows).sum();
    }

    /// The whole number of a row of which the low 32 bits are known.
    pub(super) fn row_number(&self, low: u32) -> u64 {
        let behind = (self.next_row as u32).wrapping_sub(low);
        self.next_row.saturating_sub(u64::from(behind))
    }

    pub(super) fn witness(&self, row: u64) -> Option<Witness> {
        let position = self.batches.partition_point(|batch| batch.first_row <= row);
        let batch = self.batches.get(position.checked_sub(1)?)?;
        Some(batch.columns.get(batch.index(row)?))
    }

    /// Number of the first row of the batch that came last.
    pub(super) fn first_row_of_newest_batch(&self) -> Option<u64> {
        self.batches.back().map(|batch| batch.first_row)
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.columns.bytes()).sum()
    }
}
