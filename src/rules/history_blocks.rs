//! Batches of witnesses as blocks, and back.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringViewArray};
use arrow::compute::concat;
use arrow::datatypes::UInt64Type;

use super::checkpoint::{PartEntry, Table, not_as_written, numbers, write};
use super::history::Batch;
use crate::event::WitnessColumns;
use crate::store::{BlockReader, BlockRef, BlockWriter};

/// Columns of a [`WitnessColumns`].
const N_COLUMNS: usize = 8;

fn label(first_row: u64) -> String {
    format!("witnesses {first_row}")
}

pub(super) fn write_batch(batch: &Batch, blocks: &mut BlockWriter) -> BlockRef {
    let mut columns = vec![numbers::<UInt64Type>(batch.numbers().collect())];
    columns.extend(batch.columns.columns().iter().map(as_written));
    write(blocks, &label(batch.first_row), columns)
}

/// Texts without the space that views take.
fn as_written(column: &ArrayRef) -> ArrayRef {
    match column.as_string_view_opt() {
        Some(texts) => Arc::new(texts.iter().collect::<StringArray>()),
        None => column.clone(),
    }
}

/// The column in memory of its own, texts as views.
fn as_held(column: &ArrayRef) -> Result<ArrayRef, String> {
    let empty = column.slice(0, 0);
    let own = concat(&[column.as_ref(), empty.as_ref()]).map_err(|error| error.to_string())?;
    Ok(match own.as_string_opt::<i32>() {
        Some(texts) => Arc::new(StringViewArray::from(texts)),
        None => own,
    })
}

/// Reads a batch back.
///
/// # Errors
/// When its block cannot be read, or holds other rows.
pub(super) fn read_batch(part: &PartEntry, blocks: &BlockReader) -> Result<Batch, String> {
    let mut table = Table::read(blocks, part.block, &label(part.first))?;
    let rows = table.numbers::<UInt64Type>()?;
    let columns: Vec<ArrayRef> =
        (0..N_COLUMNS).map(|_| as_held(&table.column()?)).collect::<Result<_, String>>()?;
    let is_inside = |row: &u64| (part.first..part.end).contains(row);
    let is_ascending = rows.is_sorted_by(|left, right| left < right);
    let fits = is_ascending
        && rows.iter().all(is_inside)
        && part.end - part.first <= u64::from(u32::MAX)
        && columns.first().is_some_and(|column| column.len() == rows.len());
    let columns = WitnessColumns::from_columns(columns).filter(|_| fits);
    let is_whole = rows.len() as u64 == part.end - part.first;
    let distances = || rows.iter().map(|row| (row - part.first) as u32).collect();
    Ok(Batch {
        first_row: part.first,
        end_row: part.end,
        kept: (!is_whole).then(distances),
        columns: columns.ok_or_else(not_as_written)?,
        block: Some(part.block),
    })
}
