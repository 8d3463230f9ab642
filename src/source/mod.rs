//! Sources: where records come from. Nothing below this stage reads a clock or a socket.

pub mod files;
pub mod kafka;
mod lines;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::event::reject::Rejection;
use crate::event::{Place, TimeMicros};

pub use files::{FileOptions, Files, Progress};

/// A wait for the pipeline: less than it needs for what is queued.
const MOMENT: Duration = Duration::from_millis(1);

/// One stream with a watermark of its own: a file, or one partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputId(pub u32);

#[derive(Debug, Clone)]
struct Record {
    range: Range<usize>,
    position: i64,
}

/// Records as they were received, all of one input, in the input's order.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// The input.
    pub input: InputId,
    /// Index into [`crate::event::Origins`].
    pub origin: u32,
    /// Partition of a topic; 0 for a file.
    pub partition: i32,
    /// The source's wall clock when the batch was read.
    pub received_at: TimeMicros,
    /// Nothing in the batch was written later: a file's modification time, else `received_at`.
    pub written_at: TimeMicros,
    /// Records that the source itself cut out: too long, or the source broke off.
    pub rejections: Vec<Rejection>,
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl RawBatch {
    /// An empty batch.
    pub fn new(input: InputId, origin: u32, partition: i32, received_at: TimeMicros) -> Self {
        Self {
            input,
            origin,
            partition,
            received_at,
            written_at: received_at,
            rejections: Vec::new(),
            bytes: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Appends a record: a Kafka offset or a line number, and the bytes without the line's end.
    pub fn push(&mut self, position: i64, record: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.records.push(Record { range: start..self.bytes.len(), position });
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is neither a record nor a rejection.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rejections.is_empty()
    }

    /// Bytes of all records.
    pub fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of record `index`; empty where there is no such record.
    pub fn record(&self, index: usize) -> &[u8] {
        let range = self.records.get(index).map_or(0..0, |record| record.range.clone());
        self.bytes.get(range).unwrap_or_default()
    }

    /// Where record `index` stands.
    pub fn place(&self, index: usize) -> Place {
        let position = self.records.get(index).map_or(0, |record| record.position);
        self.place_of(position)
    }

    /// The place of a position of this input.
    pub fn place_of(&self, position: i64) -> Place {
        Place { origin: self.origin, partition: self.partition, position }
    }
}

/// What a source hands over.
#[derive(Debug)]
pub enum Delivery {
    /// Records.
    Batch(RawBatch),
    /// A topic whose batches will have this index into [`crate::event::Origins`]: the next free one.
    Topic(u32, Arc<str>),
    /// An input that will be read from now on (a partition is new).
    Joined(InputId),
    /// The input has ended, and will never give another record.
    Finished(InputId),
    /// The input has nothing more at the moment.
    Idle(InputId),
    /// The input, idle before, has records again.
    Active(InputId),
    /// Nothing came within the source's patience; the caller may look after other things.
    Nothing,
}

/// The seam that every source stands behind.
pub trait Source: Send {
    /// The inputs known before the first delivery: all of them hold the watermark back at once.
    fn inputs(&self) -> Vec<InputId>;

    /// The next delivery, or `None` after the last one of all inputs.
    ///
    /// `wanted` is the input that holds the watermark back ([`crate::order::Order::slowest`]): a
    /// source that can choose reads that one, so that several files are merged by event time.
    ///
    /// # Errors
    /// When the source as a whole cannot go on. What is wrong with one record or one file is a
    /// rejection in a batch.
    fn next(&mut self, wanted: Option<InputId>) -> Result<Option<Delivery>>;

    /// Called again and again while the pipeline cannot take what [`Source::next`] gave. Waits a
    /// moment; a source that must be looked after looks after itself.
    fn wait(&mut self) {
        std::thread::sleep(MOMENT);
    }
}
