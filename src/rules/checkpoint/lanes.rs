//! Lanes as blocks, and back.

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::{Float64Type, Int64Type, UInt8Type, UInt32Type, UInt64Type};
use std::sync::Arc;

use super::manifest::{LaneEntry, PartEntry};
use super::table::{Table, not_as_written, numbers, write};
use crate::Result;
use crate::store::{BlockReader, BlockRef, BlockWriter, SpillStream};
use crate::window::{
    FloatPairs, Interner, Lane, LaneLimits, LaneRestore, LaneRows, LaneSpec, LaneState,
    RecencyEntries,
};

/// So many rows are written once, as a block that later checkpoints refer to; fewer are written again.
pub(in crate::rules) const SEAL_ROWS: u64 = 16_384;
/// Rows of one block: bounds what is held twice while it is written.
const BLOCK_ROWS_MAX: u64 = 1 << 18;

/// Writes a lane. `sealed` are its blocks of rows that never change again.
///
/// # Errors
/// When rows do not come back from the disk.
pub(super) fn write_lane(
    lane: &mut Lane,
    sealed: &mut Vec<PartEntry>,
    (name, fingerprint): (String, String),
    blocks: &mut BlockWriter,
) -> Result<LaneEntry> {
    let state = lane.state();
    let rows = write_log(lane, &state, sealed, &fingerprint, blocks)?;
    let of = |what: &str, index| label(what, &fingerprint, index);
    let numbered = |(index, pairs)| write_floats(pairs, &of("floats", index), blocks);
    let floats = (0..).zip(&state.floats).map(numbered).collect();
    let numbered = |(index, entries)| write_entries(entries, &of("newest", index), blocks);
    let newest = (0..).zip(&state.newest).map(numbered).collect();
    let numbered = |(index, entries)| write_entries(entries, &of("lag", index), blocks);
    let lags = (0..).zip(&state.lags).map(numbered).collect();
    let keys = write_keys(&state, &of("keys", 0), blocks);
    let LaneState { time, head, end, dropped_rows, n_slots, .. } = state;
    Ok(LaneEntry {
        name,
        fingerprint,
        time,
        head,
        end,
        dropped_rows,
        n_slots,
        rows,
        keys,
        floats,
        newest,
        lags,
    })
}

/// What a block holds: of which lane, and which of its kind, or from which row on.
fn label(what: &str, fingerprint: &str, index: u64) -> String {
    format!("{what} {fingerprint} {index}")
}

/// Seals what is new when it is enough; the rest comes last.
fn write_log(
    lane: &mut Lane,
    state: &LaneState,
    sealed: &mut Vec<PartEntry>,
    fingerprint: &str,
    blocks: &mut BlockWriter,
) -> Result<Vec<PartEntry>> {
    let mut write_part =
        |first, end, blocks: &mut BlockWriter| write_part(lane, (first, end), fingerprint, blocks);
    sealed.retain(|part| part.end > state.head);
    for part in sealed.iter_mut().filter(|part| !blocks.can_keep(part.block)).collect::<Vec<_>>() {
        *part = write_part(part.first.max(state.head), part.end, blocks)?;
    }
    let mut from = sealed.last().map_or(state.head, |part| part.end.max(state.head));
    while state.end - from >= SEAL_ROWS {
        let to = state.end.min(from + BLOCK_ROWS_MAX);
        sealed.push(write_part(from, to, blocks)?);
        from = to;
    }
    let mut parts = sealed.clone();
    if from < state.end {
        parts.push(write_part(from, state.end, blocks)?);
    }
    Ok(parts)
}

fn write_part(
    lane: &mut Lane,
    (first, end): (u64, u64),
    fingerprint: &str,
    blocks: &mut BlockWriter,
) -> Result<PartEntry> {
    let columns = row_columns(lane.rows(first, end)?);
    let block = write(blocks, &label("rows", fingerprint, first), columns);
    Ok(PartEntry { first, end, block })
}

/// First row of a lane that is in no sealed block, and one behind its last row.
pub(in crate::rules) fn unsealed(lane: &Lane, sealed: &[PartEntry]) -> (u64, u64) {
    let (head, end) = lane.held_rows();
    (sealed.last().map_or(head, |part| part.end.max(head)), end)
}

/// Seals the oldest rows that are in no block yet.
///
/// # Errors
/// When rows do not come back from the disk.
pub(super) fn seal_rows(
    lane: &mut Lane,
    sealed: &mut Vec<PartEntry>,
    fingerprint: &str,
    blocks: &mut BlockWriter,
) -> Result<()> {
    let (from, end) = unsealed(lane, sealed);
    let part = write_part(lane, (from, end.min(from + SEAL_ROWS)), fingerprint, blocks)?;
    sealed.push(part);
    Ok(())
}

fn row_columns(rows: LaneRows) -> Vec<arrow::array::ArrayRef> {
    let mut columns = vec![
        numbers::<Int64Type>(rows.times),
        numbers::<UInt32Type>(rows.slots),
        numbers::<UInt32Type>(rows.rows),
    ];
    columns.extend(rows.masks.into_iter().map(numbers::<UInt8Type>));
    columns.extend(rows.values.into_iter().map(numbers::<UInt64Type>));
    columns.extend(rows.links.into_iter().map(numbers::<UInt32Type>));
    columns
}

fn write_keys(state: &LaneState, label: &str, blocks: &mut BlockWriter) -> BlockRef {
    let width = state.key_parts.len().checked_div(state.slots.len()).unwrap_or(0);
    let part = |part: usize| state.key_parts.iter().skip(part).step_by(width.max(1)).copied();
    let parts = (0..width).map(|index| numbers::<UInt64Type>(part(index).collect()));
    let slots = numbers::<UInt32Type>(state.slots.clone());
    write(blocks, label, [slots].into_iter().chain(parts).collect())
}

fn write_floats(pairs: &FloatPairs, label: &str, blocks: &mut BlockWriter) -> BlockRef {
    let slots = numbers::<UInt32Type>(pairs.slots.clone());
    let first = numbers::<Float64Type>(pairs.first.clone());
    let second = numbers::<Float64Type>(pairs.second.clone());
    write(blocks, label, vec![slots, first, second])
}

fn write_entries(entries: &RecencyEntries, label: &str, blocks: &mut BlockWriter) -> BlockRef {
    let columns = vec![
        numbers::<UInt32Type>(entries.slots.clone()),
        numbers::<Int64Type>(entries.times.clone()),
        numbers::<UInt64Type>(entries.values.clone()),
        Arc::new(BooleanArray::from(entries.valid.clone())),
    ];
    write(blocks, label, columns)
}

/// Reads a lane back; `spill` takes the rows for which so many bytes of memory have no room.
///
/// # Errors
/// With what is missing or makes no sense.
pub(super) fn read_lane(
    entry: &LaneEntry,
    spec: &LaneSpec,
    limits: LaneLimits,
    texts: &[Interner],
    blocks: &BlockReader,
    spill: Option<(SpillStream, usize)>,
) -> Result<Lane, String> {
    let mut restore = LaneRestore::new(spec, limits, read_state(entry, spec, blocks)?)?;
    if let Some((stream, log_bytes_max)) = spill {
        restore.spill_to(stream, log_bytes_max);
    }
    for part in &entry.rows {
        let mut table =
            Table::read(blocks, part.block, &label("rows", &entry.fingerprint, part.first))?;
        let rows = LaneRows {
            first: part.first,
            times: table.numbers::<Int64Type>()?,
            slots: table.numbers::<UInt32Type>()?,
            rows: table.numbers::<UInt32Type>()?,
            masks: table.many::<UInt8Type>(spec.n_masks.div_ceil(8))?,
            values: table.many::<UInt64Type>(spec.n_values)?,
            links: table.rest::<UInt32Type>()?,
        };
        if rows.end() != part.end {
            return Err("rows are missing".to_owned());
        }
        restore.rows(rows)?;
    }
    Ok(restore.finish(texts)?)
}

fn read_state(
    entry: &LaneEntry,
    spec: &LaneSpec,
    blocks: &BlockReader,
) -> Result<LaneState, String> {
    let of = |what: &str, index| label(what, &entry.fingerprint, index);
    let width = spec.n_key_columns + 1;
    let (slots, key_parts) = read_keys(entry.keys, width, &of("keys", 0), blocks)?;
    let numbered =
        |(index, block): (u64, &BlockRef)| read_floats(*block, &of("floats", index), blocks);
    let floats = (0..).zip(&entry.floats).map(numbered);
    let numbered =
        |(index, block): (u64, &BlockRef)| read_entries(*block, &of("newest", index), blocks);
    let newest = (0..).zip(&entry.newest).map(numbered);
    let numbered =
        |(index, block): (u64, &BlockRef)| read_entries(*block, &of("lag", index), blocks);
    let lags = (0..).zip(&entry.lags).map(numbered);
    Ok(LaneState {
        time: entry.time,
        head: entry.head,
        end: entry.end,
        dropped_rows: entry.dropped_rows,
        n_slots: entry.n_slots,
        slots,
        key_parts,
        floats: floats.collect::<Result<_, _>>()?,
        newest: newest.collect::<Result<_, _>>()?,
        lags: lags.collect::<Result<_, _>>()?,
    })
}

fn read_keys(
    block: BlockRef,
    width: usize,
    label: &str,
    blocks: &BlockReader,
) -> Result<(Vec<u32>, Vec<u64>), String> {
    let mut table = Table::read(blocks, block, label)?;
    let slots = table.numbers::<UInt32Type>()?;
    if slots.is_empty() {
        return Ok((slots, Vec::new()));
    }
    let mut parts = vec![0; slots.len() * width];
    for part in 0..width {
        let values = table.numbers::<UInt64Type>()?;
        parts[part..].iter_mut().step_by(width).zip(values).for_each(|(to, value)| *to = value);
    }
    Ok((slots, parts))
}

fn read_floats(block: BlockRef, label: &str, blocks: &BlockReader) -> Result<FloatPairs, String> {
    let mut table = Table::read(blocks, block, label)?;
    Ok(FloatPairs {
        slots: table.numbers::<UInt32Type>()?,
        first: table.numbers::<Float64Type>()?,
        second: table.numbers::<Float64Type>()?,
    })
}

fn read_entries(
    block: BlockRef,
    label: &str,
    blocks: &BlockReader,
) -> Result<RecencyEntries, String> {
    let mut table = Table::read(blocks, block, label)?;
    let (slots, times) = (table.numbers::<UInt32Type>()?, table.numbers::<Int64Type>()?);
    let values = table.numbers::<UInt64Type>()?;
    let valid = table.column()?;
    let valid = valid.as_boolean_opt().filter(|valid| valid.null_count() == 0);
    let valid = valid.ok_or_else(not_as_written)?.values().iter().collect();
    Ok(RecencyEntries { slots, times, values, valid })
}
