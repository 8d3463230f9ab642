//! The dispatcher: brings what is in the outbox to every destination, while this instance is the
//! active one.
//!
//! One task brings the log to disk, and one for each destination reads it, so that none waits for
//! another.

mod batch_worker;
mod http_worker;
mod intake;
mod window;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::metrics::DeliveryMetrics;
use super::outbox::Outbox;
use super::silences::{Silencer, Silences};
use super::target::{Surroundings, Target};
use crate::config::{DestinationConfig, Kind};
use crate::{Error, Result};
use batch_worker::BatchWorker;
use http_worker::HttpWorker;
use intake::Intake;

/// How often everybody looks whether this instance is still the active one.
const TICK: Duration = Duration::from_millis(100);
const STANDBY_SYNC_EVERY: Duration = Duration::from_secs(1);
/// The wait after a disk has refused.
const SYNC_AGAIN: Duration = Duration::from_secs(1);
/// The time to let go after the deadline.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the dispatcher needs besides destinations.
#[derive(Debug, Clone)]
pub struct DispatcherOptions {
    /// Whether this instance delivers; may change at any time.
    pub active: Arc<AtomicBool>,
    /// How long a stop may take to deliver what waits.
    pub drain: Duration,
    /// Where numbers go.
    pub metrics: DeliveryMetrics,
    /// What destinations need to know of the program around them.
    pub around: Surroundings,
}

/// Whether a worker goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    /// What is under way ends, nothing is begun.
    Handover(Instant),
    /// What can be delivered at once is delivered.
    Drain(Instant),
}

struct Worker {
    task: JoinHandle<()>,
    halt: Arc<AtomicBool>,
}

/// Delivers until it is stopped.
pub struct Dispatcher {
    outbox: Outbox,
    options: DispatcherOptions,
    silencer: Arc<Silencer>,
    reader_gone: Arc<AtomicBool>,
    ending: watch::Sender<Ending>,
    workers: Vec<Worker>,
    /// `None` once it is stopped.
    runtime: Option<Runtime>,
}

impl Dispatcher {
    /// Looks at the files that destinations name, and connects to nobody.
    ///
    /// # Errors
    /// When a file that a destination names cannot be used.
    pub fn check(destinations: &[DestinationConfig], around: &Surroundings) -> Result<()> {
        build(destinations, around).map(drop)
    }

    /// Starts to deliver what the outbox holds.
    ///
    /// # Errors
    /// When a file that a destination names cannot be used.
    pub fn start(
        outbox: Outbox,
        options: DispatcherOptions,
        destinations: &[DestinationConfig],
        silences: Silences,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("nightlatch-deliver")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::unexpected("cannot start the threads that deliver").detail(error.to_string())
            })?;
        let silenced = options.metrics.silenced.clone();
        let mut dispatcher = Self {
            silencer: Arc::new(Silencer::new(outbox.folder(), silenced)),
            outbox,
            options,
            reader_gone: Arc::default(),
            ending: watch::Sender::new(Ending::No),
            workers: Vec::new(),
            runtime: Some(runtime),
        };
        let built = build(destinations, &dispatcher.options.around)?;
        dispatcher.begin(built, silences)?;
        let (outbox, options) = (dispatcher.outbox.clone(), dispatcher.options.clone());
        dispatcher.spawn(keep_synced(outbox.clone(), options.active.clone()));
        dispatcher.spawn(keep_measured(outbox, options.metrics));
        Ok(dispatcher)
    }

    /// From now on these are the destinations and silences. Those that stay go on where they are, new
    /// ones begin with what comes, and one that was disabled is asked again.
    ///
    /// # Errors
    /// When a file that a destination names cannot be used: then nothing has changed.
    pub fn replace(
        &mut self,
        destinations: &[DestinationConfig],
        silences: Silences,
    ) -> Result<()> {
        let built = build(destinations, &self.options.around)?;
        self.end(Ending::Handover);
        self.begin(built, silences)
    }

    /// Delivers what can be delivered at once, within the time that `drain` gives; the rest stays in
    /// the outbox.
    pub fn stop(mut self) {
        if let Err(error) = self.outbox.sync() {
            tracing::error!("{error}");
        }
        self.end(Ending::Drain);
        self.options.metrics.set_outbox(&self.outbox.stats());
    }

    /// Whether standard output is a destination that nobody reads any more.
    pub fn reader_gone(&self) -> bool {
        self.reader_gone.load(Ordering::Relaxed)
    }

    fn begin(&mut self, built: Vec<Built>, silences: Silences) -> Result<()> {
        self.silencer.replace(silences);
        let names: Vec<&str> = built.iter().map(|one| one.config.common.name.as_str()).collect();
        self.outbox.keep_cursors(&names);
        self.ending.send_replace(Ending::No);
        for one in built {
            self.options.metrics.know(&one.config.common.name);
            let mut common = one.config.common.clone();
            // A row of its tables is found by the start of its alert, which may change.
            common.early &= !matches!(one.config.kind, Kind::Postgresql(_));
            let intake =
                Intake::new(&common, self.outbox.clone(), self.silencer.clone(), &self.options)?;
            let ending = self.ending.subscribe();
            let task = match one.target {
                Target::Http(target) => {
                    self.spawn(HttpWorker::new(intake, target, &one.config.common).run(ending))
                }
                Target::Batch(target) => {
                    let gone = self.reader_gone.clone();
                    self.spawn(
                        BatchWorker::new(intake, target, &one.config.common, gone).run(ending),
                    )
                }
            };
            self.workers.extend(task.map(|task| Worker { task, halt: one.halt }));
        }
        Ok(())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
        self.runtime.as_ref().map(|runtime| runtime.spawn(task))
    }

    /// Ends all workers by the deadline.
    fn end(&mut self, how: impl FnOnce(Instant) -> Ending) {
        let Some(runtime) = &self.runtime else { return };
        let deadline = Instant::now() + self.options.drain;
        self.ending.send_replace(how(deadline));
        let workers = std::mem::take(&mut self.workers);
        runtime.block_on(async {
            for mut worker in workers {
                if timeout_at(deadline, &mut worker.task).await.is_ok() {
                    continue;
                }
                worker.halt.store(true, Ordering::Relaxed);
                if timeout_at(Instant::now() + LAST_WORDS, &mut worker.task).await.is_err() {
                    worker.task.abort();
                }
            }
        });
    }
}

/// What hangs in a call to somebody else is left behind.
impl Drop for Dispatcher {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.halt.store(true, Ordering::Relaxed);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A destination whose files are read.
struct Built {
    config: DestinationConfig,
    target: Target,
    halt: Arc<AtomicBool>,
}

/// Reads the files that the destinations name; connects to nobody.
fn build(destinations: &[DestinationConfig], around: &Surroundings) -> Result<Vec<Built>> {
    let built = destinations.iter().map(|config| {
        let halt = Arc::new(AtomicBool::new(false));
        let target = Target::build(config, around, &halt)
            .map_err(|error| in_destination(error, &config.common.name))?;
        Ok(Built { config: config.clone(), target, halt })
    });
    built.collect()
}

/// Says which destination an error is about.
pub(super) fn in_destination(error: Error, name: &str) -> Error {
    let detail = match &error.detail {
        Some(detail) => format!("the destination `{name}`: {detail}"),
        None => format!("the destination `{name}` names it"),
    };
    error.detail(detail)
}

/// Entries are on disk for good before they are delivered. A standby is in no hurry.
async fn keep_synced(outbox: Outbox, active: Arc<AtomicBool>) {
    let mut appended = outbox.appended();
    let synced = outbox.synced();
    let mut synced_at = Instant::now();
    loop {
        // The sender is in the outbox itself.
        let _ = tokio::time::timeout(TICK, appended.changed()).await;
        let is_time = active.load(Ordering::Relaxed) || synced_at.elapsed() >= STANDBY_SYNC_EVERY;
        if !is_time || *synced.borrow() >= *appended.borrow() {
            continue;
        }
        let own = outbox.clone();
        let done = tokio::task::spawn_blocking(move || own.sync()).await;
        synced_at = Instant::now();
        if let Ok(Err(error)) = done {
            tracing::error!("{error}");
            tokio::time::sleep(SYNC_AGAIN).await;
        }
    }
}

async fn keep_measured(outbox: Outbox, metrics: DeliveryMetrics) {
    loop {
        metrics.set_outbox(&outbox.stats());
        tokio::time::sleep(2 * TICK).await;
    }
}
