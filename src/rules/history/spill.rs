//! Witnesses on the disk: written once, read when an alert names them.

use std::collections::VecDeque;

use super::blocks::{rows_as_bytes, rows_from_bytes};
use super::rows::HeldRows;
use crate::event::Witness;
use crate::store::{SpillRef, SpillStream};
use crate::{Error, Result};

/// Rows that are read at once for the sake of one.
const PIECE_ROWS: usize = 4_096;
/// Pieces that stay in memory for the next alert: some megabytes.
const CACHED_PIECES_MAX: usize = 16;

/// Witnesses of the rows `first_row..end_row`, or of some of them, on disk.
pub(super) struct DiskRows {
    pub(super) first_row: u64,
    /// One behind the last row.
    pub(super) end_row: u64,
    pub(super) n_rows: usize,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    first_row: u64,
    end_row: u64,
    place: SpillRef,
}

/// Where witnesses go when memory is short.
pub(super) struct WitnessSpill {
    stream: SpillStream,
    /// Pieces that were read last, and where they lie.
    cache: VecDeque<(SpillRef, HeldRows)>,
}

impl WitnessSpill {
    pub(super) fn new(stream: SpillStream) -> Self {
        Self { stream, cache: VecDeque::new() }
    }

    /// Writes rows. `None`: the disk does not take them, they stay in memory.
    pub(super) fn write(&mut self, rows: &HeldRows) -> Option<DiskRows> {
        let n_rows = rows.n_rows();
        let mut pieces = Vec::with_capacity(n_rows.div_ceil(PIECE_ROWS));
        for from in (0..n_rows).step_by(PIECE_ROWS) {
            let piece = rows.piece(from, n_rows.min(from + PIECE_ROWS));
            let place = rows_as_bytes(&piece).and_then(|bytes| self.stream.write(&bytes));
            let Some(place) = place else {
                pieces.iter().for_each(|piece: &Piece| self.stream.free(piece.place));
                return None;
            };
            pieces.push(Piece { first_row: piece.first_row, end_row: piece.end_row, place });
        }
        Some(DiskRows { first_row: rows.first_row, end_row: rows.end_row, n_rows, pieces })
    }

    /// Reads all rows back.
    ///
    /// # Errors
    /// When the disk does not give them back.
    pub(super) fn read(&mut self, rows: &DiskRows) -> Result<HeldRows> {
        let pieces: Vec<HeldRows> =
            rows.pieces.iter().map(|piece| self.read_piece(*piece)).collect::<Result<_>>()?;
        let merged = HeldRows::merged(&pieces);
        let merged = merged.map(|merged| merged.within(rows.first_row, rows.end_row));
        merged.ok_or_else(|| Error::unexpected("witnesses on disk hold no row"))
    }

    fn read_piece(&mut self, piece: Piece) -> Result<HeldRows> {
        let bytes = self.stream.read(piece.place)?;
        rows_from_bytes(bytes, piece.first_row, piece.end_row)
            .map_err(|why| Error::unexpected("witnesses come back as others").detail(why))
    }

    /// The witness of a row.
    ///
    /// # Errors
    /// When the disk does not give it back.
    pub(super) fn witness(&mut self, rows: &DiskRows, row: u64) -> Result<Option<Witness>> {
        let position = rows.pieces.partition_point(|piece| piece.end_row <= row);
        let Some(piece) = rows.pieces.get(position) else { return Ok(None) };
        if let Some((_, cached)) = self.cache.iter().find(|(place, _)| *place == piece.place) {
            return Ok(cached.witness(row));
        }
        let read = self.read_piece(*piece)?;
        let witness = read.witness(row);
        if self.cache.len() >= CACHED_PIECES_MAX {
            self.cache.pop_front();
        }
        self.cache.push_back((piece.place, read));
        Ok(witness)
    }

    /// Forgets rows.
    pub(super) fn free(&mut self, rows: &DiskRows) {
        for piece in &rows.pieces {
            self.cache.retain(|(place, _)| *place != piece.place);
            self.stream.free(piece.place);
        }
    }
}
