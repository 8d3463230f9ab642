//! `replay --report`: the page tells what happened, whoever wrote the events.

#![allow(clippy::unwrap_used)] // help for tests may panic as tests do

mod planted;

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

/// What stands between tags of a name, without what is inside of other tags.
fn between(text: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let parts = text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next());
    parts.map(str::to_owned).collect()
}

/// As the page writes a time.
fn moment(time: &Value) -> String {
    time.as_str().unwrap()[..19].replace('T', " ")
}

/// What the page is to say of a step.
fn sentence(step: &Value) -> String {
    let (from, to) = (moment(&step["from"]), moment(&step["to"]));
    let action = step["action"].as_str().unwrap();
    let mut text = format!("<time>{from}</time>");
    if step["from"] != step["to"] {
        text += &format!(" to <time>{to}</time>");
    }
    text += &format!(" <strong>{action}</strong>");
    if step["count"] != 1 {
        text += &format!(" × {}", step["count"]);
    }
    text += &format!(" from {}", step["ip"].as_str().unwrap());
    let resources = step["resources"].as_array().unwrap();
    let resources: Vec<&str> = resources.iter().filter_map(Value::as_str).collect();
    if !resources.is_empty() {
        text += &format!(": {}", resources.join(", "));
    }
    text
}

#[test]
fn each_planted_takeover_is_told_as_it_was() {
    let page = example();
    let accounts = page.split(">Accounts</h2>").nth(1).unwrap();
    let accounts = accounts.split(">Timeline</h2>").next().unwrap();
    let accounts = accounts.split("<p class=\"soft\">Looked at").next().unwrap();
    let mut takeovers: Vec<_> = planted::takeovers().into_iter().collect();
    takeovers.sort_by_key(|(_, takeover)| takeover.fell_at.clone());
    let names: Vec<&String> = takeovers.iter().map(|(name, _)| name).collect();
    assert!(between(accounts, "h3").iter().eq(names), "in the order in which they fell");
    for (story, (name, takeover)) in accounts.split("<article>").skip(1).zip(&takeovers) {
        assert!(story.contains(&moment(&takeover.fell_at.as_str().into())), "{name}: {story}");
        let expected: Vec<String> = takeover.steps.iter().map(sentence).collect();
        assert_eq!(between(story, "li"), expected, "{name}");
    }
}

#[test]
fn accounts_that_were_looked_at_and_devices_are_told() {
    let page = example();
    let viewed = page.split("Looked at by somebody inside the company:").nth(1).unwrap();
    let viewed = viewed.split(">Timeline</h2>").next().unwrap();
    let truth = planted::objects("examples/ring-2019.truth.jsonl");
    let is_by_staff = |one: &&Value| {
        one["kind"] == "staff_mass_viewing" || one["kind"] == "recording_use_after_deletion"
    };
    let known: Vec<&str> = truth
        .iter()
        .filter(is_by_staff)
        .flat_map(|one| one["accounts"].as_array().unwrap().iter().filter_map(Value::as_str))
        .collect();
    let named = between(viewed, "h3");
    let unknown: Vec<&String> =
        named.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(named.len() == 12 && unknown.is_empty(), "{named:?}, not planted: {unknown:?}");
    assert!(page.contains("12 were looked at from inside the company."), "the paragraph");
    assert!(page.contains("From devices dev-38815a39"), "the device of an intruder");
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
