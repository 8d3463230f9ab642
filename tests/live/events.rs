//! Events that make many alerts within little time, and rules that find them.

use std::path::Path;

use crate::program::nightlatch;
use crate::truth::{Told, alerts, told};

/// Partitions of every topic with events.
pub(crate) const PARTITIONS: usize = 4;

/// 2026-05-01, in seconds.
const FIRST_SECOND: i64 = 1_777_593_600;
/// So long each address attacks, one after the other.
const ATTACK_SECONDS: usize = 45;
const ADDRESSES: usize = 20;
const ACCOUNTS: usize = 30;
/// After the last event comes one in each partition that is so much later: whatever waits for the
/// watermark need wait no more, and every episode closes.
const LONG_AFTER_SECONDS: i64 = 10 * 86_400;

/// One event, and when it was.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) line: String,
    pub(crate) at_millis: i64,
}

fn event(second: i64, action: &str, outcome: &str, account: usize, address: usize) -> Event {
    let at_millis = (FIRST_SECOND + second) * 1000;
    let time = nightlatch::alert::rfc3339(at_millis * 1000);
    let line = format!(
        r#"{{"time":"{time}","action":"{action}","outcome":"{outcome}","account":"user-{account}","ip":"192.0.2.{address}"}}"#
    );
    Event { line, at_millis }
}

/// A stream of so many events, one a second, in which one address after the other attacks; then one
/// more in each partition.
pub(crate) fn events(n: usize) -> Vec<Event> {
    assert_eq!(n % PARTITIONS, 0, "the last ones go to one partition each");
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 16) as usize % below
    };
    let mut events: Vec<Event> = (0..n)
        .map(|second| {
            let is_attack = next(10) < 6;
            let attacker = second / ATTACK_SECONDS % ADDRESSES;
            let address = if is_attack { attacker } else { next(ADDRESSES) };
            let outcome = if is_attack || next(4) == 0 { "failure" } else { "success" };
            event(second as i64, "login", outcome, next(ACCOUNTS), address)
        })
        .collect();
    let last = n as i64 + LONG_AFTER_SECONDS;
    events.extend((0..PARTITIONS).map(|_| event(last, "logout", "success", 0, 0)));
    events
}

/// Many failures from one address within two minutes.
pub(crate) const GUESSING: &str = "\
/*
title = \"Guessing\"
severity = \"high\"
entity = \"ip\"
quiet = \"1 minute\"
summary = \"{failures} failures from {ip}\"
*/
SELECT time, ip, account, count(*) FILTER (WHERE outcome = 'failure') OVER recent AS failures
FROM events
WHERE action = 'login'
WINDOW recent AS (
    PARTITION BY ip ORDER BY time RANGE BETWEEN INTERVAL '2' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 10
";

/// Many addresses that fail at one account within two minutes.
pub(crate) const SPREAD: &str = "\
/*
title = \"Spread\"
severity = \"low\"
entity = \"account\"
quiet = \"2 minutes\"
summary = \"{account} from {addresses} addresses\"
*/
SELECT time, ip, account,
    count(DISTINCT ip) FILTER (WHERE outcome = 'failure') OVER recent AS addresses
FROM events
WHERE action = 'login'
WINDOW recent AS (
    PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '2' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY addresses >= 4
";

/// What one uninterrupted replay of a log tells, in its order.
pub(crate) fn replay(events: &[Event], arguments: &[&Path]) -> Vec<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let lines: Vec<&str> = events.iter().map(|event| event.line.as_str()).collect();
    std::fs::write(&log, lines.join("\n")).unwrap();
    let mut command = nightlatch();
    let output =
        command.args(["replay", "--json", "--quiet"]).args(arguments).arg(&log).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    alerts(&output.stdout)
}

/// The alerts by id and revision, with the rules of a folder.
pub(crate) fn expected(events: &[Event], rules: &Path) -> Told {
    told(replay(events, &[Path::new("--rules"), rules]).into_iter().filter(is_alert))
}

/// The same with the incidents that alerts belong to.
pub(crate) fn expected_with_incidents(events: &[Event], rules: &Path) -> Told {
    told(replay(events, &[Path::new("--rules"), rules]))
}

fn is_alert(document: &serde_json::Value) -> bool {
    document.get("kind").is_none()
}

#[test]
fn episodes_are_many_and_short() {
    let stage = tempfile::tempdir().unwrap();
    for (name, text) in [("guessing", GUESSING), ("spread", SPREAD)] {
        std::fs::write(stage.path().join(format!("{name}.sql")), text).unwrap();
    }
    let alerts = replay(&events(6000), &[Path::new("--rules"), stage.path()]);
    let mut n = std::collections::BTreeMap::new();
    for alert in alerts.iter().filter(|document| is_alert(document)) {
        let at = |key: &str| {
            let text = alert[key].as_str().unwrap();
            chrono::DateTime::parse_from_rfc3339(text).unwrap()
        };
        let minutes = (at("updated_at") - at("started_at")).num_minutes();
        assert!(minutes < 9, "{alert}");
        *n.entry(alert["rule"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert!(n.len() == 2 && n.values().all(|n| *n >= 100), "{n:?}");
}
