//! `nightlatch rules diff`: what an edit of rules changes in the alerts of a log.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::kept::Kept;
use super::pass::{self, Passed};
use crate::alert::{Alert, escape, rfc3339, shorten};
use crate::cli::input::OnArgs;
use crate::cli::{Exit, Failure, Outcome, load_config, plan, setup, terminal};
use crate::config::Config;
use crate::rules::{Engine, Pack};
use crate::tuning::changes::{Change, Field, Found, Quiet, Tally, changes};
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch rules diff queries my-rules --on monday.jsonl.gz tuesday.jsonl.gz
  nightlatch rules diff brute_force.sql edited.sql --on log.jsonl
  git show HEAD:queries/brute_force.sql > old.sql
  zcat log.gz | nightlatch rules diff old.sql queries/brute_force.sql --on - --exit-code

Two files are the old and the new text of one rule, whatever their names. A file and a folder: the
rule of the file's name. An alert is the same in both when rule and entity are and the episodes
overlap, for its id changes with every edit. Exit code 0 also when alerts differ, unless
--exit-code.";

/// Characters of one value that a table shows.
const VALUE_CHARS_MAX: usize = 60;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct DiffArgs {
    /// The rules as they were: a folder, or one rule file
    old: PathBuf,
    /// The rules as they are to be
    new: PathBuf,
    #[command(flatten)]
    on: OnArgs,
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object a line [default: a table on a terminal, JSON Lines elsewhere]
    #[arg(long)]
    json: bool,
    /// Exit with code 1 when alerts differ
    #[arg(long)]
    exit_code: bool,
    /// No progress, no rejected records
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn diff(args: &DiffArgs) -> Outcome {
    let mut config = load_config(args.config.as_deref())?;
    let input = args.on.input()?;
    input.apply(&mut config)?;
    let [old, new] = packs(&args.old, &args.new)?;
    let engines = [engine(old, &config)?, engine(new, &config)?];
    if engines.iter().all(|engine| engine.rules().is_empty()) {
        return Err(Error::usage("no rule can run")
            .hint("`nightlatch rules check` says why")
            .into());
    }
    let kept = [Kept::default(), Kept::default()];
    let mut quiet = engines.each_ref().map(quiet_times).into_iter();
    let mut parts = Vec::new();
    for (engine, kept) in engines.into_iter().zip(&kept) {
        parts.push(pass::alerting(engine, setup::alerts(&config), kept.clone())?);
    }
    let Some(passed) = pass::pass(&input, &config, args.quiet, &mut parts)? else {
        return Ok(Exit::Interrupted);
    };
    let mut found = kept
        .iter()
        .map(|kept| Found { alerts: kept.take(), quiet: quiet.next().unwrap_or_default() });
    let (old, new) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
    let (old_quiet, new_quiet) = (old.quiet.clone(), new.quiet.clone());
    let changes = changes(old, new);
    let tallies = Tally::by_rule(&old_quiet, &new_quiet, &changes);
    print(args, &changes, &tallies)?;
    Ok(exit(args, &passed, &changes))
}

fn print(args: &DiffArgs, changes: &[Change], tallies: &BTreeMap<String, Tally>) -> Result<()> {
    if args.json || !terminal::stdout_is_terminal() {
        terminal::print(&json(changes, tallies))
    } else {
        terminal::print(&table(changes, tallies))
    }
}

fn exit(args: &DiffArgs, passed: &Passed, changes: &[Change]) -> Exit {
    let differ = changes.iter().any(|change| !matches!(change, Change::Same(_)));
    match (passed.interrupted, args.exit_code && differ) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::No,
        (false, false) => Exit::Good,
    }
}

/// The rules of both sides, by the same names.
fn packs(old: &Path, new: &Path) -> Result<[Pack; 2]> {
    let mut packs = [Pack::open(old)?, Pack::open(new)?];
    match [old.is_dir(), new.is_dir()] {
        [true, true] => {}
        [false, false] => {
            let [old, new] = &mut packs;
            if let ([old], [new]) = (&mut *old.rules, &*new.rules) {
                old.id.clone_from(&new.id);
            }
        }
        [old_is_folder, _] => {
            let (folder, file) = if old_is_folder { (0, 1) } else { (1, 0) };
            if let Some(id) = packs[file].rules.first().map(|rule| rule.id.clone()) {
                packs[folder].rules.retain(|rule| rule.id == id);
                packs[folder].refused.clear();
            }
        }
    }
    Ok(packs)
}

fn engine(pack: Pack, config: &Config) -> Result<Engine, Failure> {
    let (mut engine, refused) = plan(pack, config)?;
    engine.spill_to(setup::temporary_spill(config));
    refused.iter().for_each(terminal::complain);
    Ok(engine)
}

fn quiet_times(engine: &Engine) -> Quiet {
    engine.rules().iter().map(|rule| (rule.id.clone(), rule.front.quiet_micros)).collect()
}

fn json(changes: &[Change], tallies: &BTreeMap<String, Tally>) -> String {
    let changed = changes.iter().filter(|change| !matches!(change, Change::Same(_)));
    let changed = changed.map(Change::json);
    let lines = changed.chain(tallies.iter().map(|(rule, tally)| tally.json(rule)));
    lines.map(|line| super::json_line(&line)).collect()
}

fn table(changes: &[Change], tallies: &BTreeMap<String, Tally>) -> String {
    let mut text = String::new();
    for change in changes {
        let (sign, alert) = match change {
            Change::Same(_) => continue,
            Change::New(alert) => ('+', alert),
            Change::Gone(alert) => ('-', alert),
            Change::Changed(changed) => ('~', &changed.new),
        };
        let _ = writeln!(text, "{sign} {}", one_line(alert)); // a String takes every write
        if let Change::Changed(changed) = change {
            changed.fields.iter().for_each(|field| push_field(&mut text, field));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text + &summary(tallies)
}

fn one_line(alert: &Alert) -> String {
    let entity = shorten(&escape(&alert.entity), VALUE_CHARS_MAX).into_owned();
    let matches = if alert.matches == 1 { "match" } else { "matches" };
    format!(
        "{}  {}  {} {entity}  {} {matches}",
        rfc3339(alert.started_at),
        escape(&alert.rule),
        escape(&alert.entity_type),
        alert.matches,
    )
}

fn push_field(text: &mut String, field: &Field) {
    let Field { name, old, new } = field;
    let (old, new) = (brief(old), brief(new));
    let _ = writeln!(text, "    {}: {old} -> {new}", escape(name)); // a String takes every write
}

/// A value in bearable length: lists are counted.
fn brief(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(value) if value.is_empty() => "\"\"".to_owned(),
        Value::String(value) => shorten(&escape(value), VALUE_CHARS_MAX).into_owned(),
        Value::Array(items) if items.len() != 1 => format!("{} entries", items.len()),
        Value::Array(_) => "1 entry".to_owned(),
        other => shorten(&escape(&other.to_string()), VALUE_CHARS_MAX).into_owned(),
    }
}

fn summary(tallies: &BTreeMap<String, Tally>) -> String {
    let head = ["RULE", "OLD", "NEW", "SAME", "CHANGED", "ADDED", "GONE"].map(str::to_owned);
    let known = |count: Option<usize>| count.map_or("-".to_owned(), |count| count.to_string());
    let rows = tallies.iter().map(|(rule, tally)| {
        let Tally { same, changed, added, gone, .. } = tally;
        let [same, changed, added, gone] = [same, changed, added, gone].map(usize::to_string);
        [rule.clone(), known(tally.old), known(tally.new), same, changed, added, gone]
    });
    terminal::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::changes::tests::alert;

    #[test]
    fn the_table_shows_what_differs_and_forges_nothing() {
        let quiet = Quiet::from([("r".to_owned(), 10)]);
        let found = |alerts: Vec<Alert>| Found { alerts, quiet: quiet.clone() };
        let mut longer = alert("b", 0, 9, 4);
        longer.summary = "a\u{1b}[31m".to_owned();
        longer.accounts = vec!["x".into(), "y".into()];
        let old = found(vec![alert("a", 0, 5, 1), alert("b", 0, 5, 3), alert("s", 0, 0, 1)]);
        let new = found(vec![longer, alert("\u{202e}c", 1_000_000, 0, 2), alert("s", 0, 0, 1)]);
        let changes = changes(old, new);
        let mut tallies = Tally::by_rule(&quiet, &quiet, &changes);
        tallies.insert("gone".to_owned(), Tally { old: Some(0), ..Tally::default() });
        insta::assert_snapshot!(table(&changes, &tallies));
    }
}
