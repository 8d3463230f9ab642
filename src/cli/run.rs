//! `nightlatch run`: Kafka topics in, alerts out, until somebody stops it.

use std::path::PathBuf;

use clap::Args;

use super::signals::Stop;
use super::{Exit, Outcome, load_config, terminal};
use crate::Error;
use crate::config::LogLevel;
use crate::service::{self, Settings};

const EXAMPLES: &str = "Examples:
  nightlatch config check nightlatch.toml      is the file sound?
  nightlatch run --config nightlatch.toml

Ctrl-C, SIGTERM: write the state, deliver what can be, commit, leave the group.
A second one: end at once.
SIGHUP: read rules, reference tables, silences and destinations again.";

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
    let stop = Stop::on_signals()?.and_reload()?;
    let settings = Settings { path: args.config.clone(), rules: args.rules.clone() };
    service::serve(&settings, config, &stop)?;
    Ok(Exit::Good)
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
