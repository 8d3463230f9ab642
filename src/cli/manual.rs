//! `nightlatch man` and `nightlatch completions`: what packages ship beside the program, made from the
//! command line itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Exit, Outcome, terminal};
use crate::{Error, Result};

const MAN_EXAMPLES: &str = "Examples:
  nightlatch man | man -l -               read it
  nightlatch man /usr/local/share/man/man1";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  nightlatch completions bash > /etc/bash_completion.d/nightlatch
  nightlatch completions zsh > \"${fpath[1]}/_nightlatch\"
  nightlatch completions fish > ~/.config/fish/completions/nightlatch.fish";

#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(super) struct ManArgs {
    /// Write the page of each command to this folder [default: the first page alone, to standard output]
    folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell that completes
    shell: Shell,
}

pub(super) fn man(args: &ManArgs) -> Outcome {
    match &args.folder {
        Some(folder) => {
            fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
                .map_err(|error| unwritable(folder, &error))?;
            terminal::say(&format!("manual pages written to {}", folder.display()));
        }
        None => terminal::print(&page(Cli::command())?)?,
    }
    Ok(Exit::Good)
}

pub(super) fn completions(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nightlatch", &mut script);
    terminal::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Good)
}

fn page(command: Command) -> Result<String> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(|error| {
        Error::unexpected("cannot make the manual page").detail(error.to_string())
    })?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn unwritable(folder: &Path, error: &io::Error) -> Error {
    Error::unavailable("cannot write the manual pages")
        .at(folder.display().to_string())
        .detail(error.to_string())
}
