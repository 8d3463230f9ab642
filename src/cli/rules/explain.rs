//! `nightlatch rules explain`.

use std::path::PathBuf;

use clap::Args;

use super::why;
use crate::Error;
use crate::cli::input::OnArgs;
use crate::cli::{Exit, Outcome, RuleSource, is_about, pick, plan, terminal};

const EXAMPLES: &str = "Examples:
  nightlatch rules explain                          all rules
  nightlatch rules explain credential_stuffing      one rule

Why did an alert fire, by how much, and what would have kept it silent? The alert is found again in
the log; without the log only what the alert itself holds can be told:
  nightlatch rules explain credential_stuffing --alert ID --on log.jsonl
  nightlatch rules explain credential_stuffing --alert ID --alerts alerts.jsonl --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ExplainArgs {
    /// Name of a rule [default: all]
    rule: Option<String>,
    #[command(flatten)]
    pub(super) rules: RuleSource,
    /// Say why this alert of the rule fired
    #[arg(long, value_name = "ID", requires = "rule")]
    alert: Option<String>,
    /// File of alerts that holds it, one JSON object a line
    #[arg(long, value_name = "FILE", requires = "alert")]
    pub(super) alerts: Option<PathBuf>,
    #[command(flatten)]
    pub(super) on: OnArgs,
    /// One JSON object; of an alert only
    #[arg(long, requires = "alert")]
    pub(super) json: bool,
    /// No progress, no rejected records
    #[arg(long, short, requires = "alert")]
    pub(super) quiet: bool,
}

pub(super) fn explain(args: &ExplainArgs) -> Outcome {
    match (&args.rule, &args.alert) {
        (Some(rule), Some(alert)) => why::why(args, rule, alert),
        _ => explain_rules(args),
    }
}

fn explain_rules(args: &ExplainArgs) -> Outcome {
    if !args.on.logs.is_empty() {
        return Err(Error::usage("`--on` is for alerts").hint("add `--alert ID`").into());
    }
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
        let errors: Vec<Error> = refused.into_iter().filter(about).collect();
        return Err(errors.into());
    }
    let texts: Vec<String> = named.iter().map(|rule| engine.explain(*rule)).collect();
    terminal::print(&texts.join("\n"))?;
    if args.rule.is_none() {
        refused.iter().for_each(terminal::complain);
    }
    Ok(Exit::Good)
}
