//! The incidents of the example log, held against what was planted.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const LOG: &str = "examples/ring-2019.jsonl";
const TRUTH: &str = "examples/ring-2019.truth.jsonl";

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

/// What the log says that was done in a takeover: one action after the other, without the doors.
fn planted_actions(account: &str, started_at: &str, ended_at: &str, ip: &str) -> Vec<String> {
    let log = objects(&fs::read(repository().join(LOG)).unwrap());
    let mut actions: Vec<String> = Vec::new();
    for event in log.iter().filter(|event| event["account"] == account && event["ip"] == ip) {
        let time = text(event, "time");
        let action = text(event, "action").to_owned();
        let is_door = ["login", "session_refresh", "logout", "mfa_challenge", "mfa_verify"];
        let is_within = started_at <= time && time <= ended_at;
        let is_step = event["outcome"] != "failure" && !is_door.contains(&action.as_str());
        if is_within && is_step && actions.last() != Some(&action) {
            actions.push(action);
        }
    }
    actions
}

#[test]
fn every_planted_takeover_is_told_in_the_right_order() {
    let incidents = incidents(&replay(""));
    let truth = objects(&fs::read(repository().join(TRUTH)).unwrap());
    let mut n_takeovers = 0;
    for planted in truth.iter().filter(|one| !one["rule"].is_null()) {
        for account in planted["fell"].as_array().unwrap() {
            let account = account.as_str().unwrap();
            let (incident, fall) = fall(&incidents, account);
            assert!(text(fall, "fell_at") <= text(planted, "ended_at").max(text(fall, "fell_at")));
            assert!(text(incident, "summary").contains(account), "{incident}");
            if !text(planted, "kind").starts_with("takeover") {
                continue;
            }
            n_takeovers += 1;
            let steps = fall["steps"].as_array().unwrap();
            let ip = text(&steps[0], "ip");
            let times = (text(planted, "started_at"), text(planted, "ended_at"));
            let expected = planted_actions(account, times.0, times.1, ip);
            assert!(expected.len() >= 3, "{account}: {expected:?}");
            let told: Vec<&str> = steps.iter().map(|step| text(step, "action")).collect();
            assert_eq!(told, expected, "{account}");
            assert!(steps.is_sorted_by_key(|step| text(step, "from").to_owned()));
            assert_eq!(incident["severity"], "critical");
        }
    }
    assert!(n_takeovers >= 6, "only {n_takeovers} takeovers fell");
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
    for batch_events in [1, 37] {
        assert_eq!(replay(&format!("[order]\nbatch_events = {batch_events}\n")), expected);
    }
}
