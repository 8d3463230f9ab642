//! The commands that tune rules: a report of the cases, what an edit changes, why an alert fired, and
//! what other thresholds would find.

use super::*;

fn case(folder: &Path, name: &str, events: &str, expected: &str) {
    let tests = "rules/tests/three_failures";
    write(folder, &format!("{tests}/{name}.jsonl"), events);
    write(folder, &format!("{tests}/{name}.expected.jsonl"), expected);
}

#[test]
fn rules_test_writes_a_junit_file() {
    let folder = folder();
    case(folder.path(), "attack_one", &failures("192.0.2.1", 3), "{\"entity\":\"<&\\\"9\"}\n");
    case(folder.path(), "lookalike_two", &failures("192.0.2.1", 2), "");
    case(folder.path(), "evasion_odd", "nonsense\n", "");
    case(folder.path(), "oddly_named", "", "");
    write(folder.path(), "rules/front.sql", RULE.replace("quiet", "quite"));
    let arguments = ["rules", "test", "--rules", "rules", "--junit", "out.xml"];
    let ran = run(folder.path(), &arguments);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let text = fs::read_to_string(folder.path().join("out.xml")).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&text).unwrap();
    assert_eq!((report.tests, report.failures, report.errors), (5, 2, 2), "{text}");
    for part in [
        "<testsuite name=\"refused\"",
        "name=\"rules/front.sql:5:1\"",
        "<testsuite name=\"three_failures\"",
        "classname=\"three_failures\"",
        "file=\"rules/tests/three_failures/attack_one.jsonl\"",
        "message=\"- expected {&quot;entity&quot;:&quot;&lt;&amp;\\&quot;9&quot;}\"",
        "entity: expected \"&lt;&amp;\\\"9\", found \"192.0.2.1\"",
        "evasion_odd.jsonl:1: no event:",
        "begins with attack_, lookalike_ or evasion_",
    ] {
        assert!(
            text.contains(part) || text.replace("&quot;", "\"").contains(part),
            "{part}: {text}"
        );
    }
    let unwritable = ["rules", "test", "--rules", "rules", "--junit", "gone/out.xml"];
    let ran = run(folder.path(), &unwritable);
    assert_eq!((ran.code, &*ran.out), (69, ""), "{}", ran.err);
    assert!(ran.err.contains("gone/out.xml: cannot write the JUnit file"), "{}", ran.err);
}

/// The lines of standard output as JSON.
/// The lines of the output but for incidents.
fn lines(ran: &Ran) -> Vec<serde_json::Value> {
    let lines = ran.out.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &serde_json::Value| line.get("kind").is_none()).collect()
}

/// Two addresses: one fails nine times, the other four times.
fn two_attacks() -> String {
    let mut lines: Vec<String> =
        (failures("192.0.2.1", 9) + &failures("192.0.2.2", 4)).lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n") + "\n"
}

#[test]
fn rules_diff_tells_new_gone_and_changed_alerts() {
    let folder = folder();
    write(folder.path(), "x.jsonl", two_attacks());
    write(folder.path(), "new/three_failures.sql", RULE.replace(">= 3", ">= 6"));
    write(folder.path(), "new/added.sql", RULE.replace(">= 3", ">= 9"));
    let diff = |arguments: &[&str]| {
        let ran = run(folder.path(), &[&["rules", "diff"], arguments].concat());
        assert!(ran.code < 2, "{arguments:?}: {}", ran.err);
        ran
    };
    let ran = diff(&["rules", "new", "--on", "x.jsonl"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let found = lines(&ran);
    let brief = |line: &serde_json::Value| {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        [text("change"), text("rule"), text("entity")].join(" ")
    };
    let briefs: Vec<String> = found.iter().map(brief).collect();
    let expected = [
        "new added 192.0.2.1",
        "gone three_failures 192.0.2.2",
        "changed three_failures 192.0.2.1",
        "summary added ",
        "summary three_failures ",
    ];
    assert_eq!(briefs, expected);
    let fields: Vec<&String> = found[2]["fields"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["matches", "started_at"]);
    assert_eq!(found[2]["fields"]["matches"], serde_json::json!({"old": 7, "new": 4}));
    assert_ne!(found[2]["old"]["id"], found[2]["new"]["id"]);
    let counts = ["alerts_old", "alerts_new", "same", "changed", "added", "gone"];
    let counts = |line: usize| counts.map(|name| found[line][name].as_u64());
    assert_eq!(counts(3), [None, Some(1), Some(0), Some(0), Some(1), Some(0)]);
    assert_eq!(counts(4), [Some(2), Some(1), Some(0), Some(1), Some(0), Some(1)]);

    let same = diff(&["rules", "rules", "--on", "x.jsonl", "--exit-code"]);
    assert_eq!((same.code, lines(&same)[0]["same"].as_u64()), (0, Some(2)));
    // Two files are one rule, whatever their names; a file stands beside its like in a folder.
    for [old, new] in [
        ["rules/three_failures.sql", "new/added.sql"],
        ["rules", "new/three_failures.sql"],
        ["rules/three_failures.sql", "new"],
    ] {
        let ran = diff(&[old, new, "--exit-code", "--on", "x.jsonl"]);
        let found = lines(&ran);
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert_eq!(found.len(), 3, "{old} {new}: {}", ran.out);
        assert_eq!(found[2]["alerts_old"], 2, "{old} {new}");
        assert_eq!(found[2]["alerts_new"], 1, "{old} {new}");
    }
    let mut child = program(
        folder.path(),
        &["rules", "diff", "rules", "new", "--on", "-", "--json", "--quiet"],
    )
    .stdin(Stdio::piped())
    .spawn()
    .unwrap();
    child.stdin.take().unwrap().write_all(&gzip(two_attacks().as_bytes())).unwrap();
    let piped = self::ran(child.wait_with_output().unwrap());
    assert_eq!(lines(&piped).len(), 5, "{}", piped.err);
}

#[test]
fn mistakes_in_rules_diff_are_told() {
    let folder = folder();
    write(folder.path(), "x.jsonl", two_attacks());
    write(folder.path(), "empty.jsonl", "");
    write(folder.path(), "bad.jsonl", "nonsense\n");
    write(folder.path(), "broken.sql", RULE.replace("account, count", "acount, count"));
    write(folder.path(), "front.sql", RULE.replace("quiet", "quite"));
    let cases: &[(&[&str], &str)] = &[
        (&["rules", "rules"], "no log is named\n  hint: add `--on LOG`"),
        (&["rules", "--on", "x.jsonl"], "required arguments were not provided"),
        (&["gone", "rules", "--on", "x.jsonl"], "gone: the rule cannot be read"),
        (&["rules", "rules", "--on", "empty.jsonl"], "empty.jsonl: the log holds no event"),
        (&["rules", "rules", "--on", "bad.jsonl"], "detail: Records: 1 rejected."),
        (&["rules", "rules", "--on", "x.jsonl", "--until", "2020-01-01"], "13 outside of --since"),
        (&["broken.sql", "front.sql", "--on", "x.jsonl"], "error: no rule can run"),
    ];
    for (arguments, expected) in cases {
        let ran = run(folder.path(), &[&["rules", "diff"], *arguments].concat());
        assert_eq!(ran.code, 64, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: no {expected:?} in {}", ran.err);
        assert!(ran.out.is_empty(), "{arguments:?}: {}", ran.out);
    }
    // What one side refuses has lost its alerts, and that is said.
    let arguments = ["rules", "diff", "rules/three_failures.sql", "broken.sql", "--on", "x.jsonl"];
    let ran = run(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("broken.sql:9:18: there is no column `acount`"), "{}", ran.err);
    let last = lines(&ran).pop().unwrap();
    assert_eq!((last["gone"].as_u64(), last["alerts_new"].as_u64()), (Some(2), None));
}

/// A rule with AND, OR, a comparison of two counts, and a column that only the filter names.
const BRANCHES: &str = r#"/*
title = "Branches"
severity = "high"
entity = "ip"
quiet = "10 minutes"
summary = "{failures} failures from {ip}"
*/
SELECT time, ip, account,
  count(*) FILTER (WHERE outcome = 'failure') OVER recent AS failures,
  count(DISTINCT account) OVER recent AS accounts
FROM events
WHERE action = 'login'
WINDOW recent AS (
  PARTITION BY ip ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY outcome = 'failure'
  AND (failures >= 4 OR accounts >= 40)
  AND 2 * failures > accounts
"#;

/// The id of the alert of an entity, and a file with all of its revisions.
fn alert(folder: &Path, entity: &str) -> String {
    let arguments = ["replay", "x.jsonl", "--rules", "rules", "--quiet", "--alerts", "a.jsonl"];
    let found = lines(&run(folder, &arguments));
    let own = found.iter().find(|alert| alert["entity"] == entity).unwrap();
    own["id"].as_str().unwrap().to_owned()
}

fn branches() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules/branches.sql", BRANCHES);
    write(folder.path(), "x.jsonl", two_attacks());
    folder
}

#[test]
fn rules_explain_says_why_an_alert_fired() {
    let folder = branches();
    let id = alert(folder.path(), "192.0.2.1");
    let explain = |more: &[&str]| {
        let arguments = ["rules", "explain", "branches", "--rules", "rules", "--alert", &id];
        let ran = run(folder.path(), &[&arguments[..], more].concat());
        assert_eq!((ran.code, &*ran.err), (0, ""), "{more:?}");
        ran
    };
    let text = explain(&["--on", "x.jsonl"]).out.replace(&id, "ID");
    let version = text.split(')').next().unwrap().rsplit(' ').next().unwrap().to_owned();
    insta::assert_snapshot!("explain_on_a_log", text.replace(&version, "VERSION"));
    let text = explain(&["--alerts", "a.jsonl"]).out.replace(&id, "ID");
    insta::assert_snapshot!("explain_from_alerts", text.replace(&version, "VERSION"));

    let why = lines(&explain(&["--on", "x.jsonl", "--alerts", "a.jsonl", "--json"])).remove(0);
    assert_eq!((&why["source"], why["matches_seen"].as_u64()), (&"log".into(), Some(6)));
    assert_eq!(why["values"]["failures"], 4);
    let parts = &why["conditions"]["all"];
    assert_eq!(
        (&parts[1]["sql"], &parts[1]["seen"]),
        (&"outcome = 'failure'".into(), &"failure".into())
    );
    let failures = &parts[2]["any"][0];
    assert_eq!(failures["sql"], "failures >= 4");
    assert_eq!((failures["margin"].as_f64(), failures["ratio"].as_f64()), (Some(0.0), Some(1.0)));
    assert_eq!(
        (failures["held_in"].as_u64(), failures["furthest"]["seen"].as_u64()),
        (Some(6), Some(9))
    );
    let silent: Vec<_> =
        why["thresholds"].as_array().unwrap().iter().map(|one| one["silent_at"].as_f64()).collect();
    assert_eq!(silent, [Some(10.0), None, Some(1.0)]);
    assert_eq!(why["thresholds"][1]["cannot_alone"], "another condition fires all the same");
    assert_eq!(why["cheapest"][0]["threshold"], 3);

    // What it says is true: the value silences this alert, and the one before it does not.
    for (value, expected) in [("10", 0), ("9", 1)] {
        let edited = BRANCHES.replace("failures >= 4", &format!("failures >= {value}"));
        write(folder.path(), "edited/branches.sql", edited);
        let replay = run(folder.path(), &["replay", "x.jsonl", "--rules", "edited", "--quiet"]);
        let own = lines(&replay).into_iter().filter(|alert| alert["status"] == "opened");
        assert_eq!(own.count(), expected, "{value}");
    }
}

#[test]
fn mistakes_in_rules_explain_are_told() {
    let folder = branches();
    let id = &*alert(folder.path(), "192.0.2.1");
    write(
        folder.path(),
        "old.jsonl",
        format!("{{\"id\":\"{id}\",\"rule\":\"branches\",\"rule_version\":\"0\"}}\n"),
    );
    write(folder.path(), "other.jsonl", format!("{{\"id\":\"{id}\",\"rule\":\"another\"}}\n"));
    write(folder.path(), "bad.jsonl", "{}\nnonsense\n");
    write(folder.path(), "good.jsonl", GOOD);
    write(folder.path(), "rules/plain.sql", RULE.split("WHERE").next().unwrap().replace("recent", "(PARTITION BY ip ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW)"));
    let mut near = id.to_owned();
    near.replace_range(..1, "x");
    let cases: &[(&[&str], &str)] = &[
        (&["branchs", "--alert", id, "--on", "x.jsonl"], "did you mean `branches`?"),
        (&["branches", "--alert", id], "hint: add `--on LOG` to find it in a log"),
        (&["branches", "--on", "x.jsonl"], "`--on` is for alerts\n  hint: add `--alert ID`"),
        (&["branches", "--json"], "--alert <ID>"),
        (&["--alert", id], "required arguments were not provided"),
        (&["branches", "--alert", "abc", "--on", "x.jsonl"], "makes no alert `abc` of this log"),
        (
            &["branches", "--alert", "abc", "--on", "x.jsonl"],
            &format!("It makes, among others, {id} (ip 192.0.2.1)"),
        ),
        (&["branches", "--alert", "abc", "--on", "good.jsonl"], "It makes none at all"),
        (&["branches", "--alert", &near, "--alerts", "a.jsonl"], &format!("did you mean `{id}`?")),
        (&["branches", "--alert", "abc", "--alerts", "a.jsonl"], "lists those in the file"),
        (
            &["branches", "--alert", id, "--alerts", "gone.jsonl"],
            "gone.jsonl: the alerts cannot be read",
        ),
        (&["branches", "--alert", id, "--alerts", "bad.jsonl"], "Line 2 is no JSON"),
        (
            &["branches", "--alert", id, "--alerts", "old.jsonl"],
            "was made by another version of `branches`",
        ),
        (&["branches", "--alert", id, "--alerts", "other.jsonl"], "hint: it is of `another`"),
        (&["plain", "--alert", id, "--on", "x.jsonl"], "`plain` has no filter of its own"),
    ];
    for (arguments, expected) in cases {
        let command = ["rules", "explain", "--rules", "rules"];
        let ran = run(folder.path(), &[&command[..], *arguments].concat());
        assert_eq!(ran.code, 64, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: no {expected:?} in {}", ran.err);
        assert!(ran.out.is_empty(), "{arguments:?}: {}", ran.out);
    }
}

#[test]
fn rules_sweep_counts_alerts_for_each_value() {
    let folder = branches();
    let sweep = |more: &[&str]| {
        let arguments = ["rules", "sweep", "branches", "--rules", "rules"];
        let ran = run(folder.path(), &[&arguments[..], more].concat());
        assert_eq!((ran.code, &*ran.err), (0, ""), "{more:?}");
        lines(&ran)
    };
    let list = sweep(&[]);
    let brief = |line: &serde_json::Value| {
        format!("{} {} {}", line["threshold"], line["line"], line["sql"])
    };
    let expected =
        ["1 17 \"failures >= 4\"", "2 17 \"accounts >= 40\"", "3 18 \"2 * failures > accounts\""];
    assert_eq!(list.iter().map(brief).collect::<Vec<_>>(), expected);
    // A choice, and no log or no choice, and a log.
    assert_eq!(sweep(&["--on", "x.jsonl"]), list);

    let found = sweep(&["--on", "x.jsonl", "--threshold", "1", "--values", "5,9.5,3"]);
    let counts = |line: &serde_json::Value| {
        let names = ["matches", "alerts", "entities"];
        (line["value"].as_f64().unwrap(), names.map(|name| line[name].as_u64().unwrap()))
    };
    let expected = [(3.0, [9, 2, 2]), (4.0, [7, 2, 2]), (5.0, [5, 1, 1]), (9.5, [0, 0, 0])];
    assert_eq!(found.iter().map(counts).collect::<Vec<_>>(), expected);
    let present: Vec<_> = found.iter().map(|line| line["present"].as_bool().unwrap()).collect();
    assert_eq!(present, [false, true, false, false]);
    // Nine events in eight seconds.
    let a_day = found[2]["alerts_a_day"].as_f64().unwrap();
    assert!((a_day - 86_400.0 / 8.0).abs() < 1e-6, "{a_day}");

    let range = sweep(&[
        "--on",
        "x.jsonl",
        "--threshold",
        "3",
        "--from",
        "-1",
        "--to",
        "3",
        "--steps",
        "3",
    ]);
    assert_eq!(range.iter().map(|l| counts(l).1[1]).collect::<Vec<_>>(), [0, 0, 2, 2]);
    let all = sweep(&["--on", "x.jsonl", "--threshold", "all", "--json"]);
    assert!(all.len() > 20 && all.iter().any(|line| line["threshold"] == 3), "{}", all.len());

    // What the sweep says of a value is what a replay of the edited rule finds.
    write(folder.path(), "edited/branches.sql", BRANCHES.replace(">= 4", ">= 5"));
    let replay = run(folder.path(), &["replay", "x.jsonl", "--rules", "edited", "--quiet"]);
    assert_eq!(lines(&replay).iter().filter(|alert| alert["status"] == "opened").count(), 1);

    // A value with which the query can never give a row is refused: it is told, and stops no other.
    let never = BRANCHES.replace("2 * failures > accounts", "failures = 4 AND failures = 4");
    write(folder.path(), "rules/branches.sql", never);
    let found = sweep(&["--on", "x.jsonl", "--threshold", "4", "--values", "5"]);
    let runs: Vec<_> = found.iter().map(|line| line["runs"].as_bool().unwrap()).collect();
    assert_eq!(runs, [true, false], "{found:?}");
}

#[test]
fn mistakes_in_rules_sweep_are_told() {
    let folder = branches();
    write(folder.path(), "empty.jsonl", "");
    write(folder.path(), "rules/worded.sql", RULE.split("QUALIFY").next().unwrap());
    let on = ["--on", "x.jsonl", "--threshold"];
    let cases: &[(&[&str], &str)] = &[
        (&["branchs"], "did you mean `branches`?"),
        (&["worded", "--on", "x.jsonl"], "`worded` has no threshold"),
        (&["branches", "--threshold", "1"], "no log is named\n  hint: add `--on LOG`"),
        (
            &["branches", on[0], on[1], on[2], "4"],
            "has no threshold `4`\n  hint: write a number from 1 to 3",
        ),
        (&["branches", on[0], on[1], on[2], "0"], "has no threshold `0`"),
        (&["branches", on[0], on[1], on[2], "x"], "has no threshold `x`"),
        (
            &["branches", on[0], on[1], on[2], "1", "--values", "5,many"],
            "write a number, such as 20 or 0.5",
        ),
        (&["branches", on[0], on[1], on[2], "1", "--values", "inf"], "write a number"),
        (&["branches", on[0], on[1], on[2], "1", "--from", "5"], "--to <VALUE>"),
        (
            &["branches", on[0], on[1], on[2], "1", "--from", "5", "--to", "9", "--steps", "1"],
            "1 is not in 2..=200",
        ),
        (
            &["branches", on[0], on[1], on[2], "1", "--from", "5", "--to", "9", "--values", "5"],
            "cannot be used with",
        ),
        (
            &[
                "branches", on[0], on[1], on[2], "all", "--from", "5", "--to", "900", "--steps",
                "200",
            ],
            "603 values are too many",
        ),
        (
            &["branches", "--on", "empty.jsonl", "--threshold", "1"],
            "empty.jsonl: the log holds no event",
        ),
    ];
    for (arguments, expected) in cases {
        let command = ["rules", "sweep", "--rules", "rules"];
        let ran = run(folder.path(), &[&command[..], *arguments].concat());
        assert_eq!(ran.code, 64, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: no {expected:?} in {}", ran.err);
        assert!(ran.out.is_empty(), "{arguments:?}: {}", ran.out);
    }
}

#[test]
fn a_reader_that_goes_away_does_not_stop_tuning() {
    let folder = branches();
    let id = alert(folder.path(), "192.0.2.1");
    let cases: [&[&str]; 3] = [
        &["rules", "diff", "rules", "rules", "--on", "x.jsonl", "--exit-code"],
        &["rules", "explain", "branches", "--rules", "rules", "--alert", &id, "--on", "x.jsonl"],
        &[
            "rules",
            "sweep",
            "branches",
            "--rules",
            "rules",
            "--on",
            "x.jsonl",
            "--threshold",
            "all",
        ],
    ];
    for arguments in cases {
        let mut child = program(folder.path(), arguments).spawn().unwrap();
        drop(child.stdout.take());
        let ran = ran(child.wait_with_output().unwrap());
        assert_eq!((ran.code, &*ran.err), (0, ""), "{arguments:?}");
    }
}
