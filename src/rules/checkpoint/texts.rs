//! Interners as blocks, and back: new texts are added to those that earlier checkpoints wrote.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::{Int64Type, UInt32Type};

use super::manifest::{TextPart, TextsEntry};
use super::table::{Table, not_as_written, numbers, write};
use crate::event::TimeMicros;
use crate::store::{BlockReader, BlockWriter};
use crate::window::{Interner, InternerUses};

/// With more parts than this all texts are written anew.
const PARTS_MAX: usize = 64;

fn part_label(fingerprint: &str, index: usize) -> String {
    format!("texts {fingerprint} {index}")
}

fn uses_label(fingerprint: &str) -> String {
    format!("uses {fingerprint}")
}

/// Writes the texts of a node. `parts` are those written before.
pub(super) fn write_texts(
    interner: &mut Interner,
    parts: &mut Vec<TextPart>,
    fingerprint: &str,
    blocks: &mut BlockWriter,
) -> TextsEntry {
    let uses = interner.uses();
    let ids = match new_texts(interner, parts, blocks) {
        Some(added) => added,
        None => {
            parts.clear();
            uses.ids.clone()
        }
    };
    interner.mark();
    if !ids.is_empty() {
        let texts: StringArray = ids.iter().map(|id| Some(interner.text(*id))).collect();
        let label = part_label(fingerprint, parts.len());
        let n_texts = ids.len();
        let block = write(blocks, &label, vec![numbers::<UInt32Type>(ids), Arc::new(texts)]);
        parts.push(TextPart { n_texts, block });
    }
    let InternerUses { n_ids, generation_micros, generation, ids, generations } = uses;
    let columns = vec![numbers::<UInt32Type>(ids), numbers::<Int64Type>(generations)];
    TextsEntry {
        fingerprint: fingerprint.to_owned(),
        n_ids,
        generation_micros,
        generation,
        parts: parts.clone(),
        uses: write(blocks, &uses_label(fingerprint), columns),
    }
}

/// The ids to add to the parts; `None` when all must be written anew.
fn new_texts(interner: &Interner, parts: &[TextPart], blocks: &BlockWriter) -> Option<Vec<u32>> {
    let added = interner.added()?;
    let n_written: usize = parts.iter().map(|part| part.n_texts).sum();
    let is_dense = n_written + added.len() <= 2 * interner.len().max(1);
    // Asked last: a block that can be kept is one that is kept.
    let is_kept =
        is_dense && parts.len() < PARTS_MAX && parts.iter().all(|part| blocks.can_keep(part.block));
    is_kept.then_some(added)
}

/// Reads the texts of a node back.
///
/// # Errors
/// With what is missing or makes no sense; the interner is as before then.
pub(super) fn read_texts(
    entry: &TextsEntry,
    interner: &mut Interner,
    used_before: TimeMicros,
    blocks: &BlockReader,
) -> Result<(), String> {
    let mut parts: Vec<(Vec<u32>, StringArray)> = Vec::new();
    for (index, part) in entry.parts.iter().enumerate() {
        let label = part_label(&entry.fingerprint, index);
        let mut table = Table::read(blocks, part.block, &label)?;
        let (ids, texts) = (table.numbers::<UInt32Type>()?, table.column()?);
        let texts = texts.as_string_opt::<i32>().filter(|texts| texts.null_count() == 0);
        parts.push((ids, texts.ok_or_else(not_as_written)?.clone()));
    }
    let mut table = Table::read(blocks, entry.uses, &uses_label(&entry.fingerprint))?;
    let uses = InternerUses {
        n_ids: entry.n_ids,
        generation_micros: entry.generation_micros,
        generation: entry.generation,
        ids: table.numbers::<UInt32Type>()?,
        generations: table.numbers::<Int64Type>()?,
    };
    let texts = parts
        .iter()
        .flat_map(|(ids, texts)| ids.iter().zip(texts).filter_map(|(id, text)| Some((*id, text?))));
    Ok(interner.restore(texts, &uses, used_before)?)
}
