//! What differs between the alerts of two sets of rules over one log.
//!
//! An alert's id holds the rule's version, which any edit changes. Alerts are the same when they are of
//! one rule and one entity and their episodes overlap, the quiet time after the last match included.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::alert::Alert;
use crate::event::TimeMicros;

/// Fields that follow from the rule's version, or from how often an alert spoke.
const IGNORED: [&str; 3] = ["id", "rule_version", "revision"];

/// One field of an alert with both its values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// Its name; `values.failures` for a column of the query.
    pub(crate) name: String,
    pub(crate) old: Value,
    pub(crate) new: Value,
}

/// An alert that both sides find, and what they say of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Changed {
    pub(crate) old: Alert,
    pub(crate) new: Alert,
    /// What differs.
    pub(crate) fields: Vec<Field>,
}

/// What became of one alert.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// Only the new rules find it.
    New(Alert),
    /// Only the old rules find it.
    Gone(Alert),
    /// Both find it, and say different things.
    Changed(Box<Changed>),
    /// Both find it, and say the same.
    Same(Alert),
}

impl Change {
    /// The alert as it is now, or as it was when it is gone.
    pub(crate) fn alert(&self) -> &Alert {
        match self {
            Self::New(alert) | Self::Gone(alert) | Self::Same(alert) => alert,
            Self::Changed(changed) => &changed.new,
        }
    }

    /// `new`, `gone`, `changed` or `same`.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::New(_) => "new",
            Self::Gone(_) => "gone",
            Self::Changed(_) => "changed",
            Self::Same(_) => "same",
        }
    }
}

/// How long an episode of each rule stays open without a match.
pub(crate) type Quiet = HashMap<String, TimeMicros>;

/// The last revisions of all alerts that one set of rules has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) quiet: Quiet,
}

/// Rule, and what names the episode.
type Key = (Arc<str>, Arc<str>, Arc<str>);

/// What became of each alert, by rule and start.
pub(crate) fn changes(old: Found, new: Found) -> Vec<Change> {
    let mut sides: BTreeMap<Key, [Vec<Alert>; 2]> = BTreeMap::new();
    for (side, alerts) in [old.alerts, new.alerts].into_iter().enumerate() {
        for alert in alerts {
            let key = (alert.rule.clone(), alert.entity_type.clone(), alert.entity.clone());
            sides.entry(key).or_default()[side].push(alert);
        }
    }
    let quiet = [old.quiet, new.quiet];
    let mut all: Vec<Change> =
        sides.into_values().flat_map(|[old, new]| changes_of_one(old, new, &quiet)).collect();
    all.sort_by(|a, b| sort_key(a.alert()).cmp(&sort_key(b.alert())));
    all
}

fn sort_key(alert: &Alert) -> (&str, TimeMicros, &str, &str) {
    (&alert.rule, alert.started_at, &alert.entity_type, &alert.entity)
}

/// The changes of one rule and entity.
fn changes_of_one(mut old: Vec<Alert>, mut new: Vec<Alert>, quiet: &[Quiet; 2]) -> Vec<Change> {
    old.sort_by_key(|alert| alert.started_at);
    new.sort_by_key(|alert| alert.started_at);
    let mut partner: Vec<Option<usize>> = vec![None; old.len()];
    let mut taken = vec![false; new.len()];
    let mut pair = |fits: &dyn Fn(&Alert, &Alert) -> bool| {
        for (alert, partner) in old.iter().zip(&mut partner).filter(|(_, p)| p.is_none()) {
            *partner = (0..new.len()).find(|index| !taken[*index] && fits(alert, &new[*index]));
            if let Some(index) = *partner {
                taken[index] = true;
            }
        }
    };
    // An equal start is the better reason, so it goes first.
    pair(&|a, b| a.started_at == b.started_at);
    pair(&|a, b| a.started_at <= end(b, &quiet[1]) && b.started_at <= end(a, &quiet[0]));
    let mut new: Vec<Option<Alert>> = new.into_iter().map(Some).collect();
    let mut changes: Vec<Change> = Vec::new();
    for (old, partner) in old.into_iter().zip(partner) {
        changes.push(match partner.and_then(|index| new[index].take()) {
            Some(new) => compared(old, new),
            None => Change::Gone(old),
        });
    }
    changes.extend(new.into_iter().flatten().map(Change::New));
    changes
}

/// Until when a match would have belonged to the episode.
fn end(alert: &Alert, quiet: &Quiet) -> TimeMicros {
    alert.updated_at.saturating_add(quiet.get(&*alert.rule).copied().unwrap_or_default().max(0))
}

fn compared(old: Alert, new: Alert) -> Change {
    let fields = differences(&native(&old), &native(&new));
    if fields.is_empty() {
        return Change::Same(new);
    }
    Change::Changed(Box::new(Changed { old, new, fields }))
}

/// The alert as every receiver gets it.
pub(crate) fn native(alert: &Alert) -> Value {
    serde_json::from_slice(&alert.to_json()).unwrap_or(Value::Null)
}

fn differences(old: &Value, new: &Value) -> Vec<Field> {
    let [old, new] = [old, new].map(flat);
    let names: Vec<&String> =
        old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect();
    let value = |side: &Map<String, Value>, name: &str| side.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .map(|name| Field { name: name.clone(), old: value(&old, name), new: value(&new, name) })
        .filter(|field| field.old != field.new && !IGNORED.contains(&&*field.name))
        .collect()
}

/// The fields, those of `values` among them.
fn flat(alert: &Value) -> Map<String, Value> {
    let mut fields = alert.as_object().cloned().unwrap_or_default();
    if let Some(Value::Object(values)) = fields.remove("values") {
        fields.extend(values.into_iter().map(|(name, value)| (format!("values.{name}"), value)));
    }
    fields
}

/// How many alerts of one rule there were, and what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// `None`: the old rules do not hold it, or it cannot run.
    pub(crate) old: Option<usize>,
    pub(crate) new: Option<usize>,
    pub(crate) same: usize,
    pub(crate) changed: usize,
    pub(crate) added: usize,
    pub(crate) gone: usize,
}

impl Tally {
    /// The tallies of all rules that either side ran.
    pub(crate) fn by_rule(old: &Quiet, new: &Quiet, changes: &[Change]) -> BTreeMap<String, Self> {
        let mut tallies: BTreeMap<String, Self> = BTreeMap::new();
        for rule in old.keys() {
            tallies.entry(rule.clone()).or_default().old = Some(0);
        }
        for rule in new.keys() {
            tallies.entry(rule.clone()).or_default().new = Some(0);
        }
        for change in changes {
            tallies.entry(change.alert().rule.to_string()).or_default().count(change);
        }
        tallies
    }

    fn count(&mut self, change: &Change) {
        match change {
            Change::New(_) => self.added += 1,
            Change::Gone(_) => self.gone += 1,
            Change::Changed(_) => self.changed += 1,
            Change::Same(_) => self.same += 1,
        }
        self.old = self.old.map(|n| n + usize::from(!matches!(change, Change::New(_))));
        self.new = self.new.map(|n| n + usize::from(!matches!(change, Change::Gone(_))));
    }

    /// The tally as JSON.
    pub(crate) fn json(&self, rule: &str) -> Value {
        json!({
            "change": "summary", "rule": rule, "alerts_old": self.old, "alerts_new": self.new,
            "same": self.same, "changed": self.changed, "added": self.added, "gone": self.gone,
        })
    }
}

impl Change {
    /// The change as JSON: both alerts whole, and the fields that differ.
    pub(crate) fn json(&self) -> Value {
        let alert = self.alert();
        let (old, new) = match self {
            Self::New(new) => (Value::Null, native(new)),
            Self::Gone(old) => (native(old), Value::Null),
            Self::Changed(changed) => (native(&changed.old), native(&changed.new)),
            Self::Same(same) => (Value::Null, native(same)),
        };
        let mut fields = Map::new();
        if let Self::Changed(changed) = self {
            let both = |field: &Field| json!({"old": field.old, "new": field.new});
            let named = changed.fields.iter().map(|field| (field.name.clone(), both(field)));
            fields.extend(named);
        }
        json!({
            "change": self.label(), "rule": &*alert.rule, "entity_type": &*alert.entity_type,
            "entity": &*alert.entity, "fields": fields, "old": old, "new": new,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::alert::{Status, Values};
    use crate::rules::Severity;

    pub(crate) fn alert(
        entity: &str,
        started_at: TimeMicros,
        updated_at: TimeMicros,
        matches: u64,
    ) -> Alert {
        let columns =
            arrow::array::RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
        Alert {
            id: format!("{entity}{started_at}{matches}").into(),
            revision: 1,
            status: Status::Opened,
            at: 0,
            rule: "r".into(),
            rule_version: "v".into(),
            title: "t".into(),
            severity: Severity::High,
            entity_type: "ip".into(),
            entity: entity.into(),
            started_at,
            updated_at,
            accounts: Vec::new(),
            accounts_total: 0,
            ips: Vec::new(),
            ips_total: 0,
            summary: String::new(),
            values: Values::read(&columns, 0, "ip".into()),
            matches,
            evidence: Vec::new(),
            evidence_total: 0,
            attack: Arc::from([]),
            enrichment: Arc::default(),
            early: false,
            incident: None,
        }
    }

    fn check(old: &[Alert], new: &[Alert], expected: &[&str]) -> Vec<Change> {
        let quiet = Quiet::from([("r".to_owned(), 10)]);
        let found = |alerts: &[Alert]| Found { alerts: alerts.to_vec(), quiet: quiet.clone() };
        let changes = changes(found(old), found(new));
        let labels: Vec<String> =
            changes.iter().map(|c| format!("{} {}", c.label(), c.alert().started_at)).collect();
        assert_eq!(labels, expected);
        changes
    }

    #[test]
    fn an_equal_alert_under_another_id_is_the_same() {
        let mut new = alert("a", 5, 9, 3);
        new.id = "other".into();
        check(&[alert("a", 5, 9, 3)], &[new], &["same 5"]);
    }

    #[test]
    fn episodes_that_overlap_or_follow_within_the_quiet_time_are_one() {
        let changes = check(&[alert("a", 0, 5, 9)], &[alert("a", 3, 5, 4)], &["changed 3"]);
        let Change::Changed(changed) = &changes[0] else { panic!("it has changed") };
        let names: Vec<&str> = changed.fields.iter().map(|field| &*field.name).collect();
        assert_eq!(names, ["matches", "started_at"]);
        check(&[alert("a", 0, 5, 1)], &[alert("a", 15, 15, 1)], &["changed 15"]);
        check(&[alert("a", 0, 5, 1)], &[alert("a", 16, 16, 1)], &["gone 0", "new 16"]);
        check(&[alert("a", 0, 5, 1)], &[alert("b", 0, 5, 1)], &["gone 0", "new 0"]);
    }

    #[test]
    fn an_episode_cut_in_two_is_one_changed_and_one_new() {
        let new = [alert("a", 0, 2, 2), alert("a", 30, 32, 2)];
        check(&[alert("a", 0, 32, 9)], &new, &["changed 0", "new 30"]);
        check(&new, &[alert("a", 0, 32, 9)], &["changed 0", "gone 30"]);
    }

    #[test]
    fn an_equal_start_goes_before_an_overlap() {
        // The old one's quiet time reaches to 15, but another old one starts where the new one does.
        let old = [alert("a", 0, 5, 1), alert("a", 15, 15, 1)];
        check(&old, &[alert("a", 15, 15, 1)], &["gone 0", "same 15"]);
    }

    #[test]
    fn rules_are_counted_also_when_silent_or_missing() {
        let old = Quiet::from([("r".to_owned(), 10), ("dropped".to_owned(), 10)]);
        let new = Quiet::from([("r".to_owned(), 10)]);
        let changes =
            check(&[alert("a", 0, 5, 1)], &[alert("a", 40, 45, 1)], &["gone 0", "new 40"]);
        let tallies = Tally::by_rule(&old, &new, &changes);
        let expected = Tally { old: Some(1), new: Some(1), added: 1, gone: 1, ..Tally::default() };
        assert_eq!(tallies["r"], expected);
        assert_eq!(tallies["dropped"], Tally { old: Some(0), ..Tally::default() });
    }
}
