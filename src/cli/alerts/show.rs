//! `nightlatch alerts show`: one alert as an analyst wants it.

use std::fmt::Write;

use clap::Args;

use super::store::{Found, Store, StoreArgs};
use super::{evidence, found, kept};
use crate::alert::escape;
use crate::cli::{Exit, Outcome, RuleSource, load_config, rules, terminal};
use crate::config::Config;
use crate::delivery::record::{AlertRecord, EvidenceRecord};
use crate::delivery::table::{painted, wrap};
use crate::history::Verdict;
use crate::incident::{FallPart, IncidentPart, MemberPart};
use crate::rules::{Pack, Rule};
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch alerts show 39fa2e85 --config nightlatch.toml
  nightlatch alerts show 39fa2e85 --history copy.sqlite
  nightlatch alerts show 39fa2e85 --alerts alerts.jsonl

The alert or incident comes from the history of the configuration, unless a file is named.
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
    /// Id of the alert or incident, or how it begins
    id: String,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    rules: RuleSource,
    /// All events that the alert names
    #[arg(long)]
    all: bool,
    /// The alert as it is, one JSON object
    #[arg(long)]
    json: bool,
}

/// An alert or incident, and what its store knows of it.
struct Told {
    newest: Found,
    /// Older revisions and the newest one; the history keeps only that.
    revisions: Vec<Found>,
    verdicts: Vec<Verdict>,
    place: String,
}

fn read(store: &Store, id: &str) -> Result<Told> {
    let place = store.place();
    match store {
        Store::File(path) => {
            let revisions = found::revisions(path, id)?;
            let newest = revisions.last().cloned();
            let newest = newest.ok_or_else(|| Error::unexpected("an alert without a revision"))?;
            Ok(Told { newest, revisions, verdicts: Vec::new(), place })
        }
        Store::History(reader) => {
            let (newest, details) = kept::by_id(reader, id)?;
            let revisions = vec![newest.clone()];
            Ok(Told { newest, revisions, verdicts: details.verdicts, place })
        }
    }
}

pub(super) fn show(args: &ShowArgs) -> Outcome {
    let config = load_config(args.rules.config.as_deref())?;
    let store = args.store.open(args.rules.config.as_deref(), &config)?;
    let told = read(&store, &args.id)?;
    if args.json {
        terminal::print(&(told.newest.json + "\n"))?;
        return Ok(Exit::Good);
    }
    let alert = &told.newest.alert;
    let mut page = head(alert, terminal::stdout_is_coloured());
    let proof = section("The events that prove it", &events(alert, args.all));
    let pack = Pack::load(args.rules.folder(&config))?;
    match &alert.incident {
        Some(incident) => page += &(story(incident) + &proof + &runbooks(incident, &pack)),
        None => page += &explained(&told, &proof, &pack, &config),
    }
    terminal::print(&(page + &verdicts(&told.verdicts)))?;
    Ok(Exit::Good)
}

/// What an alert passed, the events that prove it, and what to do.
fn explained(told: &Told, proof: &str, pack: &Pack, config: &Config) -> String {
    let rule = pack.rules.iter().find(|rule| rule.id == told.newest.alert.rule);
    let mut text = String::new();
    if let Some(rule) = rule {
        let revisions = told.revisions.iter().map(found::value).collect();
        let reasons = rules::reasons(revisions, &told.place, rule, config);
        text += &section("Why it fired", &reasons.unwrap_or_else(|failure| unknown(&failure.0)));
    }
    text + proof + &advice(rule)
}

/// What to do about an incident: what each rule of its alerts says, in their order.
fn runbooks(incident: &IncidentPart, pack: &Pack) -> String {
    let mut told: Vec<&str> = Vec::new();
    let mut text = String::new();
    for alert in &incident.alerts {
        let rule = pack.rules.iter().find(|rule| rule.id == alert.rule);
        let runbook = rule.and_then(|rule| rule.front.runbook.as_deref());
        if let Some(runbook) = runbook.filter(|_| !told.contains(&alert.rule.as_str())) {
            told.push(&alert.rule);
            text += &section(&format!("What to do about {}", alert.rule), &paragraphs(runbook));
        }
    }
    text
}

fn paragraphs(text: &str) -> String {
    text.trim().lines().map(indented).collect()
}

/// What people said of it, oldest first; the last one counts.
fn verdicts(all: &[Verdict]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let line = |one: &Verdict| {
        let token = one.token.as_ref().map_or_else(String::new, |name| format!(" (token {name})"));
        let why = if one.why.is_empty() { String::new() } else { format!(": {}", one.why) };
        indented(&format!("{} {} by {}{token}{why}", one.given_at, one.verdict.label(), one.who))
    };
    section("Verdicts; the last one counts", &all.iter().map(line).collect::<String>())
}

fn unknown(errors: &[crate::Error]) -> String {
    let words = |error: &crate::Error| match &error.hint {
        Some(hint) => format!("{}; {hint}", error.message),
        None => error.message.clone(),
    };
    indented(&errors.first().map_or_else(String::new, words))
}

fn head(alert: &AlertRecord, is_coloured: bool) -> String {
    let mut head = String::new();
    let severity = alert.severity.label().to_uppercase();
    let title = wrap(&format!("{severity}  {}", escape(&alert.title)), WIDTH).join("\n");
    let title = match title.strip_prefix(&severity) {
        Some(rest) if is_coloured => painted(alert.severity, &severity) + rest,
        _ => title,
    };
    let _ = writeln!(head, "{title}");
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
    let mut in_order: Vec<&EvidenceRecord> = alert.evidence.iter().collect();
    in_order.sort_by_key(|one| one.time.trim_end_matches('Z'));
    let listed = in_order.len();
    let hidden = if all { 0..0 } else { FIRST_SHOWN..listed.saturating_sub(NEWEST_SHOWN) };
    let mut told = String::new();
    for (number, one) in in_order.into_iter().enumerate() {
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
    told.map(|(title, text)| section(title, &paragraphs(text))).collect()
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
