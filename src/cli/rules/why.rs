//! `nightlatch rules explain RULE --alert ID`: why an alert fired, and what would have kept it silent.

use std::fmt::Write;

use serde_json::{Value, json};

use super::explain::ExplainArgs;
use super::fired::{self, Fired};
use crate::alert::{escape, rfc3339, shorten};
use crate::cli::{Exit, Failure, Outcome, pick, terminal};
use crate::config::Config;
use crate::rules::Rule;
use crate::tuning::filter::{Clause, Filter, Operator, Threshold, Tree, digits};
use crate::tuning::probe::{Seen, SeenRow, Truth};
use crate::tuning::silence::{Needed, alone, cheapest};
use crate::{Error, Result};

/// Characters of one value that are shown.
const VALUE_CHARS_MAX: usize = 60;
/// Characters of a condition in a table of 80 columns.
const CONDITION_CHARS_MAX: usize = 50;

pub(super) fn why(args: &ExplainArgs, name: &str, id: &str) -> Outcome {
    let (mut config, pack) = args.rules.load()?;
    let rule = pick(pack, name)?;
    let filter = Filter::of(&rule)?;
    let revisions =
        args.alerts.as_deref().map(|path| fired::revisions(path, &rule, id)).transpose()?;
    let fired = match (revisions, args.on.logs.is_empty()) {
        (Some(revisions), true) => fired::in_alerts(&rule, &filter, revisions, &config)?,
        (None, true) => return Err(nowhere()),
        (_, false) => {
            let input = args.on.input()?;
            input.apply(&mut config)?;
            match fired::in_log(&rule, &filter, id, &input, (&config, args.quiet))? {
                Some(fired) => fired,
                None => return Ok(Exit::Interrupted),
            }
        }
    };
    let why = Why { rule: &rule, filter: &filter, fired: &fired };
    terminal::print(&if args.json { super::json_line(&why.json()) } else { why.text()? })?;
    Ok(Exit::Good)
}

/// What an alert passed, and what would have kept it silent, for a terminal of 80 columns. Its revisions
/// come oldest first, as they were read from `place`.
///
/// # Errors
/// When the alert is of another version of the rule, or does not hold what its conditions ask for.
pub(in crate::cli) fn reasons(
    revisions: Vec<Value>,
    place: &str,
    rule: &Rule,
    config: &Config,
) -> Result<String, Failure> {
    let filter = Filter::of(rule)?;
    if let Some(newest) = revisions.last() {
        fired::check(newest, rule, place)?;
    }
    let fired = fired::in_alerts(rule, &filter, revisions, config)?;
    let why = Why { rule, filter: &filter, fired: &fired };
    Ok(why.passed() + &why.silent())
}

fn nowhere() -> Failure {
    let error = Error::usage("it is not said where the alert is");
    error
        .hint("add `--on LOG` to find it in a log, or `--alerts FILE` to read it from a file")
        .into()
}

/// What is told of one alert.
struct Why<'a> {
    rule: &'a Rule,
    filter: &'a Filter,
    fired: &'a Fired,
}

impl Why<'_> {
    fn first(&self) -> Result<&SeenRow> {
        let none = || Error::unexpected("the rows of the alert were not found");
        self.fired.rows.first().ok_or_else(none)
    }

    /// How far a leaf is on the firing side of its threshold: below 0 it is short of it.
    fn margin(&self, leaf: usize, seen: &Seen) -> Option<f64> {
        let operator = self.filter.leaves[leaf].comparison.as_ref()?.operator;
        match operator {
            Operator::Greater | Operator::GreaterOrEqual => seen.difference,
            Operator::Less | Operator::LessOrEqual => seen.difference.map(|less| 0.0 - less),
            Operator::Equal | Operator::NotEqual => None,
        }
    }

    /// The row on which the leaf is furthest on the firing side.
    fn furthest(&self, leaf: usize) -> Option<(&SeenRow, f64)> {
        let rows = self.fired.rows.iter();
        let margins = rows.filter_map(|row| Some((row, self.margin(leaf, &row.leaves[leaf])?)));
        margins.reduce(|best, next| if next.1 > best.1 { next } else { best })
    }

    fn held_in(&self, leaf: usize) -> usize {
        let holds = |row: &&SeenRow| row.leaves[leaf].truth == Truth::True;
        self.fired.rows.iter().filter(holds).count()
    }

    /// The numbers that the thresholds of a leaf have, from 1.
    fn numbers(&self, leaf: usize) -> Vec<usize> {
        let thresholds = self.filter.thresholds.iter().enumerate();
        thresholds.filter(|(_, one)| one.leaf == leaf).map(|(index, _)| index + 1).collect()
    }
}

// As JSON.
impl Why<'_> {
    fn json(&self) -> Value {
        let alert = &self.fired.alert;
        let row = self.fired.rows.first();
        let thresholds = self.filter.thresholds.iter().enumerate();
        let thresholds: Vec<Value> =
            thresholds.map(|(number, one)| self.threshold_json(number, one)).collect();
        let cheapest = cheapest(self.filter, &self.fired.rows).map(|steps| {
            let steps = steps.iter().map(|step| {
                let one = &self.filter.thresholds[step.threshold];
                let (from, to) = (one.value, step.needed.nearest(one));
                json!({"threshold": step.threshold + 1, "from": from, "to": to, "needs": step.needed.json()})
            });
            steps.collect::<Vec<Value>>()
        });
        json!({
            "rule": self.rule.id, "rule_version": self.rule.version, "alert": alert["id"],
            "entity_type": alert["entity_type"], "entity": alert["entity"],
            "started_at": alert["started_at"], "updated_at": alert["updated_at"],
            "matches": alert["matches"], "matches_seen": self.fired.rows.len(),
            "source": self.fired.source,
            "fired_at": row.map(|row| rfc3339(row.time)), "values": row.map(|row| &row.values),
            "conditions": self.tree_json(&self.filter.tree),
            "thresholds": thresholds, "cheapest": cheapest,
        })
    }

    fn tree_json(&self, tree: &Tree) -> Value {
        let parts =
            |parts: &[Tree]| parts.iter().map(|part| self.tree_json(part)).collect::<Vec<_>>();
        match tree {
            Tree::All(all) => json!({"all": parts(all)}),
            Tree::Any(any) => json!({"any": parts(any)}),
            Tree::Leaf(leaf) => self.leaf_json(*leaf),
        }
    }

    fn leaf_json(&self, leaf: usize) -> Value {
        let parts = &self.filter.leaves[leaf];
        let clause = match parts.clause {
            Clause::Where => "where",
            Clause::Qualify => "qualify",
        };
        let seen = self.fired.rows.first().map(|row| &row.leaves[leaf]);
        let furthest = self.furthest(leaf).map(|(row, margin)| {
            let seen = &row.leaves[leaf];
            json!({"time": rfc3339(row.time), "seen": seen.left, "against": seen.right,
                   "margin": margin, "ratio": seen.ratio})
        });
        json!({
            "sql": parts.sql(), "clause": clause, "line": line(parts.line),
            "holds": seen.and_then(|seen| holds(seen.truth)), "held_in": self.held_in(leaf),
            "seen": seen.and_then(|seen| seen.left.clone()),
            "against": seen.and_then(|seen| seen.right.clone()),
            "margin": seen.and_then(|seen| self.margin(leaf, seen)),
            "margin_unit": seen.filter(|seen| seen.is_time).map(|_| "seconds"),
            "ratio": seen.and_then(|seen| seen.ratio),
            "furthest": furthest, "thresholds": self.numbers(leaf),
        })
    }

    fn threshold_json(&self, number: usize, threshold: &Threshold) -> Value {
        let parts = &self.filter.leaves[threshold.leaf];
        let mut json = json!({
            "number": number + 1, "line": line(threshold.place.line), "sql": parts.sql(),
            "value": threshold.value,
        });
        match alone(self.filter, number, &self.fired.rows) {
            Ok(needed) => {
                json["silent_alone"] = needed.json();
                json["silent_at"] = needed.nearest(threshold).into();
            }
            Err(cannot) => json["cannot_alone"] = cannot.text().into(),
        }
        json
    }
}

fn line(line: u64) -> Option<u64> {
    (line > 0).then_some(line)
}

fn holds(truth: Truth) -> Option<bool> {
    match truth {
        Truth::True => Some(true),
        Truth::False => Some(false),
        Truth::Unknown => None,
    }
}

// As text.
impl Why<'_> {
    fn text(&self) -> Result<String> {
        let first = self.first()?;
        let mut text = self.head(first);
        let rows: Vec<[String; 2]> = first
            .values
            .iter()
            .filter(|(name, _)| *name != "time")
            .map(|(name, value)| [format!("  {}", escape(name)), shown(Some(value))])
            .collect();
        text += &terminal::columns(&rows);
        text +=
            "\nConditions on that row; FURTHEST is the most that any match of the alert reached\n";
        text += &terminal::columns(&self.conditions());
        text += "\nWhat would have kept it silent, one threshold at a time\n";
        text += &terminal::columns(&self.alone_rows());
        text += &self.cheapest_text();
        Ok(text)
    }

    fn head(&self, first: &SeenRow) -> String {
        let alert = &self.fired.alert;
        let text = |name: &str| escape(alert[name].as_str().unwrap_or_default()).into_owned();
        let entity = shorten(&text("entity"), VALUE_CHARS_MAX).into_owned();
        let n_matches = &alert["matches"];
        let n_seen = self.fired.rows.len();
        let mut head = format!("{} (version {})\n", self.rule.id, self.rule.version);
        let _ = writeln!(head, "  alert {}: {} {entity}", text("id"), text("entity_type"));
        let _ = writeln!(
            head,
            "  {} to {}, matches: {n_matches}, of which looked at: {n_seen}",
            text("started_at"),
            text("updated_at")
        );
        if self.fired.source == "alerts" {
            head += "  of the file of alerts, which holds one match a revision; --on LOG looks at all\n";
        }
        let _ = writeln!(head, "\nThe row that fired, {}", rfc3339(first.time));
        head
    }

    /// The thresholds that the first row passed: condition, what was seen, by how much.
    fn passed(&self) -> String {
        let first = self.fired.rows.first();
        let leaves = (0..self.filter.leaves.len()).filter(|leaf| !self.numbers(*leaf).is_empty());
        let rows: Vec<[String; 2]> = leaves
            .filter_map(|leaf| {
                let seen = &first?.leaves[leaf];
                let margin = self.margin(leaf, seen).filter(|_| seen.truth == Truth::True)?;
                let sql = shorten(&escape(&self.filter.leaves[leaf].sql()), CONDITION_CHARS_MAX)
                    .into_owned();
                let unit = if seen.is_time { " s" } else { "" };
                Some([
                    format!("  {sql}"),
                    format!("seen {} ({}{unit})", shown(seen.left.as_ref()), signed(margin)),
                ])
            })
            .collect();
        terminal::columns(&rows)
    }

    /// The smallest change of thresholds that would have kept it silent, in the words of the conditions.
    fn silent(&self) -> String {
        let Some(steps) = cheapest(self.filter, &self.fired.rows) else {
            return "  No other threshold would have kept it silent.\n".to_owned();
        };
        let steps = steps.iter().map(|step| {
            let threshold = &self.filter.thresholds[step.threshold];
            let sql =
                shorten(&escape(&self.filter.leaves[threshold.leaf].sql()), CONDITION_CHARS_MAX)
                    .into_owned();
            let needed = needed_text(step.needed, threshold);
            format!(
                "  It would have been silent with, instead of {}, {needed}\n    in {sql}\n",
                threshold.text
            )
        });
        steps.collect()
    }

    fn conditions(&self) -> Vec<[String; 9]> {
        let head =
            ["  HOLDS", "CONDITION", "LINE", "NO.", "SEEN", "AGAINST", "BY", "RATIO", "FURTHEST"];
        let mut rows = vec![head.map(str::to_owned)];
        self.push_tree(&self.filter.tree, 0, &mut rows);
        rows
    }

    fn push_tree(&self, tree: &Tree, depth: usize, rows: &mut Vec<[String; 9]>) {
        let (word, parts) = match tree {
            Tree::Leaf(leaf) => return rows.push(self.leaf_row(*leaf, depth)),
            Tree::All(parts) => ("all of", parts),
            Tree::Any(parts) => ("any of", parts),
        };
        let mut row = [const { String::new() }; 9];
        row[1] = "  ".repeat(depth) + word;
        rows.push(row);
        parts.iter().for_each(|part| self.push_tree(part, depth + 1, rows));
    }

    fn leaf_row(&self, leaf: usize, depth: usize) -> [String; 9] {
        let parts = &self.filter.leaves[leaf];
        let numbers: Vec<String> = self.numbers(leaf).iter().map(ToString::to_string).collect();
        let sql = "  ".repeat(depth) + &shorten(&escape(&parts.sql()), VALUE_CHARS_MAX);
        let line = line(parts.line).map_or(String::new(), |line| line.to_string());
        let mut row = [const { String::new() }; 9];
        [row[1], row[2], row[3]] = [sql, line, numbers.join(",")];
        let Some(seen) = self.fired.rows.first().map(|row| &row.leaves[leaf]) else { return row };
        let holds = holds(seen.truth).map_or("  ?", |holds| if holds { "  yes" } else { "  no" });
        holds.clone_into(&mut row[0]);
        row[4] = seen.left.as_ref().map_or(String::new(), |left| shown(Some(left)));
        let unit = if seen.is_time { " s" } else { "" };
        let margin = self.margin(leaf, seen);
        if margin.is_some() {
            row[5] = shown(seen.right.as_ref());
        }
        row[6] = margin.map_or(String::new(), |margin| format!("{}{unit}", signed(margin)));
        row[7] = seen.ratio.map_or(String::new(), short);
        row[8] = self.furthest(leaf).map_or(String::new(), |(row, margin)| {
            format!("{} ({}{unit})", shown(row.leaves[leaf].left.as_ref()), signed(margin))
        });
        row
    }

    fn alone_rows(&self) -> Vec<[String; 4]> {
        let head = ["  NO.", "CONDITION", "NOW", "SILENT AT"].map(str::to_owned);
        let rows = self.filter.thresholds.iter().enumerate().map(|(number, threshold)| {
            let sql = self.filter.leaves[threshold.leaf].sql();
            let needed = match alone(self.filter, number, &self.fired.rows) {
                Ok(needed) => needed_text(needed, threshold),
                Err(cannot) => format!("none: {}", cannot.text()),
            };
            let number = format!("  {}", number + 1);
            let sql = shorten(&escape(&sql), VALUE_CHARS_MAX).into_owned();
            [number, sql, threshold.text.clone(), needed]
        });
        let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
        if rows.len() == 1 {
            return vec![["  the filter compares with no number", "", "", ""].map(str::to_owned)];
        }
        rows
    }

    fn cheapest_text(&self) -> String {
        let Some(steps) = cheapest(self.filter, &self.fired.rows) else {
            return "No change of thresholds would have.\n".to_owned();
        };
        let steps: Vec<String> = steps
            .iter()
            .map(|step| {
                let threshold = &self.filter.thresholds[step.threshold];
                let needed = needed_text(step.needed, threshold);
                format!("threshold {} from {} to {needed}", step.threshold + 1, threshold.text)
            })
            .collect();
        format!("The smallest change that does: {}\n", steps.join(", and "))
    }
}

fn needed_text(needed: Needed, threshold: &Threshold) -> String {
    let bound = match needed {
        Needed::AtLeast(value) => format!("at least {}", short(value)),
        Needed::MoreThan(value) => format!("more than {}", short(value)),
        Needed::AtMost(value) => format!("at most {}", short(value)),
        Needed::LessThan(value) => format!("less than {}", short(value)),
        Needed::AnyOther => return format!("anything but {}", threshold.text),
        Needed::Exactly(value) => return short(value),
    };
    match needed.nearest(threshold).filter(|_| threshold.is_whole()) {
        Some(nearest) => format!("{} ({bound})", digits(nearest, true)),
        None => bound,
    }
}

/// A value of an event: safe, and of bearable length.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "?".to_owned(),
        Some(Value::Null) => "NULL".to_owned(),
        Some(Value::String(text)) => shorten(&escape(text), VALUE_CHARS_MAX).into_owned(),
        Some(other) => shorten(&escape(&other.to_string()), VALUE_CHARS_MAX).into_owned(),
    }
}

/// At most three decimals.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", short(value)) } else { short(value) }
}
