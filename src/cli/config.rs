//! `nightlatch config`: check and show.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, Outcome, load_config, terminal};

const SHOW_EXAMPLES: &str = "Examples:
  nightlatch config show                     all defaults, a file to start from
  nightlatch config show nightlatch.toml     what a file really means";

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether a configuration file is sound, with every problem at once
    #[command(after_help = "Example:\n  nightlatch config check nightlatch.toml")]
    Check {
        /// Configuration file
        file: PathBuf,
    },
    /// Print the effective configuration, defaults filled in, secrets masked
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Configuration file [default: none, all defaults]
        file: Option<PathBuf>,
    },
}

pub(super) fn config(command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check { file } => {
            load_config(Some(file))?;
            terminal::say(&format!("{}: sound", file.display()));
        }
        ConfigCommand::Show { file } => {
            let config = load_config(file.as_deref())?;
            terminal::print(&crate::config::show(&config)?)?;
        }
    }
    Ok(Exit::Good)
}
