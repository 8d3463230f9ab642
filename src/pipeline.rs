//! The data path, top to bottom: source, decode, order, and a consumer of what is in order.
//!
//! ```text
//! reader thread:  source -> decode -> [since, until)
//!                                 |  a bounded channel of messages
//! this thread:                    +-> rejected records -> dead-letter sinks
//!                                 +-> rows as they arrive -> rules that are told early
//!                                 +-> order -> late sinks
//!                                         |  batches in event-time order
//!                                         +-> enrich -> learn: columns that the sender leaves out
//!                                         |
//!                                         +-> consumer: windows, rules, alerts, delivery
//!                                 +-> checkpoints of order, learn and consumer, between two messages
//! ```
//!
//! Results are a function of the events alone, but for what is told early. The clock is read by the source, which stamps what it
//! reads, for metrics, and to say when a checkpoint is due.

mod alerting;
mod annotator;
mod checkpoint;
mod early;
mod reader;
#[cfg(test)]
mod recovery_tests;
mod restore;
mod resume;
mod stages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use crate::event::dead_letter::RecordSink;
use crate::event::decode::{Decoded, Decoder, UnknownFields};
use crate::event::reject::Rejection;
use crate::event::{Origins, TimeMicros};
use crate::order::{Arrivals, Arrived, Order, OrderConfig};
use crate::serve::Metrics;
use crate::source::{InputId, RawBatch, Source};
use crate::store::BlockWriter;
use crate::{Error, Result};

pub use alerting::{Alerting, RestoredState, SeeMatches};
pub use annotator::Annotator;
use checkpoint::Checkpoints;
pub use checkpoint::{AlertLog, ConsumerManifest, Restored, Store};
pub use reader::Reading;
use reader::{Queued, Reader, Wanted};
pub use restore::restore;
use stages::Stages;
pub(crate) use stages::place_text;

/// Messages that may wait between the two threads.
const QUEUE_LENGTH: usize = 64;
/// Bytes of records from which on no further message is queued: enough to keep both threads busy, and a
/// bound on memory.
const QUEUE_BYTES: usize = 4 << 20;
/// How often a stop is looked for while nothing comes.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long the source may take to close (commit, leave its group) at the end.
const CLOSING: Duration = Duration::from_secs(10);

/// What travels from the reader to the other stages.
#[derive(Debug)]
enum Message {
    /// The records of one input, and the events in them.
    Events(Box<Events>),
    /// A topic is read from now on, and batches have this index for it.
    Topic(u32, Arc<str>),
    /// An input is there from now on.
    Joined(InputId),
    /// An input has ended.
    Finished(InputId),
    /// An input has nothing more at the moment.
    Idle(InputId),
    /// An input that was idle has records again.
    Active(InputId),
    /// Every input has been idle for `order.idle_release`.
    AllIdle,
    /// Nothing more comes: all inputs have ended, or somebody asked to stop.
    End(UnknownFields),
    /// The source cannot go on.
    Failed(Error),
}

impl Message {
    /// Events in it.
    fn n_rows(&self) -> usize {
        match self {
            Self::Events(events) => events.decoded.batch.num_rows(),
            _ => 0,
        }
    }

    /// Bytes of its records.
    fn n_bytes(&self) -> usize {
        match self {
            Self::Events(events) => events.n_bytes as usize,
            _ => 0,
        }
    }
}

/// One batch after decoding.
#[derive(Debug)]
struct Events {
    raw: RawBatch,
    decoded: Decoded,
    /// Bytes of the records.
    n_bytes: u64,
    /// Events outside of what was asked for.
    outside: u64,
}

/// Takes batches in event-time order: the end of the data path.
pub trait Consumer {
    /// Takes one batch, each group of equal times whole.
    ///
    /// # Errors
    /// When what comes of it cannot be delivered.
    fn take(&mut self, batch: &RecordBatch, origins: &Origins) -> Result<()>;

    /// Whether it takes rows as they arrive, too.
    fn takes_arrivals(&self) -> bool {
        false
    }

    /// Takes rows that have just arrived, enriched, before they are put in order.
    ///
    /// # Errors
    /// As [`Consumer::take`].
    fn arrive(&mut self, _arrived: &Arrived, _origins: &Origins) -> Result<()> {
        Ok(())
    }

    /// Every batch still to come is at this time or later.
    ///
    /// # Errors
    /// As [`Consumer::take`].
    fn advance(&mut self, _stream_time: TimeMicros) -> Result<()> {
        Ok(())
    }

    /// Nothing comes for now: what is found is told, as at the end. The stream may go on.
    ///
    /// # Errors
    /// As [`Consumer::take`].
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// As [`Consumer::take`].
    fn finish(&mut self) -> Result<()>;

    /// The process stops and the stream goes on after a restart: what is held back is handed on, and
    /// nothing is told before its time.
    ///
    /// # Errors
    /// As [`Consumer::take`].
    fn suspend(&mut self) -> Result<()> {
        self.finish()
    }

    /// Writes its state for a checkpoint; `None` when it has none to keep.
    ///
    /// # Errors
    /// When a part of it does not come back from the disk.
    fn checkpoint(&mut self, _blocks: &mut BlockWriter) -> Result<Option<ConsumerManifest>> {
        Ok(None)
    }

    /// Writes one piece of its state that will never change again, ahead of the next checkpoint; false
    /// when there is none.
    ///
    /// # Errors
    /// As [`Consumer::checkpoint`].
    fn seal(&mut self, _blocks: &mut BlockWriter) -> Result<bool> {
        Ok(false)
    }

    /// Alerts, or rows, found so far.
    fn found(&self) -> u64;

    /// Whether nobody reads the output any more.
    fn reader_gone(&self) -> bool {
        false
    }

    /// Tells what there is to tell about itself.
    fn measure(&self, _metrics: &Metrics) {}
}

/// What was counted from the start.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Events decoded.
    pub events: u64,
    /// Bytes of all records.
    pub bytes: u64,
    /// Records of the format that are no events and no errors.
    pub ignored: u64,
    /// Events outside of `--since` and `--until`.
    pub outside: u64,
    /// Records that are no events, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Events behind the watermark.
    pub late: u64,
    /// Events ahead of the clock.
    pub future: u64,
    /// Events whose id was seen before.
    pub duplicates: u64,
    /// Inputs that are there now.
    pub inputs: usize,
    /// Released watermark.
    pub watermark: Option<TimeMicros>,
    /// Fields that no column has.
    pub unknown_fields: UnknownFields,
}

/// Told of a record that is set aside.
pub type Tell = Box<dyn FnMut(&Origins, &Rejection)>;

/// Records that are set aside, and who gets them.
#[derive(Default)]
pub struct Aside {
    /// For records that cannot be decoded.
    pub dead_letter: Vec<Box<dyn RecordSink>>,
    /// For late events and events from the future.
    pub late: Vec<Box<dyn RecordSink>>,
    /// Told of each record that is set aside.
    pub tell: Option<Tell>,
}

/// Told, once a checkpoint is durable, that everything of each input before an offset is in it, and
/// below which event time every alert was delivered by then.
pub type Commit = Box<dyn FnMut(&[(InputId, i64)], Option<TimeMicros>)>;

/// The stages around the consumer, before they run.
pub struct Pipeline {
    /// Where records come from.
    pub source: Box<dyn Source>,
    /// Names of the places they come from.
    pub origins: Origins,
    /// How bytes become events.
    pub decoder: Decoder,
    /// Which events are wanted, and when the source counts as idle.
    pub reading: Reading,
    /// How events are put in order.
    pub order: OrderConfig,
    /// How columns are filled that the sender leaves out.
    pub annotator: Annotator,
    /// Records set aside.
    pub aside: Aside,
    /// Where state is kept over a restart.
    pub store: Option<Store>,
    /// Set by whoever wants the end.
    pub stop: Arc<AtomicBool>,
    /// Whether a stop releases what still waits for the watermark. Not so live: it is read again.
    pub release_on_stop: bool,
    /// Where numbers go.
    pub metrics: Arc<Metrics>,
}

impl Pipeline {
    /// Runs until the source ends, a stop is asked for, or nobody reads the output any more.
    ///
    /// `watch` is called now and then with the counts and the alerts found so far.
    ///
    /// # Errors
    /// When the source cannot go on or the output cannot be delivered; what was read before is
    /// processed nevertheless.
    pub fn run(
        self,
        consumer: &mut dyn Consumer,
        watch: &mut dyn FnMut(&Counts, u64),
    ) -> Result<Counts> {
        let (sender, receiver) = sync_channel(QUEUE_LENGTH);
        let (wanted, queued) = (Arc::new(Wanted::default()), Arc::new(Queued::default()));
        let (checkpoints, mut order) = match self.store {
            Some(store) => {
                let (checkpoints, order) =
                    Checkpoints::start(store, self.order, self.metrics.clone())?;
                (Some(checkpoints), order)
            }
            None => (None, Order::new(self.order)),
        };
        let inputs = self.source.inputs();
        inputs.iter().for_each(|input| order.join(*input));
        let reader = Reader {
            source: self.source,
            decoder: self.decoder,
            reading: self.reading,
            wanted: wanted.clone(),
            queued: queued.clone(),
            stop: self.stop.clone(),
        };
        // Dropping `closing` lets the reader close the source, once all is delivered.
        let (closing, closed) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new()
            .name("nightlatch-read".to_owned())
            .spawn(move || reader.run(&sender, &closed))
            .map_err(|error| {
                Error::unexpected("cannot start a thread").detail(error.to_string())
            })?;
        let arrivals =
            consumer.takes_arrivals().then(|| Arrivals::new(self.order.dedup_window_micros));
        let mut stages = Stages {
            order,
            arrivals,
            arrived: Vec::new(),
            annotator: self.annotator,
            consumer,
            watch,
            wanted,
            queued,
            origins: self.origins,
            aside: self.aside,
            checkpoints,
            stop: self.stop,
            release_on_stop: self.release_on_stop,
            metrics: self.metrics,
            counts: Counts { inputs: inputs.len(), ..Counts::default() },
            reader_hangs: false,
            ended: false,
            measured_at: None,
            broken: false,
        };
        let outcome = stages.run(&receiver);
        let (counts, reader_answers) = (std::mem::take(&mut stages.counts), !stages.reader_hangs);
        drop((stages, receiver, closing));
        if reader_answers {
            wait_for(&thread);
        }
        outcome.map(|()| counts)
    }
}

/// Gives the source time to close.
fn wait_for(thread: &std::thread::JoinHandle<()>) {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    while !thread.is_finished() && started.elapsed() < CLOSING {
        std::thread::sleep(pause);
        pause = (pause * 2).min(PATIENCE);
    }
}
