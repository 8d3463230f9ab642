//! Checkpoints: what all stages know is put into the state folder, now and then, between two messages.
//!
//! This thread only makes blocks; a second one hands them to the system, a third one waits for the disk.
//! Rows are written ahead where they are enough for a block. Offsets are committed when the manifest that
//! holds them is durable, and never before.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::resume::Resume;
use super::{Annotator, Commit, Consumer};
use crate::alert::EpisodesManifest;
use crate::event::{OriginKind, Origins, TimeMicros};
use crate::incident::IncidentsManifest;
use crate::order::{Order, OrderConfig};
use crate::rules::EngineManifest;
use crate::serve::Metrics;
use crate::source::InputId;
use crate::store::{BlockWriter, Manifest, Pending, SavedOrigin, StateFolder, Written};
use crate::{Error, Result};

/// The next checkpoint waits for so many times the pause of the last: pauses cost 3 % of the time.
const PAUSES_BETWEEN: u32 = 33;

/// What is written ahead of a checkpoint waits for so many times what the last piece took: it costs a
/// tenth of the time at most.
const AHEAD_BETWEEN: u32 = 9;
/// When nothing can be written ahead, it is looked for again so much later.
const NOTHING_AHEAD: Duration = Duration::from_millis(20);

/// The log on disk to which revisions are appended before anybody gets them.
pub trait AlertLog: Send + Sync {
    /// The position after the last revision that was appended.
    fn position(&self) -> u64;

    /// Makes what was appended durable, and says up to which position. It waits for the disk, in a
    /// thread of its own, while more is appended.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync(&self) -> Result<u64>;

    /// A manifest is durable that knows the log up to here: revisions before are never made again.
    fn confirmed(&self, position: u64);

    /// Event time below which every revision is delivered to all destinations.
    fn delivered_until(&self) -> Option<TimeMicros>;
}

/// The state folder, and who has to do with checkpoints.
pub struct Store {
    /// Where checkpoints go.
    pub folder: StateFolder,
    /// How often one is made.
    pub every: Duration,
    /// No checkpoint before the released watermark is here: until then less is known than the
    /// manifest that is there holds.
    pub not_before: Option<TimeMicros>,
    /// What a manifest gave back.
    pub restored: Option<Restored>,
    /// Synced before a manifest that counts on it.
    pub alert_log: Option<Arc<dyn AlertLog>>,
    /// Told what may be committed.
    pub commit: Commit,
}

/// What a consumer puts into a manifest.
#[derive(Debug)]
pub struct ConsumerManifest {
    /// Windows and rules.
    pub engine: EngineManifest,
    /// Open episodes.
    pub episodes: EpisodesManifest,
    /// Open incidents, where they are told.
    pub incidents: Option<IncidentsManifest>,
}

/// The stages whose state goes to the disk.
pub(super) struct State<'a> {
    pub(super) order: &'a mut Order,
    pub(super) annotator: &'a mut Annotator,
    pub(super) consumer: &'a mut dyn Consumer,
    pub(super) origins: &'a Origins,
}

/// The stages before the consumer, as a manifest had them.
pub struct Restored {
    pub(super) order: Order,
    pub(super) resume: Resume,
}

/// What the second thread has to say.
type Outcome = Result<Durable>;

struct Durable {
    written: Written,
    delivered_until: Option<TimeMicros>,
    sync: Duration,
}

/// Makes checkpoints, one at a time.
pub(super) struct Checkpoints {
    pub(super) resume: Resume,
    every: Duration,
    not_before: Option<TimeMicros>,
    alert_log: Option<Arc<dyn AlertLog>>,
    commit: Commit,
    metrics: Arc<Metrics>,
    due_at: Instant,
    /// The segment of the next checkpoint, once something is written ahead of it.
    ahead: Option<BlockWriter>,
    /// When more may be written ahead.
    ahead_at: Instant,
    /// Offsets of the checkpoint that is on its way to the disk.
    on_its_way: Option<Vec<(InputId, i64)>>,
    // Before the folder, so that nothing is written once its lock is gone.
    writer: Writer,
    folder: StateFolder,
}

impl Checkpoints {
    /// Takes the folder over, and gives the order stage to begin with.
    pub(super) fn start(
        store: Store,
        config: OrderConfig,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Order)> {
        let Store { folder, every, not_before, restored, alert_log, commit } = store;
        let (mut order, resume) = match restored {
            Some(Restored { order, resume }) => (order, resume),
            None => (Order::new(config), Resume::default()),
        };
        order.keep_journal();
        let checkpoints = Self {
            resume,
            every,
            not_before,
            writer: Writer::start(alert_log.clone())?,
            alert_log,
            commit,
            metrics,
            due_at: Instant::now() + every,
            ahead: None,
            ahead_at: Instant::now(),
            on_its_way: None,
            folder,
        };
        Ok((checkpoints, order))
    }

    /// Looks after the checkpoint on its way, and makes one when it is due.
    pub(super) fn tend(&mut self, state: State<'_>) {
        if self.on_its_way.is_some()
            && let Some(outcome) = self.writer.outcome()
        {
            self.settle(outcome);
        }
        if Instant::now() < self.due_at {
            self.write_ahead(state);
            return;
        }
        if self.on_its_way.is_some() {
            self.metrics.checkpoint.skipped();
            self.due_at = Instant::now() + self.every;
            return;
        }
        self.make(state);
    }

    /// Writes a piece of what the next checkpoint will hold, so that it need not write all at once.
    fn write_ahead(&mut self, state: State<'_>) {
        let started = Instant::now();
        // Until the checkpoint on its way is durable nobody knows which blocks can be kept.
        if self.on_its_way.is_some() || started < self.ahead_at || self.is_early(&state) {
            return;
        }
        match self.seal(state) {
            Ok(true) => self.ahead_at = Instant::now() + started.elapsed() * AHEAD_BETWEEN,
            Ok(false) => self.ahead_at = started + NOTHING_AHEAD,
            Err(error) => {
                self.failed(&error);
                (self.ahead, self.ahead_at) = (None, started + self.every);
            }
        }
    }

    fn seal(&mut self, state: State<'_>) -> Result<bool> {
        let mut blocks = self.next_segment()?;
        let sealed = state.consumer.seal(&mut blocks);
        self.ahead = Some(blocks);
        sealed
    }

    fn next_segment(&mut self) -> Result<BlockWriter> {
        match self.ahead.take() {
            Some(blocks) => Ok(blocks),
            None => self.folder.begin(),
        }
    }

    /// Whether less is known than the manifest that is there holds.
    fn is_early(&self, state: &State<'_>) -> bool {
        self.not_before.is_some_and(|time| state.order.watermark() < Some(time))
    }

    /// Makes a last checkpoint, and waits until it is durable.
    pub(super) fn finish(&mut self, state: State<'_>) {
        self.wait();
        self.make(state);
        self.wait();
    }

    fn wait(&mut self) {
        if self.on_its_way.is_some() {
            let outcome = self.writer.wait();
            self.settle(outcome);
        }
    }

    fn make(&mut self, state: State<'_>) {
        let started = Instant::now();
        if !self.is_early(&state) {
            match self.collect(state) {
                Ok(pending) => {
                    self.on_its_way = Some(self.resume.offsets());
                    self.writer.take(pending);
                }
                Err(error) => self.failed(&error),
            }
            self.metrics.checkpoint.paused(started.elapsed());
        }
        self.due_at = Instant::now() + self.every.max(started.elapsed() * PAUSES_BETWEEN);
    }

    fn collect(&mut self, state: State<'_>) -> Result<Pending> {
        let State { order, annotator, consumer, origins } = state;
        let mut blocks = self.next_segment()?;
        let saved_order = order.checkpoint(&mut blocks);
        let learner = annotator.checkpoint(&mut blocks);
        let (engine, episodes, incidents) = match consumer.checkpoint(&mut blocks)? {
            Some(ConsumerManifest { engine, episodes, incidents }) => {
                (Some(engine), Some(episodes), incidents)
            }
            None => (None, None, None),
        };
        let manifest = Manifest {
            nightlatch: env!("CARGO_PKG_VERSION").to_owned(),
            watermark: order.watermark(),
            origins: saved_origins(origins),
            inputs: self.resume.positions(order),
            order: saved_order,
            learner: Some(learner),
            engine,
            episodes,
            incidents,
            outbox: self.alert_log.as_ref().map_or(0, |log| log.position()),
            delivered_until: None,
            segments: Vec::new(),
        };
        Ok(self.folder.seal(blocks, manifest))
    }

    fn settle(&mut self, outcome: Outcome) {
        let offsets = self.on_its_way.take().unwrap_or_default();
        match outcome {
            Ok(Durable { written, delivered_until, sync }) => {
                self.folder.adopt(&written);
                self.metrics.checkpoint.written(&written, sync);
                (self.commit)(&offsets, delivered_until);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &Error) {
        self.metrics.checkpoint.failed();
        tracing::error!("{error}");
    }
}

fn saved_origins(origins: &Origins) -> Vec<SavedOrigin> {
    let all = (0..).map_while(|index| origins.get(index));
    let saved = all.map(|origin| SavedOrigin {
        topic: origin.kind == OriginKind::Topic,
        name: origin.name.to_string(),
    });
    saved.collect()
}

/// The thread that waits for the disk. Dropping it waits for its end.
struct Writer {
    pending: Option<Sender<Pending>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(alert_log: Option<Arc<dyn AlertLog>>) -> Result<Self> {
        // Neither channel ever holds more than one: there is one checkpoint at a time.
        let (pending, received) = channel::<Pending>();
        let (sender, outcomes) = channel();
        let thread = std::thread::Builder::new()
            .name("nightlatch-sync".to_owned())
            .spawn(move || {
                for pending in received {
                    // Nobody waits for the outcome any more when this fails.
                    let _ = sender.send(write(pending, alert_log.as_deref()));
                }
            })
            .map_err(|error| {
                Error::unexpected("cannot start a thread").detail(error.to_string())
            })?;
        Ok(Self { pending: Some(pending), outcomes, thread: Some(thread) })
    }

    fn take(&self, pending: Pending) {
        if let Some(sender) = &self.pending {
            // When the thread is gone, so is the sender of outcomes, which says so.
            let _ = sender.send(pending);
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.outcomes.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(ended())),
        }
    }

    fn wait(&self) -> Outcome {
        self.outcomes.recv().unwrap_or_else(|_| Err(ended()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.pending = None;
        if let Some(thread) = self.thread.take() {
            // A panic of it was told when it happened.
            let _ = thread.join();
        }
    }
}

fn ended() -> Error {
    Error::unexpected("the thread that writes checkpoints has ended")
}

/// Alerts first: a manifest must never count on revisions that the disk may forget.
fn write(mut pending: Pending, alert_log: Option<&dyn AlertLog>) -> Outcome {
    let started = Instant::now();
    let mut delivered_until = None;
    if let Some(log) = alert_log {
        if let Err(error) = sync(log, pending.outbox()) {
            pending.remove();
            return Err(error);
        }
        delivered_until = log.delivered_until();
        pending.set_delivered_until(delivered_until);
    }
    let position = pending.outbox();
    let written = pending.write()?;
    if let Some(log) = alert_log {
        log.confirmed(position);
    }
    Ok(Durable { written, delivered_until, sync: started.elapsed() })
}

fn sync(log: &dyn AlertLog, position: u64) -> Result<()> {
    let durable = log.sync()?;
    if durable >= position {
        return Ok(());
    }
    Err(Error::unexpected("the alerts of a checkpoint are not on the disk")
        .detail(format!("{durable} of {position}")))
}
