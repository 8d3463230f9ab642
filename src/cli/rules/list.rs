//! `nightlatch rules list`.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{manual, unfilled};
use crate::cli::{Exit, Outcome, RuleSource, plan, terminal};
use crate::rules::{Pack, Rule};

const EXAMPLES: &str = "Examples:
  nightlatch rules list
  nightlatch rules list --json | jq -r .rule
  nightlatch rules list --markdown > rules.md";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    rules: RuleSource,
    /// One JSON object a line [default: a table on a terminal, JSON Lines elsewhere]
    #[arg(long)]
    json: bool,
    /// A page of Markdown: goal, blind spots, false positives, response of each rule
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

pub(super) fn list(args: &ListArgs) -> Outcome {
    let (config, pack) = args.rules.load()?;
    pack.refused.iter().for_each(terminal::complain);
    if args.markdown {
        terminal::print(&manual::markdown(&pack.rules))?;
        return Ok(Exit::Good);
    }
    // Whether a rule can run is what `rules check` says: a list has those that cannot, too.
    let planned = plan(Pack { rules: pack.rules.clone(), refused: Vec::new() }, &config);
    let unfilled = planned.map(|(engine, _)| unfilled::by_rule(&engine, &config));
    let unfilled = unfilled.unwrap_or_default();
    if args.json || !terminal::stdout_is_terminal() {
        let line = |rule: &Rule| json_line(rule, unfilled.get(&rule.id));
        terminal::print(&pack.rules.iter().map(line).collect::<String>())?;
    } else {
        terminal::print(&table(&pack.rules))?;
        unfilled::note(&unfilled).iter().for_each(|note| terminal::say(&format!("\n{note}")));
    }
    Ok(Exit::Good)
}

/// `unfilled_columns` is there when a column of the rule is NULL unless the sender gives it.
fn json_line(rule: &Rule, unfilled: Option<&Vec<&'static str>>) -> String {
    let front = &rule.front;
    let mut line = json!({
        "rule": rule.id, "rule_version": rule.version, "title": front.title,
        "severity": front.severity.label(), "entity": front.entity,
        "quiet_seconds": quiet(rule).as_secs_f64(), "attack": front.attack,
    });
    if let (Some(columns), Some(object)) = (unfilled, line.as_object_mut()) {
        object.insert("unfilled_columns".to_owned(), json!(columns));
    }
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
