//! The incremental core against the oracle: for generated rules and events every row must be equal.

#![allow(clippy::expect_used)] // a test that cannot go on fails

mod support;

use arrow::array::RecordBatch;
use nightlatch::event::schema;
use nightlatch::rules::{Engine, Pack, Rule, StateLimits, parse_rule, run_batch};
use nightlatch::store::{Spill, SpillLimits};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::events::Event;
use support::{arrival, events, queries, rows};

const LIMITS: StateLimits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };

/// Cases of each property; more by the environment.
fn cases() -> u32 {
    let asked = std::env::var("NIGHTLATCH_CASES").ok();
    asked.map_or(1000, |text| text.parse().expect("NIGHTLATCH_CASES is a number"))
}

fn engine(rules: &[Rule]) -> Engine {
    let (engine, refused) = Engine::new(rules.to_vec(), &[], LIMITS).expect("no references");
    assert!(refused.is_empty(), "{}", refused[0]);
    engine
}

/// The rows of each rule, all rules on shared lanes.
fn live(rules: &[Rule], batches: &[RecordBatch]) -> Vec<Vec<String>> {
    run(&mut engine(rules), rules, batches)
}

fn run(engine: &mut Engine, rules: &[Rule], batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let mut lines = vec![Vec::new(); rules.len()];
    for batch in batches {
        for matches in engine.process(batch).expect("rows come back") {
            lines[matches.rule].extend(rows::lines(&matches.columns));
        }
    }
    for (stats, rule) in engine.rule_stats().iter().zip(rules) {
        assert_eq!(stats.errors, 0, "{}", rule.sql);
    }
    lines
}

fn oracle(rule: &Rule, batches: &[RecordBatch]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let table = runtime.block_on(run_batch(rule, &[], batches)).expect("the oracle runs the rule");
    rows::lines(&table)
}

fn rule(text: &str) -> Rule {
    parse_rule("generated.sql", "generated.sql", text).expect("front matter")
}

fn check(texts: &[String], events: &[Event], batches: &[RecordBatch]) -> Result<(), TestCaseError> {
    let rules: Vec<Rule> = texts.iter().map(|text| rule(text)).collect();
    let table = events::batches(events, usize::MAX);
    for (rule, live) in rules.iter().zip(live(&rules, batches)) {
        let oracle = oracle(rule, &table);
        for (row, (live, oracle)) in live.iter().zip(&oracle).enumerate() {
            prop_assert_eq!(live, oracle, "row {} of\n{}", row, rule.sql);
        }
        prop_assert_eq!(live.len(), oracle.len(), "rows of\n{}", rule.sql);
    }
    Ok(())
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn generated_rules_equal_the_oracle() {
    let strategy = (queries::rule(), events::events(60), 1usize..20);
    runner(cases())
        .run(&strategy, |(rule, events, size)| {
            check(&[rule], &events, &events::batches(&events, size))
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn rules_that_share_lanes_equal_the_oracle() {
    let rules = prop::collection::vec(queries::rule(), 2..4);
    runner(cases().div_ceil(10))
        .run(&(rules, events::events(40), 1usize..20), |(rules, events, size)| {
            check(&rules, &events, &events::batches(&events, size))
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// So many events that windows hold several chunks of rows, with gaps in which many of them pass.
fn dense_events() -> impl Strategy<Value = Vec<Event>> {
    let one = events::events(200).prop_filter("too few", |events| events.len() > 100);
    (one, prop::collection::vec(0i64..60_000_000, 200..240)).prop_map(|(some, gaps)| {
        let mut time = 1_700_000_000_000_000;
        let repeated = gaps.iter().flat_map(|gap| some.iter().map(move |event| (gap, event)));
        let mut before = None;
        repeated
            .map(|(gap, event)| {
                let step = event.time - before.replace(event.time).unwrap_or(event.time);
                // Ties stay ties; the others are a hundredth of what they were, or a gap.
                time += if step < 0 { *gap } else { (step / 100).min(50_000_000) };
                Event { time, ..event.clone() }
            })
            .collect()
    })
}

#[test]
fn windows_longer_than_memory_equal_the_oracle() {
    let rules = prop::collection::vec(queries::rule(), 1..3);
    let n_written_bytes = std::cell::Cell::new(0);
    runner((cases() / 100).max(8))
        .run(&(rules, dense_events(), 1usize..3_000), |(texts, events, size)| {
            let rules: Vec<Rule> = texts.iter().map(|text| rule(text)).collect();
            let folder = tempfile::tempdir().expect("a folder");
            let nothing = SpillLimits { in_memory_bytes_max: 0, on_disk_bytes_max: u64::MAX };
            let spill = Spill::in_folder(folder.path(), nothing).expect("an empty folder");
            let mut spilling = engine(&rules);
            spilling.spill_to(spill);
            let batches = events::batches(&events, size);
            let found = run(&mut spilling, &rules, &batches);
            prop_assert_eq!(&found, &live(&rules, &batches));
            for (rule, found) in rules.iter().zip(&found) {
                let oracle = oracle(rule, &events::batches(&events, usize::MAX));
                prop_assert_eq!(found, &oracle, "rows of\n{}", rule.sql);
            }
            n_written_bytes.set(n_written_bytes.get() + spilling.spill_stats().written_bytes);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(n_written_bytes.get() > 100_000, "{}", n_written_bytes.get());
}

#[test]
fn arrival_within_the_lateness_does_not_matter() {
    let strategy = (queries::rule(), events::events(60), arrival::arrivals(60));
    runner(cases().div_ceil(5))
        .run(&strategy, |(rule, events, arrivals)| {
            let released = arrival::released(&events, &arrivals);
            check(&[rule], &events, &released)
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_rule_of_the_pack_equals_the_oracle() {
    let pack = Pack::load(None).expect("the pack is inside the binary");
    assert!(pack.refused.is_empty(), "{:?}", pack.refused);
    assert!(!pack.rules.is_empty());
    for rule in &pack.rules {
        // Each case plans the rule twice, which takes most of the time.
        runner((cases() / 100).max(8))
            .run(&(events::events(200), 1usize..50), |(events, size)| {
                check(std::slice::from_ref(&rule.sql), &events, &events::batches(&events, size))
            })
            .unwrap_or_else(|failure| panic!("{}: {failure}", rule.id));
    }
}

#[test]
fn windows_may_be_named_in_qualify() {
    let text = |list: &str, condition: &str| {
        format!(
            "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"account\"\nquiet = \"1 minute\"\nsummary = \"s\"\n*/
            SELECT time, account{list} FROM events
            WINDOW w AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '9' SECOND PRECEDING AND CURRENT ROW),
                \"Same\" AS w
            QUALIFY {condition}"
        )
    };
    let by_name = text("", "count(*) OVER w >= 3 AND count(DISTINCT ip) OVER \"Same\" >= 2");
    let by_column =
        text(", count(*) OVER w AS n, count(DISTINCT ip) OVER w AS ips", "n >= 3 AND ips >= 2");
    let (by_name, by_column) = (rule(&by_name), rule(&by_column));
    let accounts_and_times = |rule: &Rule, batches: &[RecordBatch]| {
        let lines = live(std::slice::from_ref(rule), batches).remove(0);
        let short = |line: &String| line.split(" | ").take(2).collect::<Vec<_>>().join(" | ");
        lines.iter().map(short).collect::<Vec<_>>()
    };
    let n_rows = std::cell::Cell::new(0);
    runner(cases() / 20)
        .run(&events::events(60), |events| {
            let batches = events::batches(&events, 7);
            check(std::slice::from_ref(&by_name.sql), &events, &batches)?;
            let rows = accounts_and_times(&by_name, &batches);
            prop_assert_eq!(&rows, &accounts_and_times(&by_column, &batches));
            n_rows.set(n_rows.get() + rows.len());
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(n_rows.get() > 0);
}

#[test]
fn an_empty_table_gives_no_rows() {
    let batch = events::batch(&[], 0);
    assert_eq!(batch.schema(), schema::event_batch());
    let text = "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"ip\"\nquiet = \"1 minute\"\nsummary = \"s\"\n*/ SELECT time, ip FROM events";
    let rule = rule(text);
    assert!(live(std::slice::from_ref(&rule), std::slice::from_ref(&batch))[0].is_empty());
    assert!(oracle(&rule, &[batch]).is_empty());
}
