//! `nightlatch alerts show`: one alert as an analyst wants it.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::evidence;
use super::found::{Found, by_id, newest};
use crate::alert::escape;
use crate::cli::{Exit, Failure, Outcome, RuleSource, rules, terminal};
use crate::delivery::record::AlertRecord;
use crate::delivery::table::wrap;
use crate::incident::{FallPart, IncidentPart, MemberPart};
use crate::rules::Rule;

const EXAMPLES: &str = "Examples:
  nightlatch alerts list --alerts alerts.jsonl
  nightlatch alerts show 39fa2e85 --alerts alerts.jsonl

The events are read again from the log files that the alert names, where they are still there.
`rules explain RULE --alert ID --on LOG` tells more of the thresholds.";

/// Columns of a line.
const WIDTH: usize = 80;
/// Events that are shown, the first and the newest; `--all` shows those between too.
const FIRST_SHOWN: usize = 5;
const NEWEST_SHOWN: usize = 15;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ShowArgs {
    /// Id of the alert, or how it begins
    id: String,
    /// File of alerts that holds it, one JSON object a line
    #[arg(long, value_name = "FILE")]
    alerts: PathBuf,
    #[command(flatten)]
    rules: RuleSource,
    /// All events that the alert names
    #[arg(long)]
    all: bool,
    /// The alert as it is, one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn show(args: &ShowArgs) -> Outcome {
    let place = args.alerts.display().to_string();
    let found = by_id(newest(&args.alerts)?, &args.id, &place)?;
    if args.json {
        terminal::print(&(found.line + "\n"))?;
        return Ok(Exit::Good);
    }
    let mut page = head(&found);
    let proof = section("The events that prove it", &events(&found.alert, args.all));
    match &found.alert.incident {
        Some(incident) => page += &(story(incident) + &proof),
        None => page += &explained(args, &found, &proof)?,
    }
    terminal::print(&page)?;
    Ok(Exit::Good)
}

/// What an alert passed, the events that prove it, and what to do.
fn explained(args: &ShowArgs, found: &Found, proof: &str) -> Result<String, Failure> {
    let (config, pack) = args.rules.load()?;
    let rule = pack.rules.into_iter().find(|rule| rule.id == found.alert.rule);
    let mut told = String::new();
    if let Some(rule) = &rule {
        let reasons = rules::reasons(&args.alerts, rule, &found.alert.id, &config);
        told += &section("Why it fired", &reasons.unwrap_or_else(|failure| unknown(&failure.0)));
    }
    Ok(told + proof + &advice(rule.as_ref()))
}

fn unknown(errors: &[crate::Error]) -> String {
    let words = |error: &crate::Error| match &error.hint {
        Some(hint) => format!("{}; {hint}", error.message),
        None => error.message.clone(),
    };
    indented(&errors.first().map_or_else(String::new, words))
}

fn head(found: &Found) -> String {
    let alert = &found.alert;
    let mut head = String::new();
    let title = format!("{}  {}", alert.severity.label().to_uppercase(), escape(&alert.title));
    let _ = writeln!(head, "{}", wrap(&title, WIDTH).join("\n"));
    let about = format!("{} {}, rule {}", alert.entity_type, alert.entity, alert.rule);
    let when = format!(
        "{} to {}, {}, revision {}",
        alert.started_at,
        alert.updated_at,
        alert.status.label(),
        alert.revision
    );
    for line in [about, when, format!("alert {}", alert.id)] {
        head += &indented(&line);
    }
    head + "\n" + &indented(&alert.summary)
}

/// What an incident tells beyond an alert: which accounts it is about, what was done there, its alerts.
fn story(incident: &IncidentPart) -> String {
    let mut told = accounts("Accounts that fell, and what was done", &incident.fallen);
    told += &accounts("Accounts that were looked at", &incident.viewed);
    let alert = |one: &MemberPart| {
        let id = one.id.get(..8).unwrap_or(&one.id);
        indented(&format!(
            "{id}  {}  {}, {} {}",
            one.started_at, one.rule, one.entity_type, one.entity
        ))
    };
    let alerts: String = incident.alerts.iter().map(alert).collect();
    told + &section("Its alerts; `alerts show ID` explains each", &alerts)
}

fn accounts(title: &str, all: &[FallPart]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut told = String::new();
    for one in all {
        told += &indented(&format!("{}, {}: {}", one.account, one.fell_at, one.how));
        for step in &one.steps {
            let times =
                if step.count == 1 { "once".to_owned() } else { format!("{} times", step.count) };
            told +=
                &indented(&format!("  {}  {} {times}, from {}", step.from, step.action, step.ip));
        }
    }
    section(title, &told)
}

fn events(alert: &AlertRecord, all: bool) -> String {
    let lines = evidence::lines(&alert.evidence);
    let listed = alert.evidence.len();
    let hidden = if all { 0..0 } else { FIRST_SHOWN..listed.saturating_sub(NEWEST_SHOWN) };
    let mut told = String::new();
    for (number, one) in alert.evidence.iter().enumerate() {
        if number == hidden.start && !hidden.is_empty() {
            told += &indented(&format!("... {} between; --all shows them", hidden.len()));
        }
        if !hidden.contains(&number) {
            told += &indented(&evidence::event(one, &lines));
        }
    }
    let unlisted = alert.evidence_total.saturating_sub(listed as u64);
    if unlisted > 0 {
        told += &indented(&format!("... and {unlisted} that the alert does not list"));
    }
    told
}

fn advice(rule: Option<&Rule>) -> String {
    let Some(front) = rule.map(|rule| &rule.front) else {
        return "\nThe rule is not among those that are loaded: name its folder by --rules\n"
            .to_owned();
    };
    let parts = [("What to do", &front.runbook), ("Known false alarms", &front.false_positives)];
    let told = parts.into_iter().filter_map(|(title, text)| Some((title, text.as_deref()?)));
    told.map(|(title, text)| section(title, &text.trim().lines().map(indented).collect::<String>()))
        .collect()
}

fn section(title: &str, body: &str) -> String {
    format!("\n{title}\n{body}")
}

/// A text as lines of the page; whatever came from events is escaped.
fn indented(text: &str) -> String {
    let lines = wrap(&escape(text), WIDTH - 4);
    let lead = |number| if number == 0 { "  " } else { "    " };
    lines.iter().enumerate().map(|(number, line)| format!("{}{line}\n", lead(number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_never_wider_than_a_terminal_and_obeys_nothing() {
        let page = indented(&format!("\u{1b}[31m {}", "wide ".repeat(60)));
        assert!(page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
        assert!(!page.contains('\u{1b}'));
    }
}
