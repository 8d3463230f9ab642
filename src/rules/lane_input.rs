//! The columns of a batch as a lane takes them: rows, keys, masks, values.

use std::collections::HashMap;

use arrow::array::Array;
use arrow::buffer::BooleanBuffer;

use super::cells::CellColumn;
use super::evaluation::{Evaluation, true_rows};
use super::program::{LaneDraft, Mask, NodeId};
use crate::window::{Interner, mask_bit};

/// Cells of the columns that lanes use, read once a batch.
#[derive(Default)]
pub(super) struct CellCache(HashMap<NodeId, CellColumn>);

impl CellCache {
    /// Reads the node's cells at these rows; gives the number of texts that a limit kept out.
    pub(super) fn load(
        &mut self,
        node: NodeId,
        rows: &[u32],
        evaluation: &mut Evaluation<'_>,
        texts: &mut [Interner],
    ) -> u64 {
        let cells = self.0.entry(node).or_insert_with(|| {
            let column = evaluation.column(node);
            CellColumn::read(&column).unwrap_or_else(|_| CellColumn::empty(column.len()))
        });
        cells.intern(rows, &mut texts[node])
    }

    pub(super) fn get(&self, node: NodeId) -> &CellColumn {
        &self.0[&node]
    }
}

/// The rows that enter a lane: those of any of its selections.
pub(super) fn lane_rows(
    draft: &LaneDraft,
    evaluation: &mut Evaluation<'_>,
    n_rows: usize,
) -> Vec<u32> {
    let mut union: Option<BooleanBuffer> = Some(BooleanBuffer::new_unset(n_rows));
    for selection in &draft.selections {
        union = match (union, evaluation.selection(*selection)) {
            (Some(union), Some(rows)) => Some(&union | &rows),
            _ => None,
        };
    }
    match union {
        Some(union) => union.set_indices_u32().collect(),
        None => (0..n_rows as u32).collect(),
    }
}

/// Takes out the rows whose key a limit kept out.
pub(super) fn remove_refused(keys: &[NodeId], rows: &mut Vec<u32>, cells: &CellCache) {
    for key in keys {
        let refused = &cells.get(*key).refused;
        if !refused.is_empty() {
            rows.retain(|row| refused.binary_search(row).is_err());
        }
    }
}

/// Key parts of each row, then the bit set of those that are NULL.
pub(super) fn key_parts(keys: &[NodeId], positions: &[u32], cells: &CellCache) -> Vec<u64> {
    let width = keys.len() + 1;
    let mut parts = vec![0; positions.len() * width];
    for (index, key) in keys.iter().enumerate() {
        let CellColumn { values, valid, .. } = cells.get(*key);
        for (row, part) in positions.iter().zip(parts.chunks_exact_mut(width)) {
            let is_valid = valid.as_ref().is_none_or(|valid| valid.value(*row as usize));
            if is_valid {
                part[index] = values[*row as usize];
            } else {
                part[width - 1] |= 1 << index;
            }
        }
    }
    parts
}

pub(super) fn mask_columns(
    masks: &[Mask],
    positions: &[u32],
    evaluation: &mut Evaluation<'_>,
    cells: &mut CellCache,
    n_rows: usize,
) -> Vec<Vec<u8>> {
    let mut columns = vec![vec![0u8; positions.len()]; masks.len().div_ceil(8)];
    for (index, mask) in masks.iter().enumerate() {
        let (column, bit) = mask_bit(index);
        let mut rows = evaluation.selection(mask.selection);
        if let Some(filter) = mask.filter {
            let own = true_rows(&evaluation.column(filter));
            rows = Some(rows.map_or(own.clone(), |rows| &rows & &own));
        }
        if let Some(valid) = mask.not_null.and_then(|node| cells.get(node).valid.clone()) {
            rows = Some(rows.map_or(valid.clone(), |rows| &rows & &valid));
        }
        let target = &mut columns[column];
        match rows {
            None => target.iter_mut().for_each(|bits| *bits |= bit),
            Some(rows) if positions.len() == n_rows => {
                rows.set_indices_u32().for_each(|row| target[row as usize] |= bit);
            }
            Some(rows) => {
                for (bits, row) in target.iter_mut().zip(positions) {
                    *bits |= if rows.value(*row as usize) { bit } else { 0 };
                }
            }
        }
    }
    columns
}
