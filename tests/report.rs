//! `replay --report`: the page tells what happened, whoever wrote the events.

#![allow(clippy::unwrap_used)] // help for tests may panic as tests do

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

const PAGE_BYTES_MAX: usize = 3_000_000;

/// A rule whose summary repeats what events say.
const RULE: &str = r#"/*
title = "Three failures"
severity = "critical"
entity = "account"
quiet = "10 minutes"
attack = ["T1110"]
summary = "{failures} failures of {account} from {ip} by {user_agent} at {resource_label}"
*/
SELECT time, ip, account, user_agent, resource_label, count(*) OVER recent AS failures
FROM events
WHERE action = 'login' AND outcome = 'failure'
WINDOW recent AS (
  PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 3
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The page of a replay in a folder.
fn page(folder: &Path, arguments: &[&str]) -> String {
    let page = folder.join("page.html");
    let output = Command::new(env!("CARGO_BIN_EXE_nightlatch"))
        .arg("replay")
        .args(arguments)
        .args(["--quiet", "--json", "--report"])
        .arg(&page)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(page).unwrap()
}

/// The example log, as a user replays it.
fn example() -> String {
    let folder = tempfile::tempdir().unwrap();
    let examples = folder.path().join("examples");
    fs::create_dir(&examples).unwrap();
    let log = root().join("examples/ring-2019.jsonl");
    fs::copy(log, examples.join("ring-2019.jsonl")).unwrap();
    page(folder.path(), &["examples/ring-2019.jsonl"])
}

/// What a strict parser of HTML says about the page, and its elements with their attributes.
fn parsed(page: &str) -> Value {
    const PARSE: &str = "import html5lib, json, sys\n\
        page = sys.stdin.buffer.read().decode('utf-8')\n\
        tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)\n\
        found = [[str(e.tag).split('}')[-1], list(e.attrib)] for e in tree.iter()]\n\
        json.dump(found, sys.stdout)";
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", PARSE])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}\nis Debian's python3-html5lib there? `scripts/install-prerequisites --tests`",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// No element that runs, loads or sends anything, and no attribute that does.
fn assert_inert(page: &str) {
    let elements = parsed(page);
    for element in elements.as_array().unwrap() {
        let name = element[0].as_str().unwrap();
        let bad =
            ["script", "img", "iframe", "object", "embed", "link", "form", "a", "base", "image"];
        assert!(!bad.contains(&name), "<{name}>");
        for attribute in element[1].as_array().unwrap().iter().filter_map(Value::as_str) {
            let loads = attribute.starts_with("on")
                || ["src", "href", "action", "style"].iter().any(|bad| attribute.ends_with(bad));
            assert!(!loads, "<{name} {attribute}>");
        }
    }
    assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
    for request in ["url(", "@import", "http://", "https://"] {
        assert!(!page.contains(request), "{request} in the page");
    }
}

#[test]
fn the_example_log_is_told_whole() {
    let page = example();
    assert!(page.len() < 300_000, "{} bytes", page.len());
    for heading in [
        "What happened",
        "Accounts",
        "Timeline",
        "Sources",
        "Where events came from",
        "Alerts by rule",
        "The input",
        "How to make this page again",
    ] {
        assert!(page.contains(&format!(">{heading}</h")), "no {heading}");
    }
    assert!(page.contains("there were 5,000 events"), "the paragraph");
    assert!(page.contains("nightlatch replay examples/ring-2019.jsonl --report report.html"));
    assert!(page.contains("examples/ring-2019.jsonl:3268"), "evidence");
    assert!(page.contains("198.51.100.212"), "sources");
    assert_inert(&page);
}

/// Accounts that fell by the truth about the log, to attacks for which there is a rule, with the time at
/// which the attack began.
fn fallen() -> Vec<(String, String)> {
    let truth = fs::read_to_string(root().join("examples/ring-2019.truth.jsonl")).unwrap();
    let attacks = truth.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut fallen = Vec::new();
    for attack in attacks.filter(|attack| attack["rule"].is_string()) {
        let accounts = attack["fell"].as_array().cloned().unwrap_or_default();
        let at = attack["started_at"].as_str().unwrap().to_owned();
        fallen.extend(accounts.iter().map(|name| (at.clone(), name.as_str().unwrap().to_owned())));
    }
    fallen.sort();
    fallen
}

#[test]
fn each_planted_takeover_is_told() {
    let page = example();
    let accounts = page.split(">Accounts</h2>").nth(1).unwrap();
    let accounts = accounts.split(">Timeline</h2>").next().unwrap();
    let names: BTreeSet<String> = fallen().into_iter().map(|(_, name)| name).collect();
    assert!(!names.is_empty());
    for name in names {
        assert!(accounts.contains(&format!("<h3>{name}</h3>")), "{name} fell, and is not told");
    }
    // Each story is in the order of time.
    for story in accounts.split("<article>").skip(1) {
        let times = story.split("<time>").skip(1).filter_map(|rest| rest.split("</time>").next());
        let times: Vec<&str> = times.collect();
        assert!(times.is_sorted(), "{story}");
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    assert!(example() == example());
}

#[test]
fn what_events_say_does_nothing() {
    let evil = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'-alert(1)-'",
        "</style><script>alert(1)</script>",
        "</title><svg onload=alert(1)>",
        "<!--",
        "]]>",
        "&lt;script&gt;",
        "javascript:alert(1)",
        "\u{202e}gnp.exe\u{0}\u{7}\u{fffe}\u{2028}",
        "{{7*7}}${7*7}",
    ];
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/three_failures.sql"), RULE).unwrap();
    let mut log = String::new();
    for (number, text) in evil.iter().enumerate() {
        let account = text.replace('\0', "");
        for second in 0..4 {
            let event = json!({
                "time": format!("2026-03-01T12:{number:02}:{second:02}Z"),
                "action": "login", "outcome": "failure", "account": account, "ip": account,
                "user_agent": account, "resource_label": account, "latitude": 52.5, "longitude": 13.4,
            });
            log += &format!("{event}\n");
        }
    }
    fs::write(folder.path().join("<b>evil.jsonl"), log).unwrap();
    let page = page(folder.path(), &["<b>evil.jsonl", "--rules", "rules"]);
    assert_inert(&page);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "it is shown as text");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{2028}'));
    assert!(page.contains("class=\"land\""), "events with positions give a map");
}

#[test]
fn many_alerts_make_no_large_page() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/three_failures.sql"), RULE).unwrap();
    let mut log = String::new();
    for account in 0..12_000 {
        for second in 0..3 {
            let (hour, minute) = (account / 600, account / 10 % 60);
            log += &format!(
                "{{\"time\":\"2026-03-01T{hour:02}:{minute:02}:{second:02}Z\",\"action\":\"login\",\
                 \"outcome\":\"failure\",\"account\":\"{}{account}\",\"ip\":\"198.51.100.7\"}}\n",
                "a".repeat(500)
            );
        }
    }
    fs::write(folder.path().join("log.jsonl"), log).unwrap();
    let page = page(folder.path(), &["log.jsonl", "--rules", "rules"]);
    assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
    assert!(page.contains(" more alerts"), "what is left out is told");
    assert_inert(&page);
}

#[test]
fn nothing_found_is_a_page_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.jsonl"), "").unwrap();
    let page = page(folder.path(), &["log.jsonl"]);
    assert!(page.contains("There was no event to look at."), "{page}");
    assert!(page.contains("The rules found nothing."));
    assert_inert(&page);
}
