//! What a rule would find with other thresholds: which values are tried, and what came of each.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};

use super::filter::{Filter, Threshold, digits};
use super::variant::variant;
use crate::rules::Rule;

/// What of the present value is tried when nobody says.
const FACTORS: [f64; 11] = [0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.25, 1.5, 2.0, 3.0, 5.0];

/// The same for 0, which has no parts.
const BESIDE_ZERO: [f64; 5] = [1.0, 2.0, 3.0, 5.0, 10.0];

/// One value of one threshold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    /// Index of the threshold.
    pub(crate) threshold: usize,
    pub(crate) value: f64,
    /// It is what the rule has now.
    pub(crate) is_present: bool,
    /// Id of the rule that tries it.
    pub(crate) rule: String,
}

/// The values that are tried for a threshold, the present one among them, ascending.
pub(crate) fn values(threshold: &Threshold, wanted: Option<&[f64]>) -> Vec<f64> {
    let present = threshold.value;
    let mut values: Vec<f64> = match wanted {
        Some(wanted) => wanted.to_vec(),
        None if present == 0.0 => BESIDE_ZERO.to_vec(),
        None => FACTORS.iter().map(|factor| tried(threshold, present * factor)).collect(),
    };
    values.push(present);
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// Of the kind in which the threshold is written, with no more digits than people write.
fn tried(threshold: &Threshold, value: f64) -> f64 {
    if threshold.is_whole() { value.round() } else { (value * 1e6).round() / 1e6 }
}

/// Values at equal distances from one to another, both among them.
pub(crate) fn steps(threshold: &Threshold, from: f64, to: f64, n_steps: u32) -> Vec<f64> {
    let whole = threshold.is_whole() && from.fract() == 0.0 && to.fract() == 0.0;
    let last = n_steps.saturating_sub(1).max(1);
    let at = |step: u32| from + (to - from) * f64::from(step) / f64::from(last);
    let values = (0..n_steps.max(1)).map(at);
    values.map(|value| if whole { value.round() } else { (value * 1e6).round() / 1e6 }).collect()
}

/// A rule for each trial; what is as now is the rule itself, once.
pub(crate) fn trials(
    rule: &Rule,
    filter: &Filter,
    chosen: &[(usize, Vec<f64>)],
) -> (Vec<Trial>, Vec<Rule>) {
    let mut trials = Vec::new();
    let mut rules = vec![rule.clone()];
    for (number, values) in chosen {
        let threshold = &filter.thresholds[*number];
        for value in values {
            let is_present = *value == threshold.value;
            let text = digits(*value, threshold.is_whole());
            let id = format!("{} {}={text}", rule.id, number + 1);
            let id = if is_present { rule.id.clone() } else { id };
            if !is_present {
                rules.push(variant(rule, filter, threshold, *value, id.clone()));
            }
            trials.push(Trial { threshold: *number, value: *value, is_present, rule: id });
        }
    }
    (trials, rules)
}

/// What the rules of a sweep have found, by rule.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) matches: HashMap<String, u64>,
    pub(crate) alerts: HashMap<String, u64>,
    pub(crate) entities: HashMap<String, HashSet<String>>,
}

/// What came of one trial. `None`: a rule with this value cannot run.
pub(crate) type Result = (Trial, Option<Found>);

/// Rows, alerts and entities of one trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    pub(crate) matches: u64,
    pub(crate) alerts: u64,
    pub(crate) entities: usize,
    /// `None` when the log spans no time.
    pub(crate) alerts_a_day: Option<f64>,
}

impl Tally {
    /// The results by threshold, in the order of the trials.
    pub(crate) fn results(&self, trials: Vec<Trial>, days: f64) -> BTreeMap<usize, Vec<Result>> {
        let mut results: BTreeMap<usize, Vec<Result>> = BTreeMap::new();
        for trial in trials {
            let found = self.alerts.get(&trial.rule).map(|alerts| Found {
                matches: self.matches.get(&trial.rule).copied().unwrap_or_default(),
                alerts: *alerts,
                entities: self.entities.get(&trial.rule).map_or(0, HashSet::len),
                alerts_a_day: a_day(*alerts, days),
            });
            results.entry(trial.threshold).or_default().push((trial, found));
        }
        results
    }
}

#[allow(clippy::cast_precision_loss)] // nobody has 2^53 alerts
fn a_day(alerts: u64, days: f64) -> Option<f64> {
    (days > 0.0).then(|| alerts as f64 / days)
}

/// One result as JSON.
pub(crate) fn json(
    rule: &Rule,
    filter: &Filter,
    (trial, found): &Result,
    (events, days): (u64, f64),
) -> Value {
    let threshold = &filter.thresholds[trial.threshold];
    json!({
        "rule": rule.id, "rule_version": rule.version, "threshold": trial.threshold + 1,
        "sql": filter.leaves[threshold.leaf].sql(), "line": threshold.place.line,
        "value": trial.value, "present": trial.is_present, "runs": found.is_some(),
        "matches": found.map(|f| f.matches), "alerts": found.map(|f| f.alerts),
        "alerts_a_day": found.and_then(|f| f.alerts_a_day), "entities": found.map(|f| f.entities),
        "events": events, "days": days,
    })
}
