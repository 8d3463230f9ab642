//! Verdicts of the tests of the CrowdSec hub about logins: who is flagged, and nobody else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::parsed::{self, HubTest};
use super::scenarios::{self, Scenario};
use super::{engine, folder};

/// Who is flagged by which scenario.
type Flagged = BTreeSet<(String, String)>;

/// A line of `index.json`.
struct Entry {
    test: String,
    log: String,
    files: Vec<String>,
    n_alerts: Option<u64>,
    sources: Vec<String>,
}

fn entry(value: &Value) -> Entry {
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    let files = value["scenarios"].as_array().unwrap().iter().filter_map(Value::as_str);
    Entry {
        test: text("test"),
        log: text("log_file"),
        files: files.map(file_name).filter(|file| !file.is_empty()).collect(),
        n_alerts: value["expected_overflows"].as_u64(),
        sources: value["expected_sources"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .map(address)
            .collect(),
    }
}

/// `author/name`, however the test writes it.
fn file_name(path: &str) -> String {
    let path = path.trim().trim_start_matches("./").trim_start_matches("scenarios/");
    path.trim_end_matches(".yaml").to_owned()
}

/// An address as the decoder has it: IPv4 in IPv6 is IPv4.
fn address(source: &str) -> String {
    let mapped = source.strip_prefix("::ffff:").filter(|rest| rest.contains('.'));
    mapped.unwrap_or(source).to_owned()
}

fn expected(test: &HubTest) -> Flagged {
    let named = test.alerts.iter().flat_map(|alert| {
        alert.sources.iter().map(|source| (alert.scenario.clone(), address(source)))
    });
    named.collect()
}

fn flagged(scenarios: &[&Scenario], test: &HubTest) -> Flagged {
    let rules: Vec<String> = scenarios.iter().map(|scenario| scenario.rule()).collect();
    let events: Vec<Value> = test.events.iter().map(parsed::native).collect();
    let mut flagged = Flagged::new();
    for found in engine::matches(&rules, &events) {
        let sources = ["flagged", "flagged_before"].into_iter().filter_map(|name| found.get(name));
        let scenario = scenarios[found.rule].name;
        flagged.extend(sources.map(|source| (scenario.to_owned(), source.to_owned())));
    }
    flagged
}

/// Runs the rules of the test's own scenarios: what is missing, what is too much.
fn differences(folder: &Path, entry: &Entry, all: &[Scenario]) -> (HubTest, Vec<String>) {
    let test = parsed::read(&folder.join(&entry.test), &entry.log);
    let mut differences = Vec::new();
    let mut differ = |what: String| differences.push(format!("{}: {what}", entry.test));
    let own: Vec<&Scenario> =
        all.iter().filter(|s| entry.files.iter().any(|file| file == s.file)).collect();
    for file in entry.files.iter().filter(|file| own.iter().all(|s| s.file != file.as_str())) {
        differ(format!("no thresholds are known of {file}"));
    }
    if entry.n_alerts.is_some_and(|n| n != test.alerts.len() as u64) {
        differ(format!("{} alerts are read, {:?} announced", test.alerts.len(), entry.n_alerts));
    }
    let (expected, flagged) = (expected(&test), flagged(&own, &test));
    for source in entry.sources.iter().filter(|own| expected.iter().all(|(_, s)| s != *own)) {
        differ(format!("no alert about {source} is read"));
    }
    for (scenario, source) in expected.difference(&flagged) {
        differ(format!("{scenario} does not flag {source}"));
    }
    for (scenario, source) in flagged.difference(&expected) {
        differ(format!("{scenario} flags {source} too"));
    }
    (test, differences)
}

#[test]
fn verdicts_of_crowdsec_agree() {
    let Some(folder) = folder("verdicts of CrowdSec") else { return };
    let folder = folder.join("verdicts/crowdsec");
    let index = fs::read(folder.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let scenarios = scenarios::all();
    let (mut n_alerts, mut n_events, mut n_sources) = (0, 0, 0);
    let mut all_differences = Vec::new();
    let entries: Vec<Entry> = index.as_array().unwrap().iter().map(entry).collect();
    for entry in &entries {
        let (test, differences) = differences(&folder, entry, &scenarios);
        n_alerts += test.alerts.len();
        n_events += test.events.len();
        n_sources += expected(&test).len();
        all_differences.extend(differences);
    }
    eprintln!(
        "{} tests, {n_events} events, {n_alerts} alerts about {n_sources} sources: {} differences",
        entries.len(),
        all_differences.len()
    );
    assert!(n_alerts > 0, "no alert is expected");
    assert!(all_differences.is_empty(), "{all_differences:#?}");
}

#[test]
fn every_scenario_is_a_rule() {
    let scenarios = scenarios::all();
    let rules: Vec<String> = scenarios.iter().map(|s| s.without_threshold().rule()).collect();
    assert!(engine::matches(&rules, &[]).is_empty());
    let mut kinds = BTreeSet::new();
    for scenario in scenarios.iter().filter(|s| kinds.insert(s.kind_name())) {
        assert!(engine::matches(&[scenario.rule()], &[]).is_empty());
    }
    assert_eq!(kinds.len(), 5);
}
