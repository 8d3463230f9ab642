//! The rules about leaky buckets against a bucket that really leaks, on random events.

use std::cell::Cell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::engine;
use super::scenarios::{Bucket, FRAMES, Kind, Scenario};

/// When, and with what value.
type Attempt = (u64, u8);

/// What a bucket holds, as the time that it takes to leak.
#[derive(Default)]
struct Level {
    micros: u64,
    at: u64,
}

impl Level {
    fn is_empty_at(&self, time: u64) -> bool {
        time - self.at >= self.micros
    }

    /// Pours one in: whether the bucket overflows, which empties it.
    fn pour(&mut self, bucket: Bucket, time: u64) -> bool {
        let left = self.micros.saturating_sub(time - self.at) + bucket.leak_micros;
        let is_over = left > bucket.capacity as u64 * bucket.leak_micros;
        *self = Self { micros: if is_over { 0 } else { left }, at: time };
        is_over
    }
}

/// When a bucket overflows first.
fn first_overflow(bucket: Bucket, attempts: &[Attempt]) -> Option<u64> {
    let mut level = Level::default();
    attempts.iter().find(|(time, _)| level.pour(bucket, *time)).map(|(time, _)| *time)
}

/// A bucket into which each value is poured once in its life, which ends when it overflows or when nothing
/// was poured for as long as all and one take to leak: for each overflow what was poured since.
fn overflows_of_values(bucket: Bucket, attempts: &[Attempt]) -> Vec<Vec<u64>> {
    let (mut level, mut poured, mut overflows) = (Level::default(), Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let life = (bucket.capacity as u64 + 1) * bucket.leak_micros;
    for (time, value) in attempts {
        if time - level.at > life {
            seen.clear();
            poured.clear();
        }
        if !seen.insert(*value) {
            continue;
        }
        poured.push(*time);
        if level.pour(bucket, *time) {
            overflows.push(std::mem::take(&mut poured));
            seen.clear();
        }
    }
    overflows
}

/// The least number of leaks in less than which so many more than fit were poured, the last of them last.
fn leaks_needed(bucket: Bucket, poured: &[u64]) -> Option<u64> {
    let (last, mut leaks) = (*poured.last()?, 1..);
    leaks.find_map(|leaks| {
        let n = bucket.capacity + leaks as usize;
        match poured.len().checked_sub(n) {
            None => Some(None),
            Some(first) => {
                (last - poured[first] < leaks * bucket.leak_micros).then_some(Some(leaks))
            }
        }
    })?
}

fn event((time, value): &Attempt) -> Value {
    json!({
        "time": START + time, "action": "login", "outcome": "failure",
        "account": format!("account-{value}"), "ip": "192.0.2.1",
    })
}

/// Fewer than `lag` could reach: planning takes its time.
const EVENTS: usize = 32;
/// 2026-01-01 in microseconds.
const START: u64 = 1_767_225_600_000_000;

/// Times at which the rule matches.
fn matched(kind: Kind, attempts: &[Attempt]) -> BTreeSet<u64> {
    let rule = Scenario::of_logins(kind).rule();
    let rule =
        rule.replacen("SELECT\n    time,", "SELECT\n    time, CAST(time AS BIGINT) AS micros,", 1);
    let events: Vec<Value> = attempts.iter().map(event).collect();
    let matches = engine::matches(&[rule], &events);
    matches.iter().map(|m| m.get("micros").unwrap().parse::<u64>().unwrap() - START).collect()
}

/// Attempts by steps about as long as a leak: ties, whole leaks, a microsecond more or less, pauses.
fn attempts(leak: u64, n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Attempt>> {
    let step = prop_oneof![
        2 => Just(0),
        4 => 0..leak,
        3 => leak - 1..=leak + 1,
        2 => 0..2 * leak,
        1 => Just(leak / 2),
        1 => 0..9 * leak,
    ];
    prop::collection::vec((step, 0u8..12), n).prop_map(|steps| {
        let mut time = 0;
        let attempt = |(step, value)| {
            time += step;
            (time, value)
        };
        steps.into_iter().map(attempt).collect()
    })
}

fn buckets() -> impl Strategy<Value = Bucket> {
    (
        1usize..11,
        prop::sample::select(vec![500_000u64, 1_000_000, 10_000_000, 20_000_000, 60_000_000]),
    )
        .prop_map(|(capacity, leak_micros)| Bucket { capacity, leak_micros, events: EVENTS })
}

fn check<S: Strategy>(strategy: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(strategy, check).unwrap_or_else(|failure| panic!("{failure}"));
}

fn cases(n: std::ops::Range<usize>) -> impl Strategy<Value = (Bucket, Vec<Attempt>)> {
    buckets().prop_flat_map(move |b| (Just(b), attempts(b.leak_micros, n.clone())))
}

#[test]
fn a_rule_overflows_when_the_bucket_does() {
    // So few attempts the rule sees whole: nothing may differ.
    let (n_full, n_dry) = (Cell::new(0), Cell::new(0));
    check(&cases(0..EVENTS + 1), |(bucket, attempts)| {
        let overflow = first_overflow(bucket, &attempts);
        prop_assert_eq!(matched(Kind::Leaky(bucket), &attempts).first().copied(), overflow);
        let count = if overflow.is_some() { &n_full } else { &n_dry };
        count.set(count.get() + 1);
        Ok(())
    });
    assert!(n_full.get() > 5 && n_dry.get() > 5, "{n_full:?} overflow, {n_dry:?} do not");
}

#[test]
fn a_rule_finds_every_overflow_of_few_attempts_and_none_that_is_not() {
    let (n_few, n_many) = (Cell::new(0), Cell::new(0));
    check(&cases(100..300), |(bucket, attempts)| {
        let matched = matched(Kind::Leaky(bucket), &attempts);
        let (mut level, mut n) = (Level::default(), 0);
        for (time, _) in &attempts {
            // Counted since the bucket was empty.
            n = if level.is_empty_at(*time) { 1 } else { n + 1 };
            if level.pour(bucket, *time) {
                let count = if n <= EVENTS { &n_few } else { &n_many };
                count.set(count.get() + 1);
                prop_assert!(n > EVENTS || matched.contains(time), "{} of {:?}", time, bucket);
            }
        }
        if let Some(first) = matched.first() {
            prop_assert!(first_overflow(bucket, &attempts).is_some_and(|time| time <= *first));
        }
        Ok(())
    });
    assert!(n_few.get() > 50, "{n_few:?} overflows, {n_many:?} of more attempts");
}

#[test]
fn a_rule_finds_every_overflow_of_values() {
    let n_overflows = Cell::new(0);
    check(&cases(0..120), |(bucket, attempts)| {
        let matched = matched(Kind::Distinct(bucket), &attempts);
        for poured in overflows_of_values(bucket, &attempts) {
            let last = poured.last().copied().unwrap_or_default();
            let is_within = leaks_needed(bucket, &poured).is_some_and(|leaks| leaks <= FRAMES);
            prop_assert!(!is_within || matched.contains(&last), "{} of {:?}", last, bucket);
            n_overflows.set(n_overflows.get() + usize::from(is_within));
        }
        Ok(())
    });
    assert!(n_overflows.get() > 50, "{n_overflows:?} overflows");
}

#[test]
fn a_rule_about_values_is_the_bucket_where_none_comes_twice() {
    check(&cases(0..60), |(bucket, mut attempts)| {
        for (value, attempt) in (0..).zip(&mut attempts) {
            attempt.1 = value;
        }
        let overflow = first_overflow(bucket, &attempts);
        let times: Vec<u64> = attempts.iter().map(|(time, _)| *time).collect();
        let until = times.iter().rposition(|time| Some(*time) == overflow).map_or(0, |n| n + 1);
        let found = matched(Kind::Distinct(bucket), &attempts).first().copied();
        match leaks_needed(bucket, &times[..until]).filter(|leaks| *leaks <= FRAMES) {
            Some(_) => prop_assert_eq!(found, overflow),
            // Later it may overflow more clearly, never earlier.
            None => prop_assert!(found.is_none_or(|time| overflow.is_some_and(|o| o < time))),
        }
        Ok(())
    });
}
