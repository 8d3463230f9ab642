//! The witnesses of the rows that lanes still hold, by their number in the stream.

use std::collections::VecDeque;

use arrow::array::RecordBatch;

use crate::event::{Witness, WitnessColumns};

/// Batches of witnesses, oldest first.
#[derive(Default)]
pub(super) struct History {
    batches: VecDeque<Batch>,
    /// Number of the next row of the stream.
    next_row: u64,
}

struct Batch {
    first_row: u64,
    /// One behind its last row.
    end_row: u64,
    columns: WitnessColumns,
}

impl History {
    /// Number of the first row of the next batch.
    pub(super) fn next_row(&self) -> u64 {
        self.next_row
    }

    pub(super) fn push(&mut self, batch: &RecordBatch) {
        let (first_row, columns) = (self.next_row, WitnessColumns::of(batch));
        self.next_row += batch.num_rows() as u64;
        self.batches.push_back(Batch { first_row, end_row: self.next_row, columns });
    }

    /// Forgets batches whose rows all come before the row with this number.
    pub(super) fn trim(&mut self, oldest_row: u64) {
        while self.batches.front().is_some_and(|batch| batch.end_row <= oldest_row) {
            self.batches.pop_front();
        }
    }

    /// The whole number of a row of which the low 32 bits are known.
    pub(super) fn row_number(&self, low: u32) -> u64 {
        let behind = (self.next_row as u32).wrapping_sub(low);
        self.next_row.saturating_sub(u64::from(behind))
    }

    pub(super) fn witness(&self, row: u64) -> Option<Witness> {
        let position = self.batches.partition_point(|batch| batch.first_row <= row);
        let batch = self.batches.get(position.checked_sub(1)?)?;
        Some(batch.columns.get((row - batch.first_row) as usize))
    }

    /// Number of the first row of the batch that came last.
    pub(super) fn first_row_of_newest_batch(&self) -> Option<u64> {
        self.batches.back().map(|batch| batch.first_row)
    }

    pub(super) fn n_rows(&self) -> usize {
        self.batches.front().map_or(0, |batch| (self.next_row - batch.first_row) as usize)
    }

    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.columns.bytes()).sum()
    }
}
