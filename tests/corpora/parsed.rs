//! Parsed events of CrowdSec as events of ours, by what their fields mean.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::assertions::{self, Alert, Fields};
use super::lines;

/// What CrowdSec's parsers say of a line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Names and values.
    pub(crate) fields: Fields,
    /// When it happened.
    pub(crate) time: Option<String>,
}

/// A test of the hub.
pub(crate) struct HubTest {
    /// What was parsed.
    pub(crate) events: Vec<Event>,
    /// Which alerts there must be.
    pub(crate) alerts: Vec<Alert>,
}

/// Who it was about, in the words of several parsers.
const ACCOUNT: [&str; 7] =
    ["target_user", "username", "user", "source_user", "dovecot_user", "user_name", "login"];
/// The account of an event that names nobody.
const NOBODY: &str = "(none)";
/// The one moment of a log without times.
const SOME_TIME: &str = "2024-01-01T00:00:00Z";

/// Reads the folder of a test.
pub(crate) fn read(folder: &Path, log: &str) -> HubTest {
    let text = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_or_else(
            |error| panic!("{}: {error}", path.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    };
    // Tests of parsers alone have no alerts, and tests of scenarios alone no parsed lines.
    let optional = |name| if folder.join(name).exists() { text(name) } else { String::new() };
    let is_there = |name: &&str| folder.join(name).exists();
    let n_files = ["scenario.assert", "parser.assert"].iter().filter(|name| is_there(name)).count();
    assert!(n_files > 0, "{} has no assertions", folder.display());
    let alerts = assertions::alerts(&optional("scenario.assert"));
    let parsed = assertions::parsed(&optional("parser.assert"));
    let mut events: Vec<Event> = parsed.into_iter().map(Event::from).collect();
    tell_again(&mut events);
    if events.is_empty() && !alerts.is_empty() {
        events = listed(&alerts);
        lines::complete(&mut events, &alerts, &text(log));
    }
    HubTest { events, alerts }
}

/// Assertions made by hand may tell the type of the first line alone: it is that of all where there is one.
fn tell_again(events: &mut [Event]) {
    let types = events.iter().filter_map(|event| event.fields.get("log_type"));
    let types: BTreeSet<String> = types.cloned().collect();
    if let [only] = Vec::from_iter(types).as_slice() {
        for event in events.iter_mut().filter(|event| !event.fields.contains_key("sub_type")) {
            event.fields.entry("log_type".to_owned()).or_insert_with(|| only.clone());
        }
    }
}

impl From<assertions::Parsed> for Event {
    fn from(line: assertions::Parsed) -> Self {
        let time = line.meta.get("timestamp").cloned().or(line.time);
        let mut fields = line.parsed;
        fields.extend(line.meta);
        Self { fields, time }
    }
}

/// The events that alerts list. Scenarios share events and alerts of one scenario do not: an event is there
/// as often as one scenario has it.
fn listed(alerts: &[Alert]) -> Vec<Event> {
    let mut by_scenario: BTreeMap<&str, BTreeMap<&Fields, usize>> = BTreeMap::new();
    for alert in alerts {
        let counts = by_scenario.entry(&alert.scenario).or_default();
        for fields in &alert.events {
            *counts.entry(fields).or_default() += 1;
        }
    }
    let mut counts: BTreeMap<&Fields, usize> = BTreeMap::new();
    for (fields, n) in by_scenario.into_values().flatten() {
        let most = counts.entry(fields).or_default();
        *most = n.max(*most);
    }
    let event = |fields: &Fields| Event {
        time: fields.get("timestamp").filter(|time| !time.is_empty()).cloned(),
        fields: fields.clone(),
    };
    counts.into_iter().flat_map(|(fields, n)| vec![event(fields); n]).collect()
}

/// The event as `events` has it.
pub(crate) fn native(event: &Event) -> Value {
    let get = |name: &str| event.fields.get(name).filter(|value| !value.is_empty()).cloned();
    let first = |names: &[&str]| names.iter().find_map(|name| get(name));
    let mut native = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            native.insert(name.to_owned(), value);
        }
    };
    let text = |value: Option<String>| value.map(Value::from);
    set("time", Some(json!(event.time.as_deref().unwrap_or(SOME_TIME))));
    set("action", text(Some(first(&["log_type", "sub_type"]).unwrap_or_else(|| "log".to_owned()))));
    set("account", text(Some(first(&ACCOUNT).unwrap_or_else(|| NOBODY.to_owned()))));
    set("ip", text(get("source_ip")));
    set("source", text(get("service")));
    set("reason", text(get("sub_type")));
    set("resource", text(get("http_path")));
    set("user_agent", text(get("http_user_agent")));
    set("country", text(get("IsoCode")));
    let position = get("IsoCode").and_then(|country| position(&country));
    set("latitude", position.map(|(latitude, _)| json!(latitude)));
    set("longitude", position.map(|(_, longitude)| json!(longitude)));
    set("details", Some(json!(event.fields)));
    Value::Object(native)
}

/// The middle of a country: parsed events have its code, and not the position that the scenario sees.
fn position(country: &str) -> Option<(f64, f64)> {
    let table = include_str!("rules/countries.csv");
    let row = table.lines().find_map(|line| line.strip_prefix(country)?.strip_prefix(';'))?;
    let (latitude, longitude) = row.split_once(';')?;
    Some((latitude.parse().ok()?, longitude.parse().ok()?))
}
