//! Witnesses as blocks, and back.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringViewArray};
use arrow::compute::concat;
use arrow::datatypes::UInt64Type;

use super::rows::HeldRows;
use crate::event::WitnessColumns;
use crate::rules::checkpoint::{PartEntry, Table, encode, not_as_written, numbers, write};
use crate::store::{BlockReader, BlockRef, BlockWriter};

/// Columns of a [`WitnessColumns`].
const N_COLUMNS: usize = 8;

fn label(first_row: u64) -> String {
    format!("witnesses {first_row}")
}

pub(super) fn write_rows(rows: &HeldRows, blocks: &mut BlockWriter) -> BlockRef {
    write(blocks, &label(rows.first_row), columns_of(rows))
}

/// The rows as bytes; `None` when they cannot be written.
pub(super) fn rows_as_bytes(rows: &HeldRows) -> Option<Vec<u8>> {
    encode(&label(rows.first_row), columns_of(rows)).ok()
}

fn columns_of(rows: &HeldRows) -> Vec<ArrayRef> {
    let mut columns = vec![numbers::<UInt64Type>(rows.numbers().collect())];
    columns.extend(rows.columns.columns().iter().map(as_written));
    columns
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

/// Reads rows of a checkpoint back.
///
/// # Errors
/// When their block cannot be read, or holds other rows.
pub(super) fn read_rows(part: &PartEntry, blocks: &BlockReader) -> Result<HeldRows, String> {
    let table = Table::read(blocks, part.block, &label(part.first))?;
    rows_of(table, part.first, part.end)
}

/// Takes [`rows_as_bytes`] back.
///
/// # Errors
/// When they hold other rows than those `first..end`.
pub(super) fn rows_from_bytes(bytes: Vec<u8>, first: u64, end: u64) -> Result<HeldRows, String> {
    rows_of(Table::of(bytes, &label(first))?, first, end)
}

fn rows_of(mut table: Table, first: u64, end: u64) -> Result<HeldRows, String> {
    let rows = table.numbers::<UInt64Type>()?;
    let columns: Vec<ArrayRef> =
        (0..N_COLUMNS).map(|_| as_held(&table.column()?)).collect::<Result<_, String>>()?;
    let is_inside = |row: &u64| (first..end).contains(row);
    let is_ascending = rows.is_sorted_by(|left, right| left < right);
    let fits = is_ascending
        && rows.iter().all(is_inside)
        && end - first <= u64::from(u32::MAX)
        && columns.first().is_some_and(|column| column.len() == rows.len());
    let columns = WitnessColumns::from_columns(columns).filter(|_| fits);
    let is_whole = rows.len() as u64 == end - first;
    let distances = || rows.iter().map(|row| (row - first) as u32).collect();
    let kept = (!is_whole).then(distances);
    Ok(HeldRows::new(first, end, kept, columns.ok_or_else(not_as_written)?))
}
