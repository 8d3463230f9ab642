//! The incremental engine and plain DataFusion on a log with everything in it that rules look for.

use serde_json::Value;

use super::{rules, said};

const EVENTS: &str = "20000";

fn rows(rule: &str, log: &str, engine: &str) -> Vec<Value> {
    let folder = super::queries();
    let folder = folder.to_string_lossy();
    let text =
        said(&["rules", "run", rule, log, "--rules", &folder, "--engine", engine, "--quiet"]);
    text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
}

/// Sums of floats round differently when they are taken back than when they are added up anew.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
            (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1.0)
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|r| same(value, r)))
        }
        _ => left == right,
    }
}

#[test]
fn the_oracle_gives_the_same_rows_of_a_city() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log.jsonl").to_string_lossy().into_owned();
    said(&["simulate", "--scenario", "city", "--seed", "31", "--events", EVENTS, "--output", &log]);
    let mut n_rows = 0;
    for rule in rules() {
        let (live, batch) = (rows(&rule.id, &log, "live"), rows(&rule.id, &log, "batch"));
        assert_eq!(live.len(), batch.len(), "{}", rule.id);
        n_rows += live.len();
        for (index, (live, batch)) in live.iter().zip(&batch).enumerate() {
            assert!(same(live, batch), "{} row {index}:\n{live}\n{batch}", rule.id);
        }
    }
    assert!(n_rows >= 100, "only {n_rows} rows");
}
