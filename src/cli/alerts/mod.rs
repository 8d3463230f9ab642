//! `nightlatch alerts`: read alerts, test a destination, say what waits for each and what silences hid.

mod evidence;
mod found;
mod kept;
mod list;
mod show;
mod store;

use std::path::PathBuf;

use chrono::Utc;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Exit, Outcome, load_config, setup, terminal};
use crate::config::{Config, DestinationConfig};
use crate::delivery::{outbox, silences, trial};
use crate::{Error, Result, suggest};

const TEST_EXAMPLES: &str = "Example:
  nightlatch alerts test soc --config nightlatch.toml

Exit codes: 0 it has taken the alert; 64 there is no such destination, or its configuration is wrong;
69 it has not taken the alert.";

#[derive(Debug, Subcommand)]
pub(super) enum AlertsCommand {
    /// Send one marked test alert to a destination and say what came of it
    #[command(after_help = TEST_EXAMPLES)]
    Test {
        /// Name of the destination
        destination: String,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// List alerts and incidents of the history, or of a file
    List(list::ListArgs),
    /// Explain an alert or incident: what happened, why it fired, the events that prove it, what to do
    Show(show::ShowArgs),
    /// Print the alerts that wait for each destination
    #[command(after_help = "Example:\n  nightlatch alerts waiting --config nightlatch.toml")]
    Waiting {
        #[command(flatten)]
        file: ConfigFile,
        /// One JSON object a line: destination and alert
        #[arg(long)]
        json: bool,
    },
    /// Print the alerts that silences hid, one JSON object a line
    #[command(
        after_help = "Example:\n  nightlatch alerts silenced --config nightlatch.toml --silence office-move"
    )]
    Silenced {
        #[command(flatten)]
        file: ConfigFile,
        /// Only what this silence hid
        #[arg(long, value_name = "ID")]
        silence: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn alerts(command: &AlertsCommand) -> Outcome {
    match command {
        AlertsCommand::Test { destination, file } => test(destination, &load(file)?),
        AlertsCommand::List(args) => list::list(args),
        AlertsCommand::Show(args) => show::show(args),
        AlertsCommand::Waiting { file, json } => waiting(&load(file)?, *json),
        AlertsCommand::Silenced { file, silence } => silenced(&load(file)?, silence.as_deref()),
    }
}

fn load(file: &ConfigFile) -> Result<Config, super::Failure> {
    load_config(Some(&file.config))
}

fn test(name: &str, config: &Config) -> Outcome {
    let destination = pick(config.destinations(), name)?;
    let trial = trial::send(&destination, &setup::surroundings(config)?, Utc::now())?;
    let took = trial.took.as_millis();
    if !trial.delivered {
        return Err(Error::unavailable(format!("`{name}` has not taken the test alert"))
            .detail(format!("{} (after {took} ms)", trial.said))
            .into());
    }
    terminal::say(&format!("{name}: delivered: {} in {took} ms", trial.said));
    Ok(Exit::Good)
}

fn pick(destinations: Vec<DestinationConfig>, name: &str) -> Result<DestinationConfig> {
    let known: Vec<String> = destinations.iter().map(|one| one.common.name.clone()).collect();
    let found = destinations.into_iter().find(|one| one.common.name == name);
    found.ok_or_else(|| {
        let error = Error::usage(format!("there is no destination `{name}`"));
        match suggest(name, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("known: {}", known.join(", "))),
        }
    })
}

fn waiting(config: &Config, json: bool) -> Outcome {
    let pending = outbox::pending(&setup::outbox_folder(config))?;
    if json {
        for (destination, entries) in &pending {
            for entry in entries {
                let native = String::from_utf8_lossy(&entry.native);
                // The alert's own bytes: nothing in them that a terminal obeys.
                let name = Value::from(destination.as_str());
                terminal::print(&format!("{{\"destination\":{name},\"alert\":{native}}}\n"))?;
            }
        }
        return Ok(Exit::Good);
    }
    let mut rows = vec![["destination", "waiting", "oldest"].map(str::to_owned)];
    rows.extend(pending.iter().map(|(destination, entries)| {
        let oldest = entries.first().map(|entry| crate::alert::rfc3339(entry.appended_at));
        [destination.clone(), entries.len().to_string(), oldest.unwrap_or_default()]
    }));
    terminal::print(&terminal::columns(&rows))?;
    Ok(Exit::Good)
}

fn silenced(config: &Config, silence: Option<&str>) -> Outcome {
    let folder = setup::outbox_folder(config);
    let lines = silences::hidden(&folder).map_err(|error| {
        Error::unavailable("what silences hid cannot be read")
            .at(folder.display().to_string())
            .detail(error.to_string())
    })?;
    let wanted = |line: &&Value| silence.is_none_or(|id| line["silence"] == id);
    for line in lines.iter().filter(wanted) {
        let mut text = Vec::new();
        let _ = crate::alert::write_json(line, &mut text); // a Vec takes every write
        terminal::print(&format!("{}\n", String::from_utf8_lossy(&text)))?;
    }
    Ok(Exit::Good)
}
