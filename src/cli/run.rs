//! `nightlatch run`: Kafka topics in, alerts out, until somebody stops it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tracing::{error, info, warn};

use super::signals::Stop;
use super::{Exit, Outcome, load_config, plan, setup, terminal};
use crate::config::{Config, LogLevel};
use crate::delivery::{self, Destination};
use crate::event::Origins;
use crate::event::reject::Rejection;
use crate::kafka::Cluster;
use crate::pipeline::{Alerting, Aside, Pipeline, Reading, Sink, place_text};
use crate::rules::{Engine, Pack};
use crate::serve::{Health, Metrics, Server};
use crate::source::kafka::{Kafka, KafkaOptions, Membership, Start};
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
    let stop = Stop::on_signals()?;
    let metrics = Arc::new(Metrics::new()?);
    let health = Arc::new(Health::default());
    let server = Server::start(config.http.listen, metrics.clone(), health.clone())?;
    info!(address = %server.address(), "metrics and health");
    let outcome = watch(&config, engine, &stop, metrics, &health);
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
    stop: &Stop,
    metrics: Arc<Metrics>,
    health: &Health,
) -> Result<()> {
    let sinks = sinks(config, stop)?;
    let aside = aside(config, stop)?;
    let mut origins = Origins::default();
    let mut options = options(config)?;
    let kafka = || metrics.kafka.clone();
    if let Some(progress) = Kafka::committed(&options, kafka(), &stop.flag)? {
        options.start = Start::Positions(progress.offsets);
    }
    let source = Kafka::connect(&options, &mut origins, kafka(), &stop.flag)?;
    let places = source.places();
    let membership = Membership::join(&options, kafka(), Arc::default(), &stop.flag)?;
    let lease = membership.lease();
    let commit = move |input, next_offset| {
        if let (Some(generation), Some((topic, number))) = (lease.generation(), places.get(input)) {
            lease.commit(generation, vec![(topic, number, next_offset)], None);
        }
    };
    let mut alerting = Alerting::new(engine, setup::alerts(config), sinks, metrics.clone())?;
    let pipeline = Pipeline {
        source: Box::new(source),
        origins,
        decoder: setup::decoder(config)?,
        reading: Reading { idle_release: Some(config.order.idle_release), ..Reading::default() },
        order: setup::order(config),
        aside,
        commit: Some(Box::new(commit)),
        stop: stop.flag.clone(),
        // What still waits for the watermark is not committed: it is read again.
        release_on_stop: false,
        metrics,
    };
    let counts =
        pipeline.run(&mut alerting, &mut |counts, _| health.set_ready(counts.inputs > 0))?;
    info!(events = counts.events, "pipeline ended");
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

fn cluster(config: &Config) -> Result<Cluster> {
    Cluster::new(&config.kafka)
}

fn options(config: &Config) -> Result<KafkaOptions> {
    let written = [&config.alerts.topic, &config.dead_letter.topic, &config.late.topic];
    Ok(KafkaOptions {
        cluster: cluster(config)?,
        group: config.kafka.group.clone(),
        lease_topic: config.kafka.lease_topic(),
        topics: config.kafka.topics.clone(),
        never: written.into_iter().flatten().cloned().collect(),
        start: Start::Beginning,
        discover_every: config.kafka.discover_every,
        idle_after: config.order.idle_after,
        record_bytes_max: setup::bytes(config.input.record_bytes_max),
        batch_events: config.order.batch_events,
    })
}

fn sinks(config: &Config, stop: &Stop) -> Result<Vec<Sink>> {
    let alerts = &config.alerts;
    let mut sinks: Vec<Sink> = Vec::new();
    let mut add =
        |label, destination: Box<dyn Destination>| sinks.push(Sink { label, destination });
    if alerts.stdout {
        add("stdout", Box::new(delivery::stdout::json_lines()));
    }
    if let Some(file) = &alerts.file {
        add("file", Box::new(delivery::file::append(file)?));
    }
    if let Some(topic) = &alerts.topic {
        let topic = delivery::kafka::Topic::connect(&cluster(config)?, topic, stop.flag.clone())?;
        add("topic", Box::new(delivery::kafka::AlertTopic(topic)));
    }
    Ok(sinks)
}

fn aside(config: &Config, stop: &Stop) -> Result<Aside> {
    let mut aside = setup::aside(config)?;
    let connect = |topic: &String| {
        let topic = delivery::kafka::Topic::connect(&cluster(config)?, topic, stop.flag.clone())?;
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
