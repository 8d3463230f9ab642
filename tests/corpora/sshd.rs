//! A real log: what the rules flag is what a count by hand says, no more and no less.
//!
//! The folder of third-party logs is named by `NIGHTLATCH_CORPORA`; a log that the test writes itself is
//! always checked in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The rules whose thresholds are counted here too.
const COUNTED: [&str; 4] =
    ["brute_force", "credential_stuffing", "password_spraying", "user_enumeration"];

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
        let own = ["credential_stuffing", "password_spraying", "user_enumeration"];
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
    let (minutes, day) = (recent(own, now, 10 * MINUTE), recent(own, now, DAY));
    let is_fast = minutes.len() >= 15 && distinct(&minutes, |f| &f.account) >= 10;
    let accounts = distinct(&day, |f| &f.account);
    let oldest = day.iter().map(|f| f.seconds).min().unwrap();
    !is_fast && accounts >= 5 && day.len() <= 3 * accounts && oldest <= now - 10 * MINUTE
}

/// Every account of such a log is one that is not there.
fn is_enumerating(own: &[&Failure], now: i64) -> bool {
    distinct(&recent(own, now, DAY), |f| &f.account) >= 5
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
        if own.iter().any(|f| is_enumerating(&own, f.seconds)) {
            flagged.add("user_enumeration", address);
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
        if COUNTED.contains(&rule) {
            flagged.add(rule, alert["entity"].as_str().unwrap());
        }
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
        ("user_enumeration", vec!["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.5", "192.0.2.6"]),
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
