//! `alerts list` and `alerts show`: what replay found, read again.

use super::*;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/ring-2019.jsonl");
const FILE: &str = "alerts.jsonl";

/// A file of the alerts that one rule of three failures makes of the example, in a folder with the rule.
fn alerts() -> tempfile::TempDir {
    let folder = folder();
    let replay = ["replay", EXAMPLE, "--rules", "rules", "--alerts", "alerts.jsonl", "--quiet"];
    let ran = run(folder.path(), &replay);
    assert_eq!(ran.code, 0, "{}", ran.err);
    folder
}

#[test]
fn each_alert_is_listed_once_and_can_be_picked() {
    let folder = alerts();
    let all = run(folder.path(), &["alerts", "list", "--alerts", FILE]);
    assert_eq!(all.code, 0, "{}", all.err);
    let ids: Vec<&str> = all.out.lines().skip(1).map(|line| &line[..8]).collect();
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    let opened = text.lines().filter(|line| line.contains("\"status\":\"opened\"")).count();
    assert!(opened > 5 && ids.len() == opened, "{}", all.out);
    assert!(all.out.lines().all(|line| line.chars().count() <= 80), "{}", all.out);

    let one =
        run(folder.path(), &["alerts", "list", "--alerts", FILE, "--ip", "203.0.113.81", "--json"]);
    let alert: serde_json::Value = serde_json::from_str(one.out.lines().next().unwrap()).unwrap();
    assert_eq!(alert["entity"], "203.0.113.81");
    for nothing in [["--severity", "critical"], ["--rule", "other"], ["--until", "2019-01-01"]] {
        let ran = run(folder.path(), &["alerts", "list", "--alerts", FILE, nothing[0], nothing[1]]);
        assert_eq!((ran.code, ran.out.lines().count()), (0, 1), "{nothing:?}: {}", ran.out);
    }
}

#[test]
fn an_alert_is_explained_with_its_events() {
    let folder = alerts();
    let listed =
        run(folder.path(), &["alerts", "list", "--alerts", FILE, "--rule", "three_failures"]);
    let id = &listed.out.lines().nth(1).unwrap()[..8];
    let shown = run(folder.path(), &["alerts", "show", id, "--alerts", FILE, "--rules", "rules"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in [
        "Three failures",
        "Why it fired",
        "failures >= 3",
        "silent",
        "login, failure",
        "ring-2019.jsonl:",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let without = run(folder.path(), &["alerts", "show", id, "--alerts", FILE]);
    assert!(without.out.contains("name its folder by --rules"), "{}", without.out);
}

#[test]
fn what_cannot_be_shown_is_told() {
    let folder = alerts();
    write(folder.path(), "bad.jsonl", "{\"id\":1}\n");
    let cases = [
        (["zzzz", FILE], "there is no alert `zzzz`"),
        (["", FILE], "alerts have an id that begins with"),
        (["a", "missing.jsonl"], "the alerts cannot be read"),
        (["a", "bad.jsonl"], "Line 1 is no alert"),
    ];
    for ([id, file], words) in cases {
        let ran = run(folder.path(), &["alerts", "show", id, "--alerts", file]);
        assert_eq!(ran.code, 64, "{}", ran.err);
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
}

#[test]
fn an_incident_is_told_with_its_alerts() {
    let folder = alerts();
    let listed = run(folder.path(), &["alerts", "list", "--alerts", FILE, "--rule", "incident"]);
    let id = &listed.out.lines().nth(1).unwrap()[..8];
    let shown = run(folder.path(), &["alerts", "show", id, "--alerts", FILE]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in ["was tried from", "Its alerts", "three_failures", "login, failure"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(shown.out.lines().all(|line| line.chars().count() <= 80), "{}", shown.out);
}
