//! `nightlatch rules check`.

use clap::Args;

use super::unfilled;
use crate::cli::{Exit, Outcome, RuleSource, plan, terminal};

const EXAMPLES: &str = "Examples:
  nightlatch rules check                      the pack inside the binary
  nightlatch rules check --rules queries      a folder

Exit code 1 when a rule is refused.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct CheckArgs {
    #[command(flatten)]
    rules: RuleSource,
}

pub(super) fn check(args: &CheckArgs) -> Outcome {
    let (config, pack) = args.rules.load()?;
    let (engine, refused) = plan(pack, &config)?;
    for error in &refused {
        terminal::say(&format!("refused: {error}\n"));
    }
    if let Some(note) = unfilled::note(&unfilled::by_rule(&engine, &config)) {
        terminal::say(&note);
    }
    terminal::say(&format!("{} rules run, {} refused", engine.rules().len(), refused.len()));
    Ok(if refused.is_empty() { Exit::Good } else { Exit::No })
}
