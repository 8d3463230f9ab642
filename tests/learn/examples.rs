//! What the documentation says, example by example.

use std::collections::HashSet;
use std::time::Duration;

use nightlatch::config::{LearnConfig, RiskConfig};
use nightlatch::learn::{LearnStats, Learner, LearnerManifest};
use nightlatch::store::{BlockReader, BlockWriter};

use crate::support::logins::{DAY, Event, HOUR, SECOND, login};
use crate::{START, days, float, integer, learn, learner};

/// Logins of several histories and the score of each, `das-group/rba-algorithm` at commit 28fec46:
/// `freeman_rba_score(login, user_logs, global_logs, num_users, global_hash_table=table)`, where the logs,
/// the table and the number of users are those of the successful logins before. Columns: history, account,
/// ip, asn, country, user agent, browser, system, device type, 1 for a success, score (empty: the account
/// has no login yet). Missing values were given to it as a value of their own. In the history `bare`, where
/// all of a feature are missing, its weights were left out of `feature_weightings`; in `weights` they are
/// those of [`other_weights`].
const SCORED: &[u8] = include_bytes!("../fixtures/risk.tsv.zst");

fn other_weights() -> RiskConfig {
    RiskConfig {
        ip: 0.5,
        asn: 0.25,
        country: 0.25,
        user_agent: 0.4,
        agent: 0.3,
        os: 0.2,
        device_type: 0.1,
    }
}

#[test]
fn risk_equals_the_reference() {
    let text = String::from_utf8(zstd::decode_all(SCORED).unwrap()).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut n_scored = 0;
    for history in lines.chunk_by(|a, b| a[0] == b[0]) {
        let risk = if history[0][0] == "weights" { other_weights() } else { RiskConfig::default() };
        let mut learner = learner(&LearnConfig { risk, ..LearnConfig::default() });
        let events: Vec<Event> = history
            .iter()
            .enumerate()
            .map(|(index, cells)| Event {
                asn: cells[3].parse().ok(),
                country: cells[4].to_owned(),
                user_agent: cells[5].to_owned(),
                agent: cells[6].to_owned(),
                os: cells[7].to_owned(),
                device_type: cells[8].to_owned(),
                ..login(START + index as i64 * 60 * SECOND, cells[1], cells[2], cells[9] == "1")
            })
            .collect();
        let learned = learn(&mut learner, &events);
        for (row, cells) in history.iter().enumerate() {
            let (found, wanted) = (float(&learned, "risk", row), cells[10].parse::<f64>().ok());
            match (found, wanted) {
                (None, None) => continue,
                (Some(found), Some(wanted)) if (found - wanted).abs() <= 1e-9 * wanted => {}
                _ => panic!("{} line {row}: {found:?}, the reference has {wanted:?}", cells[0]),
            }
            n_scored += 1;
        }
    }
    assert!(n_scored > 5_700, "only {n_scored} scores were compared");
}

#[test]
fn only_logins_have_a_risk_and_the_usual_one_needs_five() {
    let mut learner = learner(&LearnConfig::default());
    let mut events: Vec<Event> =
        (0..8).map(|n| login(START + n * HOUR, "anna", "192.0.2.1", true)).collect();
    events.push(login(START + 8 * HOUR, "anna", "203.0.113.9", false));
    events.push(Event {
        action: "live_view".to_owned(),
        ..login(START + 9 * HOUR, "anna", "x", true)
    });
    let learned = learn(&mut learner, &events);
    let has =
        |name: &str| (0..10).map(|row| float(&learned, name, row).is_some()).collect::<Vec<_>>();
    let from = |first: usize| (0..10).map(|row| row >= first && row != 9).collect::<Vec<_>>();
    assert_eq!(has("risk"), from(1));
    // The first login has no risk, the next five make it.
    assert_eq!(has("risk_usual"), from(6));
    let (odd, usual) =
        (float(&learned, "risk", 8).unwrap(), float(&learned, "risk_usual", 8).unwrap());
    assert!(odd > usual, "{odd} {usual}");
}

#[test]
fn events_of_one_time_do_not_see_each_other() {
    let mut learner = learner(&LearnConfig { settle_after: days(0), ..LearnConfig::default() });
    let tie: Vec<Event> =
        ["anna", "ben", "anna"].iter().map(|a| login(START, a, "192.0.2.1", true)).collect();
    let first = learn(&mut learner, &tie);
    for row in 0..3 {
        assert_eq!(integer(&first, "ip_accounts", row), Some(0));
        assert_eq!(float(&first, "account_age_days", row), None);
    }
    let next = learn(&mut learner, &[login(START + 1, "anna", "192.0.2.1", true)]);
    assert_eq!(integer(&next, "ip_accounts", 0), Some(2));
    assert_eq!(float(&next, "days_since_last_login", 0), Some(1.0 / DAY as f64));
}

#[test]
fn stolen_accounts_do_not_make_an_address_shared() {
    let mut learner = learner(&LearnConfig::default());
    let name = |n: i64| format!("user-{n}");
    // Fifty customers at home, on a network of their own.
    let at_home = |n: i64, time: i64| Event {
        asn: Some(64_500 + n),
        ..login(time + n * SECOND, &name(n), &format!("192.0.2.{n}"), true)
    };
    for day in 0..3 {
        learn(&mut learner, &(0..50).map(|n| at_home(n, START + day * DAY)).collect::<Vec<_>>());
    }
    let theft: Vec<Event> = (0..50)
        .flat_map(|n| {
            let time = START + 3 * DAY + n * SECOND;
            let failures = (0..9).map(move |k| (time + k, false));
            failures.chain([(time + 9, true)]).map(move |(time, is_success)| Event {
                asn: Some(65_000),
                ..login(time, &name(n), "203.0.113.7", is_success)
            })
        })
        .collect();
    let learned = learn(&mut learner, &theft);
    let last = theft.len() - 1;
    assert_eq!(integer(&learned, "ip_accounts", last), Some(0));
    assert_eq!(integer(&learned, "asn_accounts", last), Some(0));
    assert_eq!(float(&learned, "ip_known_days", last), Some(0.0));
    let ratio = float(&learned, "ip_success_ratio", last).unwrap();
    assert!((ratio - 49.0 / 499.0).abs() < 1e-12, "{ratio}");
    // Those at home count where they live.
    let home = learn(&mut learner, &[at_home(7, START + 4 * DAY)]);
    assert_eq!(integer(&home, "ip_accounts", 0), Some(1));
    assert_eq!(float(&home, "ip_known_days", 0), Some(4.0));
}

#[test]
fn a_flood_of_made_up_names_pushes_nothing_out() {
    let config = LearnConfig {
        memory_max: 4 << 20,
        failing_max: 10_000,
        settle_after: days(0),
        ..LearnConfig::default()
    };
    let mut learner = learner(&config);
    learn(&mut learner, &[login(START, "anna", "192.0.2.1", true)]);
    let n_rounds = 100;
    for round in 0..n_rounds {
        let time = START + HOUR + round * SECOND;
        // Random names that fail, then random names that get in.
        let flood = (0..10_000).map(|n| {
            let n = round * 10_000 + n;
            let is_success = round >= n_rounds / 2;
            login(time, &format!("flood-{n}"), &format!("10.{n}"), is_success)
        });
        learn(&mut learner, &flood.collect::<Vec<_>>());
        let stats = learner.stats();
        assert!(stats.bytes <= config.memory_max, "{stats:?}");
        assert!(stats.failing <= 3 * 10_000, "{stats:?}");
        assert_eq!(stats.accounts > 1, round >= n_rounds / 2, "{stats:?}");
    }
    let stats = learner.stats();
    assert!(stats.refused > 400_000 && stats.failing_dropped > 900_000 / 2, "{stats:?}");
    let learned = learn(&mut learner, &[login(START + DAY, "anna", "192.0.2.1", true)]);
    assert_eq!(float(&learned, "account_age_days", 0), Some(1.0));
    assert_eq!(float(&learned, "ip_known_days", 0), Some(1.0));
    assert_eq!(integer(&learned, "ip_accounts", 0), Some(1));
    // What was turned away in the middle of an event left nothing half learned.
    learn(&mut learner, &[login(START + 500 * DAY, "nobody", "192.0.2.1", false)]);
    assert_eq!(learner.stats().bytes, 0);
}

#[test]
fn forgotten_addresses_leave_their_network_known() {
    let config = LearnConfig { values_per_account_max: 4, ..LearnConfig::default() };
    let mut learner = learner(&config);
    let hop = |n: i64| Event {
        asn: Some(64_500),
        country: "DE".to_owned(),
        ..login(START + n * HOUR, "anna", &format!("192.0.2.{n}"), true)
    };
    let learned = learn(&mut learner, &(0..200).map(hop).collect::<Vec<_>>());
    assert_eq!(float(&learned, "asn_known_days", 199), Some(199.0 / 24.0));
    assert_eq!(float(&learned, "country_known_days", 199), Some(199.0 / 24.0));
    assert_eq!(learner.stats().values_dropped, 200 - 3);
    // The oldest was forgotten; its network was not, and no login of it.
    let again = learn(&mut learner, &[Event { time: START + 300 * HOUR, ..hop(0) }]);
    assert_eq!(float(&again, "ip_known_days", 0), Some(0.0));
    assert_eq!(float(&again, "asn_known_days", 0), Some(300.0 / 24.0));
    assert_eq!(learner.stats().logins, 201);
}

#[test]
fn staff_and_peers_by_their_days() {
    let mut learner = learner(&LearnConfig::default());
    let touch = |day: i64, actor: i64, n: i64, actor_type: &str| Event {
        action: "recording_view".to_owned(),
        outcome: "unknown".to_owned(),
        actor: format!("agent-{actor}"),
        actor_type: actor_type.to_owned(),
        ..login(START + day * DAY + n * SECOND + actor, &format!("user-{n}"), "10.0.0.1", true)
    };
    for day in 0..5 {
        let mut events: Vec<Event> = (0..4)
            .flat_map(|actor| (0..10 + actor).map(move |n| touch(day, actor, n, "employee")))
            .chain((0..10).map(|n| touch(day, 3, n, "employee")))
            .chain([touch(day, 9, 0, "contractor")])
            .collect();
        events.sort_by_key(|event| event.time);
        let learned = learn(&mut learner, &events);
        let row = |actor: &str| events.iter().position(|e| e.actor == actor).unwrap();
        let own = |actor: &str| integer(&learned, "staff_accounts_usual", row(actor));
        let peers = |actor: &str| integer(&learned, "peer_accounts_usual", row(actor));
        assert_eq!(own("agent-2"), (day >= 3).then_some(12));
        assert_eq!(peers("agent-2"), (day >= 3).then_some(13), "{day}");
        assert_eq!(own("agent-9"), (day >= 3).then_some(1));
        assert_eq!(peers("agent-9"), None);
    }
    let customer = learn(&mut learner, &[login(START + 6 * DAY, "user-1", "192.0.2.1", true)]);
    assert_eq!(integer(&customer, "peer_accounts_usual", 0), None);
}

#[test]
fn an_outage_shows_against_the_usual_hour() {
    let mut learner = learner(&LearnConfig::default());
    let minute = |time: i64, n_failures: i64| {
        (0..20).map(move |n| {
            login(time + n * SECOND, &format!("user-{n}"), "192.0.2.1", n >= n_failures)
        })
    };
    for hour in 0..48 {
        for m in 0..6 {
            let events: Vec<Event> =
                minute(START + hour * HOUR + m * 10 * 60 * SECOND, 1).collect();
            learn(&mut learner, &events);
        }
    }
    let outage: Vec<Event> = minute(START + 48 * HOUR, 19).collect();
    learn(&mut learner, &outage);
    let next = learn(&mut learner, &[login(START + 48 * HOUR + 30 * SECOND, "x", "y", true)]);
    assert_eq!(float(&next, "service_failure_ratio", 0), Some(0.95));
    assert_eq!(float(&next, "service_failure_ratio_usual", 0), Some(0.05));
}

#[test]
fn damaged_blocks_start_cold_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = LearnConfig { settle_after: days(0), ..LearnConfig::default() };
    let mut source = learner(&config);
    let events: Vec<Event> = (0..600)
        .map(|n| {
            login(
                START + n * HOUR,
                &format!("user-{}", n % 50),
                &format!("192.0.2.{}", n % 9),
                true,
            )
        })
        .collect();
    learn(&mut source, &events);
    let mut writer = BlockWriter::create(folder.path(), 0, HashSet::new()).unwrap();
    let manifest = source.checkpoint(&mut writer);
    writer.finish().unwrap();
    assert!(manifest.blocks().count() > 10);
    let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&path).unwrap();
    let restore = |manifest: &LearnerManifest| {
        let reader = BlockReader::new(folder.path());
        let (learner, problem) = Learner::restore(&config, manifest, &reader).unwrap();
        (learner.stats(), problem)
    };
    assert!(restore(&manifest).1.is_none());
    for n in 0..200 {
        let mut bad = good.clone();
        let at = (n * 7_919 * 13) % bad.len();
        bad[at] ^= 1 << (n % 8);
        std::fs::write(&path, &bad).unwrap();
        let (stats, problem) = restore(&manifest);
        let problem = problem.expect("a damaged block is seen");
        assert!(problem.to_string().contains("starts from nothing"), "{problem}");
        assert_eq!(stats, LearnStats::default());
    }
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(restore(&manifest).1.is_some());
    // Blocks that are whole and in the wrong place.
    std::fs::write(&path, &good).unwrap();
    let text = serde_json::to_value(&manifest).unwrap();
    let keys: Vec<String> = text.as_object().unwrap().keys().cloned().collect();
    for one in &keys {
        for other in &keys {
            let mut swapped = text.clone();
            swapped[one] = text[other].clone();
            if let Ok(manifest) = serde_json::from_value::<LearnerManifest>(swapped) {
                restore(&manifest);
            }
        }
    }
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    let refused = |change: fn(&mut LearnConfig)| {
        let mut config = LearnConfig::default();
        change(&mut config);
        Learner::new(&config).expect_err("a refusal").to_string()
    };
    assert!(refused(|c| c.risk.ip = 0.9).contains("sum to 1.300"));
    assert!(refused(|c| c.risk.os = -0.1).contains("from 0 to 1"));
    assert!(refused(|c| c.risk.os = f64::NAN).contains("from 0 to 1"));
    assert!(refused(|c| (c.risk.ip, c.risk.asn) = (0.0, 0.9)).contains("more than 0"));
    assert!(refused(|c| c.forget_after = days(3)).contains("learn.forget_after"));
    assert!(refused(|c| c.shared_window = Duration::from_secs(3600)).contains("whole days"));
    let rounded = RiskConfig {
        user_agent: 0.539,
        agent: 0.268,
        os: 0.188,
        device_type: 0.005,
        ..RiskConfig::default()
    };
    learner(&LearnConfig { risk: rounded, ..LearnConfig::default() });
}

#[test]
fn a_sender_cannot_say_what_was_learned() {
    use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
    use nightlatch::source::{InputId, RawBatch};
    let mut raw = RawBatch::new(InputId(0), 0, 0, START);
    raw.push(
        1,
        br#"{"time":1700000000,"action":"login","account":"a","risk":0.1,"accuracy_km":5}"#,
    );
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    let decoded = decoder.decode(&mut raw).unwrap();
    assert_eq!(float(&decoded.batch, "risk", 0), None);
    assert_eq!(float(&decoded.batch, "accuracy_km", 0), Some(5.0));
    assert_eq!(decoder.unknown_fields().unwrap().total, 1);
}
