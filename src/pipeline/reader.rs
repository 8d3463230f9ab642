//! The reader thread: source, decode, and the choice of times.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;

use super::{Events, Message, QUEUE_BYTES};
use crate::event::decode::{Decoded, Decoder, UnknownFields};
use crate::event::{TimeMicros, schema};
use crate::source::{Delivery, InputId, RawBatch, Source};
use crate::{Error, Result};

/// Which events are wanted, and when the source counts as idle.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Events before it are left out.
    pub since: Option<TimeMicros>,
    /// Events at it and after it are left out.
    pub until: Option<TimeMicros>,
    /// The time of reading, instead of the source's clock.
    pub now: Option<TimeMicros>,
    /// When every input has been idle for so long, all that waits is released.
    pub idle_release: Option<Duration>,
}

/// The input that holds the watermark back, told by the order stage to the source.
#[derive(Debug)]
pub(super) struct Wanted(AtomicU32);

impl Default for Wanted {
    fn default() -> Self {
        Self(AtomicU32::new(u32::MAX))
    }
}

impl Wanted {
    pub(super) fn set(&self, input: Option<InputId>) {
        self.0.store(input.map_or(u32::MAX, |InputId(id)| id), Ordering::Relaxed);
    }

    fn get(&self) -> Option<InputId> {
        let id = self.0.load(Ordering::Relaxed);
        (id != u32::MAX).then_some(InputId(id))
    }
}

/// Bytes of the records that wait between the two threads.
#[derive(Debug, Default)]
pub(super) struct Queued(AtomicUsize);

impl Queued {
    fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= QUEUE_BYTES
    }

    fn add(&self, n_bytes: usize) {
        self.0.fetch_add(n_bytes, Ordering::Relaxed);
    }

    /// Takes note of a message that no longer waits.
    pub(super) fn remove(&self, message: &Message) {
        self.0.fetch_sub(message.n_bytes(), Ordering::Relaxed);
    }
}

/// What the reader thread owns.
pub(super) struct Reader {
    pub(super) source: Box<dyn Source>,
    pub(super) decoder: Decoder,
    pub(super) reading: Reading,
    pub(super) wanted: Arc<Wanted>,
    pub(super) queued: Arc<Queued>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Reader {
    /// Reads until the end, a stop, or nobody listens; the source is closed when `closed` says that
    /// everything is delivered.
    pub(super) fn run(mut self, sender: &SyncSender<Message>, closed: &Receiver<()>) {
        let last = match self.read(sender) {
            Ok(()) => Message::End(self.unknown_fields()),
            Err(error) => Message::Failed(error),
        };
        // Whoever would be told has gone when this fails.
        if sender.send(last).is_ok() {
            let _ = closed.recv();
        }
    }

    fn unknown_fields(&self) -> UnknownFields {
        self.decoder.unknown_fields().cloned().unwrap_or_default()
    }

    fn read(&mut self, sender: &SyncSender<Message>) -> Result<()> {
        let mut idleness = Idleness::new(self.source.inputs());
        while !self.stop.load(Ordering::Relaxed) {
            let Some(delivery) = self.source.next(self.wanted.get())? else { return Ok(()) };
            idleness.notice(&delivery);
            let message = match delivery {
                Delivery::Batch(raw) => Some(self.decode(raw)?),
                Delivery::Topic(origin, name) => Some(Message::Topic(origin, name)),
                Delivery::Joined(input) => Some(Message::Joined(input)),
                Delivery::Finished(input) => Some(Message::Finished(input)),
                Delivery::Idle(input) => Some(Message::Idle(input)),
                Delivery::Active(input) => Some(Message::Active(input)),
                Delivery::Nothing => idleness.due(self.reading.idle_release),
            };
            if message.is_some_and(|message| !self.send(sender, message)) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits for room, and meanwhile lets the source look after itself; false when nobody listens.
    fn send(&mut self, sender: &SyncSender<Message>, mut message: Message) -> bool {
        while self.queued.is_full() && Arc::strong_count(&self.queued) > 1 {
            self.source.wait();
        }
        // Before it is sent: whoever takes it may be faster than this thread.
        self.queued.add(message.n_bytes());
        loop {
            message = match sender.try_send(message) {
                Ok(()) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(message)) => message,
            };
            self.source.wait();
        }
    }

    fn decode(&mut self, mut raw: RawBatch) -> Result<Message> {
        raw.received_at = self.reading.now.unwrap_or(raw.received_at);
        let n_bytes = raw.n_bytes() as u64;
        let decoded = self.decoder.decode(&mut raw)?;
        let (decoded, outside) = self.reading.choose(decoded)?;
        Ok(Message::Events(Box::new(Events { raw, decoded, n_bytes, outside })))
    }
}

impl Reading {
    /// Leaves out events outside of [since, until), and says how many.
    fn choose(&self, decoded: Decoded) -> Result<(Decoded, u64)> {
        if self.since.is_none() && self.until.is_none() {
            return Ok((decoded, 0));
        }
        let since = self.since.unwrap_or(TimeMicros::MIN);
        let until = self.until.unwrap_or(TimeMicros::MAX);
        let times = decoded.batch.column(schema::TIME);
        let times = times.as_primitive::<TimestampMicrosecondType>().values();
        let inside: Vec<bool> = times.iter().map(|time| (since..until).contains(time)).collect();
        let n_inside = inside.iter().filter(|inside| **inside).count();
        let outside = (inside.len() - n_inside) as u64;
        let rows = decoded.records.iter().zip(&inside).filter(|(_, inside)| **inside);
        let records = rows.map(|(record, _)| *record).collect();
        let batch = filter_record_batch(&decoded.batch, &BooleanArray::from(inside));
        let batch = batch.map_err(|error| {
            Error::unexpected("events cannot be chosen by time").detail(error.to_string())
        })?;
        Ok((Decoded { batch, records, ..decoded }, outside))
    }
}

/// Since when every input has been idle.
struct Idleness {
    active: HashSet<InputId>,
    n_inputs: usize,
    since: Option<Instant>,
}

impl Idleness {
    fn new(inputs: Vec<InputId>) -> Self {
        Self { n_inputs: inputs.len(), active: inputs.into_iter().collect(), since: None }
    }

    fn notice(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Batch(raw) => {
                self.active.insert(raw.input);
            }
            Delivery::Joined(input) => {
                self.n_inputs += 1;
                self.active.insert(*input);
            }
            Delivery::Finished(input) => {
                self.n_inputs = self.n_inputs.saturating_sub(1);
                self.active.remove(input);
            }
            Delivery::Active(input) => {
                self.active.insert(*input);
            }
            Delivery::Idle(input) => {
                self.active.remove(input);
            }
            Delivery::Topic(..) | Delivery::Nothing => return,
        }
        self.since = (self.active.is_empty() && self.n_inputs > 0).then(Instant::now);
    }

    /// The message that all have been idle for long enough, once.
    fn due(&mut self, idle_release: Option<Duration>) -> Option<Message> {
        let since = self.since?;
        (since.elapsed() >= idle_release?).then(|| {
            self.since = None;
            Message::AllIdle
        })
    }
}
