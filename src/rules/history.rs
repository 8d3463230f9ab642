//! The witnesses of the rows that lanes still hold, by their number in the stream.

mod blocks;
mod rows;
mod spill;

use std::collections::VecDeque;

use arrow::array::RecordBatch;

use super::checkpoint::{HistoryEntry, PartEntry, SEAL_ROWS};
use crate::Result;
use crate::event::{Witness, WitnessColumns};
use crate::store::{BlockReader, BlockRef, BlockWriter, SpillStream};
use blocks::{read_rows, write_rows};
use rows::HeldRows;
use spill::{DiskRows, WitnessSpill};

/// Rows that no lane holds are let be up to this number, and up to as many as lanes hold.
const SLACK_ROWS: usize = 65_536;

/// Batches of witnesses, oldest first. A batch goes when no lane holds any row as old as its last; rows
/// between those that a long frame holds are taken out by [`History::compact`]. When memory is short,
/// the oldest batches go to the disk.
#[derive(Default)]
pub(super) struct History {
    batches: VecDeque<Batch>,
    n_rows: usize,
    n_rows_on_disk: usize,
    /// Bytes of the rows in memory.
    bytes: usize,
    /// Number of the next row of the stream.
    next_row: u64,
    /// Number of the first row of the batch that came last.
    newest_batch: Option<u64>,
    /// Rows with lower numbers are of an earlier process, and some of them may have been read again
    /// under numbers from this one on.
    reread_from: u64,
    spill: Option<WitnessSpill>,
    /// So many batches at the beginning are on disk.
    n_on_disk: usize,
}

struct Batch {
    rows: Rows,
    /// Where a checkpoint has written it.
    block: Option<BlockRef>,
    /// Rows that no lane held were taken out when it was due to go to the disk.
    is_thin: bool,
}

enum Rows {
    InMemory(HeldRows),
    OnDisk(DiskRows),
}

impl Batch {
    fn of(rows: HeldRows) -> Self {
        Self { rows: Rows::InMemory(rows), block: None, is_thin: false }
    }

    /// Its first row, and the one behind its last.
    fn range(&self) -> (u64, u64) {
        match &self.rows {
            Rows::InMemory(rows) => (rows.first_row, rows.end_row),
            Rows::OnDisk(rows) => (rows.first_row, rows.end_row),
        }
    }

    fn n_rows(&self) -> usize {
        match &self.rows {
            Rows::InMemory(rows) => rows.n_rows(),
            Rows::OnDisk(rows) => rows.n_rows,
        }
    }

    /// Bytes in memory.
    fn bytes(&self) -> usize {
        match &self.rows {
            Rows::InMemory(rows) => rows.bytes,
            Rows::OnDisk(_) => 0,
        }
    }

    fn n_rows_on_disk(&self) -> usize {
        if self.is_on_disk() { self.n_rows() } else { 0 }
    }

    fn is_on_disk(&self) -> bool {
        matches!(self.rows, Rows::OnDisk(_))
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
        self.newest_batch = Some(first_row);
        self.append(Batch::of(HeldRows::new(first_row, self.next_row, None, columns)));
    }

    /// Counts rows of which nothing is kept.
    pub(super) fn skip(&mut self, n_rows: usize) {
        self.next_row += n_rows as u64;
        self.newest_batch = None;
    }

    fn append(&mut self, batch: Batch) {
        self.n_on_disk += usize::from(batch.is_on_disk() && self.n_on_disk == self.batches.len());
        self.count(&batch);
        self.batches.push_back(batch);
    }

    fn count(&mut self, batch: &Batch) {
        self.n_rows += batch.n_rows();
        self.n_rows_on_disk += batch.n_rows_on_disk();
        self.bytes += batch.bytes();
    }

    fn uncount(&mut self, batch: &Batch) {
        self.n_rows -= batch.n_rows();
        self.n_rows_on_disk -= batch.n_rows_on_disk();
        self.bytes -= batch.bytes();
    }

    /// Takes all batches out, to append them again.
    fn take_batches(&mut self) -> VecDeque<Batch> {
        (self.n_rows, self.n_rows_on_disk, self.bytes, self.n_on_disk) = (0, 0, 0, 0);
        std::mem::take(&mut self.batches)
    }

    /// From now on rows may come that came before.
    pub(super) fn begin_reread(&mut self) {
        self.reread_from = self.next_row;
    }

    /// Whether a row may be there under another number too.
    pub(super) fn may_be_double(&self, row: u64) -> bool {
        row < self.reread_from
    }

    /// Lets old rows go to the disk: see [`History::keep_within`].
    pub(super) fn spill_to(&mut self, stream: SpillStream) {
        self.spill = Some(WitnessSpill::new(stream));
    }

    /// Writes old rows to the disk until those in memory take no more than so many bytes, as far as the
    /// disk takes them. `held` gives which rows from one number to another lanes hold; the others are
    /// left out.
    ///
    /// # Errors
    /// Those of `held`.
    pub(super) fn keep_within(
        &mut self,
        bytes_max: usize,
        mut held: impl FnMut(u64, u64) -> Result<Vec<u64>>,
    ) -> Result<()> {
        while self.bytes > bytes_max && self.spill.is_some() {
            let (mut open, mut n_rows) = (Vec::new(), 0);
            // The newest batch stays.
            while n_rows < SEAL_ROWS && self.n_on_disk + 1 < self.batches.len() {
                let Some(mut batch) = self.batches.remove(self.n_on_disk) else { break };
                self.uncount(&batch);
                if !batch.is_thin {
                    let (first, end) = batch.range();
                    batch = thin(batch, &held(first, end)?);
                }
                n_rows += batch.n_rows() as u64;
                open.push(batch);
            }
            let is_enough = n_rows >= SEAL_ROWS;
            if !self.put_back(open, is_enough) {
                break;
            }
        }
        Ok(())
    }

    /// Puts batches back as one behind those on disk, on disk too where there is enough for it; false
    /// when it is in memory.
    fn put_back(&mut self, mut open: Vec<Batch>, is_enough: bool) -> bool {
        let block = open.first().filter(|_| open.len() == 1).and_then(|batch| batch.block);
        let in_memory = open.drain(..).filter_map(|batch| match batch.rows {
            Rows::InMemory(rows) => Some(rows),
            Rows::OnDisk(_) => None,
        });
        let mut parts: Vec<HeldRows> = in_memory.collect();
        let merged = if parts.len() > 1 { HeldRows::merged(&parts) } else { parts.pop() };
        let Some(merged) = merged else { return false };
        let written = self.spill.as_mut().filter(|_| is_enough).and_then(|s| s.write(&merged));
        let is_on_disk = written.is_some();
        let rows = written.map_or(Rows::InMemory(merged), Rows::OnDisk);
        let batch = Batch { rows, block, is_thin: true };
        self.count(&batch);
        self.batches.insert(self.n_on_disk, batch);
        self.n_on_disk += usize::from(is_on_disk);
        is_on_disk
    }

    /// Writes what no earlier checkpoint wrote; small pieces become large ones.
    ///
    /// # Errors
    /// When rows do not come back from the disk.
    pub(super) fn checkpoint(&mut self, blocks: &mut BlockWriter) -> Result<HistoryEntry> {
        let mut open: Vec<HeldRows> = Vec::new();
        for mut batch in self.take_batches() {
            if batch.block.is_none_or(|block| !blocks.can_keep(block)) {
                batch.block = match batch.rows {
                    Rows::InMemory(rows) => {
                        self.seal_large(&mut open, rows, blocks);
                        continue;
                    }
                    Rows::OnDisk(ref rows) => self.write_from_disk(rows, blocks)?,
                };
            }
            self.seal(&mut open, blocks);
            self.append(batch);
        }
        let n_sealed = self.batches.len();
        self.seal(&mut open, blocks);
        let part = |batch: &Batch| {
            let (first, end) = batch.range();
            Some(PartEntry { first, end, block: batch.block? })
        };
        let parts = self.batches.iter().filter_map(part).collect();
        // What is small is written again when more has come.
        self.batches.iter_mut().skip(n_sealed).for_each(|batch| batch.block = None);
        Ok(HistoryEntry { next_row: self.next_row, reread_from: self.reread_from, parts })
    }

    /// Writes the oldest rows that are in no block yet, as one batch, when they are enough.
    pub(super) fn seal_ahead(&mut self, blocks: &mut BlockWriter) -> bool {
        let is_written = |batch: &Batch| batch.block.is_some();
        let written =
            self.batches.iter().skip(self.n_on_disk).take_while(|batch| is_written(batch));
        let first = self.n_on_disk + written.count();
        let (mut n_batches, mut n_rows) = (0, 0);
        for batch in self.batches.iter().skip(first).take_while(|batch| !is_written(batch)) {
            (n_batches, n_rows) = (n_batches + 1, n_rows + batch.n_rows() as u64);
            if n_rows >= SEAL_ROWS {
                break;
            }
        }
        if n_rows < SEAL_ROWS {
            return false;
        }
        let taken: Vec<Batch> = self.batches.drain(first..first + n_batches).collect();
        taken.iter().for_each(|batch| self.uncount(batch));
        let rows = taken.into_iter().filter_map(|batch| match batch.rows {
            Rows::InMemory(rows) => Some(rows),
            Rows::OnDisk(_) => None,
        });
        let rows: Vec<HeldRows> = rows.collect();
        let Some(merged) = HeldRows::merged(&rows) else { return false };
        let block = Some(write_rows(&merged, blocks));
        let batch = Batch { block, ..Batch::of(merged) };
        self.count(&batch);
        self.batches.insert(first, batch);
        true
    }

    /// Adds rows to those that wait, and seals them when they are enough.
    fn seal_large(&mut self, open: &mut Vec<HeldRows>, rows: HeldRows, blocks: &mut BlockWriter) {
        let first_row = open.first().map_or(rows.first_row, |first| first.first_row);
        if rows.end_row - first_row > u64::from(u32::MAX) {
            self.seal(open, blocks);
        }
        open.push(rows);
        if open.iter().map(HeldRows::n_rows).sum::<usize>() as u64 >= SEAL_ROWS {
            self.seal(open, blocks);
        }
    }

    fn seal(&mut self, open: &mut Vec<HeldRows>, blocks: &mut BlockWriter) {
        if let Some(rows) = HeldRows::merged(open) {
            let block = Some(write_rows(&rows, blocks));
            self.append(Batch { block, ..Batch::of(rows) });
        }
        open.clear();
    }

    fn write_from_disk(
        &mut self,
        rows: &DiskRows,
        blocks: &mut BlockWriter,
    ) -> Result<Option<BlockRef>> {
        let Some(spill) = &mut self.spill else { return Ok(None) };
        Ok(Some(write_rows(&spill.read(rows)?, blocks)))
    }

    /// Takes rows back, those to the disk that memory has no room for. When some cannot be read: the
    /// number below which rows may be missing, and why.
    pub(super) fn restore(
        &mut self,
        entry: &HistoryEntry,
        blocks: &BlockReader,
        bytes_max: usize,
    ) -> Option<(u64, String)> {
        (self.next_row, self.reread_from) = (entry.next_row, entry.reread_from);
        let (mut damage, mut reached) = (None, 0);
        for part in &entry.parts {
            let is_placed =
                reached <= part.first && part.first <= part.end && part.end <= entry.next_row;
            let rows = match is_placed {
                true => read_rows(part, blocks),
                false => Err("rows are out of order".to_owned()),
            };
            match rows {
                Ok(rows) => self.take_back(rows, part.block, bytes_max),
                Err(why) => damage = Some((reached.max(part.end), why)),
            }
            reached = reached.max(part.end);
        }
        if let Some(last) = self.batches.back_mut().filter(|b| (b.n_rows() as u64) < SEAL_ROWS) {
            last.block = None;
        }
        damage
    }

    fn take_back(&mut self, rows: HeldRows, block: BlockRef, bytes_max: usize) {
        let is_too_much = self.bytes + rows.bytes > bytes_max;
        let written = self.spill.as_mut().filter(|_| is_too_much).and_then(|s| s.write(&rows));
        let rows = written.map_or(Rows::InMemory(rows), Rows::OnDisk);
        self.append(Batch { rows, block: Some(block), is_thin: true });
    }

    /// Forgets batches whose rows all come before the row with this number.
    pub(super) fn trim(&mut self, oldest_row: u64) {
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.range().1 <= oldest_row) {
            self.uncount(&batch);
            self.n_on_disk = self.n_on_disk.saturating_sub(1);
            self.free(&batch.rows);
        }
    }

    fn free(&mut self, rows: &Rows) {
        if let (Rows::OnDisk(rows), Some(spill)) = (rows, &mut self.spill) {
            spill.free(rows);
        }
    }

    /// Whether so much is kept beyond what lanes hold that [`History::compact`] is worth its cost.
    pub(super) fn is_loose(&self, n_held: usize) -> bool {
        self.n_rows > 2 * n_held + SLACK_ROWS
    }

    /// Keeps only the rows that lanes hold. `held` gives which rows from one number to another these are,
    /// ascending.
    ///
    /// # Errors
    /// Those of `held`, and when rows do not come back from the disk.
    pub(super) fn compact(
        &mut self,
        mut held: impl FnMut(u64, u64) -> Result<Vec<u64>>,
    ) -> Result<()> {
        for batch in self.take_batches() {
            let (first, end) = batch.range();
            let own = held(first, end)?;
            if own.len() >= batch.n_rows() {
                self.append(batch);
                continue;
            }
            let batch = match (&batch.rows, &mut self.spill) {
                (Rows::OnDisk(rows), Some(spill)) => {
                    let rest = spill.read(rows)?.only(&own);
                    spill.free(rows);
                    let written = spill.write(&rest);
                    let rows = written.map_or(Rows::InMemory(rest), Rows::OnDisk);
                    Batch { rows, block: None, is_thin: true }
                }
                (Rows::InMemory(rows), _) => {
                    Batch { is_thin: batch.is_thin, ..Batch::of(rows.only(&own)) }
                }
                (Rows::OnDisk(_), None) => batch,
            };
            if batch.n_rows() > 0 {
                self.append(batch);
            }
        }
        Ok(())
    }

    /// The whole number of a row of which the low 32 bits are known.
    pub(super) fn row_number(&self, low: u32) -> u64 {
        row_number(self.next_row, low)
    }

    /// The witness of a row.
    ///
    /// # Errors
    /// When it does not come back from the disk.
    pub(super) fn witness(&mut self, row: u64) -> Result<Option<Witness>> {
        let position = self.batches.partition_point(|batch| batch.range().0 <= row);
        let batch = position.checked_sub(1).and_then(|position| self.batches.get(position));
        match (batch.map(|batch| &batch.rows), &mut self.spill) {
            (Some(Rows::InMemory(rows)), _) => Ok(rows.witness(row)),
            (Some(Rows::OnDisk(rows)), Some(spill)) => spill.witness(rows, row),
            _ => Ok(None),
        }
    }

    /// Number of the first row of the batch that came last.
    pub(super) fn first_row_of_newest_batch(&self) -> Option<u64> {
        self.newest_batch
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(super) fn n_rows_on_disk(&self) -> usize {
        self.n_rows_on_disk
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The whole number of a row of which the low 32 bits are known, and the number of the next row.
pub(super) fn row_number(next_row: u64, low: u32) -> u64 {
    let behind = (next_row as u32).wrapping_sub(low);
    next_row.saturating_sub(u64::from(behind))
}

/// A batch without the rows that no lane holds. One that a checkpoint has written is left as it is
/// where most of it is held: it need not be written again.
fn thin(batch: Batch, held: &[u64]) -> Batch {
    let Rows::InMemory(rows) = &batch.rows else { return batch };
    let n_rows = rows.n_rows();
    let is_kept = held.len() >= n_rows || (batch.block.is_some() && held.len() * 2 >= n_rows);
    if is_kept { batch } else { Batch::of(rows.only(held)) }
}
