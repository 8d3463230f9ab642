//! Hand-made alerts and truth with known answers.

use std::fs;
use std::path::PathBuf;

use super::{Goals, Options, Report, evaluate, markdown, page, text};

const TRUTH: &str = r#"
{"type":"attack","id":"a1","kind":"stuffing","evasion":"none","aftermath":["talk"],"started_at":"2024-01-01T10:00:00Z","ended_at":"2024-01-01T11:00:00Z","entities":{"ip":["240.0.0.1","240.0.0.2"],"account":["ann","bob"]},"accounts":["ann","bob","cyd"],"fell":[{"account":"ann","time":"2024-01-01T10:10:00Z","event_id":"e1","ips":["240.0.0.1"],"aftermath":["talk"]},{"account":"bob","time":"2024-01-01T10:20:00Z","event_id":"e2","ips":["240.0.0.2"]}],"events":100}
{"type":"attack","id":"a2","kind":"insider","evasion":"slow","started_at":"2024-01-02T10:00:00Z","ended_at":"2024-01-02T11:00:00Z","entities":{"actor":["emp-1"]},"accounts":["dee"],"fell":[],"events":4}
{"type":"trap","id":"t1","kind":"family","started_at":"2024-01-01T00:00:00Z","ended_at":"2024-01-11T00:00:00Z","entities":{"account":["eve","fay"]}}
{"type":"trap","id":"t2","kind":"outage","started_at":"2024-01-05T10:00:00Z","ended_at":"2024-01-05T11:00:00Z","entities":{}}
{"type":"log","scenario":"city","events":2000104,"benign_events":2000000,"accounts":500,"started_at":"2024-01-01T00:00:00Z","ended_at":"2024-01-11T00:00:00Z"}
"#;

fn alert(
    id: &str,
    revision: u32,
    rule: &str,
    entity: &str,
    times: [&str; 2],
    accounts: &str,
    ips: &str,
) -> String {
    format!(
        "{{\"id\":\"{id}\",\"revision\":{revision},\"rule\":\"{rule}\",\"severity\":\"high\",\
         \"entity_type\":\"x\",\"entity\":\"{entity}\",\"started_at\":\"2024-01-{}Z\",\
         \"updated_at\":\"2024-01-{}Z\",\"accounts\":[{accounts}],\"ips\":[{ips}],\"values\":{{}}}}\n",
        times[0], times[1]
    )
}

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn options(&self, alerts: &str, truth: &str) -> Options {
        let (alerts, truth) = (self.file("alerts.jsonl", alerts), self.file("truth.jsonl", truth));
        let grace_seconds = 3600;
        Options { alerts: vec![alerts], truths: vec![truth], logs: Vec::new(), grace_seconds }
    }

    fn report(&self, alerts: &str) -> Report {
        evaluate(&self.options(alerts, TRUTH)).unwrap()
    }
}

#[test]
fn without_alerts_everything_is_missed() {
    let report = Case::new().report("");
    assert_eq!((report.takeovers.total, report.takeovers.found), (2, 0));
    assert_eq!((report.others.total, report.others.found), (1, 0));
    assert_eq!(report.missed.len(), 3);
    assert_eq!(report.false_per_million, Some(0.0));
    assert_eq!(report.takeovers.median_seconds, None);
}

#[test]
fn a_takeover_is_found_by_its_account_or_by_an_address_that_reached_it() {
    let by_account = alert("x", 1, "r", "ann", ["01T10:11:00", "01T10:11:00"], "\"ann\"", "");
    let report = Case::new().report(&by_account);
    assert_eq!(report.takeovers.found, 1);
    assert_eq!(report.latencies_seconds, [60.0]);
    assert_eq!(report.missed[0].account.as_deref(), Some("bob"));
    assert_eq!(report.by_aftermath[0].aftermath, "talk");
    assert_eq!((report.by_aftermath[0].takeovers.found, report.by_aftermath.len()), (1, 1));
    // The address of one account's fall does not tell of the other account.
    let by_address = alert("x", 1, "r", "240.0.0.2", ["01T10:05:00", "01T10:05:00"], "\"cyd\"", "");
    let report = Case::new().report(&by_address);
    assert_eq!(report.latencies_seconds, [0.0], "the alert came before the fall");
    assert_eq!(report.missed[0].account.as_deref(), Some("ann"));
    assert_eq!(report.by_rule[0].takeovers_alone, 1);
}

#[test]
fn a_later_revision_counts_when_it_names_the_account_first() {
    let first = alert("x", 1, "r", "240.9.9.9", ["01T10:05:00", "01T10:05:00"], "\"cyd\"", "");
    let second =
        alert("x", 2, "r", "240.9.9.9", ["01T10:05:00", "01T10:15:00"], "\"cyd\",\"ann\"", "");
    for alerts in [format!("{first}{second}"), format!("{second}{first}")] {
        let report = Case::new().report(&alerts);
        assert_eq!(report.alerts, 1);
        assert_eq!(report.latencies_seconds, [300.0]);
    }
}

#[test]
fn an_alert_counts_until_the_grace_is_over() {
    let inside = alert("x", 1, "r", "ann", ["01T12:00:00", "01T12:00:00"], "\"ann\"", "");
    assert_eq!(Case::new().report(&inside).takeovers.found, 1);
    let after = alert("x", 1, "r", "ann", ["01T12:00:01", "01T12:00:01"], "\"ann\"", "");
    let report = Case::new().report(&after);
    assert_eq!((report.takeovers.found, report.false_alerts), (0, 1));
    let before = alert("x", 1, "r", "ann", ["01T09:00:00", "01T09:59:59"], "\"ann\"", "");
    assert_eq!(Case::new().report(&before).takeovers.found, 0);
}

#[test]
fn an_insider_is_found_by_actor_with_one_of_the_victims() {
    let found =
        alert("x", 1, "r", "emp-1", ["02T10:30:00", "02T10:30:00"], "\"dee\",\"gus\",\"hal\"", "");
    assert_eq!(Case::new().report(&found).others.found, 1);
    let other = alert("x", 1, "r", "emp-1", ["02T10:30:00", "02T10:30:00"], "\"gus\"", "");
    let report = Case::new().report(&other);
    assert_eq!((report.others.found, report.false_alerts), (0, 1));
}

#[test]
fn false_alerts_are_counted_by_rule_and_by_trap() {
    let alerts = [
        alert("1", 1, "loud", "eve", ["03T00:00:00", "03T00:00:00"], "\"eve\"", ""),
        alert(
            "2",
            1,
            "loud",
            "240.7.7.7",
            ["05T10:10:00", "05T10:10:00"],
            "\"fay\",\"ina\",\"jan\"",
            "",
        ),
        alert("3", 1, "other", "kim", ["07T00:00:00", "07T00:00:00"], "\"kim\"", ""),
        alert("4", 1, "loud", "kim", ["08T00:00:00", "08T00:00:00"], "\"kim\"", "")
            .replace("high", "low"),
    ];
    let report = Case::new().report(&alerts.concat());
    assert_eq!((report.alerts, report.false_alerts), (4, 3));
    assert_eq!(report.false_per_million, Some(1.5));
    assert_eq!(report.false_per_thousand_account_days, Some(0.6));
    let by_trap: Vec<(&str, u64)> =
        report.by_trap.iter().map(|row| (row.trap.as_str(), row.false_alerts)).collect();
    assert_eq!(by_trap, [("everyday life", 1), ("family", 1), ("outage", 1)]);
    let loud = report.by_rule.iter().find(|row| row.rule == "loud").unwrap();
    assert_eq!((loud.alerts, loud.false_alerts), (3, 2));
}

/// A crowd behind one address in which one was a victim is not an alert about the attack.
#[test]
fn one_victim_in_a_crowd_is_chance() {
    let crowd =
        alert("x", 1, "r", "240.7.7.7", ["01T10:30:00", "01T10:30:00"], "\"ann\",\"p\",\"q\"", "");
    let report = Case::new().report(&crowd);
    assert_eq!((report.takeovers.found, report.false_alerts), (0, 1));
}

#[test]
fn several_logs_are_counted_together() {
    let case = Case::new();
    let mut options = case
        .options(&alert("x", 1, "r", "ann", ["01T10:11:00", "01T10:11:00"], "\"ann\"", ""), TRUTH);
    let empty = case.file("none.jsonl", "");
    options.alerts.push(empty);
    options.truths.push(options.truths[0].clone());
    let report = evaluate(&options).unwrap();
    assert_eq!((report.logs, report.takeovers.total, report.takeovers.found), (2, 4, 1));
    assert_eq!(report.benign_events, Some(4_000_000));
    assert_eq!(report.missed.last().unwrap().log, 2);
    options.truths.pop();
    assert!(evaluate(&options).unwrap_err().to_string().contains("one --truth for each --alerts"));
}

#[test]
fn the_older_scenario_has_a_truth_too() {
    let case = Case::new();
    let mut options = case.options("", include_str!("../../examples/ring-2019.truth.jsonl"));
    let report = evaluate(&options).unwrap();
    assert_eq!((report.takeovers.total, report.others.total), (17, 4));
    assert_eq!(report.false_per_million, None);
    options.logs.push(case.file("log.jsonl", include_str!("../../examples/ring-2019.jsonl")));
    let report = evaluate(&options).unwrap();
    assert_eq!(report.events, Some(5000));
    assert!(report.benign_events.unwrap() < 5000);
}

#[test]
fn compressed_files_are_read() {
    let case = Case::new();
    let mut options = case.options("", TRUTH);
    options.truths[0] = case.file("truth.zst", zstd::encode_all(TRUTH.as_bytes(), 1).unwrap());
    assert_eq!(evaluate(&options).unwrap().takeovers.total, 2);
}

#[test]
fn odd_files_are_told_with_line_and_reason() {
    let good = alert("x", 1, "r", "ann", ["01T10:11:00", "01T10:11:00"], "\"ann\"", "");
    let cases: [(String, &str, &str); 7] = [
        (format!("{good}{{\n"), TRUTH, "alerts.jsonl:2: the line is not an alert"),
        (good.replace("high", "loud"), TRUTH, "unknown variant `loud`"),
        (good.replace("2024-01-01T10:11:00Z", "noon"), TRUTH, "`noon` is no RFC 3339 time"),
        ("[1]".into(), TRUTH, "alerts.jsonl:1"),
        (
            good.clone(),
            "{\"type\":\"riddle\",\"started_at\":\"2024-01-01T00:00:00Z\",\"ended_at\":\"2024-01-01T00:00:00Z\"}",
            "`riddle`",
        ),
        (good.clone(), "{\"type\":\"attack\"}", "missing field `started_at`"),
        (TRUTH.trim().to_owned(), &good, "missing field"),
    ];
    for (alerts, truth, expected) in cases {
        let error = evaluate(&Case::new().options(&alerts, truth)).unwrap_err();
        assert!(error.to_string().contains(expected), "no {expected:?} in {error}");
        assert_eq!(error.exit_code(), 64);
        assert!(error.hint.is_some());
    }
    let case = Case::new();
    let mut options = case.options("", TRUTH);
    options.alerts[0] = case.file("binary", [0xff, 0xfe, 0x00]);
    assert!(
        evaluate(&options).unwrap_err().to_string().contains("binary:1: the line is not UTF-8")
    );
    options.alerts[0] = PathBuf::from("/nowhere/at.all");
    assert!(evaluate(&options).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn goals_are_met_or_missed() {
    let both = alert("x", 1, "r", "ann", ["01T10:11:00", "01T10:11:00"], "\"ann\"", "");
    let report = Case::new().report(&both);
    let missed = |goals: &str| Goals::parse(goals).unwrap().missed(&report).len();
    assert_eq!(missed("recall=0.5, latency=60s, latency_p95=1m, false=0, false_a_day=0"), 0);
    assert_eq!(missed("recall=0.51,latency=59s,others=0.1"), 3);
    for (wrong, expected) in [
        ("recal=1", "did you mean \"recall\"?"),
        ("recall", "`recall` is no goal"),
        ("recall=1.5", "`1.5` is no value for `recall`"),
        ("latency=soon", "`soon` is no value"),
        ("false=NaN", "`NaN` is no value"),
        (",", "names no goal"),
    ] {
        let error = Goals::parse(wrong).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // What cannot be known is not met.
    let nothing = evaluate(&Case::new().options("", "")).unwrap();
    assert_eq!(Goals::parse("recall=0.1").unwrap().missed(&nothing).len(), 1);
}

#[test]
fn names_from_files_are_harmless_on_a_page_and_in_a_terminal() {
    let evil = alert(
        "x",
        1,
        "<script>alert(1)</script>|`",
        "eve",
        ["03T00:00:00", "03T00:00:00"],
        "\"eve\"",
        "",
    )
    .replace("\"rule\":\"", "\"rule\":\"\\u001b[31m");
    let report = Case::new().report(&evil);
    let page = page(&report);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    assert!(page.contains("<svg") && !page.contains('\u{1b}'));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    assert!(!text(&report).contains('\u{1b}'));
    let markdown = markdown(&report);
    assert!(!markdown.contains("<script>") && markdown.contains("\\|\\`"));
}
