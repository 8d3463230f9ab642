//! Correlation rules of Panther as one rule of SQL, and hits of rules as its events.
//!
//! A group is matched when, for one value of what is matched, each rule of it has as many hits as it wants
//! within the time frame, in any order, and a rule that must be absent has fewer.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value, json};

/// The columns that the values to match stand in, one for each criterion.
const KEYS: [&str; 6] = ["account", "resource", "device", "session", "ticket", "ip"];
/// The account of a hit where nothing is matched.
const NOBODY: &str = "(none)";
/// What is sent when the time frame after a hit has passed.
const PASSED: &str = "time frame passed";
/// The time frame where none is told.
const MINUTES: i64 = 15;
/// 2024-01-01, minute 0 of hits that are counted in minutes.
const START: i64 = 1_704_067_200;

/// A rule of the group.
#[derive(Debug)]
struct Member {
    id: String,
    n_min: u64,
    is_absent: bool,
    /// The field of its hits that each criterion matches.
    fields: Vec<String>,
}

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    members: Vec<Member>,
    n_keys: usize,
    minutes: i64,
}

impl Group {
    /// Reads one entry of `detection`.
    pub(crate) fn new(detection: &Value) -> Self {
        assert!(detection["Sequence"].is_null(), "an ordered sequence: {detection}");
        let criteria: Vec<&Value> = match &detection["MatchCriteria"] {
            Value::Object(criteria) => criteria.values().collect(),
            _ => Vec::new(),
        };
        assert!(criteria.len() <= KEYS.len(), "more criteria than columns: {detection}");
        let member = |rule: &Value| Member {
            id: text(&rule["ID"]),
            n_min: rule["MinMatchCount"].as_u64().unwrap_or(1),
            is_absent: rule["Absence"].as_bool().unwrap_or(false),
            fields: criteria.iter().map(|criterion| field(criterion, &rule["ID"])).collect(),
        };
        let frame = [&detection["WithinTimeFrameMinutes"], &detection["LookbackWindowMinutes"]];
        Self {
            members: detection["Group"].as_array().unwrap().iter().map(member).collect(),
            n_keys: criteria.len(),
            minutes: frame.into_iter().find_map(Value::as_i64).unwrap_or(MINUTES),
        }
    }

    fn waits_for_absence(&self) -> bool {
        self.members.iter().any(|member| member.is_absent)
    }

    /// The text of the rule.
    pub(crate) fn rule(&self) -> String {
        let keys = KEYS[..self.n_keys].join(", ");
        let partition = if keys.is_empty() { keys } else { format!("PARTITION BY {keys} ") };
        let frame = |name: &str, start: i64, end: &str| {
            let range = format!("RANGE BETWEEN INTERVAL '{start}' MINUTE PRECEDING AND {end}");
            format!("{name} AS ({partition}ORDER BY time {range})")
        };
        let minutes = self.minutes;
        let (condition, windows) = if self.waits_for_absence() {
            let end = format!("INTERVAL '{minutes}' MINUTE PRECEDING");
            let frames =
                [frame("before", 2 * minutes, &end), frame("around", 2 * minutes, "CURRENT ROW")];
            (format!("action = {}", quoted(PASSED)), frames.join(",\n    "))
        } else {
            ("true".to_owned(), frame("before", minutes, "CURRENT ROW"))
        };
        let conditions: String =
            self.members.iter().map(|m| format!("\n        AND {}", m.condition())).collect();
        format!(
            "/*\ntitle = \"Correlation\"\nseverity = \"medium\"\nentity = \"account\"\n\
             quiet = \"1 hour\"\nsummary = \"{{account}}\"\n*/\n\
             SELECT\n    time,\n    account,\n    {condition}{conditions} AS is_match\n\
             FROM events\nWINDOW\n    {windows}\nQUALIFY is_match\n"
        )
    }

    /// The hits as events, and what is sent after each of them.
    pub(crate) fn events(&self, outputs: &Value) -> Vec<Value> {
        let mut events = Vec::new();
        for output in outputs.as_array().unwrap() {
            let member = self.members.iter().find(|member| output["ID"] == member.id.as_str());
            let member = member.unwrap_or_else(|| panic!("no rule of the group: {output}"));
            for (time, values) in member.hits(&output["Matches"]) {
                events.push(event(&member.id, time, &values));
                if self.waits_for_absence() {
                    events.push(event(PASSED, time + Duration::minutes(self.minutes), &values));
                }
            }
        }
        events
    }
}

impl Member {
    fn condition(&self) -> String {
        let (operator, frame) = if self.is_absent { ("<", "around") } else { (">=", "before") };
        let (id, n) = (quoted(&self.id), self.n_min);
        format!("count(*) FILTER (WHERE action = {id}) OVER {frame} {operator} {n}")
    }

    /// Time and values to match of each hit. A hit stands once under each field that it has.
    fn hits(&self, matches: &Value) -> Vec<(DateTime<Utc>, Vec<String>)> {
        let hits = |field: &str| -> Vec<(DateTime<Utc>, String)> {
            let values = matches[field].as_object().into_iter().flatten();
            let hits = values.flat_map(|(value, times)| {
                let times = times.as_array().unwrap_or_else(|| panic!("{times}"));
                times.iter().map(|at| (time(at), value.clone()))
            });
            hits.collect()
        };
        let Some((first, others)) = self.fields.split_first() else {
            // Nothing is matched: the field that has most hits has all of them.
            let fields = matches.as_object().into_iter().flatten();
            let all = fields.map(|(field, _)| hits(field)).max_by_key(Vec::len).unwrap_or_default();
            return all.into_iter().map(|(time, _)| (time, Vec::new())).collect();
        };
        let mut found: Vec<_> =
            hits(first).into_iter().map(|(time, value)| (time, vec![value])).collect();
        for field in others {
            let more = hits(field);
            let with = |(time, values): (DateTime<Utc>, Vec<String>)| {
                let same = more.iter().filter(move |(at, _)| *at == time);
                let longer = |(_, value): &(_, String)| {
                    (time, values.iter().chain([value]).cloned().collect())
                };
                same.map(longer).collect::<Vec<_>>()
            };
            found = found.into_iter().flat_map(with).collect();
        }
        found
    }
}

/// The field that a criterion matches in the hits of a rule.
fn field(criterion: &Value, id: &Value) -> String {
    let of_rule = criterion.as_array().unwrap().iter().find(|entry| entry["GroupID"] == *id);
    text(&of_rule.unwrap_or_else(|| panic!("{id} is not in {criterion}"))["Match"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A time, or minutes since the start.
fn time(value: &Value) -> DateTime<Utc> {
    match value {
        Value::String(text) => DateTime::parse_from_rfc3339(text).unwrap().to_utc(),
        value => {
            let minutes = value.as_f64().unwrap_or_else(|| panic!("{value} is no time"));
            let seconds = START + (minutes * 60.0).round() as i64;
            DateTime::from_timestamp(seconds, 0).unwrap()
        }
    }
}

fn event(action: &str, time: DateTime<Utc>, values: &[String]) -> Value {
    let mut event = Map::new();
    event.insert("time".to_owned(), json!(time.to_rfc3339()));
    event.insert("action".to_owned(), json!(action));
    event.insert("account".to_owned(), json!(NOBODY));
    for (name, value) in KEYS.iter().zip(values) {
        event.insert((*name).to_owned(), json!(value));
    }
    Value::Object(event)
}
