//! What holds for any events.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use nightlatch::config::LearnConfig;
use nightlatch::event::schema;
use nightlatch::learn::{LearnStats, Learner, LearnerManifest};
use nightlatch::store::{BlockReader, BlockWriter};
use proptest::prelude::*;

use crate::support::logins::{DAY, Event, events, login};
use crate::{START, days, float, integer, learn, learned, learner, support};

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
