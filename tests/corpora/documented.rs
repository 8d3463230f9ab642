//! The queries of `docs/writing-rules.md` that stand for rules of other systems do what is said of them.

use serde_json::{Value, json};

use super::engine;

const DOCUMENT: &str = include_str!("../../docs/writing-rules.md");

/// The rule under a marker.
fn rule(marker: &str, entity: &str) -> String {
    let marker = format!("<!-- {marker} -->\n```sql\n");
    let (_, behind) = DOCUMENT.split_once(&marker).unwrap_or_else(|| panic!("no {marker}"));
    let (query, _) = behind.split_once("```").unwrap();
    format!(
        "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"{entity}\"\nquiet = \"1 hour\"\n\
         horizon = \"200 seconds\"\nsummary = \"s\"\n*/\n{query}"
    )
}

/// Number of matches of actions at seconds.
fn n_matches(rule: &str, events: &[(&str, u64)]) -> usize {
    let event = |(action, second): &(&str, u64)| {
        json!({
            "time": 1_767_225_600 + second, "action": action, "outcome": "failure",
            "account": "a", "ip": "192.0.2.1",
        })
    };
    let events: Vec<Value> = events.iter().map(event).collect();
    engine::matches(&[rule.to_owned()], &events).len()
}

#[test]
fn a_bucket_overflows() {
    let rule = rule("leaky bucket", "ip");
    let every = |seconds: u64, n: u64| -> Vec<(&str, u64)> {
        (0..n).map(|i| ("login", i * seconds)).collect()
    };
    assert_eq!(n_matches(&rule, &every(1, 5)), 0);
    assert_eq!(n_matches(&rule, &every(1, 6)), 1);
    // Level with the leak, and a little faster: 24 steps of 8 seconds are less than 200.
    assert_eq!(n_matches(&rule, &every(10, 60)), 0);
    assert_eq!(n_matches(&rule, &every(8, 24)), 0);
    assert_eq!(n_matches(&rule, &every(8, 25)), 1);
    let six_in_ten_seconds = [0, 0, 0, 0, 0, 10].map(|second| ("login", second));
    assert_eq!(n_matches(&rule, &six_in_ten_seconds), 0);
    let in_less = [1, 1, 1, 1, 1, 10].map(|second| ("login", second));
    assert_eq!(n_matches(&rule, &in_less), 1);
}

#[test]
fn parts_correlate_in_any_order() {
    let rule = rule("correlation", "account");
    let (grant, change) = ("share_grant", "mfa_change");
    assert_eq!(n_matches(&rule, &[(grant, 0), (change, 10), (grant, 3600)]), 1);
    assert_eq!(n_matches(&rule, &[(change, 0), (grant, 10), (grant, 20)]), 1);
    assert_eq!(n_matches(&rule, &[(grant, 0), (change, 10), (grant, 3601)]), 0);
    assert_eq!(n_matches(&rule, &[(change, 0), (grant, 10)]), 0);
}

#[test]
fn absence_is_told_by_a_later_event() {
    let rule = rule("absence", "account");
    let (delete, verify, later) = ("recording_delete", "mfa_verify", "live_view");
    assert_eq!(n_matches(&rule, &[(delete, 100), (later, 3699)]), 0);
    assert_eq!(n_matches(&rule, &[(delete, 100), (later, 3700)]), 1);
    assert_eq!(n_matches(&rule, &[(delete, 100), (verify, 3000), (later, 3700)]), 0);
    assert_eq!(n_matches(&rule, &[(verify, 0), (delete, 100), (later, 3700)]), 0);
}
