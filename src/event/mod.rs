//! Events: their schema, and how bytes become columns.

pub mod builder;
pub mod dead_letter;
pub mod decode;
mod framing;
mod json;
pub mod reject;
pub mod schema;
pub mod sshd;
mod syslog;
pub mod time;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type};

/// Microseconds since the epoch, UTC: the one representation of an instant.
pub type TimeMicros = i64;

/// What an origin is, and so how evidence names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OriginKind {
    /// A file or standard input: evidence has `file` and `line`.
    File,
    /// A Kafka topic: evidence has `topic`, `partition` and `offset`.
    Topic,
}

/// A named place that records come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// File or topic.
    pub kind: OriginKind,
    /// Path as the user wrote it (`-` for standard input), or topic name.
    pub name: Arc<str>,
}

/// All origins of a run; the hidden column `_origin` indexes it.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// Index of the origin, added when it is new.
    pub fn intern(&mut self, kind: OriginKind, name: &str) -> u32 {
        let found = self.0.iter().position(|o| o.kind == kind && &*o.name == name);
        let index = found.unwrap_or_else(|| {
            self.0.push(Origin { kind, name: name.into() });
            self.0.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// The origin at an index.
    pub fn get(&self, index: u32) -> Option<&Origin> {
        self.0.get(index as usize)
    }
}

/// Where one record stands, so that anybody can read the raw event again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`Origins`].
    pub origin: u32,
    /// Partition of a topic; 0 for a file.
    pub partition: i32,
    /// Offset in the partition, or line of the file counted from 1.
    pub position: i64,
}

/// What an alert keeps of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Event time.
    pub time: TimeMicros,
    /// The account concerned.
    pub account: String,
    /// Address of the client.
    pub ip: Option<String>,
    /// The sender's id of the event.
    pub event_id: Option<String>,
    /// The system that sent it (column `source`).
    pub source: Option<String>,
    /// Where the record stands.
    pub place: Place,
}

/// The columns of an event batch that witnesses are read from, without the rest of the batch.
#[derive(Debug, Clone)]
pub struct WitnessColumns {
    columns: Vec<ArrayRef>,
    /// Counted once: whoever keeps many batches asks for it after each.
    n_bytes: usize,
}

const WITNESS_COLUMNS: [usize; 8] = [
    schema::TIME,
    schema::ACCOUNT,
    schema::IP,
    schema::EVENT_ID,
    schema::SOURCE,
    schema::ORIGIN,
    schema::PARTITION,
    schema::POSITION,
];

impl WitnessColumns {
    fn new(columns: Vec<ArrayRef>) -> Self {
        let n_bytes = columns.iter().map(|column| used_bytes(column.as_ref())).sum();
        Self { columns, n_bytes }
    }

    /// Takes the columns out of an event batch (schema [`schema::event_batch`]).
    pub fn of(batch: &RecordBatch) -> Self {
        Self::new(WITNESS_COLUMNS.iter().map(|index| batch.column(*index).clone()).collect())
    }

    /// The rows of several, one after the other, in memory of their own.
    #[must_use]
    pub fn concat(parts: &[&Self]) -> Self {
        let column = |index: usize| -> ArrayRef {
            let pieces: Vec<&dyn Array> = parts.iter().map(|p| p.columns[index].as_ref()).collect();
            let whole = concat(&pieces).unwrap_or_else(|_| pieces[0].slice(0, 0));
            match whole.as_string_view_opt() {
                Some(texts) => Arc::new(texts.gc()),
                None => whole,
            }
        };
        Self::new((0..WITNESS_COLUMNS.len()).map(column).collect())
    }

    /// The columns, in the order that [`WitnessColumns::from_columns`] takes.
    pub fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// Columns of the right types and lengths as witnesses.
    pub fn from_columns(columns: Vec<ArrayRef>) -> Option<Self> {
        let schema = schema::event_batch();
        let types = WITNESS_COLUMNS.iter().map(|index| schema.field(*index).data_type());
        let fits = types.eq(columns.iter().map(|column| column.data_type()))
            && columns.windows(2).all(|pair| pair[0].len() == pair[1].len());
        fits.then(|| Self::new(columns))
    }

    /// The witness at a row.
    pub fn get(&self, row: usize) -> Witness {
        let text = |column: usize| {
            let column = self.columns[column].as_string_view();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        Witness {
            time: self.columns[0].as_primitive::<TimestampMicrosecondType>().value(row),
            account: text(1).unwrap_or_default(),
            ip: text(2),
            event_id: text(3),
            source: text(4),
            place: Place {
                origin: self.columns[5].as_primitive::<UInt32Type>().value(row),
                partition: self.columns[6].as_primitive::<Int32Type>().value(row),
                position: self.columns[7].as_primitive::<Int64Type>().value(row),
            },
        }
    }

    /// The witnesses at some rows, without the memory of the others.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        let indices = UInt32Array::from(rows.to_vec());
        let taken = |column: &ArrayRef| {
            let taken = take(column, &indices, None).unwrap_or_else(|_| column.slice(0, 0));
            match taken.as_string_view_opt() {
                Some(texts) => Arc::new(texts.gc()) as ArrayRef,
                None => taken,
            }
        };
        Self::new(self.columns.iter().map(taken).collect())
    }

    /// Bytes of the rows. Buffers may be larger, and shared with other batches.
    pub fn bytes(&self) -> usize {
        self.n_bytes
    }
}

/// Bytes of the rows of a column, whatever its buffers hold besides.
fn used_bytes(column: &dyn Array) -> usize {
    match column.as_string_view_opt() {
        Some(texts) => texts.len() * size_of::<u128>() + texts.total_buffer_bytes_used(),
        None => column.to_data().get_slice_memory_size().unwrap_or_default(),
    }
}

/// Reads the witness at `row` of an event batch (schema [`schema::event_batch`]).
pub fn witness(batch: &RecordBatch, row: usize) -> Witness {
    WitnessColumns::of(batch).get(row)
}
