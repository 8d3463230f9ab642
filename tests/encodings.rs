//! Alerts of the real rules, and odd ones, in the schemas of others: every OCSF document is a valid
//! Detection Finding.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

#[path = "support/ocsf.rs"]
#[allow(unreachable_pub)]
mod ocsf;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nightlatch::delivery::encoding::Encoding;
use nightlatch::delivery::record::AlertRecord;
use serde_json::{Value, json};

const BYTES_MAX: usize = 1 << 20;

/// The alerts that the rules in the binary find in the example log, each revision a line.
fn lines() -> &'static [Vec<u8>] {
    static LINES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    LINES.get_or_init(replay)
}

fn replay() -> Vec<Vec<u8>> {
    let output = Command::new(env!("CARGO_BIN_EXE_nightlatch"))
        .args(["replay", "examples/ring-2019.jsonl", "--json", "--quiet"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = output.stdout.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

fn record(line: &[u8]) -> AlertRecord {
    serde_json::from_slice(line).unwrap()
}

fn document(schema: Encoding, alert: &AlertRecord, bytes_max: usize) -> Value {
    let native = serde_json::to_vec(alert).unwrap();
    let line = schema.encode(alert, &native, bytes_max);
    assert!(line.len() <= bytes_max, "{schema:?}: {}", line.len());
    serde_json::from_slice(&line).unwrap()
}

fn assert_valid(alert: &AlertRecord, bytes_max: usize) -> Value {
    let document = document(Encoding::Ocsf, alert, bytes_max);
    let problems = ocsf::problems(&document);
    assert!(problems.is_empty(), "{problems:#?} in {document:#}");
    assert_eq!(document["finding_info"]["uid"], alert.id);
    document
}

#[test]
fn alerts_of_the_example_log_are_detection_findings() {
    let mut statuses = BTreeSet::new();
    let mut rules = BTreeSet::new();
    for line in lines() {
        let alert = record(line);
        let document = assert_valid(&alert, BYTES_MAX);
        statuses.insert(document["status"].as_str().unwrap().to_owned());
        rules.insert(alert.rule.clone());
        // Nothing of the alert is lost on the way.
        let unmapped = &document["unmapped"];
        assert_eq!(unmapped["values"], Value::Object(alert.values.clone()));
        assert_eq!(unmapped["evidence"], serde_json::to_value(&alert.evidence).unwrap());
        let names = |kind: u64| -> Vec<&str> {
            let observables = document["observables"].as_array().unwrap().iter();
            let of_kind = observables.filter(|one| one["type_id"] == kind);
            of_kind.map(|one| one["value"].as_str().unwrap()).collect()
        };
        assert_eq!(names(4), alert.accounts);
        assert_eq!(names(2), alert.ips);
    }
    assert_eq!(statuses.len(), 3, "{statuses:?}");
    assert!(rules.len() >= 8, "{rules:?}");
}

#[test]
fn native_is_the_line_of_the_engine_byte_for_byte() {
    for line in lines() {
        let alert = record(line);
        assert_eq!(Encoding::Native.encode(&alert, line, BYTES_MAX), *line);
        assert_eq!(
            serde_json::to_value(&alert).unwrap(),
            serde_json::from_slice::<Value>(line).unwrap()
        );
    }
}

#[test]
fn odd_alerts_are_detection_findings_too() {
    let line = &lines()[0];
    let name = "\u{202e}\u{1f600}\0<!channel>".repeat(5000);
    let odd = [
        json!({"accounts": [], "accounts_total": 0, "ips": [], "ips_total": 0}),
        json!({"accounts": ["", "a"], "ips": ["", "not an address", "::1", "1.2.3.4"]}),
        json!({"values": {"null": null, "deep": {"a": [1, null, 0.5]}, "": ""}, "attack": []}),
        json!({"attack": ["", ".", "T1110.004.9", "x".repeat(1000)]}),
        json!({"entity": "", "entity_type": "", "title": "", "summary": "", "evidence": []}),
        json!({"entity": name, "title": name, "summary": name, "accounts": [name], "ips": [name]}),
        json!({"started_at": "-9223372036854775808", "updated_at": "9223372036854775807"}),
        json!({"accounts": vec!["x".repeat(100_000); 3], "accounts_total": u64::MAX}),
        json!({"accounts": (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>()}),
        json!({"evidence": [{"time": "never"}], "evidence_total": u64::MAX, "matches": u64::MAX}),
    ];
    for (change, status, severity) in odd.iter().flat_map(|change| {
        let severities = ["info", "low", "medium", "high", "critical"];
        let statuses = ["opened", "updated", "closed"];
        statuses.map(|status| (change, status, severities[change.to_string().len() % 5]))
    }) {
        let mut alert: Value = serde_json::from_slice(line).unwrap();
        let members = alert.as_object_mut().unwrap();
        members.extend(change.as_object().unwrap().clone());
        members.extend([
            ("status".to_owned(), json!(status)),
            ("severity".to_owned(), json!(severity)),
        ]);
        let alert: AlertRecord = serde_json::from_value(alert).unwrap();
        for bytes_max in [BYTES_MAX, 20_000] {
            assert_valid(&alert, bytes_max);
            let ecs = document(Encoding::Ecs, &alert, bytes_max);
            assert_eq!(
                (&ecs["event"]["kind"], &ecs["ecs"]["version"]),
                (&json!("alert"), &json!("9.4.0"))
            );
        }
    }
}

#[test]
fn what_is_shortened_says_so() {
    let mut alert = record(&lines()[0]);
    assert_eq!(assert_valid(&alert, BYTES_MAX)["metadata"].get("is_truncated"), None);
    alert.accounts = (0..10_000).map(|n| format!("account-{n}")).collect();
    alert.accounts_total = 10_000;
    let document = assert_valid(&alert, 20_000);
    assert_eq!(document["metadata"]["is_truncated"], true);
    assert_eq!(document["unmapped"]["accounts_total"], 10_000);
}

/// The check is worth something only if it finds what is wrong.
#[test]
fn the_tables_find_mistakes() {
    let good = assert_valid(&record(&lines()[0]), BYTES_MAX);
    let with = |pointer: &str, value: Value| {
        let mut document = good.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        ocsf::problems(&document)
    };
    let mistakes = [
        ("/severity_id", json!(7)),
        ("/time", json!("2019-01-01T00:00:00Z")),
        ("/type_uid", json!(200_402)),
        ("/finding_info", json!({})),
        ("/finding_info/attacks", json!([{}])),
        ("/evidences", json!([{}])),
        ("/evidences/0", json!({"user": {}})),
        ("/observables/0", json!({"value": "x"})),
        ("/metadata/product", json!(null)),
        ("/metadata/version", json!("1.7.0")),
        ("/status", json!("Resolved")),
        ("/unmapped", json!([])),
        ("/resources", json!([{"type": "account"}])),
        ("/resources/0", json!({"name": "a", "colour": "red"})),
    ];
    for (pointer, value) in mistakes {
        assert!(!with(pointer, value.clone()).is_empty(), "{pointer}: {value}");
    }
}
