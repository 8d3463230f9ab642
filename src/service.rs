//! The service behind `nightlatch run`. What lives as long as the process: the state folder, the lease,
//! the outbox with its dispatcher, and the pages. Between them the pipeline, which is made anew when
//! the rules change.
//!
//! ```text
//! state folder ── manifest ──> begin: where to read on, windows, open episodes
//!                                 |
//! Kafka ────────> pipeline: order, windows, rules, episodes ──> outbox ──> dispatcher ──> receivers
//!    ^                            |                                            |
//!    └── commits, by the lease ── checkpoint                    only while the lease is held
//! ```

mod alert_log;
mod begin;
mod manager;
mod records;
mod reload;
mod sources;
mod supervisor;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::cli::{Failure, Stop, plan, plan_early, setup};
use crate::config::Config;
use crate::delivery::outbox::Outbox;
use crate::delivery::{Destination, Dispatcher};
use crate::enrich::Enricher;
use crate::event::TimeMicros;
use crate::history::Keeper;
use crate::pipeline::{Alerting, Annotator, Pipeline, Reading, Store};
use crate::rules::{EarlyEngine, Engine, Pack};
use crate::serve::{Api, Catalog, Health, Metrics, Server};
use crate::source::InputId;
use crate::source::kafka::{Lease, Membership, Places};
use crate::store::{Loaded, Spill, StateFolder};
use crate::{Error, Result};
use begin::Beginning;
use manager::ServiceManager;
use reload::Present;
use supervisor::Orders;

/// What the command line gives.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The configuration file; it is read again on SIGHUP.
    pub(crate) path: PathBuf,
    /// Folder of rules, where it is not that of the configuration.
    pub(crate) rules: Option<PathBuf>,
}

/// How often the group is told how far alerts are delivered: a take-over repeats so much.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The dispatcher, until the service ends; a reload changes it from another thread.
type SharedDispatcher = Arc<Mutex<Option<Dispatcher>>>;

/// Topic, partition, next offset.
type Offsets = Vec<(Arc<str>, i32, i64)>;

/// What a pipeline works with, and a reload replaces.
struct Work {
    engine: Engine,
    /// The rules that are told early.
    early: Option<EarlyEngine>,
    enricher: Enricher,
}

/// What lives as long as the process.
struct Service {
    config: Config,
    /// Takes rows of windows that memory has no room for.
    spill: Spill,
    stop: Stop,
    orders: Orders,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    outbox: Outbox,
    /// The rules that run, for the API.
    catalog: Catalog,
    api: Option<Api>,
    lease: Lease,
    /// Grows while the pipeline makes progress.
    alive: Arc<AtomicU64>,
    /// The newest offsets that were asked to be committed.
    committed: Arc<Mutex<Offsets>>,
    dispatcher: SharedDispatcher,
    /// When the group was last told how far alerts are delivered.
    told_at: Mutex<Instant>,
}

/// Works until a stop is asked for.
///
/// # Errors
/// When a part cannot start, or when the pipeline cannot go on.
pub(crate) fn serve(settings: &Settings, config: Config, stop: &Stop) -> Result<(), Failure> {
    match work(settings, config, stop) {
        // What could not be finished is on the disk, or comes again.
        Err(failure) if stop.was_asked() => {
            failure.0.iter().for_each(|error| error!("{error}"));
        }
        worked => worked?,
    }
    info!("stopped");
    Ok(())
}

fn work(settings: &Settings, config: Config, stop: &Stop) -> Result<(), Failure> {
    let (first, present) = first_work(settings, &config)?;
    let silences = setup::silences(&config)?;
    let around = setup::surroundings(&config)?;
    // What is wrong with a file is said before anybody is waited for.
    Dispatcher::check(&config.destinations(), &around)?;
    let metrics = Arc::new(Metrics::new()?);
    metrics.know_limits(config.state.rows_max, config.state.keys_max);
    let health = Arc::new(Health::default());
    let (history, catalog) = (setup::history(&config), Catalog::default());
    let api = history
        .clone()
        .map(|history| Api::new(history, &config.http, metrics.history.clone(), catalog.clone()));
    let api = api.transpose()?;
    let listen = config.http.listen;
    let server = Server::start_with(listen, metrics.clone(), health.clone(), api.as_ref())?;
    info!(address = %server.address(), "metrics and health");
    // The lock comes first: whatever lies in the folder belongs to one process.
    let (folder, loaded) = StateFolder::open(&config.state.folder)?;
    let spill = setup::spill(&config)?;
    let keeper = history.map(|history| Keeper::start(history, metrics.history.clone()));
    let keeper = keeper.transpose()?;
    let alive = Arc::new(AtomicU64::new(0));
    let outbox =
        Outbox::open(&setup::outbox_folder(&config), &sources::limits(&config, stop, &alive))?;
    let options = sources::options(&config)?;
    let membership = Membership::join(&options, metrics.kafka.clone(), alive.clone(), &stop.flag)?;
    let lease = membership.lease();
    let dispatcher = sources::dispatcher(&config, &outbox, &lease, &metrics, around, silences)?;
    let dispatcher = Arc::new(Mutex::new(Some(dispatcher)));
    let service = Service {
        config,
        spill,
        stop: stop.clone(),
        orders: Orders::default(),
        metrics,
        health,
        outbox,
        catalog,
        api,
        lease,
        alive,
        committed: Arc::default(),
        dispatcher,
        told_at: Mutex::new(Instant::now()),
    };
    let supervisor = service.supervise(settings.clone(), present)?;
    let ran = service.run((folder, loaded), first);
    service.health.set_ready(false);
    service.drain();
    service.orders.end();
    drop(membership);
    drop(keeper);
    // A panic of it was told when it happened.
    let _ = supervisor.join();
    Ok(ran?)
}

fn first_work(settings: &Settings, config: &Config) -> Result<(Work, Present)> {
    let folder = settings.rules.as_deref().or(config.rules.as_deref());
    let (engine, refused) = plan(Pack::load(folder)?, config)?;
    for refused in &refused {
        error!("rule refused: {refused}");
    }
    if engine.rules().is_empty() {
        return Err(Error::usage("no rule can run").hint("`nightlatch rules check` says why"));
    }
    info!(rules = engine.rules().len(), refused = refused.len(), "rules planned");
    let present = Present {
        config: config.clone(),
        rules: engine.rules().to_vec(),
        files: reload::fingerprints(config)?,
    };
    let enricher = setup::enricher(config)?;
    let early = plan_early(&engine, config)?;
    Ok((Work { engine, early, enricher }, present))
}

impl Service {
    /// One pipeline after the other, until none is to follow.
    fn run(&self, opened: (StateFolder, Loaded), first: Work) -> Result<()> {
        let (mut opened, mut work) = (Some(opened), first);
        loop {
            let (folder, loaded) = match opened.take() {
                Some(opened) => opened,
                None => StateFolder::open(&self.config.state.folder)?,
            };
            self.run_pipeline(folder, &loaded, work)?;
            match self.orders.take_next() {
                Some(next) if !self.stop.was_asked() => work = next,
                _ => return Ok(()),
            }
        }
    }

    fn run_pipeline(&self, folder: StateFolder, loaded: &Loaded, mut work: Work) -> Result<()> {
        work.engine.spill_to(self.spill.clone());
        self.catalog.set(work.engine.rules());
        let mut annotator = Annotator::new(work.enricher, &self.config.learn)?;
        let alerts = setup::alerts_with(&self.config, &annotator);
        let outbox = vec![Box::new(self.outbox.clone()) as Box<dyn Destination>];
        let incidents = setup::incidents(&self.config, &alerts);
        let mut alerting = Alerting::new(work.engine, alerts, outbox, &self.metrics)?;
        incidents.into_iter().for_each(|incidents| alerting.tell_incidents(incidents));
        if let Some(mut early) = work.early {
            early.engine.spill_to(self.spill.clone());
            alerting.tell_early(early);
        }
        let beginning = Beginning::find(self, &folder, loaded, &mut alerting, &mut annotator)?;
        let Beginning { source, origins, restored, not_before } = beginning;
        let places = source.places();
        let pipeline = Pipeline {
            source: Box::new(source),
            origins,
            decoder: setup::decoder(&self.config)?,
            reading: Reading {
                idle_release: Some(self.config.order.idle_release),
                ..Reading::default()
            },
            order: setup::order(&self.config),
            annotator,
            aside: records::aside(&self.config, &self.stop)?,
            store: Some(Store {
                folder,
                every: self.config.state.checkpoint_every,
                not_before,
                restored,
                alert_log: Some(Arc::new(self.outbox.clone())),
                commit: Box::new(self.committer(places)),
            }),
            stop: self.orders.stop_pipeline.clone(),
            // What still waits for the watermark is not committed: it is read again.
            release_on_stop: false,
            metrics: self.metrics.clone(),
        };
        let counts = pipeline.run(&mut alerting, &mut |counts, _| self.tend(counts.inputs > 0))?;
        info!(events = counts.events, "pipeline ended");
        Ok(())
    }

    /// Called all the time while the pipeline works.
    fn tend(&self, is_reading: bool) {
        self.health.set_ready(is_reading && !self.stop.was_asked());
        self.alive.fetch_add(1, Ordering::Relaxed);
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.elapsed() >= TELL_EVERY {
            *told_at = Instant::now();
            self.tell_progress();
            self.look_for_readers();
        }
    }

    /// The active instance says how far its alerts are delivered, and a standby forgets those.
    fn tell_progress(&self) {
        match self.lease.generation() {
            Some(generation) => {
                self.lease.commit(generation, Vec::new(), self.outbox.delivered_until());
            }
            None => {
                let delivered_until = self.lease.delivered_until();
                delivered_until.iter().for_each(|time| self.outbox.drop_before(*time));
            }
        }
    }

    /// Standard output that nobody reads any more is the end, as for any program in a pipe.
    fn look_for_readers(&self) {
        let dispatcher = self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner);
        if dispatcher.as_ref().is_some_and(Dispatcher::reader_gone) {
            info!("nobody reads standard output any more");
            self.orders.stop_pipeline.store(true, Ordering::Relaxed);
        }
    }

    /// Commits what a durable checkpoint holds, in the name of the lease that is held then.
    fn committer(
        &self,
        places: Places,
    ) -> impl FnMut(&[(InputId, i64)], Option<TimeMicros>) + use<> {
        let (lease, committed) = (self.lease.clone(), self.committed.clone());
        move |offsets, delivered_until| {
            let of = |(input, next_offset): &(InputId, i64)| {
                places.get(*input).map(|(topic, number)| (topic, number, *next_offset))
            };
            let offsets: Offsets = offsets.iter().filter_map(of).collect();
            committed.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&offsets);
            if let Some(generation) = lease.generation() {
                lease.commit(generation, offsets, delivered_until);
            }
        }
    }

    /// Delivers what can be delivered soon, and says how far that went.
    fn drain(&self) {
        // Out of the lock: a reload may wait for it.
        let dispatcher = self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(dispatcher) = dispatcher {
            dispatcher.stop();
        }
        let offsets = self.committed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(generation) = self.lease.generation() {
            self.lease.commit(generation, offsets, self.outbox.delivered_until());
        }
    }

    /// Starts the thread that looks after signals.
    fn supervise(
        &self,
        settings: Settings,
        mut present: Present,
    ) -> Result<std::thread::JoinHandle<()>> {
        let (stop, orders) = (self.stop.clone(), self.orders.clone());
        let (health, metrics) = (self.health.clone(), self.metrics.clone());
        let (dispatcher, api) = (self.dispatcher.clone(), self.api.clone());
        let stop_within = self.config.state.stop_within;
        let mut manager =
            ServiceManager::new(health.clone(), self.lease.flag(), self.alive.clone());
        let supervisor = move || {
            let on_stop = || health.set_ready(false);
            let reload =
                || reload::apply(&settings, &mut present, (&dispatcher, api.as_ref()), &metrics);
            supervisor::supervise(&stop, &orders, stop_within, &mut manager, on_stop, reload);
        };
        std::thread::Builder::new()
            .name("nightlatch-supervisor".to_owned())
            .spawn(supervisor)
            .map_err(|error| Error::unexpected("cannot start a thread").detail(error.to_string()))
    }
}
