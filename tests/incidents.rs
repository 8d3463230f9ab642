//! The incidents of the example log, held against what was planted.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

mod planted;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const LOG: &str = "examples/ring-2019.jsonl";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn objects(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn replay(config: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    command.args(["replay", LOG, "--json", "--quiet", "--config"]).arg(path);
    let output = command.current_dir(repository()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    objects(&output.stdout)
}

fn is_incident(one: &Value) -> bool {
    one["kind"] == "incident"
}

/// The last revision of each incident that no other took over.
fn incidents(told: &[Value]) -> Vec<Value> {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for one in told.iter().filter(|one| is_incident(one)) {
        last.insert(one["id"].as_str().unwrap().to_owned(), one.clone());
    }
    last.into_values().filter(|one| one.get("merged_into").is_none()).collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// The one incident in which an account fell, and its entry there.
fn fall<'i>(incidents: &'i [Value], account: &str) -> (&'i Value, &'i Value) {
    let found = incidents.iter().flat_map(|incident| {
        let fallen = incident["fallen"].as_array().unwrap().iter();
        fallen.filter(|fall| fall["account"] == account).map(move |fall| (incident, fall))
    });
    let found: Vec<_> = found.collect();
    let [one] = found[..] else { panic!("{account} fell in {} incidents", found.len()) };
    one
}

#[test]
fn every_planted_takeover_is_told_as_it_was() {
    let incidents = incidents(&replay(""));
    let takeovers = planted::takeovers();
    let fell = |incident: &Value| {
        let fallen = incident["fallen"].as_array().unwrap().iter();
        fallen.map(|fall| text(fall, "account").to_owned()).collect::<Vec<_>>()
    };
    let mut told: Vec<String> = incidents.iter().flat_map(fell).collect();
    told.sort();
    assert_eq!(told, takeovers.keys().cloned().collect::<Vec<_>>());
    for (account, takeover) in &takeovers {
        let (incident, fall) = fall(&incidents, account);
        assert_eq!(text(fall, "fell_at"), takeover.fell_at, "{account}");
        assert_eq!(fall["steps"], Value::from(takeover.steps.clone()), "{account}");
        assert!(text(incident, "summary").contains(account), "{incident}");
        let alerts = incident["alerts"].as_array().unwrap();
        let rules: BTreeSet<String> =
            alerts.iter().map(|alert| text(alert, "rule").to_owned()).collect();
        assert!(rules.is_superset(&takeover.rules), "{account}: {rules:?} of {takeover:?}");
        if takeover.was_used {
            assert!(takeover.steps.len() >= 3, "{account}: {takeover:?}");
            assert_eq!(incident["severity"], "critical", "{account}");
        }
    }
    let n_used = takeovers.values().filter(|takeover| takeover.was_used).count();
    assert_eq!((takeovers.len(), n_used), (9, 8));
}

#[test]
fn the_paragraphs_of_the_example_log() {
    let mut incidents = incidents(&replay(""));
    incidents.sort_by_key(|one| text(one, "started_at").to_owned());
    let mut words = String::new();
    for one in &incidents {
        words += &format!(
            "{} {}\n    {}\n",
            text(one, "severity"),
            text(one, "title"),
            text(one, "summary")
        );
    }
    insta::assert_snapshot!("incidents_of_ring_2019", words);
}

#[test]
fn every_alert_is_in_one_incident_and_incidents_have_the_fields_of_alerts() {
    let told = replay("");
    let (incidents_told, alerts): (Vec<Value>, Vec<Value>) =
        told.iter().cloned().partition(is_incident);
    let incidents = incidents(&told);
    let mut ids: Vec<&str> = incidents
        .iter()
        .flat_map(|one| one["alerts"].as_array().unwrap().iter().map(|alert| text(alert, "id")))
        .collect();
    ids.sort_unstable();
    let mut expected: Vec<&str> = alerts.iter().map(|alert| text(alert, "id")).collect();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(ids, expected);
    let keys = alerts[0].as_object().unwrap().keys();
    for one in &incidents_told {
        keys.clone().for_each(|key| assert!(one.get(key).is_some(), "no {key} in {one}"));
    }
}

#[test]
fn alerts_are_the_same_with_incidents_and_without() {
    let mut with = replay("");
    with.retain(|one| !is_incident(one));
    assert_eq!(with, replay("[incidents]\nenabled = false\n"));
}

#[test]
fn batches_do_not_show() {
    let expected = replay("");
    assert_eq!(replay("[order]\nbatch_events = 1\n"), expected);
}
