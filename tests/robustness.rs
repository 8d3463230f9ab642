//! Whatever stands in a rule file: it is refused with a place, or it runs; it never panics.

#![allow(clippy::expect_used)] // a test that cannot go on fails

mod support;

use nightlatch::rules::{Engine, StateLimits, parse_rule};
use proptest::prelude::*;
use support::{events, queries};

const LIMITS: StateLimits = StateLimits { rows_max: 1000, keys_max: 1000 };

/// One edit of a text: what a slip of the keyboard does, and what a fuzzer would try.
#[derive(Debug, Clone)]
struct Edit {
    at: prop::sample::Index,
    removed: usize,
    inserted: String,
}

fn edit() -> impl Strategy<Value = Edit> {
    let inserted = prop_oneof![
        3 => Just(String::new()),
        2 => prop::sample::select(vec![
            "(", ")", "'", "\"", "/*", "*/", ";", ",", " OVER ", " NULL ", "-1", "99999999999999999999",
            " DISTINCT ", " UNBOUNDED ", "now()", "\0", "😀", " GROUP BY ip ", " CAST(ip AS INT) ",
        ]).prop_map(str::to_owned),
        1 => ".{0,8}",
    ];
    (any::<prop::sample::Index>(), 0usize..20, inserted).prop_map(|(at, removed, inserted)| Edit {
        at,
        removed,
        inserted,
    })
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for edit in edits {
        let at = edit.at.index(letters.len() + 1);
        let end = (at + edit.removed).min(letters.len());
        letters.splice(at..end, edit.inserted.chars());
    }
    letters.into_iter().collect()
}

fn check(text: &str, events: &[events::Event]) -> Result<(), TestCaseError> {
    let rule = match parse_rule("edited.sql", "edited.sql", text) {
        Ok(rule) => rule,
        Err(error) => {
            let place = error.place.unwrap_or_default();
            prop_assert!(place.starts_with("edited.sql:"), "no place: {}", error.message);
            return Ok(());
        }
    };
    let (mut engine, refused) = Engine::new(vec![rule], &[], LIMITS).expect("no references");
    for error in &refused {
        let place = error.place.as_deref().unwrap_or_default();
        prop_assert!(place.starts_with("edited.sql:"), "no place: {}", error.message);
        prop_assert!(!error.message.is_empty());
    }
    for batch in events::batches(events, 10) {
        engine.process(&batch).expect("rows come back");
    }
    Ok(())
}

#[test]
fn an_edited_rule_is_refused_or_runs() {
    let config = ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() };
    let strategy = (queries::rule(), prop::collection::vec(edit(), 1..4), events::events(20));
    proptest::test_runner::TestRunner::new(config)
        .run(&strategy, |(rule, edits, events)| check(&apply(&rule, &edits), &events))
        .unwrap_or_else(|failure| panic!("{failure}"));
}
