//! `nightlatch rules list`.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::{Exit, Outcome, RuleSource, terminal};
use crate::rules::Rule;

const EXAMPLES: &str = "Examples:
  nightlatch rules list
  nightlatch rules list --json | jq -r .rule";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    rules: RuleSource,
    /// One JSON object a line [default: a table on a terminal, JSON Lines elsewhere]
    #[arg(long)]
    json: bool,
}

pub(super) fn list(args: &ListArgs) -> Outcome {
    let (_, pack) = args.rules.load()?;
    pack.refused.iter().for_each(terminal::complain);
    let text = if args.json || !terminal::stdout_is_terminal() {
        pack.rules.iter().map(json_line).collect()
    } else {
        table(&pack.rules)
    };
    terminal::print(&text)?;
    Ok(Exit::Good)
}

fn json_line(rule: &Rule) -> String {
    let front = &rule.front;
    let line = json!({
        "rule": rule.id, "rule_version": rule.version, "title": front.title,
        "severity": front.severity.label(), "entity": front.entity,
        "quiet_seconds": quiet(rule).as_secs_f64(), "attack": front.attack,
    });
    format!("{line}\n")
}

fn quiet(rule: &Rule) -> Duration {
    Duration::from_micros(u64::try_from(rule.front.quiet_micros).unwrap_or_default())
}

fn table(rules: &[Rule]) -> String {
    let head = ["RULE", "SEVERITY", "ENTITY", "ATT&CK", "TITLE"].map(str::to_owned);
    let rows = rules.iter().map(|rule| {
        let front = &rule.front;
        [
            rule.id.clone(),
            front.severity.label().to_owned(),
            front.entity.clone(),
            front.attack.join(" "),
            front.title.clone(),
        ]
    });
    terminal::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}
