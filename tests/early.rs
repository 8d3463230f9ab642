//! Early alerts are sound: whatever comes in whatever order, twice or late, each alert that is told
//! when an event arrives comes again under its id when all events are there, and what is told then is
//! the same as without.

#![allow(clippy::expect_used)] // a test that cannot go on fails

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use nightlatch::Result;
use nightlatch::alert::{Alert, AlertConfig};
use nightlatch::config::Config;
use nightlatch::delivery::Destination;
use nightlatch::enrich::Enricher;
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::event::{OriginKind, Origins};
use nightlatch::order::OrderConfig;
use nightlatch::pipeline::{Alerting, Annotator, Aside, Pipeline, Reading};
use nightlatch::rules::{Engine, Rule, StateLimits, parse_rule};
use nightlatch::serve::Metrics;
use nightlatch::source::{Delivery, InputId, RawBatch, Source};
use proptest::prelude::*;
use proptest::test_runner::{Config as CaseConfig, TestRunner};
use support::events::{self, Event};
use support::queries;

const SECOND: i64 = 1_000_000;
const LATENESS: i64 = 20 * SECOND;
const N_INPUTS: u32 = 3;
const LIMITS: StateLimits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };

/// Conditions that more events can only make truer, and those that they can make false.
const CONDITIONS: [(&str, bool); 16] = [
    ("count(*) OVER account >= 3", true),
    ("count(*) FILTER (WHERE outcome = 'failure') OVER account > 1", true),
    ("count(DISTINCT ip) OVER account >= 2 AND action = 'login'", true),
    ("3 <= count(DISTINCT device) OVER account", true),
    ("count(*) OVER earlier >= 2 OR max(asn) OVER account >= 3", true),
    ("min(latitude) OVER account < -1.5", true),
    ("max(latitude) OVER account - min(latitude) OVER account >= 3", true),
    ("count(*) OVER account + count(asn) OVER account > 4", true),
    ("min(ip) OVER account IS NOT NULL AND count(*) OVER earlier > 0", true),
    ("action = 'two_way_talk' AND count(*) OVER account > 0", true),
    ("count(*) OVER account = 3", false),
    ("count(*) OVER account < 3", false),
    ("max(latitude) OVER account < 0", false),
    ("NOT count(*) OVER account >= 3", false),
    ("avg(latitude) OVER account > 0.5", false),
    ("last_value(ip) OVER account = '192.0.2.1'", false),
];

fn rule_text(condition: &str, quiet: &str) -> String {
    format!(
        "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"account\"\nquiet = \"{quiet}\"\n\
         summary = \"s\"\n*/\nSELECT time, account FROM events WINDOW \
         account AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '2' MINUTE PRECEDING AND CURRENT ROW), \
         earlier AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND INTERVAL '4' SECOND PRECEDING) \
         QUALIFY {condition}"
    )
}

fn rules(texts: &[String]) -> Vec<Rule> {
    let numbered = texts.iter().enumerate();
    numbered
        .map(|(number, text)| {
            let name = format!("r{number}");
            parse_rule(&name, &format!("{name}.sql"), text).expect("front matter")
        })
        .collect()
}

fn engine(rules: &[Rule]) -> Engine {
    let (engine, refused) = Engine::new(rules.to_vec(), &[], LIMITS).expect("no references");
    assert!(refused.is_empty(), "{}", refused[0]);
    engine
}

#[test]
fn rules_that_may_become_false_are_not_told_early() {
    let texts: Vec<String> =
        CONDITIONS.iter().map(|(condition, _)| rule_text(condition, "1 hour")).collect();
    let rules = rules(&texts);
    let early = engine(&rules).early(&[], LIMITS).expect("no references").expect("some");
    let expected: Vec<usize> = (0..rules.len()).filter(|rule| CONDITIONS[*rule].1).collect();
    assert_eq!(early.rules, expected);
    let others = [
        ("2 SECOND", "count(*) OVER w > 2", "account"),
        ("8 DAY", "count(*) OVER w > 2", "account"),
        ("1 MINUTE", "max(time) OVER w IS NOT NULL", "account"),
        ("1 MINUTE", "count(*) OVER w > ip_accounts", "account"),
        ("1 MINUTE", "count(*) OVER w > 2 AND extract(hour FROM time) < 6", "account"),
        ("1 MINUTE", "count(*) OVER w > 2", "max(ip) OVER w AS account"),
        ("1 MINUTE", "count(*) OVER w > 2", "account, lag(ip) OVER w AS before"),
    ];
    for (length, condition, account) in others {
        let (number, unit) = length.split_once(' ').expect("a number and a unit");
        let text = format!(
            "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"account\"\nquiet = \"1 hour\"\nhorizon = \"1 hour\"\n\
             summary = \"s\"\n*/\nSELECT time, {account} FROM events WINDOW w AS (PARTITION BY device \
             ORDER BY time RANGE BETWEEN INTERVAL '{number}' {unit} PRECEDING AND CURRENT ROW) QUALIFY {condition}"
        );
        let (engine, refused) =
            Engine::new(self::rules(&[text]), &[], LIMITS).expect("no references");
        assert!(refused.is_empty(), "{}", refused[0]);
        let early = engine.early(&[], LIMITS).expect("no references");
        assert!(early.is_none(), "{length}: {condition}");
    }
}

/// How one event arrives.
type Arrival = (i64, u32, bool);

fn arrivals(n_max: usize) -> impl Strategy<Value = Vec<Arrival>> {
    // Mostly in order, now and then behind, and sometimes too late.
    let delay = prop_oneof![
        6 => Just(0i64),
        4 => 0..3 * SECOND,
        2 => 0..LATENESS,
        1 => Just(40 * SECOND),
    ];
    prop::collection::vec((delay, 0..N_INPUTS, prop::bool::weighted(0.1)), n_max)
}

/// Records of several inputs in the order in which they arrive.
struct Script(VecDeque<(u32, Vec<(i64, String)>)>);

impl Source for Script {
    fn inputs(&self) -> Vec<InputId> {
        (0..N_INPUTS).map(InputId).collect()
    }

    fn next(&mut self, _: Option<InputId>) -> Result<Option<Delivery>> {
        Ok(self.0.pop_front().map(|(input, records)| {
            let mut raw = RawBatch::new(InputId(input), 0, 0, i64::MAX / 2);
            records.iter().for_each(|(position, line)| raw.push(*position, line.as_bytes()));
            Delivery::Batch(raw)
        }))
    }
}

fn script(events: &[Event], arrivals: &[Arrival], size: usize) -> Script {
    let mut queue: Vec<(i64, u32, usize)> = Vec::new();
    for (index, (event, (delay, input, is_repeated))) in events.iter().zip(arrivals).enumerate() {
        queue.push((event.time + delay, *input, index));
        if *is_repeated {
            queue.push((event.time + delay + SECOND, (*input + 1) % N_INPUTS, index));
        }
    }
    queue.sort_unstable();
    let numbered = queue.iter().enumerate();
    let records: Vec<(u32, (i64, String))> = numbered
        .map(|(at, (_, input, index))| (*input, (at as i64, line(&events[*index], *index))))
        .collect();
    let batches = records.chunk_by(|one, other| one.0 == other.0).flat_map(|run| run.chunks(size));
    Script(
        batches
            .map(|run| (run[0].0, run.iter().map(|(_, record)| record.clone()).collect()))
            .collect(),
    )
}

fn line(event: &Event, index: usize) -> String {
    let mut line = format!(
        r#"{{"time":{},"action":"{}","outcome":"{}","account":"{}","event_id":"e{index}""#,
        event.time, event.action, event.outcome, event.account,
    );
    let texts = [("ip", event.ip), ("device", event.device)];
    for (name, value) in texts {
        if let Some(value) = value {
            let _ = write!(line, r#","{name}":"{value}""#);
        }
    }
    if let Some(asn) = event.asn {
        let _ = write!(line, r#","asn":{asn}"#);
    }
    if let Some(latitude) = event.latitude {
        let _ = write!(line, r#","latitude":{latitude}"#);
    }
    line + "}"
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Alert>>>);

impl Destination for Told {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        self.0.lock().expect("nobody panicked").extend_from_slice(alerts);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Runs the whole data path, and gives all revisions.
fn told(rules: &[Rule], source: Script, is_early: bool, batch_events: usize) -> Vec<Alert> {
    let (config, metrics) = (Config::default(), Arc::new(Metrics::new().expect("metrics")));
    let told = Told::default();
    let engine = engine(rules);
    let early = engine.early(&[], LIMITS).expect("no references").filter(|_| is_early);
    let destinations: Vec<Box<dyn Destination>> = vec![Box::new(told.clone())];
    let mut alerting = Alerting::new(engine, AlertConfig::default(), destinations, &metrics)
        .expect("sound summaries");
    early.into_iter().for_each(|early| alerting.tell_early(early));
    let mut origins = Origins::default();
    origins.intern(OriginKind::File, "script");
    let pipeline = Pipeline {
        source: Box::new(source),
        origins,
        decoder: Decoder::new(Format::Native, DecodeLimits::default()),
        reading: Reading::default(),
        order: OrderConfig {
            lateness_micros: LATENESS,
            clock_skew_micros: i64::MAX / 4,
            dedup_window_micros: 120 * SECOND,
            buffered_events_max: usize::MAX,
            batch_events,
        },
        annotator: Annotator::new(Enricher::new(&config.enrich).expect("no files"), &config.learn)
            .expect("defaults"),
        aside: Aside::default(),
        store: None,
        stop: Arc::new(AtomicBool::new(false)),
        release_on_stop: true,
        metrics,
    };
    pipeline.run(&mut alerting, &mut |_, _| {}).expect("nothing fails");
    drop(alerting);
    std::mem::take(&mut *told.0.lock().expect("nobody panicked"))
}

fn check(
    rules: &[Rule],
    events: &[Event],
    arrivals: &[Arrival],
    (size, batch_events): (usize, usize),
) -> std::result::Result<usize, TestCaseError> {
    let all = told(rules, script(events, arrivals, size), true, batch_events);
    let (early, exact): (Vec<Alert>, Vec<Alert>) = all.into_iter().partition(|one| one.early);
    let without = told(rules, script(events, arrivals, size), false, batch_events);
    prop_assert_eq!(&exact, &without);
    let opened: BTreeMap<&str, &Alert> =
        exact.iter().filter(|one| one.revision == 1).map(|one| (&*one.id, one)).collect();
    for one in &early {
        prop_assert_eq!(one.revision, 0, "it was not confirmed: {:?}", one);
        let Some(exact) = opened.get(&*one.id) else {
            return Err(TestCaseError::fail(format!("nothing confirms {one:?}")));
        };
        prop_assert_eq!((&exact.rule, &exact.entity), (&one.rule, &one.entity));
        prop_assert!(exact.started_at <= one.started_at);
    }
    let mut ids: Vec<&str> = early.iter().map(|one| &*one.id).collect();
    ids.sort_unstable();
    ids.dedup();
    prop_assert_eq!(ids.len(), early.len(), "an alert is told early once");
    Ok(early.len())
}

#[test]
fn the_exact_pass_confirms_each_early_alert_under_its_id() {
    let quiet = prop::sample::select(vec!["2 minutes", "20 minutes", "1 day"]);
    let own = (0..CONDITIONS.len(), quiet)
        .prop_map(|(index, quiet)| rule_text(CONDITIONS[index].0, quiet));
    let text = prop_oneof![3 => own, 1 => queries::rule()];
    let strategy = (
        prop::collection::vec(text, 1..4),
        events::events(80),
        arrivals(80),
        (1usize..5, 1usize..30),
    );
    let n_told = std::cell::Cell::new(0);
    let config = CaseConfig { cases: 400, failure_persistence: None, ..CaseConfig::default() };
    TestRunner::new(config)
        .run(&strategy, |(texts, events, arrivals, sizes)| {
            let n = check(&rules(&texts), &events, &arrivals, sizes)?;
            n_told.set(n_told.get() + n);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(n_told.get() > 200, "{} early alerts", n_told.get());
}

/// Logins of one account at these moments, in milliseconds, each arriving so much later, after others
/// that let the stream begin.
fn logins(moments: &[(i64, i64)]) -> (Vec<Event>, Vec<Arrival>) {
    let login = |milliseconds: i64| Event {
        time: 1_700_000_000 * SECOND + milliseconds * 1_000,
        action: "login",
        outcome: "success",
        account: "anna",
        ip: None,
        device: None,
        asn: None,
        latitude: None,
    };
    let begin =
        [-120_000i64, -60_000].into_iter().flat_map(|at| (0..N_INPUTS).map(move |i| (at, i)));
    let begin = begin.map(|(at, input)| (Event { account: "ben", ..login(at) }, (0, input, false)));
    let own = moments.iter().map(|(at, delay)| (login(*at), (delay * 1_000, 0, false)));
    begin.chain(own).unzip()
}

#[test]
fn a_late_row_is_counted_and_does_not_stay_too_long() {
    let text =
        rule_text("count(*) OVER account >= 3", "1 day").replace("'2' MINUTE", "'10' SECOND");
    let rules = rules(&[text]);
    let n_early = |moments: &[(i64, i64)]| {
        let (events, arrivals) = logins(moments);
        check(&rules, &events, &arrivals, (1, 1)).expect("sound")
    };
    // The second comes when the first is there. The third has all in its frame, or not the second.
    assert_eq!(n_early(&[(1_500, 0), (900, 1_000), (8_000, 0)]), 1);
    assert_eq!(n_early(&[(1_500, 0), (0, 2_000), (10_500, 0)]), 0);
    // What is too late is for the exact pass alone.
    assert_eq!(n_early(&[(4_500, 0), (900, 4_000), (8_000, 0)]), 0);
    assert_eq!(n_early(&[(1_000, 0), (2_000, 0), (3_000, 0), (4_000, 0)]), 1);
}
