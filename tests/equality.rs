//! The incremental core against the oracle: for generated rules and events every row must be equal.

mod support;

use nightlatch::event::schema;
use nightlatch::rules::{Engine, Pack, Rule, StateLimits, parse_rule, run_batch};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::{events, queries, rows};

const LIMITS: StateLimits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };

/// Cases of each property; more by the environment.
fn cases() -> u32 {
    let asked = std::env::var("NIGHTLATCH_CASES").ok();
    asked.map_or(1000, |text| text.parse().expect("NIGHTLATCH_CASES is a number"))
}

fn live(rule: &Rule, batches: &[arrow::array::RecordBatch]) -> Vec<String> {
    let (mut engine, refused) =
        Engine::new(vec![rule.clone()], &[], LIMITS).expect("no references");
    assert!(refused.is_empty(), "{}\n{}", refused[0], rule.sql);
    let mut lines = Vec::new();
    for batch in batches {
        for matches in engine.process(batch) {
            lines.extend(rows::lines(&matches.columns));
        }
    }
    let stats = engine.rule_stats()[0];
    assert_eq!(stats.errors, 0, "{}", rule.sql);
    lines
}

fn oracle(rule: &Rule, batches: &[arrow::array::RecordBatch]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let table = runtime.block_on(run_batch(rule, &[], batches)).expect("the oracle runs the rule");
    rows::lines(&table)
}

fn check(text: &str, events: &[events::Event], batch_size: usize) -> Result<(), TestCaseError> {
    let rule = parse_rule("generated.sql", "generated.sql", text).expect("front matter");
    let live = live(&rule, &events::batches(events, batch_size));
    let oracle = oracle(&rule, &events::batches(events, usize::MAX));
    for (row, (live, oracle)) in live.iter().zip(&oracle).enumerate() {
        prop_assert_eq!(live, oracle, "row {} of\n{}", row, text);
    }
    prop_assert_eq!(live.len(), oracle.len(), "rows of\n{}", text);
    Ok(())
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn generated_rules_equal_the_oracle() {
    let strategy = (queries::rule(), events::events(60), 1usize..20);
    runner(cases())
        .run(&strategy, |(rule, events, size)| check(&rule, &events, size))
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_rule_of_the_pack_equals_the_oracle() {
    let pack = Pack::load(None).expect("the pack is inside the binary");
    assert!(pack.refused.is_empty(), "{:?}", pack.refused);
    for rule in &pack.rules {
        runner((cases() / 20).max(8))
            .run(&(events::events(200), 1usize..50), |(events, size)| {
                check(&rule.sql, &events, size)
            })
            .unwrap_or_else(|failure| panic!("{}: {failure}", rule.id));
    }
}

#[test]
fn an_empty_table_gives_no_rows() {
    let batch = events::batch(&[], 0);
    assert_eq!(batch.schema(), schema::event_batch());
    let text = "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"ip\"\nquiet = \"1 minute\"\nsummary = \"s\"\n*/ SELECT time, ip FROM events";
    let rule = parse_rule("r.sql", "r.sql", text).expect("front matter");
    assert!(live(&rule, std::slice::from_ref(&batch)).is_empty());
    assert!(oracle(&rule, &[batch]).is_empty());
}
