//! Learning: the columns are what the documentation says, and a function of the events alone.

mod support;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, Int64Type};
use nightlatch::config::{LearnConfig, RiskConfig};
use nightlatch::event::schema;
use nightlatch::learn::{LearnStats, Learner, LearnerManifest};
use nightlatch::store::{BlockReader, BlockWriter};
use proptest::prelude::*;
use support::logins::{DAY, Event, HOUR, SECOND, batch, events, login};

const START: i64 = 19_700 * DAY;

fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

fn learner(config: &LearnConfig) -> Learner {
    Learner::new(config).expect("a sound configuration")
}

fn learn(learner: &mut Learner, events: &[Event]) -> RecordBatch {
    learner.learn(&batch(events)).expect("a batch of events")
}

/// What learning filled in, bit for bit.
fn learned(batch: &RecordBatch) -> Vec<String> {
    let columns = &batch.columns()[schema::N_SENT..schema::N_COLUMNS];
    let cell = |column: usize, row: usize| match columns[column].is_null(row) {
        true => "NULL".to_owned(),
        false => match columns[column].as_primitive_opt::<Int64Type>() {
            Some(integers) => integers.value(row).to_string(),
            None => {
                let float = columns[column].as_primitive::<Float64Type>().value(row);
                format!("{float} {:x}", float.to_bits())
            }
        },
    };
    (0..batch.num_rows())
        .map(|row| (0..columns.len()).map(|c| cell(c, row)).collect::<Vec<_>>().join(" | "))
        .collect()
}

fn float(batch: &RecordBatch, name: &str, row: usize) -> Option<f64> {
    let column = batch.column_by_name(name).expect("a column").as_primitive::<Float64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn integer(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name).expect("a column").as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

/// Cuts events after groups of equal times only, where `cuts` says.
fn pieces<'a>(events: &'a [Event], cuts: &[bool]) -> Vec<&'a [Event]> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for end in 1..=events.len() {
        let is_group_end = end == events.len() || events[end].time != events[end - 1].time;
        if is_group_end && (end == events.len() || cuts[end % cuts.len()]) {
            pieces.push(&events[start..end]);
            start = end;
        }
    }
    pieces
}

/// A configuration whose limits bite on few events.
fn tight() -> impl Strategy<Value = LearnConfig> {
    (1..30_u64, 1..30_u64, 0..2_u64, 1..4_usize, 0..4_usize).prop_map(
        |(shared, more, settle, values, failing)| LearnConfig {
            shared_window: days(shared),
            forget_after: days(shared + more),
            settle_after: days(settle),
            values_per_account_max: values,
            failing_max: failing,
            ..LearnConfig::default()
        },
    )
}

fn n_cases() -> u32 {
    let cases = std::env::var("NIGHTLATCH_CASES").ok().and_then(|cases| cases.parse().ok());
    cases.unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(n_cases()))]

    /// Neither cuts between batches nor the order of ties show.
    #[test]
    fn batch_cuts_and_ties_do_not_show(
        events in events(120),
        cuts in prop::collection::vec(any::<bool>(), 1..20),
        config in tight(),
        is_turned in any::<bool>(),
    ) {
        // Limits that depend on what comes first are out of the way when ties are turned.
        let config = if is_turned {
            LearnConfig { values_per_account_max: 100, failing_max: 1000, ..config }
        } else {
            config
        };
        let whole = learned(&learn(&mut learner(&config), &events));
        let mut turned = events.clone();
        if is_turned {
            turned.chunk_by_mut(|a, b| a.time == b.time).for_each(<[Event]>::reverse);
        }
        let mut cut = learner(&config);
        let mut rows = Vec::new();
        for piece in pieces(&turned, &cuts) {
            let mut learned = learned(&learn(&mut cut, piece));
            if is_turned {
                let mut start = 0;
                for group in piece.chunk_by(|a, b| a.time == b.time) {
                    learned[start..start + group.len()].reverse();
                    start += group.len();
                }
            }
            rows.extend(learned);
        }
        prop_assert_eq!(rows, whole);
    }

    /// However events arrive within the lateness, some twice, the columns are those of the sorted log.
    #[test]
    fn arrival_does_not_show(
        events in support::events::events(60),
        arrivals in support::arrival::arrivals(60),
    ) {
        let config = LearnConfig::default();
        let run = |batches: Vec<RecordBatch>| {
            let mut learner = learner(&config);
            let learned: Vec<_> =
                batches.iter().map(|b| learner.learn(b).expect("a batch of events")).collect();
            concat_batches(&schema::event_batch(), &learned).expect("one schema")
        };
        let sorted = run(support::events::batches(&events, 10));
        let arrived = run(support::arrival::released(&events, &arrivals));
        prop_assert_eq!(learned(&sorted), learned(&arrived));
    }

    /// Stopped and restored at any points, the columns are the same, bit for bit.
    #[test]
    fn a_restart_does_not_show(
        events in events(120),
        cuts in prop::collection::vec(any::<bool>(), 1..20),
        config in tight(),
    ) {
        let whole = learned(&learn(&mut learner(&config), &events));
        let folder = tempfile::tempdir().unwrap();
        let (mut rows, mut usable) = (Vec::new(), HashSet::new());
        let mut running = learner(&config);
        for (segment, piece) in pieces(&events, &cuts).into_iter().enumerate() {
            rows.extend(learned(&learn(&mut running, piece)));
            let before = running.stats();
            let (restored, problem) =
                restart(&config, &mut running, folder.path(), segment as u64, &usable);
            prop_assert!(problem.is_none(), "{problem:?}");
            running = restored;
            usable.insert(segment as u64);
            prop_assert_eq!(lasting(running.stats()), lasting(before));
        }
        prop_assert_eq!(rows, whole);
    }

    /// Counts and ages are those of their definitions, computed from the whole log for every row.
    #[test]
    fn columns_are_as_defined(events in events(150), settle in 0..3_u64, window in 1..20_u64) {
        let config = LearnConfig {
            settle_after: days(settle),
            shared_window: days(window),
            forget_after: days(3000),
            ..LearnConfig::default()
        };
        let learned = learn(&mut learner(&config), &events);
        for (row, event) in events.iter().enumerate() {
            let past: Vec<&Event> = events.iter().take_while(|e| e.time < event.time).collect();
            let defined = defined(event, &past, settle as i64, window as i64);
            for (name, value) in defined {
                let found = float_or_integer(&learned, name, row);
                prop_assert_eq!(found, value, "{} of row {}: {:?}", name, row, event);
            }
        }
    }

    /// When all accounts are forgotten, nothing is left of anything.
    #[test]
    fn nothing_is_left_behind(events in events(150), config in tight()) {
        let mut learner = learner(&config);
        learn(&mut learner, &events);
        let last = events.last().map_or(START, |event| event.time);
        learn(&mut learner, &[login(last + 100 * DAY, "nobody", "", false)]);
        let stats = learner.stats();
        prop_assert_eq!((stats.bytes, stats.accounts, stats.logins, stats.addresses), (0, 0, 0, 0));
    }

    /// An account that is forgotten or erased leaves no trace: what is learned of the others is as if
    /// it had never been, but for the counts that are not of accounts.
    #[test]
    fn an_erased_account_leaves_no_trace(events in events(80), next in events(40)) {
        let config = LearnConfig { settle_after: days(0), ..LearnConfig::default() };
        let (mut erased, mut never) = (learner(&config), learner(&config));
        let is_other = |event: &&Event| event.account != "anna" && event.actor_type == "customer";
        let events: Vec<Event> =
            events.into_iter().filter(|event| event.actor_type == "customer").collect();
        let others: Vec<Event> = events.iter().filter(is_other).cloned().collect();
        learn(&mut erased, &events);
        erased.erase("anna");
        learn(&mut never, &others);
        let shift = events.last().map_or(0, |event| event.time) - START + 1;
        let next: Vec<Event> =
            next.into_iter().map(|event| Event { time: event.time + shift, ..event }).collect();
        let (erased, never) = (learn(&mut erased, &next), learn(&mut never, &next));
        for row in 0..next.len() {
            for name in ["ip_accounts", "prefix_accounts", "asn_accounts"] {
                prop_assert_eq!(integer(&erased, name, row), integer(&never, name, row));
            }
            for name in ["risk", "account_age_days", "ip_known_days", "device_known_days"] {
                prop_assert_eq!(float(&erased, name, row), float(&never, name, row), "{}", name);
            }
        }
    }
}

fn float_or_integer(batch: &RecordBatch, name: &str, row: usize) -> Option<f64> {
    let kind = schema::COLUMNS[schema::index_of(name)].kind;
    match kind {
        schema::ColumnKind::Integer => integer(batch, name, row).map(|integer| integer as f64),
        _ => float(batch, name, row),
    }
}

fn as_days(micros: i64) -> f64 {
    micros as f64 / DAY as f64
}

/// Whether a successful login counts towards how shared its network is.
fn is_settled(event: &Event, past: &[&Event], settle_days: i64) -> bool {
    let is_same: Box<dyn Fn(&Event) -> bool> = match event {
        Event { asn: Some(asn), .. } => Box::new(|e: &Event| e.asn == Some(*asn)),
        Event { prefix, .. } if !prefix.is_empty() => Box::new(|e: &Event| e.prefix == *prefix),
        Event { ip, .. } if !ip.is_empty() => Box::new(|e: &Event| e.ip == *ip),
        _ => Box::new(|_: &Event| false),
    };
    let own = past.iter().filter(|e| is_success(e) && e.actor == event.actor);
    let first = own.filter(|e| is_same(e)).map(|e| e.time).min();
    settle_days == 0 || first.is_some_and(|first| event.time - first >= settle_days * DAY)
}

fn is_success(event: &Event) -> bool {
    event.action == "login" && event.outcome == "success"
}

/// What the documentation says of an event's columns, the slow way.
fn defined(
    event: &Event,
    past: &[&Event],
    settle_days: i64,
    window_days: i64,
) -> BTreeMap<&'static str, Option<f64>> {
    let today = event.time.div_euclid(DAY);
    let before =
        |e: &Event| past.iter().copied().take_while(|p| p.time < e.time).collect::<Vec<_>>();
    let settled: Vec<&Event> = past
        .iter()
        .copied()
        .filter(|e| is_success(e) && e.time.div_euclid(DAY) > today - window_days)
        .filter(|e| is_settled(e, &before(e), settle_days))
        .collect();
    let distinct = |is_there: bool, on: &dyn Fn(&Event) -> bool, of: fn(&Event) -> &str| {
        let on_it = settled.iter().filter(|e| on(e)).map(|e| of(e));
        let members: BTreeSet<&str> = on_it.filter(|member| !member.is_empty()).collect();
        is_there.then_some(members.len() as f64)
    };
    let mut defined = BTreeMap::new();
    let on_ip = |e: &Event| e.ip == event.ip;
    let on_prefix = |e: &Event| e.prefix == event.prefix;
    let on_asn = |e: &Event| e.asn == event.asn;
    let has_ip = !event.ip.is_empty();
    defined.insert("ip_accounts", distinct(has_ip, &on_ip, |e| &e.account));
    defined.insert("ip_devices", distinct(has_ip, &on_ip, |e| &e.device));
    let has_prefix = !event.prefix.is_empty();
    defined.insert("prefix_accounts", distinct(has_prefix, &on_prefix, |e| &e.account));
    defined.insert("asn_accounts", distinct(event.asn.is_some(), &on_asn, |e| &e.account));

    let own: Vec<&Event> =
        past.iter().copied().filter(|e| is_success(e) && e.actor == event.actor).collect();
    let known = |is_there: bool, is_same: &dyn Fn(&Event) -> bool| {
        let first = own.iter().filter(|e| is_same(e)).map(|e| e.time).min();
        let days = first.map_or(0.0, |first| as_days(event.time - first));
        (is_there && !own.is_empty()).then_some(days)
    };
    defined.insert("ip_known_days", known(has_ip, &on_ip));
    defined.insert("prefix_known_days", known(has_prefix, &on_prefix));
    defined.insert("asn_known_days", known(event.asn.is_some(), &on_asn));
    let country = known(!event.country.is_empty(), &|e| e.country == event.country);
    defined.insert("country_known_days", country);
    let agent = known(!event.agent.is_empty(), &|e| e.agent == event.agent);
    defined.insert("agent_known_days", agent);
    let device = known(!event.device.is_empty(), &|e| e.device == event.device);
    defined.insert("device_known_days", device);
    let last = own.iter().map(|e| e.time).max();
    defined.insert("days_since_last_login", last.map(|last| as_days(event.time - last)));
    defined
}

/// What a restart keeps of the statistics: counters begin anew.
fn lasting(stats: LearnStats) -> (u64, u64, u64, u64, u64) {
    (stats.bytes, stats.accounts, stats.logins, stats.addresses, stats.failing)
}

fn restart(
    config: &LearnConfig,
    learner: &mut Learner,
    folder: &std::path::Path,
    segment: u64,
    usable: &HashSet<u64>,
) -> (Learner, Option<nightlatch::Error>) {
    let mut writer = BlockWriter::create(folder, segment, usable.clone()).unwrap();
    let manifest = learner.checkpoint(&mut writer);
    writer.finish().unwrap();
    let text = serde_json::to_string(&manifest).unwrap();
    let manifest: LearnerManifest = serde_json::from_str(&text).unwrap();
    Learner::restore(config, &manifest, &BlockReader::new(folder)).unwrap()
}

/// Logins of several histories and the score of each, `das-group/rba-algorithm` at commit 28fec46:
/// `freeman_rba_score(login, user_logs, global_logs, num_users, global_hash_table=table)`, where the logs,
/// the table and the number of users are those of the successful logins before. Columns: history, account,
/// ip, asn, country, user agent, browser, system, device type, 1 for a success, score (empty: the account
/// has no login yet). Missing values were given to it as a value of their own. In the history `bare`, where
/// all of a feature are missing, its weights were left out of `feature_weightings`; in `weights` they are
/// those of [`other_weights`].
const SCORED: &[u8] = include_bytes!("fixtures/risk.tsv.zst");

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
        Learner::new(&config).err().expect("a refusal").to_string()
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
