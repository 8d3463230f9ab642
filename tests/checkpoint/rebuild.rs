//! Rules that have changed: what fits is kept, the rest is rebuilt from the events.

use nightlatch::rules::Rule;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::EVERYTHING;
use crate::harness::*;
use crate::support::{events, queries};

fn chosen(all: &[Rule], wanted: &[bool]) -> Vec<Rule> {
    let chosen = all.iter().zip(wanted).filter(|(_, wanted)| **wanted);
    chosen.map(|(rule, _)| rule.clone()).collect()
}

#[test]
fn changed_rules_give_what_they_would_have_given_all_along() {
    let texts = prop::collection::vec(queries::rule(), 2..5);
    let wanted = || prop::collection::vec(any::<bool>(), 4);
    let sizes = (1usize..20, 1usize..20);
    let strategy = (texts, wanted(), wanted(), events::events(80), sizes, any::<Index>());
    let (mut n_kept, mut n_rebuilt, mut n_both) = (0, 0, 0);
    let counts = std::sync::Mutex::new((&mut n_kept, &mut n_rebuilt, &mut n_both));
    runner(cases().div_ceil(8))
        .run(&strategy, |(texts, before, after, events, (size, other_size), at)| {
            let all = rules(&texts);
            let (folder, known_until) =
                write_after(&chosen(&all, &before), &up_to(&events, size, at));
            let rules = chosen(&all, &after);
            let mut restored = engine(&rules);
            let outcome = folder.read(&mut restored, known_until);
            let (has_kept, has_rebuilt) =
                (!outcome.kept.is_empty(), !outcome.rebuilding.is_empty());
            let mut counts = counts.lock().expect("nobody fails while counting");
            *counts.0 += u32::from(has_kept);
            *counts.1 += u32::from(has_rebuilt);
            *counts.2 += u32::from(has_kept && has_rebuilt);
            drop(counts);
            check_rest(restored, &rules, &events, known_until, other_size)
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let few = cases() / 200;
    assert!(n_kept > few && n_rebuilt > few && n_both > few, "{n_kept} {n_rebuilt} {n_both}");
}

#[test]
fn a_rule_that_is_added_leaves_the_lanes_of_others_alone() {
    let count = |key: &str, alias: &str| {
        format!(
            "{HEAD}SELECT time, account, count(*) OVER (PARTITION BY {key} ORDER BY time \
             RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS {alias} FROM events"
        )
    };
    let events = many_events(100);
    let (folder, known_until) =
        write_after(&rules(&[count("account", "n")]), &events::batches(&events, 10));
    // A rule before it, whose nodes get lower numbers; and the name of a column.
    let mut changed = engine(&rules(&[count("device, ip", "m"), count("account", "accounts")]));
    let outcome = folder.read(&mut changed, known_until);
    assert_eq!(outcome.kept, ["1:account"]);
    let rebuilding = [("1:device,ip".to_owned(), "no checkpoint has it".to_owned())];
    assert_eq!(outcome.rebuilding, rebuilding);
    assert_eq!(changed.rebuilding_reach_micros(), Some(3_600_000_000));
    let again = changed.process(&events::batch(&events, 0)).unwrap();
    assert_eq!(again.len(), 0, "what was seen before {known_until} is not told again");
}

#[test]
fn a_difference_that_only_parentheses_make_is_a_difference() {
    let rule = |expression: &str| {
        format!(
            "{HEAD}SELECT time, account, sum({expression}) OVER (PARTITION BY account ORDER BY time \
             RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS n FROM events"
        )
    };
    let events = many_events(20);
    let (folder, known_until) =
        write_after(&rules(&[rule("asn - (asn - 1)")]), &events::batches(&events, 10));
    let restore = |expression: &str| {
        let mut changed = engine(&rules(&[rule(expression)]));
        folder.read(&mut changed, known_until).rebuilding
    };
    assert_eq!(restore("asn - (asn - 1)"), []);
    let changed = [("1:account".to_owned(), "its rules have changed".to_owned())];
    assert_eq!(restore("asn - asn - 1"), changed);
    assert_eq!(restore("asn - (asn - 2)"), changed);
}

#[test]
fn a_checkpoint_of_half_a_rebuild_holds_the_other_lanes() {
    let count = |key: &str| {
        format!(
            "{HEAD}SELECT time, account, count(*) OVER (PARTITION BY {key} ORDER BY time \
             RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW) AS n FROM events"
        )
    };
    let events = many_events(200);
    let (mut folder, known_until) =
        write_after(&rules(&[count("account")]), &events::batches(&events[..100], 10));
    let both = rules(&[count("account"), count("ip")]);
    let mut half = engine(&both);
    folder.read(&mut half, known_until);
    let start = reread(&events, &half, known_until);
    assert_eq!(half.process(&events::batch(&events[start..start + 30], start)).unwrap().len(), 0);
    assert!(half.is_rebuilding());
    folder.write(&mut half, |_| true);
    let mut restored = engine(&both);
    let outcome = folder.read(&mut restored, known_until);
    assert_eq!((outcome.kept, outcome.rebuilding.len()), (vec!["1:account".to_owned()], 1));
    check_rest(restored, &both, &events, known_until, 7).expect("the results are the same");
}

#[test]
fn lanes_that_have_seen_what_will_come_again_are_not_kept() {
    let text = format!("{HEAD}{EVERYTHING}");
    let events = many_events(50);
    let (folder, known_until) =
        write_after(&rules(std::slice::from_ref(&text)), &events::batches(&events, 50));
    let mut early = engine(&rules(&[text]));
    assert_eq!(folder.read(&mut early, known_until - 1).kept, Vec::<String>::new());
}

#[test]
fn evidence_from_a_kept_and_a_rebuilt_lane_names_no_event_twice() {
    let window = |key: &str| {
        format!(
            "(PARTITION BY {key} ORDER BY time \
             RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW)"
        )
    };
    let (account, ip) = (window("account"), window("ip"));
    let both = format!(
        "{HEAD}SELECT time, account, count(*) OVER {account} AS n, count(*) OVER {ip} AS m \
         FROM events QUALIFY n > 2"
    );
    let other =
        format!("{HEAD}SELECT time, account, count(DISTINCT device) OVER {ip} AS d FROM events");
    let events = many_events(200);
    let (folder, known_until) =
        write_after(&rules(std::slice::from_ref(&both)), &events::batches(&events[..100], 10));
    let rules = rules(&[both, other]);
    let mut changed = engine(&rules);
    let outcome = folder.read(&mut changed, known_until);
    assert_eq!((outcome.kept, outcome.rebuilding.len()), (vec!["1:account".to_owned()], 1));
    check_rest(changed, &rules, &events, known_until, 7).expect("the results are the same");
}
