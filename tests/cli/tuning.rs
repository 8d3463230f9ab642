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
fn lines(ran: &Ran) -> Vec<serde_json::Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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
