//! Verdicts of Panther's tests of correlation rules: does the group match or not.

use std::fs;

use serde_json::{Value, json};

use super::sequence_rule::Group;
use super::{engine, folder};

/// Whether the rules of the group match the hits.
fn fires(detection: &Value, outputs: &Value) -> bool {
    let group = Group::new(detection);
    !engine::matches(&[group.rule()], &group.events(outputs)).is_empty()
}

#[test]
fn verdicts_of_panther_agree() {
    let Some(folder) = folder("verdicts of Panther") else { return };
    let text = fs::read_to_string(folder.join("verdicts/sequences.jsonl")).unwrap();
    let tests: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_wrong = |test: &&Value| {
        let detections = test["detection"].as_array().unwrap();
        let fires = detections.iter().any(|detection| fires(detection, &test["rule_outputs"]));
        fires != test["expected"].as_bool().unwrap()
    };
    let wrong: Vec<String> =
        tests.iter().filter(is_wrong).map(|t| format!("{}: {}", t["rule"], t["test"])).collect();
    eprintln!("{} sequences, {} differ", tests.len(), wrong.len());
    assert!(!tests.is_empty());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn group(minutes: u64, rules: &Value, criteria: &Value) -> Value {
    json!({"Group": rules, "MatchCriteria": criteria, "LookbackWindowMinutes": minutes})
}

fn by_user(ids: &[&str]) -> Value {
    let entries: Vec<Value> =
        ids.iter().map(|id| json!({"GroupID": id, "Match": format!("{id}.user")})).collect();
    json!({"user": entries})
}

/// Hits of a rule by user at minutes.
fn hits(id: &str, user: &str, minutes: &[f64]) -> Value {
    json!({"ID": id, "Matches": {format!("{id}.user"): {user: minutes}}})
}

#[test]
fn order_does_not_matter_and_counts_do() {
    let rules = json!([{"ID": "a", "MinMatchCount": 3}, {"ID": "b"}]);
    let detection = group(60, &rules, &by_user(&["a", "b"]));
    let check =
        |a: &[f64], b: &[f64]| fires(&detection, &json!([hits("a", "x", a), hits("b", "x", b)]));
    assert!(check(&[0.0, 1.0, 2.0], &[3.0]));
    assert!(check(&[1.0, 2.0, 3.0], &[0.0]));
    assert!(check(&[1.0, 1.0, 1.0], &[1.0]));
    assert!(!check(&[1.0, 2.0], &[0.0]));
    assert!(!check(&[0.0, 1.0, 2.0], &[]));
    // The frame is 60 minutes, both ends in it.
    assert!(check(&[0.0, 30.0, 60.0], &[10.0]));
    assert!(!check(&[0.0, 30.0, 60.5], &[10.0]));
    assert!(check(&[0.0, 30.0, 60.5, 61.0, 61.0], &[10.0]));
}

#[test]
fn values_are_not_mixed() {
    let rules = json!([{"ID": "a", "MinMatchCount": 2}, {"ID": "b"}]);
    let detection = group(60, &rules, &by_user(&["a", "b"]));
    let two =
        json!([{"ID": "a", "Matches": {"a.user": {"x": [0], "y": [1]}}}, hits("b", "x", &[2.0])]);
    assert!(!fires(&detection, &two));
    let unmatched = group(60, &rules, &Value::Null);
    assert!(fires(&unmatched, &two));
    // Two criteria must hold for the same hits.
    let both = json!({
        "user": [{"GroupID": "a", "Match": "u"}, {"GroupID": "b", "Match": "u"}],
        "ip": [{"GroupID": "a", "Match": "i"}, {"GroupID": "b", "Match": "j"}],
    });
    let rules = json!([{"ID": "a"}, {"ID": "b"}]);
    let hit = |user: &str, field: &str, ip: &str, minute: u64| json!({"u": {user: [minute]}, field: {ip: [minute]}});
    let check = |ip: &str| {
        let outputs = json!([
            {"ID": "a", "Matches": hit("x", "i", "192.0.2.1", 0)},
            {"ID": "b", "Matches": hit("x", "j", ip, 1)},
        ]);
        fires(&group(60, &rules, &both), &outputs)
    };
    assert!(check("192.0.2.1"));
    assert!(!check("192.0.2.2"));
}

#[test]
fn what_must_be_absent_is_looked_for_on_both_sides() {
    let rules = json!([{"ID": "a"}, {"ID": "b", "Absence": true}]);
    let detection = group(60, &rules, &by_user(&["a", "b"]));
    let check = |b: &[f64], user: &str| {
        fires(&detection, &json!([hits("a", "x", &[100.0]), hits("b", user, b)]))
    };
    assert!(check(&[], "x"));
    assert!(!check(&[90.0], "x"));
    assert!(!check(&[100.0], "x"));
    assert!(!check(&[110.0], "x"));
    assert!(check(&[110.0], "y"));
    assert!(check(&[39.0, 161.0], "x"));
    assert!(!check(&[40.0], "x"));
    assert!(!check(&[160.0], "x"));
    // Fewer than so many is absent too.
    let rules = json!([{"ID": "a"}, {"ID": "b", "Absence": true, "MinMatchCount": 3}]);
    let detection = group(60, &rules, &by_user(&["a", "b"]));
    let check =
        |b: &[f64]| fires(&detection, &json!([hits("a", "x", &[100.0]), hits("b", "x", b)]));
    assert!(check(&[99.0, 101.0]));
    assert!(!check(&[99.0, 101.0, 102.0]));
}
