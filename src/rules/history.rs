//! The witnesses of the rows that lanes still hold, by their number in the stream.

use std::collections::VecDeque;

use arrow::array::RecordBatch;

use super::checkpoint::{HistoryEntry, PartEntry, SEAL_ROWS};
use super::history_blocks::{read_batch, write_batch};
use crate::event::{Witness, WitnessColumns};
use crate::store::{BlockReader, BlockRef, BlockWriter};

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
    /// Number of the first row of the batch that came last.
    newest_batch: Option<u64>,
    /// Rows with lower numbers are of an earlier process, and some of them may have been read again
    /// under numbers from this one on.
    reread_from: u64,
}

pub(super) struct Batch {
    pub(super) first_row: u64,
    /// One behind its last row.
    pub(super) end_row: u64,
    /// Distances from `first_row` of the rows that are kept; `None` for all.
    pub(super) kept: Option<Vec<u32>>,
    pub(super) columns: WitnessColumns,
    /// Where a checkpoint has written it.
    pub(super) block: Option<BlockRef>,
}

impl Batch {
    pub(super) fn n_rows(&self) -> usize {
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
        let (first_row, end_row) = (self.first_row, self.end_row);
        Self { first_row, end_row, kept: Some(distances), columns, block: None }
    }

    /// Successive batches as one.
    fn merged(batches: &[Self]) -> Option<Self> {
        let (first, last) = (batches.first()?, batches.last()?);
        let numbers = batches.iter().flat_map(|batch| batch.numbers());
        let distances: Vec<u32> = numbers.map(|row| (row - first.first_row) as u32).collect();
        let span = (last.end_row - first.first_row) as usize;
        let columns: Vec<&WitnessColumns> = batches.iter().map(|batch| &batch.columns).collect();
        Some(Self {
            first_row: first.first_row,
            end_row: last.end_row,
            kept: (distances.len() < span).then_some(distances),
            columns: WitnessColumns::concat(&columns),
            block: None,
        })
    }

    /// Numbers of its rows.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        let all = self.kept.is_none().then_some(self.first_row..self.end_row);
        let some = self.kept.iter().flatten().map(|d| self.first_row + u64::from(*d));
        all.into_iter().flatten().chain(some)
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
        self.newest_batch = Some(first_row);
        let end_row = self.next_row;
        self.batches.push_back(Batch { first_row, end_row, kept: None, columns, block: None });
    }

    /// From now on rows may come that came before.
    pub(super) fn begin_reread(&mut self) {
        self.reread_from = self.next_row;
    }

    /// Whether a row may be there under another number too.
    pub(super) fn may_be_double(&self, row: u64) -> bool {
        row < self.reread_from
    }

    /// Writes what no earlier checkpoint wrote; small pieces become large ones.
    pub(super) fn checkpoint(&mut self, blocks: &mut BlockWriter) -> HistoryEntry {
        let mut open: Vec<Batch> = Vec::new();
        for batch in std::mem::take(&mut self.batches) {
            if batch.block.is_some_and(|block| blocks.can_keep(block)) {
                self.seal(&mut open, blocks);
                self.batches.push_back(batch);
                continue;
            }
            let first_row = open.first().map_or(batch.first_row, |first| first.first_row);
            if batch.end_row - first_row > u64::from(u32::MAX) {
                self.seal(&mut open, blocks);
            }
            open.push(batch);
            if open.iter().map(Batch::n_rows).sum::<usize>() as u64 >= SEAL_ROWS {
                self.seal(&mut open, blocks);
            }
        }
        let n_sealed = self.batches.len();
        self.seal(&mut open, blocks);
        let part = |batch: &Batch| {
            Some(PartEntry { first: batch.first_row, end: batch.end_row, block: batch.block? })
        };
        let parts = self.batches.iter().filter_map(part).collect();
        // What is small is written again when more has come.
        self.batches.iter_mut().skip(n_sealed).for_each(|batch| batch.block = None);
        HistoryEntry { next_row: self.next_row, reread_from: self.reread_from, parts }
    }

    fn seal(&mut self, open: &mut Vec<Batch>, blocks: &mut BlockWriter) {
        if let Some(mut batch) = Batch::merged(open) {
            batch.block = Some(write_batch(&batch, blocks));
            self.batches.push_back(batch);
        }
        open.clear();
    }

    /// Takes rows back. When some cannot be read: the number below which rows may be missing, and why.
    pub(super) fn restore(
        entry: &HistoryEntry,
        blocks: &BlockReader,
    ) -> (Self, Option<(u64, String)>) {
        let mut history =
            Self { next_row: entry.next_row, reread_from: entry.reread_from, ..Self::default() };
        let (mut damage, mut reached) = (None, 0);
        for part in &entry.parts {
            let is_placed =
                reached <= part.first && part.first <= part.end && part.end <= entry.next_row;
            let batch = match is_placed {
                true => read_batch(part, blocks),
                false => Err("rows are out of order".to_owned()),
            };
            match batch {
                Ok(batch) => {
                    history.n_rows += batch.n_rows();
                    history.batches.push_back(batch);
                }
                Err(why) => damage = Some((reached.max(part.end), why)),
            }
            reached = reached.max(part.end);
        }
        if let Some(last) = history.batches.back_mut().filter(|b| (b.n_rows() as u64) < SEAL_ROWS) {
            last.block = None;
        }
        (history, damage)
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
        self.newest_batch
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.columns.bytes()).sum()
    }
}
