//! `nightlatch rules sweep`: how many alerts a day a rule would make with other thresholds.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::rc::Rc;

use clap::Args;
use serde_json::json;

use super::pass;
use crate::alert::{Alert, escape};
use crate::cli::input::OnArgs;
use crate::cli::{Exit, Outcome, RuleSource, pick, references, setup, state_limits, terminal};
use crate::delivery::Destination;
use crate::rules::{Engine, Rule};
use crate::tuning::filter::{Filter, digits};
use crate::tuning::sweep::{self, Found, Tally, steps, trials, values};
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch rules sweep credential_stuffing                    its thresholds, with their numbers
  nightlatch rules sweep credential_stuffing --on log.jsonl --threshold 1
  nightlatch rules sweep credential_stuffing --on log.jsonl --threshold all --json
  nightlatch rules sweep brute_force --on monday.gz tuesday.gz --threshold 1 --values 5,10,20,40
  nightlatch rules sweep brute_force --on log.jsonl --threshold 1 --from 10 --to 50 --steps 9

Thresholds are the numbers that the rule's last WHERE and QUALIFY compare with. Each is changed alone.
The log is read once, whatever the number of values: rules that differ in their filter share windows.";

/// Values that are tried in one pass.
const TRIALS_MAX: usize = 500;

/// Columns of the longest bar.
const BAR_WIDTH: u64 = 40;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct SweepArgs {
    /// Name of the rule
    rule: String,
    #[command(flatten)]
    on: OnArgs,
    #[command(flatten)]
    rules: RuleSource,
    /// Number of a threshold, or `all` [default: the only one; of several a list is printed]
    #[arg(long, value_name = "N|all")]
    threshold: Option<String>,
    /// Values to try [default: about the present one]
    #[arg(long, value_delimiter = ',', value_parser = parse_number, allow_hyphen_values = true, conflicts_with_all = ["from", "to"])]
    values: Option<Vec<f64>>,
    /// First value to try
    #[arg(long, value_name = "VALUE", value_parser = parse_number, allow_hyphen_values = true, requires = "to")]
    from: Option<f64>,
    /// Last value to try
    #[arg(long, value_name = "VALUE", value_parser = parse_number, allow_hyphen_values = true, requires = "from")]
    to: Option<f64>,
    /// How many values from the first to the last
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=200))]
    steps: u32,
    /// One JSON object a line [default: a table on a terminal, JSON Lines elsewhere]
    #[arg(long)]
    json: bool,
    /// No progress, no rejected records
    #[arg(long, short)]
    quiet: bool,
}

fn parse_number(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "write a number, such as 20 or 0.5".to_owned())
}

pub(super) fn sweep(args: &SweepArgs) -> Outcome {
    let (mut config, pack) = args.rules.load()?;
    let rule = pick(pack, &args.rule)?;
    // What is wrong with the rule is told before anything else.
    super::fired::engine(rule.clone(), &config)?;
    let filter = Filter::of(&rule)?;
    let Some(numbers) = chosen(args, &rule, &filter)? else {
        terminal::print(&list(args, &rule, &filter))?;
        return Ok(Exit::Good);
    };
    let input = args.on.input()?;
    input.apply(&mut config)?;
    let chosen: Vec<(usize, Vec<f64>)> =
        numbers.into_iter().map(|number| (number, wanted(args, &filter, number))).collect();
    let (trials, rules) = trials(&rule, &filter, &chosen);
    if trials.len() > TRIALS_MAX {
        return Err(Error::usage(format!("{} values are too many for one pass", trials.len()))
            .hint(format!("try at most {TRIALS_MAX}, or one threshold after the other"))
            .into());
    }
    // Those that cannot run (`n = 5 AND n = 3` never has a row) are told in the table.
    let n_rules = rules.len();
    let (mut engine, _) = Engine::new(rules, &references(&config), state_limits(&config))?;
    engine.spill_to(setup::temporary_spill(&config));
    let mut limits = setup::alerts(&config);
    // Each has as many open episodes as the rule would have alone.
    limits.open_max = limits.open_max.saturating_mul(n_rules);
    let entities = Entities::default();
    let mut parts = [pass::alerting(engine, limits, entities.clone())?];
    let Some(passed) = pass::pass(&input, &config, args.quiet, &mut parts)? else {
        return Ok(Exit::Interrupted);
    };
    let tally = Tally {
        matches: parts[0].matches_by_rule().into_iter().collect(),
        alerts: parts[0].alerts_by_rule().into_iter().collect(),
        entities: entities.0.take(),
    };
    let swept = Swept {
        rule: &rule,
        filter: &filter,
        events: passed.events,
        days: days(passed.span),
        results: tally.results(trials, days(passed.span)),
    };
    let as_json = args.json || !terminal::stdout_is_terminal();
    terminal::print(&if as_json { swept.json() } else { swept.table() })?;
    Ok(if passed.interrupted { Exit::Interrupted } else { Exit::Good })
}

#[allow(clippy::cast_precision_loss)] // 285 years are exact to the microsecond
fn days((first, last): (i64, i64)) -> f64 {
    last.saturating_sub(first) as f64 / 86_400e6
}

/// The thresholds that are asked for; `None`: they are to be listed.
fn chosen(args: &SweepArgs, rule: &Rule, filter: &Filter) -> Result<Option<Vec<usize>>> {
    let count = filter.thresholds.len();
    if count == 0 {
        return Err(Error::usage(format!("`{}` has no threshold", rule.id))
            .at(&rule.path)
            .detail("Its last WHERE and QUALIFY compare with no number.")
            .hint("`nightlatch rules diff OLD NEW --on LOG` compares any two texts of a rule"));
    }
    let number = match args.threshold.as_deref() {
        // Without a log nothing can be tried.
        None if count == 1 && !args.on.logs.is_empty() => 1,
        None => return Ok(None),
        Some("all") => return Ok(Some((0..count).collect())),
        Some(text) => text.parse().unwrap_or(0),
    };
    if (1..=count).contains(&number) {
        return Ok(Some(vec![number - 1]));
    }
    let wrong = args.threshold.as_deref().unwrap_or_default();
    Err(Error::usage(format!("`{}` has no threshold `{wrong}`", rule.id)).hint(format!(
        "write a number from 1 to {count}, or `all`; without --threshold they are listed"
    )))
}

/// The values to try.
fn wanted(args: &SweepArgs, filter: &Filter, number: usize) -> Vec<f64> {
    let threshold = &filter.thresholds[number];
    let wanted = match (&args.values, args.from.zip(args.to)) {
        (Some(values), _) => Some(values.clone()),
        (None, Some((from, to))) => Some(steps(threshold, from, to, args.steps)),
        (None, None) => None,
    };
    values(threshold, wanted.as_deref())
}

/// The thresholds with their numbers.
fn list(args: &SweepArgs, rule: &Rule, filter: &Filter) -> String {
    let thresholds = filter.thresholds.iter().enumerate();
    if args.json || !terminal::stdout_is_terminal() {
        let lines = thresholds.map(|(number, threshold)| {
            super::json_line(&json!({
                "rule": rule.id, "threshold": number + 1, "value": threshold.value,
                "line": threshold.place.line, "sql": filter.leaves[threshold.leaf].sql(),
            }))
        });
        return lines.collect();
    }
    let head = ["THRESHOLD", "VALUE", "LINE", "CONDITION"].map(str::to_owned);
    let rows = thresholds.map(|(number, threshold)| {
        let (place, sql) = (threshold.place.line, filter.leaves[threshold.leaf].sql());
        [
            (number + 1).to_string(),
            threshold.text.clone(),
            place.to_string(),
            escape(&sql).into_owned(),
        ]
    });
    let table = terminal::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    format!("{table}\nChoose one: --threshold N --on LOG\n")
}

/// The entities of the alerts of each rule.
#[derive(Debug, Clone, Default)]
struct Entities(Rc<RefCell<HashMap<String, HashSet<String>>>>);

impl Destination for Entities {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        let mut entities = self.0.borrow_mut();
        for alert in alerts.iter().filter(|alert| alert.revision == 1) {
            entities.entry(alert.rule.to_string()).or_default().insert(alert.entity.to_string());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What all trials have found.
struct Swept<'a> {
    rule: &'a Rule,
    filter: &'a Filter,
    events: u64,
    days: f64,
    results: BTreeMap<usize, Vec<sweep::Result>>,
}

impl Swept<'_> {
    fn json(&self) -> String {
        let results = self.results.values().flatten();
        let json = |result| sweep::json(self.rule, self.filter, result, (self.events, self.days));
        results.map(|result| super::json_line(&json(result))).collect()
    }

    fn table(&self) -> String {
        let mut text =
            format!("{}: {} events in {:.1} days\n", self.rule.id, self.events, self.days);
        for (number, results) in &self.results {
            let threshold = &self.filter.thresholds[*number];
            let sql = self.filter.leaves[threshold.leaf].sql();
            let _ = writeln!(
                text,
                "\nThreshold {}, line {}: {}",
                number + 1,
                threshold.place.line,
                escape(&sql)
            );
            text += &self.rows(results);
        }
        text
    }

    fn rows(&self, results: &[sweep::Result]) -> String {
        let most = results.iter().filter_map(|(_, found)| Some(found.as_ref()?.alerts)).max();
        let head = ["", "VALUE", "MATCHES", "ALERTS", "A DAY", "ENTITIES", ""].map(str::to_owned);
        let mut rows = vec![head];
        for (trial, found) in results {
            let whole = self.filter.thresholds[trial.threshold].is_whole();
            let mark = if trial.is_present { "*" } else { "" };
            let mut row = [const { String::new() }; 7];
            mark.clone_into(&mut row[0]);
            row[1] = digits(trial.value, whole);
            match found {
                Some(found) => fill(&mut row, found, most.unwrap_or_default()),
                None => "cannot run".clone_into(&mut row[6]),
            }
            rows.push(row);
        }
        align_right(&mut rows);
        terminal::columns(&rows)
    }
}

fn fill(row: &mut [String; 7], found: &Found, most: u64) {
    row[2] = found.matches.to_string();
    row[3] = found.alerts.to_string();
    row[4] = found.alerts_a_day.map_or("-".to_owned(), |a_day| format!("{a_day:.2}"));
    row[5] = found.entities.to_string();
    let width = (found.alerts * BAR_WIDTH).div_ceil(most.max(1));
    row[6] = "#".repeat(usize::try_from(width).unwrap_or_default());
}

/// Numbers stand right; marks and bars left.
fn align_right(rows: &mut [[String; 7]]) {
    for column in 1..6 {
        let width = rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
        rows.iter_mut().for_each(|row| row[column] = format!("{:>width$}", row[column]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Pack, parse_rule};

    #[test]
    fn the_table_marks_the_present_value_and_draws_bars() {
        let pack = Pack::load(None).unwrap();
        let rule = pack.rules.into_iter().find(|rule| rule.id == "credential_stuffing").unwrap();
        // Line and text of the thresholds are not the pack's here, which may change.
        let sql = rule.sql.split("*/").next().unwrap().to_owned()
            + "*/ SELECT time, ip FROM events WHERE latitude >= 15 AND longitude > 2.5";
        let rule = parse_rule("r.sql", "r.sql", &sql).unwrap();
        let filter = Filter::of(&rule).unwrap();
        let (trials, _) =
            trials(&rule, &filter, &[(0, vec![5.0, 15.0, 25.0, 99.0]), (1, vec![2.0])]);
        let mut tally = Tally::default();
        for (rule, alerts) in [("r 1=5", 400), ("r", 7), ("r 1=25", 0), ("r 2=2.0", 3)] {
            tally.alerts.insert(rule.to_owned(), alerts);
            tally.matches.insert(rule.to_owned(), alerts * 3);
        }
        let again = trials.clone();
        let results = tally.results(trials, 2.0);
        let swept = Swept { rule: &rule, filter: &filter, events: 1000, days: 2.0, results };
        let table = swept.table();
        let lines: Vec<&str> =
            table.lines().filter(|line| !line.starts_with("Threshold")).collect();
        insta::assert_snapshot!(lines.join("\n"));
        // A log of one moment has no alerts a day.
        let results = tally.results(again, 0.0);
        assert_eq!(results[&0][0].1.map(|found| found.alerts_a_day), Some(None));
    }
}
