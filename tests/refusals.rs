//! Rule files that are refused: place, message, hint; and a sound rule beside each still runs.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const FRONT: &str = r#"/*
title = "Three failures"
severity = "high"
entity = "ip"
quiet = "10 minutes"
summary = "{failures} failures from {ip}"
*/
"#;

const QUERY: &str = "SELECT time, ip, account, count(*) OVER recent AS failures
FROM events
WHERE action = 'login' AND outcome = 'failure'
WINDOW recent AS (PARTITION BY ip ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW)
QUALIFY failures >= 3
";

const FRAME: &str = "RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW";

/// Line and column, part of the message, part of the hint or detail.
type Answer = (&'static str, &'static str, &'static str);

fn check(folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    command.args(["rules", "check", "--rules", "rules"]).current_dir(folder);
    command.output().unwrap()
}

/// Checks a folder that holds `bad.sql` and a sound rule.
fn assert_refused(name: &str, bad: &[u8], (place, message, hint): Answer) {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("sound.sql"), format!("{FRONT}{QUERY}")).unwrap();
    fs::write(rules.join("bad.sql"), bad).unwrap();
    let output = check(folder.path());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{name}: {text}");
    assert!(text.ends_with("1 rules run, 1 refused\n"), "{name}: {text}");
    let (first, rest) = text.split_once('\n').unwrap();
    let start = format!("refused: rules/bad.sql:{place}: ");
    assert!(first.starts_with(&start), "{name}: not at {place}: {text}");
    assert!(first.contains(message), "{name}: no {message:?} in {text}");
    assert!(rest.contains(hint), "{name}: no {hint:?} in {text}");
    assert!(!text.contains("panicked") && !text.contains("DataFusion"), "{name}: {text}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{name}: a rule wrote a file");
}

#[test]
fn an_edit_of_a_sound_rule_is_refused_where_it_stands() {
    let last = "lag(account) OVER (PARTITION BY ip ORDER BY time)";
    let row_number = "row_number() OVER (PARTITION BY ip ORDER BY time)";
    let window = "Write ORDER BY time RANGE BETWEEN";
    let frame = "Write RANGE BETWEEN INTERVAL";
    let count = "count(*) OVER recent";
    // What is replaced, by what, and the answer.
    let cases: &[(&str, &str, Answer)] = &[
        ("account, c", "acount, c", ("8:18", "no column `acount`", "Did you mean `account`?")),
        ("account, c", "flavour, c", ("8:18", "no column `flavour`", "There are: time, action,")),
        ("account, c", "time, c", ("8:8", "two columns have the name `time`", "by AS")),
        ("count(*)", "cuont(*)", ("8:27", "no function `cuont`", "Did you mean `count`?")),
        ("count(*)", "avg(ip)", ("8:27", "`avg` does not take (text)", "Cast the argument")),
        ("severity", "severty", ("3:1", "unknown field `severty`", "Did you mean `severity`?")),
        ("severity", "flavour", ("3:1", "unknown field `flavour`", "There are: title,")),
        ("\"high\"", "\"hihg\"", ("3:12", "unknown variant `hihg`, expected one of `info`", "")),
        ("10 minutes", "10 minuts", ("5:1", "is not a duration", "such as \"30 minutes\"")),
        ("FROM", "FORM", ("9:1", "found `FORM`", "Did you mean `FROM`?")),
        ("SELECT", "SELCT", ("8:1", "`SELCT` begins no query", "Did you mean `SELECT`?")),
        (" 3\n", "", ("12:18", "expected expression, found the end", "")),
        ("'failure'", "'failure", ("11:75", "unterminated string literal", "")),
        ("time, ip", "ip", ("8:1", "does not give the event time as `time`", "Add `time`")),
        ("time, ip", "recorded_at AS time, ip", ("8:23", "is not the event time", "by AS")),
        ("time, ip", "time", ("4:1", "no column `ip`, which `entity`", "Add it to the SELECT")),
        ("\"ip\"", "\"pi\"", ("4:1", "no column `pi`, which `entity`", "Did you mean `ip`?")),
        ("{failures}", "{failure}", ("6:1", "placeholder {failure}", "did you mean {failures}?")),
        (
            "'failure'\n",
            "'failure' AND time < now()\n",
            ("10:59", "`now()` reads a clock", "`time`"),
        ),
        ("'failure'\n", "'failure' AND 1 < random()\n", ("10:56", "`random()` reads a", "`time`")),
        (
            "'failure'\n",
            "'failure' AND time < current_timestamp\n",
            ("10:59", "reads a clock", "Use the event's own `time`."),
        ),
        ("'failure'\n", "'failure' AND time > 'noon'\n", ("10:59", "timestamp from 'noon'", "")),
        ("outcome = 'failure'", "1 = 2", ("10:1", "can never give a row", "contradicts itself")),
        ("SELECT", "SELECT DISTINCT", ("8:8", "DISTINCT over a stream", "Leave it out")),
        (">= 3", ">= 3\nORDER BY time", ("13:1", "ORDER BY needs the whole log", "Leave it out")),
        (">= 3", ">= 3\nLIMIT 5", ("13:1", "LIMIT depends on where", "QUALIFY chooses rows")),
        ("RANGE BETWEEN INTERVAL '10' MINUTE", "ROWS BETWEEN 5", ("11:49", "a ROWS frame", frame)),
        ("INTERVAL '10' MINUTE", "UNBOUNDED", ("11:63", "a frame without a bound", frame)),
        (FRAME, "", ("8:27", "a frame without a bound", frame)),
        ("CURRENT ROW", "INTERVAL '1' DAY FOLLOWING", ("11:115", "into the future", frame)),
        ("'10' MINUTE", "'1' MONTH", ("11:63", "months, whose length varies", "INTERVAL '30' DAY")),
        ("'10' MINUTE", "'ten' MINUTE", ("11:72", "syntax for type interval", "")),
        ("'10' MINUTE", "'-10' MINUTE", ("11:63", "negative interval", frame)),
        (count, last, ("8:27", "`lag` may look back without end", "last_value(...) over a frame")),
        (count, row_number, ("8:27", "`row_number` is not supported", "Use count, count(DIST")),
        (
            "count(*)",
            "sum(DISTINCT asn)",
            ("8:27", "`sum(DISTINCT ...)`", "count(DISTINCT ...) is"),
        ),
        ("ORDER BY time", "ORDER BY asn", ("11:35", "not ordered by the event time", window)),
        ("ORDER BY time", "ORDER BY recorded_at", ("8:27", "not ordered by the event", window)),
        ("ORDER BY time", "ORDER BY time DESC", ("8:27", "not ordered by the event", window)),
        ("OVER recent", "OVER recnt", ("8:41", "no window `recnt`", "Did you mean `recent`?")),
        ("events", "evnts", ("9:6", "no table `evnts`", "Did you mean `events`?")),
        ("events", "logins", ("9:6", "no table `logins`", "There are: events.")),
    ];
    for (from, to, answer) in cases {
        let sound = format!("{FRONT}{QUERY}");
        let bad = sound.replacen(from, to, 1);
        assert_ne!(bad, sound, "{from} is not there");
        assert_refused(to, bad.as_bytes(), *answer);
    }
}

#[test]
fn a_query_of_another_kind_is_refused_and_does_nothing() {
    let group = "PARTITION BY ... ORDER BY time RANGE";
    let no_query = "A rule reads events; it changes nothing.";
    let events = "Use a window over `events`.";
    let cases: &[(&str, Answer)] = &[
        (
            "SELECT max(time) AS time, ip, count(*) AS failures FROM events GROUP BY ip",
            ("8:64", "GROUP BY has no answer before the stream ends", group),
        ),
        (
            "SELECT time, ip, count(*) AS failures FROM events",
            ("8:8", "an aggregate without a window", group),
        ),
        (
            "SELECT time, ip, 1 AS failures FROM events\nUNION ALL SELECT time, ip, 2 FROM events",
            ("9:1", "UNION is not supported", "one rule for each part"),
        ),
        (
            "SELECT time, ip, 1 AS failures FROM events\nUNION SELECT time, ip, 2 FROM events",
            ("9:1", "UNION is not supported", "one rule for each part"),
        ),
        (
            "SELECT a.time, a.ip, 1 AS failures FROM events a JOIN events b ON a.account = b.account",
            ("8:50", "events are joined with events", events),
        ),
        (
            "SELECT a.time, a.ip, 1 AS failures FROM events a, events b",
            ("8:36", "events are joined with events", events),
        ),
        (
            "SELECT time, ip, 1 AS failures FROM events WHERE ip IN (SELECT ip FROM events)",
            ("8:53", "events are joined with events", events),
        ),
        (
            "SELECT time, ip, (SELECT count(*) FROM events) AS failures FROM events",
            ("8:1", "an aggregate without a window", group),
        ),
        ("SELECT 1 AS time, 'a' AS ip", ("8:1", "does not read `events`", "Write FROM events")),
        ("", ("1:1", "the file holds no query", "Write SELECT")),
        ("INSERT INTO events SELECT * FROM events", ("8:1", "`INSERT` begins no query", no_query)),
        ("CREATE TABLE t AS SELECT * FROM events", ("8:1", "`CREATE` begins no query", no_query)),
        ("COPY events TO 'copied.json'", ("8:1", "`COPY` begins no query", no_query)),
        ("DROP TABLE events", ("8:1", "`DROP` begins no query", "Begin with SELECT or WITH.")),
        (
            "WITH a AS (SELECT * FROM events) INSERT INTO events SELECT * FROM a",
            ("8:34", "`INSERT` is no query", no_query),
        ),
        ("SELECT * INTO copied FROM events", ("8:10", "the statement is no query", no_query)),
        (
            "SELECT time, ip, 1 AS failures FROM events;\nSELECT 1",
            ("9:1", "more than one statement", "a file of its own"),
        ),
    ];
    for (query, answer) in cases {
        assert_refused(query, format!("{FRONT}{query}").as_bytes(), *answer);
    }
}

#[test]
fn a_file_that_is_no_rule_is_refused() {
    let begin = "Begin the file with /* title";
    assert_refused("no front matter", QUERY.as_bytes(), ("1:1", "no front matter", begin));
    assert_refused("empty", b"", ("1:1", "the rule has no front matter", begin));
    let mut latin = format!("{FRONT}{QUERY}").into_bytes();
    let at = FRONT.find("Three").unwrap();
    latin[at] = 0xe9;
    assert_refused("latin-1", &latin, ("2:10", "is not UTF-8 text", "Save it as UTF-8."));
    let open = FRONT.replace("*/", "");
    assert_refused("open comment", open.as_bytes(), ("1:1", "no front matter", "has no end"));
}

#[test]
fn names_that_differ_in_case_alone_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    for name in ["three.sql", "THREE.sql"] {
        fs::write(rules.join(name), format!("{FRONT}{QUERY}")).unwrap();
    }
    let output = check(folder.path());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let expected = "refused: rules/three.sql:1:1: two rules have the name `three`\n  detail: The \
                    other one is rules/THREE.sql; case does not count.\n  hint: Rename one";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("1 rules run, 1 refused\n"), "{text}");
}

#[test]
fn a_query_without_measure_neither_overflows_the_stack_nor_takes_for_ever() {
    let failure = "outcome = 'failure'";
    let condition = |text: String| format!("{FRONT}{}", QUERY.replace(failure, &text));
    let long = "has more than 2000 words";
    let list = "reference table";
    let parentheses = |n: usize| format!("{}{failure}{}", "(".repeat(n), ")".repeat(n));
    let chain = |n: usize| vec!["ip = '192.0.2.1'"; n].join(" OR ");
    let sum = |n: usize| format!("{} > 0", vec!["asn"; n].join(" + "));
    let cases: &[(&str, String, Answer)] = &[
        ("10,000 parentheses", parentheses(10_000), ("10:2006", long, list)),
        ("100 parentheses", parentheses(100), ("8:1", "nests too deep", "WITH name AS")),
        (
            "10,000 negations",
            format!("{}{failure}", "NOT ".repeat(10_000)),
            ("10:7940", long, list),
        ),
        ("5,000 alternatives", chain(5_000), ("10:9913", long, list)),
        ("10,000 sums", sum(10_000), ("10:5962", long, list)),
    ];
    for (name, text, answer) in cases {
        assert_refused(name, condition(text.clone()).as_bytes(), *answer);
    }
    // What is just short enough is planned and run.
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("long.sql"), condition(sum(900))).unwrap();
    fs::write(
        folder.path().join("x.jsonl"),
        "{\"time\":\"2026-03-01T12:00:00Z\",\"action\":\"login\",\"account\":\"a\",\"asn\":1}\n",
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    command.args(["replay", "x.jsonl", "--rules", "rules"]).current_dir(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
