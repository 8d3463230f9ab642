//! A real log: what the rules flag is what a count by hand says, no more and no less. And verdicts of
//! others about travel: a rule comes to the same.
//!
//! The folder of third-party logs is named by `NIGHTLATCH_CORPORA`; a log that the test writes itself is
//! always checked in the same way.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A failed login; the log has no other kind.
struct Failure {
    seconds: i64,
    account: String,
    address: String,
}

/// What is flagged: entities of each rule, and the addresses that attack a guessed account.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flagged {
    entities: BTreeMap<String, BTreeSet<String>>,
    guessing_addresses: BTreeSet<String>,
}

impl Flagged {
    fn add(&mut self, rule: &str, entity: &str) {
        self.entities.entry(rule.to_owned()).or_default().insert(entity.to_owned());
    }

    /// Addresses that are flagged for themselves or for guessing an account.
    fn addresses(&self) -> BTreeSet<String> {
        let own = ["credential_stuffing", "password_spraying"];
        let own = own.iter().filter_map(|rule| self.entities.get(*rule)).flatten();
        own.chain(&self.guessing_addresses).cloned().collect()
    }
}

fn failures(log: &str) -> Vec<Failure> {
    let failure = |line: &str| {
        let (head, message) = line.split_once("]: Invalid user ")?;
        let (account, address) = message.rsplit_once(" from ")?;
        assert!(head.contains(" sshd["), "{line}");
        let time = format!("2014 {}", head.get(..15)?);
        let time = chrono::NaiveDateTime::parse_from_str(&time, "%Y %b %e %H:%M:%S").unwrap();
        Some(Failure {
            seconds: time.and_utc().timestamp(),
            account: if account.is_empty() { "(empty)".to_owned() } else { account.to_owned() },
            address: address.to_owned(),
        })
    };
    log.lines().filter_map(failure).collect()
}

/// The failures of `all` from `seconds` before `now` up to all of the same second.
fn recent<'a>(all: &[&'a Failure], now: i64, seconds: i64) -> Vec<&'a Failure> {
    all.iter().filter(|f| (now - seconds..=now).contains(&f.seconds)).copied().collect()
}

fn distinct<'a>(failures: &[&'a Failure], name: impl Fn(&'a Failure) -> &'a str) -> usize {
    failures.iter().map(|failure| name(failure)).collect::<BTreeSet<_>>().len()
}

fn is_stuffing(own: &[&Failure], now: i64) -> bool {
    let recent = recent(own, now, 10 * MINUTE);
    let accounts = distinct(&recent, |f| &f.account);
    (recent.len() >= 15 && accounts >= 10) || (recent.len() >= 30 && accounts >= 5)
}

fn is_spraying(own: &[&Failure], now: i64) -> bool {
    let minutes = recent(own, now, 10 * MINUTE);
    let few = |seconds: i64, accounts_min: usize| {
        let recent = recent(own, now, seconds);
        let accounts = distinct(&recent, |f| &f.account);
        let oldest = recent.iter().map(|f| f.seconds).min().unwrap();
        accounts >= accounts_min && recent.len() <= 3 * accounts && oldest <= now - 10 * MINUTE
    };
    let is_fast = minutes.len() >= 15 && distinct(&minutes, |f| &f.account) >= 10;
    !is_fast && (few(HOUR, 8) || few(DAY, 15))
}

fn is_guessed(own: &[&Failure], now: i64) -> bool {
    let (hour, day) = (recent(own, now, HOUR), recent(own, now, DAY));
    (hour.len() >= 20 && distinct(&hour, |f| &f.address) < 5)
        || (day.len() >= 50 && distinct(&day, |f| &f.address) < 10)
}

/// What the thresholds in `queries/` say, counted over and over from the raw lines.
fn counted(all: &[Failure]) -> Flagged {
    let mut flagged = Flagged::default();
    for address in all.iter().map(|f| &f.address).collect::<BTreeSet<_>>() {
        let own: Vec<&Failure> = all.iter().filter(|f| f.address == *address).collect();
        if own.iter().any(|f| is_stuffing(&own, f.seconds)) {
            flagged.add("credential_stuffing", address);
        }
        if own.iter().any(|f| is_spraying(&own, f.seconds)) {
            flagged.add("password_spraying", address);
        }
    }
    for account in all.iter().map(|f| &f.account).collect::<BTreeSet<_>>() {
        let own: Vec<&Failure> = all.iter().filter(|f| f.account == *account).collect();
        let mut newest = i64::MIN;
        for guess in own.iter().filter(|f| is_guessed(&own, f.seconds)) {
            flagged.add("brute_force", account);
            // An alert names those inside the frame of its first match, and of each match after it.
            if guess.seconds - 6 * HOUR > newest {
                let before = recent(&own, guess.seconds, DAY);
                flagged.guessing_addresses.extend(before.iter().map(|f| f.address.clone()));
            }
            flagged.guessing_addresses.insert(guess.address.clone());
            newest = guess.seconds;
        }
    }
    flagged
}

fn replayed(log: &Path) -> Flagged {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    command.args(["replay", "--format", "sshd", "--year", "2014", "--json", "--rules", "queries"]);
    let output = command.arg(log).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    let mut flagged = Flagged::default();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let alert: Value = serde_json::from_str(line).unwrap();
        let rule = alert["rule"].as_str().unwrap();
        flagged.add(rule, alert["entity"].as_str().unwrap());
        if rule == "brute_force" {
            let ips = alert["ips"].as_array().unwrap();
            let ips = ips.iter().map(|ip| ip.as_str().unwrap().to_owned());
            flagged.guessing_addresses.extend(ips);
        }
    }
    flagged
}

/// Replays the log, counts by hand, and gives what both say.
fn checked(log: &Path) -> Flagged {
    let text = fs::read(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    let expected = counted(&failures(&String::from_utf8_lossy(&text)));
    let found = replayed(log);
    assert_eq!(found, expected);
    assert_eq!(found.addresses(), expected.addresses());
    found
}

/// Lines of one address: attempt `n` comes at `start + n * gap`, on the account that `account` names.
fn lines(
    address: &str,
    start: i64,
    gap: i64,
    n_attempts: i64,
    account: impl Fn(i64) -> String,
) -> Vec<(i64, String)> {
    let line = |n: i64| {
        let seconds = start + n * gap;
        let time = chrono::DateTime::from_timestamp(1_417_392_000 + seconds, 0).unwrap();
        let time = time.format("%b %e %H:%M:%S");
        let pid = seconds % 60_000 + 100;
        let account = account(n);
        (seconds, format!("{time} gate sshd[{pid}]: Invalid user {account} from {address}\n"))
    };
    (0..n_attempts).map(line).collect()
}

#[test]
fn attackers_of_a_small_log_are_those_that_pass_a_threshold() {
    let of = |name: &'static str, n: i64| move |i: i64| format!("{name}{}", i % n);
    let mut all = [
        lines("192.0.2.1", 0, 7, 15, of("a", 10)),
        lines("192.0.2.2", 40_001, 7, 14, of("b", 14)),
        lines("192.0.2.3", 41_002, 7, 30, of("c", 5)),
        lines("192.0.2.4", 42_003, 7, 30, of("d", 4)),
        lines("192.0.2.5", 10_004, 91, 8, of("e", 8)),
        lines("192.0.2.6", 20_005, 91, 7, of("f", 7)),
        lines("192.0.2.7", 50_006, 31, 20, |_| "root".to_owned()),
        lines("192.0.2.8", 60_007, 31, 19, |_| "oracle".to_owned()),
        lines("192.0.2.9", 1_008, 1_801, 45, |_| "postgres".to_owned()),
        lines("192.0.2.10", 2_009, 3_601, 5, |_| "postgres".to_owned()),
    ]
    .concat();
    all.sort();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.log");
    fs::write(&path, all.into_iter().map(|(_, line)| line).collect::<String>()).unwrap();
    let flagged = checked(&path);
    let expected = [
        ("brute_force", vec!["postgres", "root"]),
        ("credential_stuffing", vec!["192.0.2.1", "192.0.2.3"]),
        ("password_spraying", vec!["192.0.2.5"]),
    ];
    let entities = flagged.entities.iter();
    let found: Vec<(&str, Vec<&str>)> = entities
        .map(|(rule, names)| (rule.as_str(), names.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(found, expected);
    let guessing: Vec<&String> = flagged.guessing_addresses.iter().collect();
    assert_eq!(guessing, ["192.0.2.10", "192.0.2.7", "192.0.2.9"]);
}

#[test]
fn attackers_of_a_real_log_are_those_that_pass_a_threshold() {
    let Some(corpora) = std::env::var_os("NIGHTLATCH_CORPORA") else {
        eprintln!("NIGHTLATCH_CORPORA names no folder: the small log alone is checked");
        attackers_of_a_small_log_are_those_that_pass_a_threshold();
        return;
    };
    let log = Path::new(&corpora).join("sshd/auth.log");
    let flagged = checked(&log);
    let text = fs::read(&log).unwrap();
    let all = failures(&String::from_utf8_lossy(&text));
    let attackers: BTreeSet<&str> = all.iter().map(|f| f.address.as_str()).collect();
    assert_eq!((all.len(), attackers.len()), (1489, 29), "another log");
    eprintln!("{} of 29 attacking addresses are flagged: {flagged:#?}", flagged.addresses().len());
    assert!(flagged.addresses().len() >= 9, "{flagged:#?}");
}

/// A rule as one would write it about impossible travel, without exceptions.
const TRAVEL: &str = r#"/*
title    = "Impossible travel"
severity = "medium"
entity   = "account"
quiet    = "1 hour"
horizon  = "30 days"
summary  = "{account} moved {km} km at {km_per_hour} km/h"
*/
WITH steps AS (
    SELECT
        time,
        account,
        latitude,
        longitude,
        lag(latitude) OVER own AS latitude_before,
        lag(longitude) OVER own AS longitude_before,
        lag(time) OVER own AS time_before
    FROM events
    WHERE action = 'login' AND latitude IS NOT NULL
    WINDOW own AS (PARTITION BY account ORDER BY time)
),
travel AS (
    SELECT
        time,
        account,
        distance_km(latitude_before, longitude_before, latitude, longitude) AS km,
        CASE
            WHEN time = time_before THEN 0.001
            ELSE (CAST(time AS BIGINT) - CAST(time_before AS BIGINT)) / 3600000000.0
        END AS hours
    FROM steps
)
SELECT time, account, km, km / hours AS km_per_hour
FROM travel
WHERE km > 100 AND km / hours > 300
"#;

/// Two logins: seconds since the epoch in microseconds, latitude, longitude.
type Login = (i64, f64, f64);

fn journey(account: &str, logins: [Login; 2]) -> Vec<(i64, String)> {
    let line = |(number, (time, latitude, longitude)): (usize, Login)| {
        let event = serde_json::json!({
            "time": time, "action": "login", "outcome": "success", "account": account,
            "latitude": latitude, "longitude": longitude, "event_id": format!("{account}/{number}"),
        });
        (time, format!("{event}\n"))
    };
    logins.into_iter().enumerate().map(line).collect()
}

/// Who travelled impossibly, how far and how fast, by both engines.
fn travellers(mut events: Vec<(i64, String)>) -> BTreeMap<String, (f64, f64)> {
    // Sorting keeps the order of logins of one time.
    events.sort_by_key(|(time, _)| *time);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/travel.sql"), TRAVEL).unwrap();
    let log: String = events.into_iter().map(|(_, line)| line).collect();
    fs::write(folder.path().join("log.jsonl"), log).unwrap();
    let rows = |engine: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
        command.args([
            "rules",
            "run",
            "travel",
            "log.jsonl",
            "--rules",
            "rules",
            "--engine",
            engine,
        ]);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let live = rows("live");
    assert_eq!(live, rows("batch"));
    let traveller = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| row[name].as_f64().unwrap();
        (row["account"].as_str().unwrap().to_owned(), (number("km"), number("km_per_hour")))
    };
    live.lines().map(traveller).collect()
}

const MILLISECOND: i64 = 1_000;
const HOUR_MICROS: f64 = 3_600_000_000.0;
/// Noon of 2025-03-14.
const NOON: i64 = 1_741_953_600_000_000;

#[test]
fn travel_is_impossible_when_it_is_far_and_fast() {
    // One degree of the equator is 111.32 km; 0.898 degrees are 99.96 km, 0.899 are 100.08 km.
    let after = |hours: f64| NOON + (hours * HOUR_MICROS) as i64;
    let journey = |name, end, longitude| journey(name, [(NOON, 0.0, 0.0), (end, 0.0, longitude)]);
    let events = [
        journey("fast", after(0.1), 1.0),
        journey("slow", after(0.372), 1.0),
        journey("just fast", after(0.371), 1.0),
        journey("near", after(0.0), 0.898),
        journey("just far", after(0.0), 0.899),
        journey("at rest", after(0.0), 0.0),
    ];
    let found = travellers(events.concat());
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["fast", "just far", "just fast"]);
    // No time at all counts as 0.001 hours.
    assert_eq!(found["just far"].1.floor(), (found["just far"].0 * 1000.0).floor());
}

#[test]
fn verdicts_of_others_about_travel_agree() {
    let Some(corpora) = std::env::var_os("NIGHTLATCH_CORPORA") else {
        eprintln!("NIGHTLATCH_CORPORA names no folder: journeys made by hand alone are checked");
        travel_is_impossible_when_it_is_far_and_fast();
        return;
    };
    let path = Path::new(&corpora).join("travel/impossible_travel.jsonl");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut events = Vec::new();
    let mut speeds = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let verdict: Value = serde_json::from_str(line).unwrap();
        let (login, before) = (&verdict["login"], &verdict["login"]["buffalogs"]);
        let float = |value: &Value| value.as_f64().unwrap();
        let end = chrono::DateTime::parse_from_rfc3339(login["timestamp"].as_str().unwrap());
        let end = end.unwrap().timestamp_micros();
        let to = (float(&login["lat"]), float(&login["lon"]));
        let from = (float(&before["start_lat"]), float(&before["start_lon"]));
        let speed = float(&before["avg_speed"]);
        // The first pass tells how far it is; the time between follows from the speed. It must come
        // out as whole milliseconds, as all times of the suite are: no other distance does that.
        let probe = journey(&number.to_string(), [(NOON, from.0, from.1), (NOON, to.0, to.1)]);
        events.push((probe, end, from, to));
        speeds.push(speed);
    }
    assert_eq!(speeds.len(), 222, "another suite");
    let far = travellers(events.iter().flat_map(|(probe, ..)| probe.clone()).collect());
    assert_eq!(far.len(), 222);
    let mut all = Vec::new();
    for (number, (_, end, from, to)) in events.iter().enumerate() {
        let km = far[&number.to_string()].0;
        let milliseconds = km / speeds[number] * HOUR_MICROS / 1_000.0;
        assert!((milliseconds - milliseconds.round()).abs() < 1e-3, "{number}: {milliseconds} ms");
        // 3,600 ms is what no time at all counts as.
        let between = milliseconds.round() as i64 % 3_600 * MILLISECOND;
        let told = [(end - between, from.0, from.1), (*end, to.0, to.1)];
        all.extend(journey(&format!("{number} told"), told));
        for (name, km_per_hour) in [("slow", 299.0), ("fast", 301.0)] {
            let start = end - (km / km_per_hour * HOUR_MICROS) as i64;
            let logins = [(start, from.0, from.1), (*end, to.0, to.1)];
            all.extend(journey(&format!("{number} {name}"), logins));
        }
    }
    let found = travellers(all);
    for (number, speed) in speeds.iter().enumerate() {
        let told = found.get(&format!("{number} told")).map(|(_, km_per_hour)| *km_per_hour);
        assert!(told.is_some_and(|told| (told.floor() - speed).abs() <= 1.0), "{number}: {told:?}");
        assert!(found.contains_key(&format!("{number} fast")), "{number}");
        assert!(!found.contains_key(&format!("{number} slow")), "{number}");
    }
}
