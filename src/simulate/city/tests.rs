//! The city's promises: deterministic, exact in number, true in its truth, with every trap and attack.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Write};
use std::sync::LazyLock;

use serde_json::Value;

use super::super::{SimulateArgs, simulate};
use super::{ATTACKS, TRAPS};

struct Log {
    text: String,
    events: Vec<Value>,
    truth: Vec<Value>,
}

/// Everything at once, read by several tests.
static EVERYTHING: LazyLock<Log> = LazyLock::new(|| log(5, 120_000, "all", "all"));

fn arguments(seed: u64, events: u64, traps: &str, attacks: &str) -> SimulateArgs {
    SimulateArgs {
        scenario: "city".into(),
        seed,
        events,
        traps: Some(traps.into()),
        attacks: Some(attacks.into()),
        truth: None,
        output: None,
    }
}

fn bytes(args: &SimulateArgs) -> (String, String) {
    let (mut log, mut truth) = (Vec::new(), Vec::new());
    simulate(args, &mut log, Some(&mut truth)).unwrap();
    (String::from_utf8(log).unwrap(), String::from_utf8(truth).unwrap())
}

fn log(seed: u64, events: u64, traps: &str, attacks: &str) -> Log {
    let (text, truth) = bytes(&arguments(seed, events, traps, attacks));
    let lines = |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Log { events: lines(&text), truth: lines(&truth), text }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

impl Log {
    fn told(&self, kind: &'static str) -> impl Iterator<Item = &Value> {
        self.truth.iter().filter(move |line| line["type"] == kind)
    }

    fn by_id(&self) -> HashMap<&str, &Value> {
        self.events.iter().map(|event| (text(event, "event_id"), event)).collect()
    }

    /// Attacks of a kind, each with its events.
    fn attacks(&self, kind: &str) -> Vec<(&Value, Vec<&Value>)> {
        let events = self.by_id();
        let steps = |attack: &Value| -> Vec<&Value> {
            let steps = attack["steps"].as_array().unwrap();
            steps.iter().map(|step| events[text(step, "event_id")]).collect()
        };
        let attacks: Vec<_> = self.told("attack").filter(|line| line["kind"] == kind).collect();
        attacks.into_iter().map(|attack| (attack, steps(attack))).collect()
    }
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    let args = arguments(7, 20_000, "all", "all");
    assert_eq!(bytes(&args), bytes(&args));
    assert_ne!(bytes(&args).0, bytes(&arguments(8, 20_000, "all", "all")).0);
}

/// A change of these bytes is a change of every published figure: it must be meant.
#[test]
fn the_city_is_what_it_always_was() {
    use sha2::{Digest, Sha256};
    let (log, truth) = bytes(&arguments(1, 30_000, "all", "all"));
    let digest = Sha256::digest(format!("{log}{truth}"));
    let head: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(head, "94e8a03c9a94");
}

#[test]
fn the_number_of_events_is_exact() {
    for events in [0, 1, 999, 6000] {
        assert_eq!(bytes(&arguments(1, events, "all", "all")).0.lines().count() as u64, events);
    }
}

/// Counts what is written and forgets it.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_log_runs_through_without_a_truth() {
    let mut counter = Counter(0);
    simulate(&arguments(2, 5000, "all", "all"), &mut counter, None).unwrap();
    assert!(counter.0 > 1_000_000);
}

#[test]
fn events_are_sound_and_late_by_less_than_a_minute() {
    let log = log(3, 60_000, "all", "user_enumeration");
    let decoder_columns: HashSet<&str> =
        crate::event::schema::COLUMNS.iter().map(|column| column.name).collect();
    let (mut newest, mut ids, mut out_of_order) = (0, HashSet::new(), 0);
    for event in &log.events {
        let time = chrono::DateTime::parse_from_rfc3339(text(event, "time")).unwrap();
        let time = time.timestamp_millis();
        assert!(time > newest - 60_000, "{event} is too late");
        out_of_order += u64::from(time < newest);
        newest = newest.max(time);
        assert!(ids.insert(text(event, "event_id")), "{event} comes twice");
        assert!(!text(event, "account").is_empty());
        for name in event.as_object().unwrap().keys() {
            assert!(decoder_columns.contains(name.as_str()), "{name} is no column");
        }
        let ip: std::net::IpAddr = text(event, "ip").parse().unwrap();
        let reserved = match ip {
            std::net::IpAddr::V4(ip) => ip.octets()[0] >= 240,
            std::net::IpAddr::V6(ip) => ip.segments()[0] == 0x3fff,
        };
        assert!(reserved, "{ip} may be somebody's");
        assert!(event["asn"].as_u64().unwrap() >= 4_200_000_000);
        assert!(text(event, "as_org").starts_with("Example "));
    }
    assert!(out_of_order > 20, "{out_of_order} events came late");
    assert!(log.text.contains("\"outcome\":\"failure\""));
}

/// Every step names an event of the log, of that account, at that time; accounts fall by a success.
#[test]
fn the_truth_is_what_is_in_the_log() {
    let log = &*EVERYTHING;
    let events = log.by_id();
    let mut hostile = HashSet::new();
    for attack in log.told("attack") {
        let accounts: HashSet<&str> =
            attack["accounts"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let steps = attack["steps"].as_array().unwrap();
        assert_eq!(attack["events"].as_u64().unwrap(), steps.len() as u64);
        let mut times = BTreeSet::new();
        for step in steps {
            let event = events[text(step, "event_id")];
            for field in ["time", "action", "outcome", "account"] {
                assert_eq!(event[field], step[field], "{step}");
            }
            assert!(accounts.contains(text(step, "account")));
            assert!(hostile.insert(text(step, "event_id")), "{step} is of two attacks");
            times.insert(text(step, "time"));
        }
        assert_eq!(times.first(), Some(&text(attack, "started_at")));
        assert_eq!(times.last(), Some(&text(attack, "ended_at")));
        for fall in attack["fell"].as_array().unwrap() {
            let event = events[text(fall, "event_id")];
            assert_eq!(event["account"], fall["account"]);
            assert_eq!(event["time"], fall["time"]);
            assert_eq!(event["outcome"], "success");
        }
    }
    let summary = log.told("log").next().unwrap();
    assert_eq!(summary["events"], 120_000);
    assert_eq!(summary["benign_events"].as_u64().unwrap() + hostile.len() as u64, 120_000);
}

/// An alert on a shared address is not about the attack: colleagues' offices, VPN exits, the
/// victim's own network are not the attacker's own.
#[test]
fn the_attackers_own_addresses_are_nobody_elses() {
    let log = &*EVERYTHING;
    let hostile: HashSet<&str> = log
        .told("attack")
        .flat_map(|attack| attack["steps"].as_array().unwrap())
        .map(|step| text(step, "event_id"))
        .collect();
    let innocent: HashSet<&str> = log
        .events
        .iter()
        .filter(|event| !hostile.contains(text(event, "event_id")))
        .map(|event| text(event, "ip"))
        .collect();
    for attack in log.told("attack").filter(|attack| attack["kind"] != "share_after_revocation") {
        for ip in attack["entities"]["ip"].as_array().into_iter().flatten() {
            assert!(!innocent.contains(ip.as_str().unwrap()), "{ip} of {}", attack["kind"]);
        }
    }
}

#[test]
fn every_attack_is_there_and_nearly_all_end_in_the_log() {
    let log = &*EVERYTHING;
    let kinds: BTreeSet<&str> = log.told("attack").map(|line| text(line, "kind")).collect();
    assert_eq!(kinds, ATTACKS.into_iter().collect());
    let cut = log.told("attack").filter(|line| line["complete"] == false).count();
    assert!(cut <= 2, "{cut} attacks are cut short");
    let fell: usize = log.told("attack").map(|line| line["fell"].as_array().unwrap().len()).sum();
    assert!(fell >= 30, "{fell} accounts fell");
}

#[test]
fn nothing_is_planted_that_is_switched_off() {
    let quiet = log(4, 40_000, "none", "none");
    assert_eq!(quiet.told("attack").count() + quiet.told("trap").count(), 0);
    let some = log(4, 40_000, "family,outage", "mfa_fatigue");
    let traps: BTreeSet<&str> = some.told("trap").map(|line| text(line, "kind")).collect();
    assert_eq!(traps, BTreeSet::from(["family", "outage"]));
    assert!(some.told("attack").all(|line| line["kind"] == "mfa_fatigue"));
    assert!(some.told("attack").count() >= 2);
}

#[test]
fn every_trap_is_told() {
    let log = log(6, 60_000, "all", "none");
    let kinds: BTreeSet<&str> = log.told("trap").map(|line| text(line, "kind")).collect();
    assert_eq!(kinds, TRAPS.into_iter().collect());
    for trap in log.told("trap") {
        assert!(text(trap, "started_at") <= text(trap, "ended_at"), "{trap}");
    }
}

fn count(log: &Log, holds: impl Fn(&Value) -> bool) -> usize {
    log.events.iter().filter(|event| holds(event)).count()
}

fn accounts_of(log: &Log, holds: impl Fn(&Value) -> bool) -> usize {
    let accounts: HashSet<&str> = log
        .events
        .iter()
        .filter(|event| holds(event))
        .map(|event| text(event, "account"))
        .collect();
    accounts.len()
}

/// Each trap alone does to the log what its name says; without it the log does not show it.
#[test]
fn traps_do_what_they_say() {
    const EVENTS: u64 = 30_000;
    let plain = log(9, EVENTS, "none", "none");
    let with = |trap: &str| log(9, EVENTS, trap, "none");
    let customers_an_ip = |log: &Log, network: &str| {
        let mut all: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
        for event in log.events.iter().filter(|event| event["network"] == network) {
            all.entry(text(event, "ip")).or_default().insert(text(event, "account"));
        }
        all.values().map(HashSet::len).max().unwrap_or_default()
    };
    assert!(customers_an_ip(&plain, "mobile") < 6);
    assert!(customers_an_ip(&with("cgnat"), "mobile") > 20);
    let is = |field: &'static str, value: &'static str| move |event: &Value| event[field] == value;
    let appears = |trap: &str, field: &'static str, value: &'static str, least: usize| {
        assert_eq!(count(&plain, is(field, value)), 0, "{value} without {trap}");
        let times = count(&with(trap), is(field, value));
        assert!(times >= least, "{trap}: {value} {times} times");
    };
    appears("campus", "as_org", "Example University 0", 5);
    appears("outage", "reason", "service_unavailable", 2);
    appears("partner_polling", "actor", "partner-alarm", 50);
    appears("monitoring", "account", "probe-01", 50);
    appears("vpn_users", "network", "vpn", 20);
    appears("credential_rotation", "reason", "bad_credentials", 5);
    let failures = |log: &Log| accounts_of(log, is("reason", "bad_password"));
    assert!(failures(&with("app_update")) > failures(&plain) + 20);
    let resets = |log: &Log| count(log, is("action", "password_reset"));
    assert!(resets(&with("forgotten_password")) > resets(&plain) + 15);
    let hotels = |log: &Log| count(log, |event| text(event, "as_org").contains("Hospitality"));
    assert!(hotels(&with("travellers")) > hotels(&plain) + 80);
    let registered = |log: &Log| count(log, is("action", "device_register"));
    assert!(registered(&with("new_phone")) > registered(&plain) + 3);
    let viewers = |log: &Log| {
        count(log, |event| {
            event["actor_type"] == "shared_user" && {
                let actor = text(event, "actor");
                !actor.starts_with("kin.") && !actor.starts_with("friend.")
            }
        })
    };
    assert_eq!(viewers(&plain), 0);
    assert!(viewers(&with("viral_clip")) > 10);
    let cases = |log: &Log| most_cases_a_day(log);
    assert!(cases(&with("staff_cases")) > cases(&plain) + 3);
    let order = |log: &Log| {
        log.events.windows(2).filter(|pair| text(&pair[0], "time") > text(&pair[1], "time")).count()
    };
    assert_eq!(order(&plain), 0);
    assert!(order(&with("late_batches")) > 5);
    for trap in ["family", "phone_hopping", "shift_workers"] {
        let log = with(trap);
        let told = log.told("trap").next().unwrap();
        assert!(told["entities"]["account"].as_array().unwrap().len() > 5, "{trap}");
        assert_ne!(log.text, plain.text);
    }
}

fn most_cases_a_day(log: &Log) -> usize {
    let mut all: HashMap<(&str, &str), HashSet<&str>> = HashMap::new();
    for event in log.events.iter().filter(|event| !event["ticket"].is_null()) {
        let day = &text(event, "time")[..10];
        all.entry((text(event, "actor"), day)).or_default().insert(text(event, "ticket"));
    }
    all.iter()
        .filter(|((actor, _), _)| !actor.is_empty())
        .map(|(_, cases)| cases.len())
        .max()
        .unwrap()
}

/// Each attack alone leaves in the log what its name says.
#[test]
fn attacks_do_what_they_say() {
    let log = &*EVERYTHING;
    let failures =
        |events: &[&Value]| events.iter().filter(|event| event["outcome"] == "failure").count();
    let distinct = |events: &[&Value], field: &str| {
        events.iter().map(|event| text(event, field).to_owned()).collect::<HashSet<_>>().len()
    };
    for kind in
        ["credential_stuffing", "password_spraying", "shuffled_fingerprints", "hidden_in_outage"]
    {
        for (attack, events) in log.attacks(kind) {
            assert!(failures(&events) >= 20, "{kind}");
            assert!(distinct(&events, "account") >= 20, "{kind}");
            assert!(!attack["fell"].as_array().unwrap().is_empty(), "{kind} {}", attack["evasion"]);
        }
    }
    for (_, events) in log.attacks("shuffled_fingerprints") {
        assert!(distinct(&events, "tls_fingerprint") > events.len() / 3);
    }
    for (attack, events) in log.attacks("session_theft") {
        assert!(events.iter().all(|event| event["action"] != "login"), "{attack}");
        assert_eq!(failures(&events), 0);
    }
    for kind in ["known_password", "dormant_account", "intruder_stays"] {
        for (_, events) in log.attacks(kind) {
            assert_eq!(failures(&events), 0, "{kind}");
            assert_eq!(events[0]["action"], "login");
        }
    }
    for (attack, events) in log.attacks("mfa_fatigue") {
        let denied = events.iter().filter(|event| event["reason"] == "mfa_denied").count();
        assert!(denied >= 4);
        assert_eq!(attack["fell"].as_array().unwrap().is_empty(), attack["evasion"] == "denied");
    }
    for (attack, _) in log.attacks("behind_victims_cgnat") {
        assert!(!attack["shared_ips"].as_array().unwrap().is_empty());
    }
    for (_, events) in log.attacks("user_enumeration") {
        let unknown = events.iter().filter(|event| event["reason"] == "unknown_account").count();
        assert!(unknown * 10 > events.len() * 7);
    }
    for (_, events) in log.attacks("same_victim") {
        assert_eq!(distinct(&events, "account"), 1);
        assert!(events.len() >= 12);
    }
    for (_, events) in log.attacks("recording_after_retention") {
        let time = |field| chrono::DateTime::parse_from_rfc3339(text(events[0], field)).unwrap();
        assert!((time("time") - time("recorded_at")).num_days() >= 30);
    }
    for (_, events) in log.attacks("private_labels") {
        assert!(distinct(&events, "account") >= 5 && distinct(&events, "ticket") >= 5);
    }
}

/// What comes after the end does come after it: the end stands in the log, before.
#[test]
fn what_is_used_was_gone() {
    let log = &*EVERYTHING;
    let ended = |action: &str, field: &str, value: &Value| {
        let ends = |event: &&Value| event["action"] == action && event[field] == *value;
        log.events.iter().find(ends).map(|event| text(event, "time").to_owned())
    };
    let mut seen = 0;
    for (kind, action, field) in [
        ("recording_after_deletion", "recording_delete", "resource"),
        ("account_after_deletion", "account_delete", "account"),
        ("late_deletion", "recording_delete", "resource"),
    ] {
        for (_, events) in log.attacks(kind) {
            let at = ended(action, field, &events[0][field]).unwrap();
            assert!(at.as_str() < text(events[0], "time"), "{kind}");
            seen += 1;
        }
    }
    for (_, events) in log.attacks("share_after_revocation") {
        let revoked = |event: &&Value| {
            event["action"] == "share_revoke" && event["resource"] == events[0]["actor"]
        };
        assert!(text(log.events.iter().find(revoked).unwrap(), "time") < text(events[0], "time"));
        seen += 1;
    }
    assert!(seen >= 6, "{seen}");
}

/// The innocent do not use what is gone, or every such rule would look worse than it is.
#[test]
fn the_innocent_keep_off_what_is_deleted() {
    let log = log(13, 120_000, "all", "none");
    let mut gone: HashMap<&str, &str> = HashMap::new();
    for event in &log.events {
        match text(event, "action") {
            "recording_delete" => gone.insert(text(event, "resource"), text(event, "time")),
            "account_delete" => gone.insert(text(event, "account"), text(event, "time")),
            _ => {
                for field in ["resource", "account"] {
                    let deleted = gone.get(text(event, field));
                    assert!(deleted.is_none_or(|at| *at > text(event, "time")), "{event}");
                }
                None
            }
        };
    }
    assert!(gone.len() > 20, "{} deletions", gone.len());
}

#[test]
fn wrong_switches_are_refused() {
    let error = simulate(&arguments(1, 1, "famly", "all"), &mut Vec::new(), None).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean \"family\"?"));
    let ring = SimulateArgs { scenario: "ring-2019".into(), ..arguments(1, 1, "all", "all") };
    let error = simulate(&ring, &mut Vec::new(), None).unwrap_err();
    assert!(error.to_string().contains("has no switches"), "{error}");
}
