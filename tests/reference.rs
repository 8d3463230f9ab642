//! Reference tables: CSV files joined to the events, by the live core and by plain DataFusion.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const FRONT: &str = r#"/*
title = "t"
severity = "low"
entity = "account"
quiet = "10 minutes"
summary = "{account}"
*/
"#;

const EVENTS: &str = r#"{"time":"2026-03-01T12:00:00Z","action":"login","account":"a","ip":"192.0.2.1","asn":1}
{"time":"2026-03-01T12:00:01Z","action":"login","account":"b","ip":"192.0.2.2","asn":2}
{"time":"2026-03-01T12:00:02Z","action":"login","account":"c"}
{"time":"2026-03-01T12:00:03Z","action":"login","account":"d","ip":"","asn":3}
{"time":"2026-03-01T12:00:04Z","action":"login","account":"a","ip":"192.0.2.9","asn":1}
{"time":"2026-03-01T12:00:05Z","action":"login","account":"b","ip":"192.0.2.1"}
"#;

const OFFICES: &str =
    "ip,town,desks,number\n192.0.2.1,Berlin,40,1\n192.0.2.2,Köln,,2\n192.0.2.7,Bonn,3,\n";

/// A folder with events, a configuration that names the tables, and the tables.
fn folder(offices: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("x.jsonl", EVENTS);
    write("offices.csv", offices);
    write("nobody.csv", "ip,asn\n");
    let table = |name: &str| format!("[[reference]]\nname = \"{name}\"\nfile = \"{name}.csv\"\n");
    write("c.toml", &format!("{}{}", table("offices"), table("nobody")));
    fs::create_dir(folder.path().join("rules")).unwrap();
    folder
}

fn nightlatch(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    command.args(arguments).args(["--rules", "rules", "--config", "c.toml"]);
    command.current_dir(folder).output().unwrap()
}

fn rows(folder: &Path, engine: &str) -> String {
    let output = nightlatch(folder, &["rules", "run", "r", "x.jsonl", "--engine", engine]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{engine}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn joins_give_what_plain_datafusion_gives() {
    let select = "SELECT time, account, ip FROM events WHERE";
    let cases: &[(&str, &str, usize)] = &[
        (
            "join",
            "SELECT e.time, account, town, desks FROM events e JOIN offices o ON e.ip = o.ip",
            3,
        ),
        (
            "join, table first",
            "SELECT e.time, account, town FROM offices o JOIN events e ON e.ip = o.ip",
            3,
        ),
        (
            "left join",
            "SELECT e.time, account, town, desks FROM events e LEFT JOIN offices o ON e.ip = o.ip",
            6,
        ),
        (
            "left join, none found",
            "SELECT e.time, account, town FROM events e LEFT JOIN offices o USING (ip) WHERE town IS NULL",
            3,
        ),
        (
            "keys of two types",
            "SELECT e.time, account, town FROM events e JOIN offices o ON e.asn = o.number",
            3,
        ),
        (
            "two keys",
            "SELECT e.time, account FROM events e JOIN offices o ON e.ip = o.ip AND e.asn = o.number",
            2,
        ),
        (
            "part of the table",
            "SELECT e.time, account FROM events e JOIN (SELECT ip FROM offices WHERE desks > 1) o ON e.ip = o.ip",
            2,
        ),
        (
            "join below a window",
            "SELECT e.time, account, count(*) OVER (PARTITION BY town ORDER BY e.time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS n FROM events e LEFT JOIN offices o ON e.ip = o.ip",
            6,
        ),
        (
            "join above a window",
            "WITH w AS (SELECT time, account, ip, count(*) OVER (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS n FROM events) SELECT time, account, n, town FROM w JOIN offices ON w.ip = offices.ip",
            3,
        ),
        ("in", "ip IN (SELECT ip FROM offices)", 3),
        ("not in", "ip NOT IN (SELECT ip FROM offices)", 2),
        ("not in a table with NULL", "asn NOT IN (SELECT number FROM offices)", 0),
        (
            "not in a table without NULL",
            "asn NOT IN (SELECT number FROM offices WHERE number IS NOT NULL)",
            1,
        ),
        ("not in an empty table", "ip NOT IN (SELECT ip FROM nobody)", 6),
        ("in an empty table", "ip IN (SELECT ip FROM nobody)", 0),
        ("exists", "EXISTS (SELECT 1 FROM offices WHERE offices.ip = events.ip)", 3),
        ("not exists", "NOT EXISTS (SELECT 1 FROM offices WHERE offices.ip = events.ip)", 3),
    ];
    for (name, query, n_rows) in cases {
        let folder = folder(OFFICES);
        let is_condition = !query.starts_with("SELECT") && !query.starts_with("WITH");
        let query = if is_condition { format!("{select} {query}") } else { (*query).to_owned() };
        fs::write(folder.path().join("rules/r.sql"), format!("{FRONT}{query}")).unwrap();
        let live = rows(folder.path(), "live");
        assert_eq!(live.lines().count(), *n_rows, "{name}: {live}");
        assert_eq!(rows(folder.path(), "batch"), live, "{name}");
    }
}

#[test]
fn a_key_that_comes_twice_is_refused_where_it_would_double_events() {
    let folder = folder(&format!("{OFFICES}192.0.2.1,Bremen,1,9\n"));
    let rule = |text: &str| fs::write(folder.path().join("rules/r.sql"), text).unwrap();
    rule(&format!("{FRONT}SELECT e.time, account FROM events e\nJOIN offices o ON e.ip = o.ip"));
    let output = nightlatch(folder.path(), &["rules", "check"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    let expected = "rules/r.sql:9:1: two rows of the reference table have the same key";
    assert!(err.contains(expected) && err.contains("hint: Remove the double row"), "{err}");
    rule(&format!("{FRONT}SELECT time, account FROM events WHERE ip IN (SELECT ip FROM offices)"));
    assert_eq!(rows(folder.path(), "live").lines().count(), 3);
    assert_eq!(rows(folder.path(), "batch"), rows(folder.path(), "live"));
}

#[test]
fn a_table_that_cannot_be_used_is_told() {
    let rule = format!("{FRONT}SELECT time, account FROM events");
    let replay = |folder: &Path| {
        fs::write(folder.join("rules/r.sql"), &rule).unwrap();
        let output = nightlatch(folder, &["replay", "x.jsonl"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let missing = folder(OFFICES);
    fs::remove_file(missing.path().join("offices.csv")).unwrap();
    let (code, err) = replay(missing.path());
    assert_eq!(code, Some(64), "{err}");
    let expected = "error: offices.csv: the reference table `offices` cannot be read\n  detail: ";
    assert!(err.starts_with(expected) && err.contains("hint: Name a CSV file"), "{err}");

    let ragged = folder("ip,town\n192.0.2.1\n");
    let (code, err) = replay(ragged.path());
    assert_eq!(code, Some(64), "{err}");
    assert!(err.contains("the reference table `offices` cannot be read"), "{err}");

    let taken = folder(OFFICES);
    let config = "[[reference]]\nname = \"events\"\nfile = \"offices.csv\"\n";
    fs::write(taken.path().join("c.toml"), config).unwrap();
    let (code, err) = replay(taken.path());
    assert_eq!(code, Some(64), "{err}");
    assert!(err.contains("events"), "{err}");
}
