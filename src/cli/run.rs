//! `nightlatch run`: Kafka topics in, alerts out, until somebody stops it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use tracing::{error, info, warn};

use super::signals::Stop;
use super::{Exit, Outcome, load_config, plan, setup, terminal};
use crate::config::{Config, LogLevel};
use crate::delivery::outbox::{Outbox, OutboxLimits};
use crate::delivery::{self, Destination, Dispatcher, DispatcherOptions, Silences};
use crate::event::Origins;
use crate::event::reject::Rejection;
use crate::pipeline::{Alerting, Aside, Pipeline, Reading, place_text};
use crate::rules::{Engine, Pack};
use crate::serve::{Health, Metrics, Server};
use crate::source::kafka::{Kafka, KafkaOptions};
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch config show > nightlatch.toml     a file to start from
  nightlatch run --config nightlatch.toml

Ctrl-C or SIGTERM: delivers what was found, commits, leaves the group. A second one ends at once.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Folder of rule files [default: `rules` of the configuration, else the pack inside the binary]
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

pub(super) fn run(args: &RunArgs) -> Outcome {
    let config = load_config(Some(&args.config))?;
    if config.kafka.topics.is_empty() {
        return Err(Error::usage("there is nothing to read")
            .at(format!("{} (kafka.topics)", args.config.display()))
            .hint("set `brokers` and `topics` in [kafka]; `replay` reads files")
            .into());
    }
    start_log(config.log.level);
    let engine = rules(args, &config)?;
    let silences = setup::silences(&config)?;
    let stop = Stop::on_signals()?;
    let metrics = Arc::new(Metrics::new()?);
    let health = Arc::new(Health::default());
    let server = Server::start(config.http.listen, metrics.clone(), health.clone())?;
    info!(address = %server.address(), "metrics and health");
    let outcome = watch(&config, engine, silences, &stop, metrics, &health);
    health.set_ready(false);
    if let Err(error) = outcome
        && !stop.was_asked()
    {
        return Err(error.into());
    }
    info!("stopped");
    Ok(if stop.was_interrupted() { Exit::Interrupted } else { Exit::Good })
}

fn watch(
    config: &Config,
    engine: Engine,
    silences: Silences,
    stop: &Stop,
    metrics: Arc<Metrics>,
    health: &Health,
) -> Result<()> {
    let limits = OutboxLimits {
        bytes_max: config.outbox.bytes_max,
        when_full: config.outbox.when_full,
        stop: stop.flag.clone(),
    };
    let outbox = Outbox::open(&setup::outbox_folder(config), &limits)?;
    let dispatcher = dispatcher(config, &outbox, silences, &metrics)?;
    let aside = aside(config, stop)?;
    let mut origins = Origins::default();
    let source = Kafka::connect(&options(config), &mut origins, metrics.kafka.clone(), &stop.flag)?;
    let commits = source.commits();
    let destinations: Vec<Box<dyn Destination>> = vec![Box::new(outbox)];
    let mut alerting = Alerting::new(engine, setup::alerts(config), destinations, &metrics)?;
    let pipeline = Pipeline {
        source: Box::new(source),
        origins,
        decoder: setup::decoder(config)?,
        reading: Reading { idle_release: Some(config.order.idle_release), ..Reading::default() },
        order: setup::order(config),
        aside,
        commit: Some(Box::new(move |input, next_offset| commits.done(input, next_offset))),
        stop: stop.flag.clone(),
        // What still waits for the watermark is not committed: it is read again.
        release_on_stop: false,
        metrics,
    };
    let outcome = pipeline.run(&mut alerting, &mut |counts, _| {
        health.set_ready(counts.inputs > 0);
        if dispatcher.reader_gone() {
            stop.flag.store(true, Ordering::Relaxed);
        }
    });
    dispatcher.stop();
    info!(events = outcome?.events, "pipeline ended");
    Ok(())
}

/// Logs to standard error; `RUST_LOG`-style filters have no say.
fn start_log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(terminal::stderr_is_coloured());
    // A log that somebody else has set up already is as good.
    let _ = log.try_init();
}

fn rules(args: &RunArgs, config: &Config) -> Result<Engine> {
    let folder = args.rules.as_deref().or(config.rules.as_deref());
    let (engine, refused) = plan(Pack::load(folder)?, config)?;
    for refused in &refused {
        error!("rule refused: {refused}");
    }
    if engine.rules().is_empty() {
        return Err(Error::usage("no rule can run").hint("`nightlatch rules check` says why"));
    }
    info!(rules = engine.rules().len(), refused = refused.len(), "rules planned");
    Ok(engine)
}

fn options(config: &Config) -> KafkaOptions {
    KafkaOptions {
        cluster: setup::cluster(config),
        group: config.kafka.group.clone(),
        topics: config.kafka.topics.clone(),
        idle_after: config.order.idle_after,
        record_bytes_max: setup::bytes(config.input.record_bytes_max),
        batch_events: config.order.batch_events,
    }
}

/// Starts to deliver what the outbox holds, and what comes.
fn dispatcher(
    config: &Config,
    outbox: &Outbox,
    silences: Silences,
    metrics: &Metrics,
) -> Result<Dispatcher> {
    let options = DispatcherOptions {
        active: Arc::new(AtomicBool::new(true)),
        drain: config.outbox.drain,
        metrics: metrics.delivery.clone(),
        around: setup::surroundings(config),
    };
    Dispatcher::start(outbox.clone(), options, &config.destinations(), silences)
}

fn aside(config: &Config, stop: &Stop) -> Result<Aside> {
    let mut aside = setup::aside(config)?;
    let connect = |topic: &String| {
        let topic =
            delivery::kafka::Topic::connect(&setup::cluster(config), topic, stop.flag.clone())?;
        Ok::<_, Error>(delivery::kafka::RecordTopic(topic))
    };
    if let Some(topic) = &config.dead_letter.topic {
        aside.dead_letter.push(Box::new(connect(topic)?));
    }
    if let Some(topic) = &config.late.topic {
        aside.late.push(Box::new(connect(topic)?));
    }
    if aside.dead_letter.is_empty() {
        warn!(
            "[dead_letter] names no file and no topic: rejected records are logged without their bytes"
        );
    }
    aside.tell = Some(Box::new(log_rejections()));
    Ok(aside)
}

/// Records set aside that are logged one by one; of those after them every thousandth is.
const LOGGED_SINGLY: u64 = 20;

/// Logs records that are set aside, but not each of a flood: the metrics count them all.
fn log_rejections() -> impl FnMut(&Origins, &Rejection) {
    let mut n = 0u64;
    move |origins, rejection| {
        n += 1;
        if n <= LOGGED_SINGLY || n.is_multiple_of(1000) {
            let place = place_text(origins, rejection.place);
            let reason = rejection.reason.label();
            warn!(place, reason, n, "record set aside: {}", rejection.message);
        }
    }
}
