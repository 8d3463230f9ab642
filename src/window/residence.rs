//! Which chunks of a lane's log are in memory, and which on disk.
//!
//! The newest chunks stay in memory; older ones go to the disk when memory is short, each once, and
//! never change again. What a cursor is about to read is brought back before, a chunk at a time, and
//! let go of when the cursor has passed. So nothing that reads rows waits, or needs to ask.

use std::collections::VecDeque;

use super::chunk::{read, read_ascending, write, write_ascending};
use super::lane_log::LaneLog;
use super::log::CHUNK_ROWS;
use crate::event::TimeMicros;
use crate::store::{SpillRef, SpillStream};
use crate::{Error, Result};

const ROWS: u64 = CHUNK_ROWS as u64;
/// Chunks that stay in memory for the next look at evidence: some megabytes.
const EVIDENCE_CHUNKS_MAX: usize = 32;

/// What is known of the chunks of a log. They are named by the index of their first row.
#[derive(Debug, Default)]
pub(crate) struct Residence {
    stream: Option<SpillStream>,
    chunks: VecDeque<Chunk>,
    /// First row of the first chunk.
    base: u64,
    /// All chunks from this one on are in memory.
    tail: u64,
    /// Chunks before it that are in memory too, ascending.
    islands: Vec<u64>,
    /// Chunks that must stay: cursors stand in them.
    pinned: Vec<u64>,
    /// Chunks that were brought back as evidence, oldest first.
    evidence: VecDeque<u64>,
}

#[derive(Debug)]
struct Chunk {
    first_time: TimeMicros,
    /// Number of its first row in the stream, low 32 bits.
    first_row: u32,
    /// Where it was written.
    place: Option<SpillRef>,
}

impl Residence {
    /// Of an empty log that begins at `base`.
    pub(crate) fn starting_at(base: u64) -> Self {
        Self { base, tail: base, ..Self::default() }
    }

    fn chunk_of(&self, row: u64) -> u64 {
        row - (row - self.base) % ROWS
    }

    fn chunk(&mut self, first: u64) -> Option<&mut Chunk> {
        self.chunks.get_mut(((first - self.base) / ROWS) as usize)
    }

    /// Rows below the first chunk whose first row is not `below`, and rows below that chunk's forerunner.
    fn bounds(&self, below: impl Fn(TimeMicros) -> bool) -> (u64, u64) {
        let n = self.chunks.partition_point(|chunk| below(chunk.first_time)) as u64;
        (self.base + n.saturating_sub(1) * ROWS, self.base + n * ROWS)
    }

    fn is_in_memory(&self, chunk: u64) -> bool {
        chunk >= self.tail || self.islands.binary_search(&chunk).is_ok()
    }

    /// Forgets the chunks before `base`.
    fn trim(&mut self, base: u64, end: u64) {
        while self.base < base
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.free(chunk);
            self.base += ROWS;
        }
        if base == end {
            // An empty log begins anew, where its last row was.
            while let Some(chunk) = self.chunks.pop_front() {
                self.free(chunk);
            }
        }
        self.base = base;
        self.tail = self.tail.max(base);
        self.islands.retain(|chunk| *chunk >= base);
        self.evidence.retain(|chunk| *chunk >= base);
    }

    fn free(&mut self, chunk: Chunk) {
        if let (Some(stream), Some(place)) = (&mut self.stream, chunk.place) {
            stream.free(place);
        }
    }
}

impl LaneLog {
    /// Lets old chunks go to the disk.
    pub(crate) fn spill_to(&mut self, stream: SpillStream) {
        self.residence.stream = Some(stream);
    }

    /// Whether all rows are in memory.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.residence.tail == self.residence.base
    }

    /// Takes note of chunks that rows were just appended to.
    pub(crate) fn note_chunks(&mut self) {
        let residence = &mut self.residence;
        let mut first = residence.base + residence.chunks.len() as u64 * ROWS;
        while first < self.times.end() {
            let (first_time, first_row) = (self.times.get(first), self.rows.get(first));
            residence.chunks.push_back(Chunk { first_time, first_row, place: None });
            first += ROWS;
        }
    }

    /// Forgets chunks that the columns have forgotten.
    pub(crate) fn trim_chunks(&mut self) {
        if self.residence.base != self.times.base() {
            self.residence.trim(self.times.base(), self.times.end());
        }
    }

    /// First row of `from..to` whose time is not `below`, which holds for the rows before it. The chunk
    /// that holds it must be in memory: see [`LaneLog::reach`].
    pub(crate) fn first_row(&self, from: u64, to: u64, below: impl Fn(TimeMicros) -> bool) -> u64 {
        let (start, end) = self.residence.bounds(&below);
        if end <= from {
            return from;
        }
        let (start, end) = (start.max(from), end.min(to));
        if start >= end { to } else { self.times.partition_point(start, end, below) }
    }

    /// One behind the last row of `from..to` that must be looked at to find the first that is not
    /// `below`.
    pub(crate) fn reach(&self, from: u64, to: u64, below: impl Fn(TimeMicros) -> bool) -> u64 {
        self.residence.bounds(below).1.min(to).max(from)
    }

    /// A row from which on all rows are looked at to find the first that is not `is_before`, by its
    /// number in the stream.
    pub(crate) fn start_of(&self, is_before: impl Fn(u32) -> bool) -> u64 {
        let Residence { chunks, base, .. } = &self.residence;
        let n = chunks.partition_point(|chunk| is_before(chunk.first_row)) as u64;
        base + n.saturating_sub(1) * ROWS
    }

    /// [`LaneLog::first_row`], wherever that row is.
    ///
    /// # Errors
    /// When the disk does not give it back.
    pub(crate) fn find_row(
        &mut self,
        from: u64,
        to: u64,
        below: impl Fn(TimeMicros) -> bool,
    ) -> Result<u64> {
        let reach = self.reach(from, to, &below);
        self.ensure(reach.saturating_sub(ROWS).max(from), reach)?;
        Ok(self.first_row(from, to, below))
    }

    /// Brings the rows `from..to` into memory.
    ///
    /// # Errors
    /// When the disk does not give them back.
    pub(crate) fn ensure(&mut self, from: u64, to: u64) -> Result<()> {
        let to = to.min(self.residence.tail);
        if from >= to {
            return Ok(());
        }
        let mut chunk = self.residence.chunk_of(from);
        while chunk < to {
            if !self.residence.is_in_memory(chunk) {
                self.load(chunk)?;
            }
            chunk += ROWS;
        }
        Ok(())
    }

    /// Brings the row into memory, for somebody who wants one here and one there.
    ///
    /// # Errors
    /// As [`LaneLog::ensure`].
    pub(crate) fn ensure_evidence(&mut self, row: u64) -> Result<()> {
        if row >= self.residence.tail {
            return Ok(());
        }
        let chunk = self.residence.chunk_of(row);
        if self.residence.is_in_memory(chunk) {
            return Ok(());
        }
        self.load(chunk)?;
        self.residence.evidence.push_back(chunk);
        if self.residence.evidence.len() > EVIDENCE_CHUNKS_MAX {
            self.residence.evidence.pop_front();
            self.let_go();
        }
        Ok(())
    }

    fn load(&mut self, chunk: u64) -> Result<()> {
        let place = self.residence.chunk(chunk).and_then(|chunk| chunk.place);
        let (Some(stream), Some(place)) = (&mut self.residence.stream, place) else {
            return Err(Error::unexpected("rows of a window are neither in memory nor on disk"));
        };
        let bytes = stream.read(place)?;
        if self.decode(chunk, &bytes).is_none() {
            return Err(Error::unexpected("rows of a window come back as other rows"));
        }
        let islands = &mut self.residence.islands;
        let position = islands.partition_point(|other| *other < chunk);
        islands.insert(position, chunk);
        Ok(())
    }

    /// Lets go of old chunks in which no cursor stands, when they are on disk.
    pub(crate) fn let_go(&mut self) {
        for chunk in std::mem::take(&mut self.residence.islands) {
            let Residence { pinned, evidence, .. } = &self.residence;
            if pinned.contains(&chunk) || evidence.contains(&chunk) || !self.write_and_free(chunk) {
                self.residence.islands.push(chunk);
            }
        }
    }

    /// Keeps the chunks of these rows in memory from now on, and those of no other rows but the newest.
    ///
    /// # Errors
    /// As [`LaneLog::ensure`].
    pub(crate) fn pin(&mut self, rows: impl Iterator<Item = u64>) -> Result<()> {
        if self.is_whole() {
            self.residence.pinned.clear();
            return Ok(());
        }
        let end = self.times.end();
        let mut pinned: Vec<u64> =
            rows.filter(|row| *row < end).map(|row| self.residence.chunk_of(row)).collect();
        pinned.sort_unstable();
        pinned.dedup();
        for chunk in &pinned {
            self.ensure(*chunk, chunk + 1)?;
        }
        self.residence.pinned = pinned;
        self.let_go();
        Ok(())
    }

    /// Writes the oldest chunks to the disk until the columns take no more than so many bytes of memory,
    /// as far as the disk takes them. The chunk that is being filled stays.
    pub(crate) fn keep_within(&mut self, bytes_max: usize) {
        if self.residence.stream.is_none() {
            return;
        }
        let mut excess =
            self.columns_bytes().saturating_sub(bytes_max).div_ceil(self.chunk_bytes());
        while excess > 0 && self.residence.tail + ROWS <= self.times.end() {
            let chunk = self.residence.tail;
            if self.residence.pinned.contains(&chunk) {
                self.residence.islands.push(chunk);
            } else if self.write_and_free(chunk) {
                excess -= 1;
            } else {
                return;
            }
            self.residence.tail += ROWS;
        }
    }

    /// Frees the memory of a chunk, which is written before if it never was; false when it must stay.
    fn write_and_free(&mut self, first: u64) -> bool {
        if self.residence.chunk(first).is_some_and(|chunk| chunk.place.is_none()) {
            let bytes = self.encode(first);
            let place = self.residence.stream.as_mut().and_then(|stream| stream.write(&bytes));
            let Some(chunk) = self.residence.chunk(first).filter(|_| place.is_some()) else {
                return false;
            };
            chunk.place = place;
        }
        self.free_chunk(first);
        true
    }

    fn encode(&self, first: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.chunk_bytes());
        write_ascending(self.times.chunk(first), &mut bytes);
        write(self.slots.chunk(first), &mut bytes);
        write_ascending(self.rows.chunk(first), &mut bytes);
        write(self.previous.chunk(first), &mut bytes);
        self.masks.iter().for_each(|column| write(column.chunk(first), &mut bytes));
        self.values.iter().for_each(|column| write(column.chunk(first), &mut bytes));
        self.links.iter().for_each(|(_, _, l)| write(l.previous.chunk(first), &mut bytes));
        bytes
    }

    fn decode(&mut self, first: u64, mut bytes: &[u8]) -> Option<()> {
        let bytes = &mut bytes;
        self.times.put_chunk(first, read_ascending(bytes)?);
        self.slots.put_chunk(first, read(bytes)?);
        self.rows.put_chunk(first, read_ascending(bytes)?);
        self.previous.put_chunk(first, read(bytes)?);
        for column in &mut self.masks {
            column.put_chunk(first, read(bytes)?);
        }
        for column in &mut self.values {
            column.put_chunk(first, read(bytes)?);
        }
        for (_, _, links) in &mut self.links {
            links.previous.put_chunk(first, read(bytes)?);
        }
        bytes.is_empty().then_some(())
    }

    fn free_chunk(&mut self, first: u64) {
        self.times.free_chunk(first);
        self.slots.free_chunk(first);
        self.rows.free_chunk(first);
        self.previous.free_chunk(first);
        self.masks.iter_mut().for_each(|column| column.free_chunk(first));
        self.values.iter_mut().for_each(|column| column.free_chunk(first));
        self.links.iter_mut().for_each(|(_, _, links)| links.previous.free_chunk(first));
    }

    /// Bytes of one chunk of all columns.
    fn chunk_bytes(&self) -> usize {
        let row = 20 + self.masks.len() + 8 * self.values.len() + 4 * self.links.len();
        row * CHUNK_ROWS
    }

    /// Bytes of all columns in memory.
    pub(crate) fn columns_bytes(&self) -> usize {
        let Residence { chunks, base, tail, islands, .. } = &self.residence;
        let n_before = ((tail - base) / ROWS) as usize;
        (chunks.len() - n_before + islands.len()) * self.chunk_bytes()
    }

    /// Bytes that the index of the chunks takes.
    pub(crate) fn residence_bytes(&self) -> usize {
        self.residence.chunks.capacity() * size_of::<Chunk>()
    }

    /// Rows that are on disk alone.
    pub(crate) fn n_rows_on_disk(&self) -> usize {
        let Residence { base, tail, islands, .. } = &self.residence;
        (tail - base) as usize - islands.len() * CHUNK_ROWS
    }
}
