//! The command line: one file a subcommand. Data goes to standard output, words to standard error.

mod alerts;
mod config;
mod evaluate;
mod health;
mod input;
mod manual;
mod page;
mod progress;
mod replay;
mod rules;
mod run;
pub(crate) mod setup;
mod signals;
mod simulate;
mod summary;
mod terminal;

use std::path::{Path, PathBuf};

use clap::builder::styling::Styles;
use clap::{Parser, Subcommand};

use crate::config::Config;
pub(crate) use signals::Stop;

use crate::rules::{EarlyEngine, Engine, Pack, Reference, Rule, StateLimits};
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch replay auth.jsonl                        what would the rules have found?
  zcat old.log.gz | nightlatch replay - --format sshd --year 2024
  nightlatch run --config nightlatch.toml             watch Kafka topics
  nightlatch rules explain credential_stuffing        what does a rule do, and cost?

Exit codes: 0 good; 1 the answer is no; 2 unexpected failure; 64 wrong usage or configuration;
69 a broker, port or disk is not there; 130 interrupted.";

/// Finds account takeovers in streams of login and access events, with SQL rules over sliding
/// windows of event time.
#[derive(Debug, Parser)]
#[command(name = "nightlatch", version, after_help = EXAMPLES, styles = Styles::styled())]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch Kafka topics and deliver alerts as they come
    Run(run::RunArgs),
    /// Find alerts in log files
    Replay(replay::ReplayArgs),
    /// Read alerts and incidents, test destinations, list what waits and what is silenced
    #[command(subcommand)]
    Alerts(alerts::AlertsCommand),
    /// Check, list, explain, test and run rules
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Write a believable log with attacks in it
    Simulate(simulate::SimulateArgs),
    /// Compare alerts with what is true about a log
    Evaluate(evaluate::EvaluateArgs),
    /// Check and show configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Ask a running instance whether it is ready
    Health(health::HealthArgs),
    /// Print a script by which a shell completes commands
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(manual::ManArgs),
}

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Good,
    /// It did, and the answer is no.
    No,
    /// It was interrupted, and ended in good order.
    Interrupted,
}

impl Exit {
    /// The exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::No => 1,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command failed; more than one reason for a configuration file.
#[derive(Debug)]
pub struct Failure(pub Vec<Error>);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

impl From<Vec<Error>> for Failure {
    fn from(errors: Vec<Error>) -> Self {
        Self(errors)
    }
}

impl Failure {
    /// The exit code of the process: that of the first reason.
    pub fn code(&self) -> u8 {
        self.0.first().map_or(2, Error::exit_code)
    }
}

/// What every command gives back.
pub type Outcome = Result<Exit, Failure>;

impl Cli {
    /// Does what the command line asks for.
    ///
    /// # Errors
    /// Whatever stops the command.
    pub fn execute(self) -> Outcome {
        match self.command {
            Command::Run(args) => run::run(&args),
            Command::Replay(args) => replay::replay(&args),
            Command::Alerts(command) => alerts::alerts(&command),
            Command::Rules(command) => rules::rules(&command),
            Command::Simulate(args) => simulate::simulate(args),
            Command::Evaluate(args) => evaluate::evaluate(args),
            Command::Config(command) => config::config(&command),
            Command::Health(args) => health::health(&args),
            Command::Completions(args) => manual::completions(&args),
            Command::Man(args) => manual::man(&args),
        }
    }
}

/// The configuration of a file, or all defaults.
fn load_config(path: Option<&Path>) -> Result<Config, Failure> {
    Ok(path.map(crate::config::load).transpose()?.unwrap_or_default())
}

/// Which rules a command is about.
#[derive(Debug, Clone, clap::Args)]
struct RuleSource {
    /// Folder of rule files [default: `rules` of the configuration, else the pack inside the binary]
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl RuleSource {
    fn load(&self) -> Result<(Config, Pack), Failure> {
        let config = load_config(self.config.as_deref())?;
        let pack = Pack::load(self.folder(&config))?;
        Ok((config, pack))
    }

    /// The folder the rules come from; `None`: the binary.
    fn folder<'a>(&'a self, config: &'a Config) -> Option<&'a Path> {
        self.rules.as_deref().or(config.rules.as_deref())
    }
}

fn references(config: &Config) -> Vec<Reference> {
    let tables = config.reference.iter();
    tables.map(|table| Reference { name: table.name.clone(), file: table.file.clone() }).collect()
}

fn state_limits(config: &Config) -> StateLimits {
    StateLimits { rows_max: config.state.rows_max, keys_max: config.state.keys_max }
}

/// Plans all rules; what is refused comes back as diagnoses.
pub(crate) fn plan(pack: Pack, config: &Config) -> Result<(Engine, Vec<Error>)> {
    let (engine, unplanned) = Engine::new(pack.rules, &references(config), state_limits(config))?;
    let mut refused = pack.refused;
    refused.extend(unplanned);
    Ok((engine, refused))
}

/// The rules that are told early, where they shall be.
///
/// # Errors
/// When a reference table cannot be read.
pub(crate) fn plan_early(engine: &Engine, config: &Config) -> Result<Option<EarlyEngine>> {
    if !config.alerts.early {
        return Ok(None);
    }
    let early = engine.early(&references(config), state_limits(config))?;
    let n_rules = early.as_ref().map_or(0, |early| early.rules.len());
    tracing::info!(rules = n_rules, "rules that are told early");
    Ok(early)
}

/// Plans all rules, tells of those that are refused, and fails when none is left.
fn plan_some(pack: Pack, config: &Config) -> Result<Engine> {
    let (engine, refused) = plan(pack, config)?;
    refused.iter().for_each(terminal::complain);
    if engine.rules().is_empty() {
        return Err(Error::usage("no rule can run").hint("`nightlatch rules check` says why"));
    }
    Ok(engine)
}

/// The rule of a name, or an error that suggests one.
fn pick(mut pack: Pack, name: &str) -> Result<Rule> {
    if let Some(index) = pack.rules.iter().position(|rule| rule.id == name) {
        return Ok(pack.rules.swap_remove(index));
    }
    Err(unknown_rule(&pack, name))
}

fn unknown_rule(pack: &Pack, name: &str) -> Error {
    let refused = pack.refused.iter().find(|error| is_about(error, name));
    if let Some(refused) = refused {
        return refused.clone();
    }
    let known = pack.rules.iter().map(|rule| rule.id.as_str());
    let error = Error::usage(format!("there is no rule `{name}`"));
    match crate::suggest(name, known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`nightlatch rules list` names them all"),
    }
}

/// Whether a diagnosis stands in the file of this rule.
pub(crate) fn is_about(error: &Error, name: &str) -> bool {
    let file = error.place.as_deref().unwrap_or_default().split(".sql").next();
    file.is_some_and(|file| Path::new(file).file_name() == Some(name.as_ref()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
