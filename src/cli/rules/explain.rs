//! `nightlatch rules explain`.

use clap::Args;

use crate::Error;
use crate::cli::{Exit, Outcome, RuleSource, is_about, pick, plan, terminal};

const EXAMPLES: &str = "Examples:
  nightlatch rules explain                          all rules
  nightlatch rules explain credential_stuffing      one rule";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ExplainArgs {
    /// Name of a rule [default: all]
    rule: Option<String>,
    #[command(flatten)]
    rules: RuleSource,
}

pub(super) fn explain(args: &ExplainArgs) -> Outcome {
    let (config, pack) = args.rules.load()?;
    if let Some(name) = &args.rule {
        // A name that is not there is told before anything is planned.
        pick(args.rules.load()?.1, name)?;
    }
    // The whole pack is planned, because lanes are shared between rules.
    let (engine, refused) = plan(pack, &config)?;
    let wanted = |id: &str| args.rule.as_deref().is_none_or(|name| name == id);
    let named: Vec<usize> =
        (0..engine.rules().len()).filter(|index| wanted(&engine.rules()[*index].id)).collect();
    if named.is_empty() {
        let about = |error: &Error| args.rule.as_deref().is_none_or(|name| is_about(error, name));
        return Err(refused.into_iter().filter(about).collect::<Vec<_>>().into());
    }
    let texts: Vec<String> = named.iter().map(|rule| engine.explain(*rule)).collect();
    terminal::print(&texts.join("\n"))?;
    if args.rule.is_none() {
        refused.iter().for_each(terminal::complain);
    }
    Ok(Exit::Good)
}
