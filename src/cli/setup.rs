//! From configuration to the parts of the pipeline.

use std::fs::OpenOptions;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use super::input::InputArgs;
use super::signals::Stop;
use crate::alert::AlertConfig;
use crate::config::{Config, InputFormat, micros};
use crate::delivery::{Silences, Surroundings};
use crate::enrich::{Enricher, warn_of_age};
use crate::event::Origins;
use crate::event::dead_letter::{JsonLines, RecordSink};
use crate::event::decode::{DecodeLimits, Decoder, Format};
use crate::event::sshd::SshdOptions;
use crate::history::{History, Limits};
use crate::incident::{IncidentConfig, Incidents};
use crate::kafka::Cluster;
use crate::order::OrderConfig;
use crate::pipeline::{Annotator, Aside, Reading};
use crate::source::{FileOptions, Files};
use crate::store::{Spill, SpillLimits};
use crate::{Error, Result};

/// A size of the configuration as memory counts it.
pub(crate) fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// How records are decoded.
pub(crate) fn decoder(config: &Config) -> Result<Decoder> {
    let input = &config.input;
    let format = match input.format {
        InputFormat::Native => Format::Native,
        InputFormat::Sshd => Format::Sshd(SshdOptions {
            year: input.sshd.year,
            time_zone: crate::config::time_zone(&input.sshd.time_zone)?,
        }),
    };
    let limits = DecodeLimits {
        string_bytes_max: bytes(input.string_bytes_max),
        details_bytes_max: bytes(input.details_bytes_max),
    };
    Ok(Decoder::new(format, limits))
}

/// How events are put in order.
pub(crate) fn order(config: &Config) -> OrderConfig {
    let order = &config.order;
    OrderConfig {
        lateness_micros: micros(order.lateness),
        clock_skew_micros: micros(order.clock_skew),
        dedup_window_micros: micros(order.dedup_window),
        buffered_events_max: order.buffered_events_max,
        batch_events: order.batch_events,
    }
}

/// The data files; a warning tells of old ones.
///
/// # Errors
/// When a data file cannot be used.
pub(crate) fn enricher(config: &Config) -> Result<Enricher> {
    let enricher = Enricher::new(&config.enrich)?;
    warn_of_age(enricher.versions(), SystemTime::now());
    Ok(enricher)
}

/// The stages that fill columns.
///
/// # Errors
/// As [`enricher`].
pub(crate) fn annotator(config: &Config) -> Result<Annotator> {
    Annotator::new(enricher(config)?, &config.learn)
}

/// How large alerts may grow, how often they speak, and which data they rest on.
pub(crate) fn alerts_with(config: &Config, annotator: &Annotator) -> AlertConfig {
    AlertConfig { enrichment: Arc::new(annotator.versions()), ..alerts(config) }
}

/// How large alerts may grow, and how often they speak.
pub(crate) fn alerts(config: &Config) -> AlertConfig {
    let alerts = &config.alerts;
    AlertConfig {
        update_every_micros: micros(alerts.update_every),
        evidence_max: alerts.evidence_max,
        accounts_max: alerts.accounts_max,
        ips_max: alerts.ips_max,
        open_max: alerts.open_max,
        ..AlertConfig::default()
    }
}

/// Which alerts belong together; `None` where incidents are switched off.
pub(crate) fn incidents(config: &Config, alerts: &AlertConfig) -> Option<Incidents> {
    let incidents = &config.incidents;
    let limits = IncidentConfig {
        window_micros: micros(incidents.window),
        quiet_micros: micros(incidents.quiet),
        lookback_micros: micros(incidents.lookback),
        open_max: incidents.open_max,
        members_max: incidents.members_max,
        accounts_max: incidents.accounts_max,
        steps_max: incidents.steps_max,
        recent_max: incidents.recent_max,
        shared_accounts: incidents.shared_accounts,
        popular_accounts: incidents.popular_accounts,
    };
    incidents.enabled.then(|| Incidents::new(limits, alerts.clone()))
}

/// How to reach the brokers.
///
/// # Errors
/// When a file of `[kafka.tls]` or `[kafka.sasl]` cannot be used.
pub(crate) fn cluster(config: &Config) -> Result<Cluster> {
    Cluster::new(&config.kafka)
}

/// What destinations need to know of the rest.
///
/// # Errors
/// As [`cluster`].
pub(crate) fn surroundings(config: &Config) -> Result<Surroundings> {
    Ok(Surroundings { cluster: cluster(config)?, group: config.kafka.group.clone() })
}

/// Where alerts wait for their destinations.
pub(crate) fn outbox_folder(config: &Config) -> PathBuf {
    config.state.folder.join("outbox")
}

/// Where `run` puts rows of windows that memory has no room for. Whoever asks holds the lock of the
/// state folder.
///
/// # Errors
/// When what an earlier process left there cannot be removed.
pub(crate) fn spill(config: &Config) -> Result<Spill> {
    Spill::in_folder(&config.state.folder.join("spill"), spill_limits(config))
}

/// The same for commands without a state folder.
pub(super) fn temporary_spill(config: &Config) -> Spill {
    Spill::temporary(&std::env::temp_dir(), spill_limits(config))
}

fn spill_limits(config: &Config) -> SpillLimits {
    SpillLimits {
        in_memory_bytes_max: config.state.log_in_memory_bytes_max,
        on_disk_bytes_max: config.state.log_on_disk_bytes_max,
    }
}

/// What is kept of alerts, where anything is.
pub(crate) fn history(config: &Config) -> Option<Arc<History>> {
    let (kept, path) = (config.history.as_ref()?, config.history_file()?);
    let limits = Limits { retention: kept.retention, rows_max: kept.rows_max };
    Some(Arc::new(History::new(&path, limits)))
}

/// What is not to be told for a while.
pub(crate) fn silences(config: &Config) -> Result<Silences, Vec<Error>> {
    config.alerts.silences.as_deref().map_or_else(|| Ok(Silences::default()), Silences::load)
}

/// How often a wait looks whether somebody asked to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Opens all log files; `None` when somebody asked to stop before the last of them, a pipe maybe, had
/// said anything.
pub(super) fn files(
    args: &InputArgs,
    config: &Config,
    stop: &Stop,
) -> Result<Option<(Files, Origins)>> {
    let options = FileOptions {
        record_bytes_max: bytes(config.input.record_bytes_max),
        ..FileOptions::default()
    };
    let names = args.names();
    let (sender, opened) = mpsc::channel();
    let open = move || {
        let mut origins = Origins::default();
        let files = Files::open(&names, options, &mut origins).map(|files| (files, origins));
        // Nobody waits any more after a stop.
        let _ = sender.send(files);
    };
    let thread = std::thread::Builder::new().name("open".to_owned());
    thread
        .spawn(open)
        .map_err(|error| Error::unexpected("cannot start a thread").detail(error.to_string()))?;
    loop {
        match opened.recv_timeout(LOOK_EVERY) {
            Ok(files) => return files.map(Some),
            Err(RecvTimeoutError::Timeout) if stop.was_asked() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::unexpected("the log files could not be opened"));
            }
        }
    }
}

/// Which events of log files are wanted.
pub(super) fn reading(args: &InputArgs) -> Reading {
    let options = &args.options;
    Reading { since: options.since, until: options.until, now: options.now, idle_release: None }
}

/// The files that records set aside are appended to.
pub(crate) fn aside(config: &Config) -> Result<Aside> {
    let sinks = |file: Option<&Path>| file.map(append).transpose().map(|s| s.into_iter().collect());
    Ok(Aside {
        dead_letter: sinks(config.dead_letter.file.as_deref())?,
        late: sinks(config.late.file.as_deref())?,
        tell: None,
    })
}

fn append(path: &Path) -> Result<Box<dyn RecordSink>> {
    let name = path.display().to_string();
    let file = OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
        Error::unavailable("cannot write the file for records set aside")
            .at(&name)
            .detail(error.to_string())
    })?;
    Ok(Box::new(JsonLines::new(name, BufWriter::new(file))))
}
