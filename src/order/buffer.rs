//! The rows that wait: batches as they came, with an index of each sorted by time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::{concat, interleave};
use arrow::datatypes::{Int32Type, Int64Type, UInt32Type, UInt64Type};

use crate::event::{TimeMicros, schema};
use crate::{Error, Result};

/// A batch with fewer rows left is small: it costs more than its rows are worth.
const SMALL_ROWS: usize = 1_024;
/// So many small batches are joined into one.
const SMALL_BATCHES: usize = 64;
/// Text that nobody refers to is worth a copy of the rest from this size on.
const WASTE_BYTES: usize = 64 * 1024;

/// A row of a waiting batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) time: TimeMicros,
    pub(super) row: u32,
    pub(super) input: u32,
}

/// A waiting batch.
struct Run {
    batch: RecordBatch,
    /// Sorted by time; those before `head` are ready or gone.
    entries: Vec<Entry>,
    head: usize,
    /// Rows that have not gone yet.
    live: usize,
    bytes: usize,
}

impl Run {
    fn is_small(&self) -> bool {
        self.live < SMALL_ROWS || self.live * 8 < self.batch.num_rows()
    }
}

/// A row that may go, in the place where it goes.
#[derive(Debug, Clone, Copy)]
struct Ready {
    time: TimeMicros,
    run: u32,
    row: u32,
}

/// All waiting batches.
#[derive(Default)]
pub(super) struct Buffer {
    runs: Vec<Option<Run>>,
    free: Vec<u32>,
    /// The first time of each run that has rows which are not ready.
    heads: BinaryHeap<Reverse<(TimeMicros, u32)>>,
    ready: Vec<Ready>,
    /// Where the next piece of `ready` begins.
    next: usize,
    len: usize,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        let ready = self.ready.capacity() * size_of::<Ready>();
        ready + self.runs.iter().flatten().map(|run| run.bytes).sum::<usize>()
    }

    /// Newest time that is not ready yet.
    pub(super) fn newest(&self) -> Option<TimeMicros> {
        let waiting = self.runs.iter().flatten().filter(|run| run.head < run.entries.len());
        waiting.filter_map(|run| run.entries.last()).map(|entry| entry.time).max()
    }

    /// Takes a batch with the rows of it that count.
    pub(super) fn push(&mut self, batch: RecordBatch, mut entries: Vec<Entry>) {
        let Some(first) = entries.first() else { return };
        let mut first = first.time;
        if !entries.is_sorted_by_key(|entry| entry.time) {
            entries.sort_by_key(|entry| entry.time);
            first = entries.first().map_or(first, |entry| entry.time);
        }
        let live = entries.len();
        let bytes = batch.get_array_memory_size() + entries.capacity() * size_of::<Entry>();
        let run = Run { batch, entries, head: 0, live, bytes };
        let id = self.free.pop().unwrap_or(self.runs.len() as u32);
        match self.runs.get_mut(id as usize) {
            Some(slot) => *slot = Some(run),
            None => self.runs.push(Some(run)),
        }
        self.heads.push(Reverse((first, id)));
        self.len += live;
    }

    /// Makes all rows with a time below `until` ready; no earlier row may come after this.
    pub(super) fn make_ready(&mut self, until: TimeMicros, mut leaves: impl FnMut(&Entry)) {
        let start = self.ready.len();
        while let Some(Reverse((time, id))) = self.heads.peek().copied() {
            if time >= until {
                break;
            }
            self.heads.pop();
            let Some(run) = self.runs.get_mut(id as usize).and_then(Option::as_mut) else {
                continue;
            };
            let waiting = &run.entries[run.head..];
            let leaving = &waiting[..waiting.partition_point(|entry| entry.time < until)];
            leaving.iter().for_each(&mut leaves);
            let ready =
                leaving.iter().map(|entry| Ready { time: entry.time, run: id, row: entry.row });
            self.ready.extend(ready);
            run.head += leaving.len();
            if let Some(next) = run.entries.get(run.head) {
                self.heads.push(Reverse((next.time, id)));
            }
        }
        // A stable sort of a few sorted runs: it merges them.
        self.ready[start..].sort_by_key(|ready| ready.time);
        self.sort_ties(start);
    }

    fn sort_ties(&mut self, start: usize) {
        let runs = &self.runs;
        let groups = self.ready[start..].chunk_by_mut(|left, right| left.time == right.time);
        for group in groups.filter(|group| group.len() > 1) {
            group.sort_by(|left, right| tie(runs, left, right));
        }
    }

    /// Length of the next piece: `rows_max`, and the rest of its last time.
    pub(super) fn next_piece(&self, rows_max: usize) -> Option<usize> {
        let waiting = self.ready.get(self.next..).filter(|waiting| !waiting.is_empty())?;
        let count = rows_max.min(waiting.len());
        let last = waiting[count - 1].time;
        Some(count + waiting[count..].iter().take_while(|ready| ready.time == last).count())
    }

    /// Takes the next `count` ready rows out, as a batch of those that `keep` wants.
    pub(super) fn take_piece(
        &mut self,
        count: usize,
        mut keep: impl FnMut(&RecordBatch, usize, TimeMicros) -> bool,
    ) -> Result<Option<RecordBatch>> {
        let end = self.next + count;
        let mut kept = Vec::with_capacity(count);
        for ready in &self.ready[self.next..end] {
            let run = self.runs[ready.run as usize].as_ref();
            if run.is_some_and(|run| keep(&run.batch, ready.row as usize, ready.time)) {
                kept.push(*ready);
            }
        }
        let batch = if kept.is_empty() { None } else { Some(self.gather(&kept)?) };
        for index in self.next..end {
            self.leave(self.ready[index].run);
        }
        self.len -= count;
        self.next = end;
        if self.next == self.ready.len() {
            self.ready.clear();
            self.next = 0;
        }
        Ok(batch)
    }

    fn leave(&mut self, id: u32) {
        let Some(slot) = self.runs.get_mut(id as usize) else { return };
        let Some(run) = slot else { return };
        run.live -= 1;
        if run.live == 0 {
            *slot = None;
            self.free.push(id);
        }
    }

    /// A batch of the given rows, in their order.
    fn gather(&self, rows: &[Ready]) -> Result<RecordBatch> {
        let (batches, rows) = self.used(rows);
        let n_spans = 1 + rows.windows(2).filter(|pair| !follows(pair[0], pair[1])).count();
        if let ([batch], 1) = (batches.as_slice(), n_spans)
            && rows.len() * 4 >= batch.num_rows()
        {
            return Ok(batch.slice(rows[0].1, rows.len()));
        }
        let spans = (n_spans * 8 <= rows.len()).then(|| spans(&rows));
        let columns = 0..schema::event_batch().fields().len();
        let columns =
            columns.map(|column| gather_column(&batches, column, &rows, spans.as_deref()));
        let columns = columns.collect::<Result<Vec<_>, _>>();
        let batch =
            columns.and_then(|columns| RecordBatch::try_new(schema::event_batch(), columns));
        batch.map_err(|error| {
            Error::unexpected("events cannot be put in order").detail(error.to_string())
        })
    }

    /// The batches that rows lie in, and each row as (index of its batch, row).
    fn used(&self, rows: &[Ready]) -> (Vec<&RecordBatch>, Vec<(usize, usize)>) {
        let mut index_of_run = vec![usize::MAX; self.runs.len()];
        let mut batches = Vec::new();
        let mut indices = Vec::with_capacity(rows.len());
        for ready in rows {
            let run = ready.run as usize;
            if index_of_run[run] == usize::MAX {
                let Some(run_of) = self.runs[run].as_ref() else { continue };
                index_of_run[run] = batches.len();
                batches.push(&run_of.batch);
            }
            indices.push((index_of_run[run], ready.row as usize));
        }
        (batches, indices)
    }

    /// Joins small batches, so that neither a trickle of tiny batches nor a few stragglers in big
    /// ones hold memory for much more than themselves.
    pub(super) fn tidy(&mut self) -> Result<()> {
        if !self.ready.is_empty() || self.runs.len() - self.free.len() < SMALL_BATCHES {
            return Ok(());
        }
        let is_small = |id: &usize| self.runs[*id].as_ref().is_some_and(Run::is_small);
        let small: Vec<usize> = (0..self.runs.len()).filter(is_small).collect();
        if small.len() < SMALL_BATCHES {
            return Ok(());
        }
        let (rows, entries) = self.left_in(&small);
        let batch = self.gather(&rows)?;
        for id in small {
            self.runs[id] = None;
            self.free.push(id as u32);
        }
        self.len -= rows.len();
        self.push(batch, entries);
        self.index_heads();
        Ok(())
    }

    /// The waiting rows of some batches by time, and how they are called in a batch of their own.
    fn left_in(&self, ids: &[usize]) -> (Vec<Ready>, Vec<Entry>) {
        let mut rows = Vec::new();
        for &id in ids {
            let Some(run) = &self.runs[id] else { continue };
            let waiting = run.entries[run.head..].iter();
            rows.extend(
                waiting.map(|entry| {
                    (*entry, Ready { time: entry.time, run: id as u32, row: entry.row })
                }),
            );
        }
        rows.sort_by_key(|(entry, _)| entry.time);
        let entries =
            rows.iter().enumerate().map(|(row, (entry, _))| Entry { row: row as u32, ..*entry });
        let entries = entries.collect();
        (rows.into_iter().map(|(_, ready)| ready).collect(), entries)
    }

    fn index_heads(&mut self) {
        let runs = self.runs.iter().enumerate().filter_map(|(id, run)| Some((id, run.as_ref()?)));
        let heads = runs
            .filter_map(|(id, run)| Some(Reverse((run.entries.get(run.head)?.time, id as u32))));
        self.heads = heads.collect();
    }
}

fn follows(left: (usize, usize), right: (usize, usize)) -> bool {
    left.0 == right.0 && left.1 + 1 == right.1
}

/// Rows as (batch, first row, count) where they stand side by side.
fn spans(rows: &[(usize, usize)]) -> Vec<(usize, usize, usize)> {
    let chunks = rows.chunk_by(|left, right| follows(*left, *right));
    chunks.map(|chunk| (chunk[0].0, chunk[0].1, chunk.len())).collect()
}

fn gather_column(
    batches: &[&RecordBatch],
    column: usize,
    rows: &[(usize, usize)],
    spans: Option<&[(usize, usize, usize)]>,
) -> Result<ArrayRef, arrow::error::ArrowError> {
    let arrays: Vec<&dyn Array> =
        batches.iter().map(|batch| batch.column(column).as_ref()).collect();
    if arrays.iter().all(|array| array.null_count() == array.len()) {
        let kind = schema::event_batch().field(column).data_type().clone();
        return Ok(new_null_array(&kind, rows.len()));
    }
    let gathered = match spans {
        Some(spans) => {
            let slices: Vec<_> = spans
                .iter()
                .map(|(batch, row, count)| arrays[*batch].slice(*row, *count))
                .collect();
            concat(&slices.iter().map(AsRef::as_ref).collect::<Vec<_>>())?
        }
        None => interleave(&arrays, rows)?,
    };
    Ok(without_waste(gathered))
}

/// Copies text that is but a small part of the buffers it lies in.
fn without_waste(column: ArrayRef) -> ArrayRef {
    let Some(text) = column.as_string_view_opt() else { return column };
    let held: usize = text.data_buffers().iter().map(|buffer| buffer.capacity()).sum();
    if held < WASTE_BYTES || held < text.total_buffer_bytes_used() * 4 {
        return column;
    }
    Arc::new(text.gc())
}

/// Order of two rows of one time: event id with NULL first, hash of the record, place.
fn tie(runs: &[Option<Run>], left: &Ready, right: &Ready) -> Ordering {
    let batch = |ready: &Ready| {
        runs[ready.run as usize].as_ref().map(|run| (&run.batch, ready.row as usize))
    };
    let (Some((left, l)), Some((right, r))) = (batch(left), batch(right)) else {
        return Ordering::Equal;
    };
    event_id(left, l).cmp(&event_id(right, r)).then_with(|| rank(left, l).cmp(&rank(right, r)))
}

fn event_id(batch: &RecordBatch, row: usize) -> Option<&str> {
    let ids = batch.column(schema::EVENT_ID).as_string_view();
    ids.is_valid(row).then(|| ids.value(row))
}

fn rank(batch: &RecordBatch, row: usize) -> (u64, u32, i32, i64) {
    (
        batch.column(schema::HASH).as_primitive::<UInt64Type>().value(row),
        batch.column(schema::ORIGIN).as_primitive::<UInt32Type>().value(row),
        batch.column(schema::PARTITION).as_primitive::<Int32Type>().value(row),
        batch.column(schema::POSITION).as_primitive::<Int64Type>().value(row),
    )
}
