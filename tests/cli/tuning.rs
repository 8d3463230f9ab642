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
