//! An alert, and the rows of its episode: found by replaying a log, or read from a file of alerts.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use serde_json::{Map, Value};

use super::pass;
use crate::alert::{Alert, Status, text_value};
use crate::cli::input::InputArgs;
use crate::cli::{Failure, references, setup, state_limits};
use crate::config::Config;
use crate::delivery::Destination;
use crate::rules::{Engine, Matches, Rule};
use crate::tuning::changes::native;
use crate::tuning::filter::Filter;
use crate::tuning::probe::{SeenRow, is_probe, of_alert, probed, read};
use crate::{Error, Result, suggest};

/// Matches of one alert that are looked at.
const ROWS_MAX: usize = 100_000;

/// Alerts that are named when the one that is asked for is not there.
const NAMED_MAX: usize = 3;

/// An alert with what is known of its matches.
#[derive(Debug)]
pub(super) struct Fired {
    /// Its last revision, as every receiver gets it.
    pub(super) alert: Value,
    /// By time, the one that opened it first. At least one.
    pub(super) rows: Vec<SeenRow>,
    /// `log` or `alerts`.
    pub(super) source: &'static str,
}

/// Plans one rule alone.
pub(super) fn engine(rule: Rule, config: &Config) -> Result<Engine, Failure> {
    let (mut engine, refused) = Engine::new(vec![rule], &references(config), state_limits(config))?;
    engine.spill_to(setup::temporary_spill(config));
    if refused.is_empty() { Ok(engine) } else { Err(refused.into()) }
}

/// Finds the alert and all its matches in a log. `None` when somebody asked to stop.
///
/// # Errors
/// When the log cannot be read, or the rule makes no such alert of it.
pub(super) fn in_log(
    rule: &Rule,
    filter: &Filter,
    id: &str,
    input: &InputArgs,
    (config, quiet): (&Config, bool),
) -> Result<Option<Fired>, Failure> {
    engine(rule.clone(), config)?; // what is wrong with it is told of the rule as it is written
    let engine = engine(probed(rule, filter), config)?;
    let trace = Trace(Rc::new(RefCell::new(Traced::new(id, filter, rule))));
    let mut part = pass::alerting(engine, setup::alerts(config), trace.clone())?;
    let seeing = trace.0.clone();
    part.show_matches(Box::new(move |matches| seeing.borrow_mut().next(matches)));
    let Some(passed) = pass::pass(input, config, quiet, &mut [part])? else { return Ok(None) };
    let traced = &mut *trace.0.borrow_mut();
    traced.settle();
    match traced.alert.take() {
        Some(alert) => {
            traced.rows.retain(|row| row.time <= alert.updated_at);
            let rows = std::mem::take(&mut traced.rows);
            Ok(Some(Fired { alert: without_probes(native(&alert)), rows, source: "log" }))
        }
        None if passed.interrupted => Ok(None),
        None => Err(traced.unknown(&input.names().join(", ")).into()),
    }
}

fn without_probes(mut alert: Value) -> Value {
    if let Some(values) = alert.get_mut("values").and_then(Value::as_object_mut) {
        values.retain(|name, _| !is_probe(name));
    }
    alert
}

/// Sees the matches and the alerts of one rule, and keeps those of one alert.
#[derive(Clone)]
struct Trace(Rc<RefCell<Traced>>);

struct Traced {
    id: String,
    rule: String,
    version: String,
    entity: String,
    filter: Filter,
    /// Matches of the last batch: its alerts come after them.
    newest: Vec<Matches>,
    alert: Option<Alert>,
    rows: Vec<SeenRow>,
    /// The first alerts that were found.
    others: Vec<String>,
}

impl Traced {
    fn new(id: &str, filter: &Filter, rule: &Rule) -> Self {
        Self {
            id: id.to_owned(),
            rule: rule.id.clone(),
            version: rule.version.clone(),
            entity: rule.front.entity.clone(),
            filter: filter.clone(),
            newest: Vec::new(),
            alert: None,
            rows: Vec::new(),
            others: Vec::new(),
        }
    }

    fn next(&mut self, matches: &[Matches]) {
        self.settle();
        let closed = self.alert.as_ref().is_some_and(|alert| alert.status == Status::Closed);
        if !closed {
            self.newest = matches.to_vec();
        }
    }

    /// Keeps what the last batch held of the alert.
    fn settle(&mut self) {
        let newest = std::mem::take(&mut self.newest);
        let Some(alert) = &self.alert else { return };
        for columns in newest.iter().map(|matches| &matches.columns) {
            let (Some(times), Some(entities)) =
                (columns.column_by_name("time"), columns.column_by_name(&self.entity))
            else {
                continue;
            };
            let times = times.as_primitive::<TimestampMicrosecondType>().values();
            for (row, time) in times.iter().enumerate() {
                let own = text_value(entities.as_ref(), row).is_some_and(|e| *e == *alert.entity);
                if own && *time >= alert.started_at && self.rows.len() < ROWS_MAX {
                    self.rows.push(read(&self.filter, columns, row));
                }
            }
        }
    }

    fn deliver(&mut self, alert: &Alert) {
        if *alert.id == *self.id {
            self.alert = Some(alert.clone());
        } else if alert.status == Status::Opened && self.others.len() < NAMED_MAX {
            self.others.push(format!("{} ({} {})", alert.id, self.entity, alert.entity));
        }
    }

    fn unknown(&self, place: &str) -> Error {
        let Self { id, rule, version, others, .. } = self;
        let error = Error::usage(format!("`{rule}` makes no alert `{id}` of this log")).at(place);
        if others.is_empty() {
            return error.detail(format!("It makes none at all (version {version})."));
        }
        error
            .detail(format!("It makes, among others, {}.", others.join(", ")))
            .hint("ids change with every edit of the rule, and with what is left out of the log")
    }
}

impl Destination for Trace {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        let mut traced = self.0.borrow_mut();
        alerts.iter().for_each(|alert| traced.deliver(alert));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The revisions of an alert in a file of alerts, oldest first.
///
/// # Errors
/// When the file cannot be read, or holds no such alert of this rule.
pub(super) fn revisions(path: &Path, rule: &Rule, id: &str) -> Result<Vec<Value>> {
    let place = path.display().to_string();
    let refused = |detail: String| {
        Error::usage("the alerts cannot be read").at(&place).detail(detail).hint(
            "name a file that `replay --alerts`, `replay --json` or a topic of alerts has filled",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let mut found = Vec::new();
    let mut known = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let alert: Value = serde_json::from_str(line)
            .map_err(|error| refused(format!("Line {number} is no JSON: {error}.")))?;
        if alert["id"] == id {
            found.push(alert);
        } else if let Some(other) = alert["id"].as_str() {
            known.push(other.to_owned());
        }
    }
    found.sort_by_key(|alert| alert["revision"].as_u64());
    let Some(last) = found.last() else {
        let error = Error::usage(format!("there is no alert `{id}`")).at(&place);
        return Err(match suggest(id, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`jq -r '[.id, .rule, .entity] | @tsv'` lists those in the file"),
        });
    };
    check(last, rule, &place)?;
    Ok(found)
}

/// Whether an alert is of this rule, as it is now.
pub(super) fn check(alert: &Value, rule: &Rule, place: &str) -> Result<()> {
    let text = |name: &str| alert[name].as_str().unwrap_or_default().to_owned();
    let id = text("id");
    if text("rule") != rule.id {
        return Err(Error::usage(format!("alert `{id}` is not of `{}`", rule.id))
            .at(place)
            .hint(format!("it is of `{}`", text("rule"))));
    }
    if text("rule_version") != rule.version {
        let (old, new) = (text("rule_version"), &rule.version);
        return Err(Error::usage(format!(
            "alert `{id}` was made by another version of `{}`",
            rule.id
        ))
        .at(place)
        .detail(format!("It was version {old}; {} is version {new}.", rule.path))
        .hint("name the rules of that time by --rules"));
    }
    Ok(())
}

/// What the revisions of an alert tell of the rows that made it.
///
/// # Errors
/// When they do not hold what the rule's conditions ask for.
pub(super) fn in_alerts(
    rule: &Rule,
    filter: &Filter,
    revisions: Vec<Value>,
    config: &Config,
) -> Result<Fired, Failure> {
    let schema = engine(rule.clone(), config)?.schema(0);
    let row = |alert: &Value| {
        let mut row: Map<String, Value> = alert["values"].as_object().cloned().unwrap_or_default();
        row.insert("time".to_owned(), alert["updated_at"].clone());
        row.insert(rule.front.entity.clone(), alert["entity"].clone());
        of_alert(filter, &schema, &row)
    };
    // The revision that closes an episode tells of the match before it once more.
    let mut own = revisions.clone();
    own.dedup_by_key(|alert| alert["matches"].clone());
    let rows: Vec<SeenRow> = own.iter().filter_map(row).collect();
    match revisions.into_iter().last() {
        Some(alert) if !rows.is_empty() => Ok(Fired { alert, rows, source: "alerts" }),
        _ => Err(Error::usage("the alert does not hold what the rule's conditions ask for")
            .detail("An alert holds the columns of the query, and not those that only its conditions name.")
            .hint("replay the log: add `--on LOG`")
            .into()),
    }
}
