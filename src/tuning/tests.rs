use serde_json::{Map, Value, json};

use super::filter::{Filter, Tree};
use super::probe::{SeenRow, Truth, of_alert, probed};
use super::silence::{Cannot, Needed, alone, cheapest, truth_of};
use super::sweep::{steps, trials, values};
use super::variant::variant;
use crate::rules::{Engine, Pack, Rule, StateLimits, parse_rule};

const LIMITS: StateLimits = StateLimits { rows_max: 1_000, keys_max: 1_000 };

const FRONT: &str = "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"account\"\nquiet = \"1 minute\"\nsummary = \"s\"\n*/\n";

fn rule(query: &str) -> Rule {
    parse_rule("r.sql", "r.sql", &format!("{FRONT}{query}")).unwrap()
}

/// A rule whose columns `a`, `b` and `c` are counts, with this filter.
fn counting(filter: &str) -> Rule {
    rule(&format!(
        "SELECT time, account, count(*) OVER w AS a, count(ip) OVER w AS b, count(device) OVER w AS c\n\
         FROM events\nWINDOW w AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR\n\
         PRECEDING AND CURRENT ROW)\nQUALIFY {filter}"
    ))
}

fn engine(rules: Vec<Rule>) -> Engine {
    let (engine, refused) = Engine::new(rules, &[], LIMITS).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    engine
}

fn shown(filter: &Filter, tree: &Tree) -> String {
    let parts = |parts: &[Tree]| {
        let parts: Vec<String> = parts.iter().map(|part| shown(filter, part)).collect();
        parts.join(" ; ")
    };
    match tree {
        Tree::Leaf(leaf) => filter.leaves[*leaf].sql(),
        Tree::All(all) => format!("all[{}]", parts(all)),
        Tree::Any(any) => format!("any[{}]", parts(any)),
    }
}

#[test]
fn conditions_are_split_by_their_logic() {
    let cases = [
        ("a >= 1", "a >= 1"),
        ("(((a >= 1)))", "a >= 1"),
        ("a >= 1 AND b > 2 AND c < 3", "all[a >= 1 ; b > 2 ; c < 3]"),
        ("a >= 1 AND (b > 2 AND c < 3)", "all[a >= 1 ; b > 2 ; c < 3]"),
        ("a >= 1 OR b > 2 AND c < 3", "any[a >= 1 ; all[b > 2 ; c < 3]]"),
        ("(a >= 1 OR b > 2) AND c < 3", "all[any[a >= 1 ; b > 2] ; c < 3]"),
        ("NOT (a >= 1 AND b = 2)", "any[a < 1 ; b <> 2]"),
        ("NOT (a > 1 OR NOT b <> 2)", "all[a <= 1 ; b <> 2]"),
        ("NOT NOT a <= 1", "a <= 1"),
        ("a BETWEEN 1 AND 5", "all[a >= 1 ; a <= 5]"),
        ("a NOT BETWEEN 1 AND 5 AND b < 1", "all[any[a < 1 ; a > 5] ; b < 1]"),
        ("NOT a BETWEEN 1 AND 5", "any[a < 1 ; a > 5]"),
        ("NOT (account IS NULL OR a IN (1, 2))", "all[NOT (account IS NULL) ; NOT (a IN (1, 2))]"),
        ("account LIKE 'x%' OR a IS NULL", "any[account LIKE 'x%' ; a IS NULL]"),
    ];
    for (sql, expected) in cases {
        let filter = Filter::of(&counting(sql)).unwrap();
        assert_eq!(shown(&filter, &filter.tree), expected, "{sql}");
    }
}

#[test]
fn thresholds_are_the_numbers_of_comparisons() {
    let cases: &[(&str, &[&str])] = &[
        ("a >= 15 AND b < 2.5", &["15 12", "2.5 12"]),
        ("a >= -3 OR 1e3 > b", &["-3 12", "1e3 12"]),
        ("a >\n2 * (b + 1)", &["2 13", "1 13"]),
        ("a BETWEEN 1 AND 5", &["1 12", "5 12"]),
        ("a * 2 BETWEEN 1 AND 5", &["1 12", "5 12"]),
        ("CAST(7 AS BIGINT) <= a", &["7 12"]),
        // Not compared with, no number, inside a function, or about nothing.
        ("a IN (1, 2) AND account = '5' AND abs(a - 3) > b AND 1 = 1", &[]),
        ("CASE WHEN a > 5 THEN true ELSE false END", &[]),
        ("count(*) FILTER (WHERE length(ip) > 3) OVER w >= 9", &["9 12"]),
    ];
    for (sql, expected) in cases {
        let filter = Filter::of(&counting(sql)).unwrap();
        let found = filter.thresholds.iter().map(|one| format!("{} {}", one.text, one.place.line));
        assert_eq!(found.collect::<Vec<_>>(), *expected, "{sql}");
    }
}

#[test]
fn the_last_query_that_filters_is_found() {
    let inner = "SELECT time, account, latitude AS x FROM events WHERE latitude > 5";
    let cases = [
        format!("WITH i AS ({inner}) SELECT time, account FROM i"),
        format!("WITH i AS ({inner}), j AS (SELECT * FROM i) SELECT time, account FROM J"),
        format!("SELECT time, account FROM (SELECT time, account FROM ({inner}) AS i) AS j"),
        format!("WITH i AS ({inner}) SELECT * FROM (SELECT i.* FROM i) AS j"),
    ];
    for query in cases {
        let own = rule(&query);
        let filter = Filter::of(&own).unwrap();
        assert_eq!(shown(&filter, &filter.tree), "latitude > 5", "{query}");
        // Its probes come out at the top, and another number goes in at the bottom.
        let other = variant(&own, &filter, &filter.thresholds[0], -7.0, "other".to_owned());
        assert!(other.sql.contains("latitude > (-7)"), "{}", other.sql);
        let engine = engine(vec![probed(&own, &filter), own, other]);
        assert!(engine.select_alike(0, 1) && !engine.select_alike(1, 2), "{query}");
        assert!(engine.schema(0).field_with_name("nightlatch_probe_left_0").is_ok(), "{query}");
    }
    for query in [
        "SELECT time, account FROM events",
        "WITH i AS (SELECT * FROM events WHERE latitude > 5) SELECT i.time, i.account FROM i JOIN t ON t.x = i.ip",
    ] {
        let error = Filter::of(&rule(query)).unwrap_err();
        assert_eq!(error.message, "`r` has no filter of its own", "{query}");
    }
}

#[test]
fn every_rule_of_the_pack_can_be_probed_and_printed() {
    for rule in Pack::load(None).unwrap().rules {
        let filter = Filter::of(&rule).unwrap();
        let printed =
            Rule { id: "printed".to_owned(), sql: filter.query.to_string(), ..rule.clone() };
        let probed = Rule { id: "probed".to_owned(), ..probed(&rule, &filter) };
        let engine = engine(vec![rule.clone(), printed, probed]);
        assert!(engine.select_alike(0, 1) && engine.select_alike(0, 2), "{}", rule.id);
    }
}

#[test]
fn variants_share_their_windows() {
    let rule = counting("a >= 15 AND b > 2 * c");
    let filter = Filter::of(&rule).unwrap();
    let chosen = [(0, vec![5.0, 15.0, 25.0]), (1, vec![1.0, 2.0, 2.5])];
    let (trials, rules) = trials(&rule, &filter, &chosen);
    let ids: Vec<&str> = trials.iter().map(|trial| &*trial.rule).collect();
    assert_eq!(ids, ["r 1=5", "r", "r 1=25", "r 2=1", "r", "r 2=2.5"]);
    assert_eq!(rules.len(), 5);
    assert_eq!(engine(rules).lane_stats().len(), engine(vec![rule]).lane_stats().len());
}

#[test]
fn values_are_of_the_kind_that_is_written() {
    let threshold =
        |text: &str| Filter::of(&counting(&format!("a >= {text}"))).unwrap().thresholds.remove(0);
    let check = |text: &str, wanted: Option<&[f64]>, expected: &[f64]| {
        assert_eq!(values(&threshold(text), wanted), expected, "{text}");
    };
    check("10", None, &[3.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 13.0, 15.0, 20.0, 30.0, 50.0]);
    check("1", None, &[0.0, 1.0, 2.0, 3.0, 5.0]);
    check("0", None, &[0.0, 1.0, 2.0, 3.0, 5.0, 10.0]);
    check("0.8", Some(&[0.9, 0.5, 0.8]), &[0.5, 0.8, 0.9]);
    assert_eq!(values(&threshold("0.8"), None)[..3], [0.2, 0.4, 0.48]);
    assert_eq!(steps(&threshold("9"), 10.0, 50.0, 5), [10.0, 20.0, 30.0, 40.0, 50.0]);
    assert_eq!(steps(&threshold("9"), 1.0, 4.0, 3), [1.0, 3.0, 4.0]);
    assert_eq!(steps(&threshold("0.9"), 0.0, 1.0, 3), [0.0, 0.5, 1.0]);
    assert_eq!(steps(&threshold("9"), 50.0, 10.0, 2), [50.0, 10.0]);
}

/// What the conditions see on a row with these counts.
fn seen(rule: &Rule, [a, b, c]: [i64; 3]) -> SeenRow {
    let schema = engine(vec![rule.clone()]).schema(0);
    let row = json!({"time": "2026-03-01T12:00:00Z", "account": "x", "a": a, "b": b, "c": c});
    let row: Map<String, Value> = row.as_object().unwrap().clone();
    of_alert(&Filter::of(rule).unwrap(), &schema, &row).unwrap()
}

fn fires(rule: &Rule, counts: [i64; 3]) -> bool {
    let row = seen(rule, counts);
    let filter = Filter::of(rule).unwrap();
    truth_of(&filter.tree, &|leaf| row.leaves[leaf].truth) == Truth::True
}

#[test]
fn what_is_needed_is_just_enough() {
    let cases: [(&str, &[[i64; 3]]); 7] = [
        ("a >= 5 AND b >= 3", &[[7, 4, 0], [9, 3, 0]]),
        ("(a >= 5 AND b >= 3) OR (a > 8 AND c < 4)", &[[9, 4, 1], [6, 3, 9]]),
        ("a > 2 * b AND c <= 7", &[[30, 4, 0], [31, 5, 2]]),
        ("a BETWEEN 3 AND 9 AND b <> 4", &[[3, 0, 0], [8, 0, 0]]),
        ("NOT (a < 5 OR b = 0)", &[[5, 1, 0]]),
        ("10 - a <= b - 2 AND a >= 1", &[[9, 4, 0]]),
        ("c = 0 OR a >= 20", &[[3, 0, 0]]),
    ];
    for (sql, rows) in cases {
        let rule = counting(sql);
        let filter = Filter::of(&rule).unwrap();
        let seen: Vec<SeenRow> = rows.iter().map(|row| self::seen(&rule, *row)).collect();
        assert!(rows.iter().all(|row| fires(&rule, *row)), "{sql}");
        let with = |number: usize, value: f64| {
            let other = variant(&rule, &filter, &filter.thresholds[number], value, "r".to_owned());
            rows.iter().any(|row| fires(&other, *row))
        };
        for (number, threshold) in filter.thresholds.iter().enumerate() {
            match alone(&filter, number, &seen) {
                Ok(needed) => {
                    let (enough, less) = match needed {
                        Needed::AnyOther => (threshold.value + 1.0, threshold.value),
                        Needed::Exactly(value) => (value, value + 1.0),
                        Needed::AtLeast(_) | Needed::MoreThan(_) => {
                            let value = needed.nearest(threshold).unwrap();
                            (value, value - 1.0)
                        }
                        Needed::AtMost(_) | Needed::LessThan(_) => {
                            let value = needed.nearest(threshold).unwrap();
                            (value, value + 1.0)
                        }
                    };
                    assert!(!with(number, enough), "{sql}: {number} at {enough} ({needed:?})");
                    assert!(with(number, less), "{sql}: {number} at {less} ({needed:?})");
                }
                Err(Cannot::OtherCondition) => {
                    let tried = [-1000.0, 0.0, 1000.0];
                    assert!(tried.into_iter().any(|value| with(number, value)), "{sql}: {number}");
                }
                Err(cannot) => panic!("{sql}: {number}: {cannot:?}"),
            }
        }
    }
}

#[test]
fn the_smallest_change_fails_one_of_and_and_all_of_or() {
    let plan = |sql: &str, counts: &[[i64; 3]]| {
        let rule = counting(sql);
        let filter = Filter::of(&rule).unwrap();
        let rows: Vec<SeenRow> = counts.iter().map(|row| seen(&rule, *row)).collect();
        let steps = cheapest(&filter, &rows)?;
        let step = |one: &super::silence::Step| {
            (one.threshold + 1, one.needed.nearest(&filter.thresholds[one.threshold]))
        };
        Some(steps.iter().map(step).collect::<Vec<_>>())
    };
    assert_eq!(plan("a >= 5 AND b >= 10", &[[9, 11, 0]]), Some(vec![(2, Some(12.0))]));
    let both = Some(vec![(1, Some(10.0)), (2, Some(12.0))]);
    assert_eq!(plan("a >= 5 OR b >= 10", &[[9, 11, 0]]), both);
    // A branch that never held needs nothing.
    assert_eq!(plan("a >= 5 OR b >= 10", &[[9, 3, 0]]), Some(vec![(1, Some(10.0))]));
    // All matches of the alert count, not the first alone.
    assert_eq!(plan("a >= 5", &[[5, 0, 0], [9, 0, 0], [7, 0, 0]]), Some(vec![(1, Some(10.0))]));
    assert_eq!(plan("account = 'x' OR a >= 5", &[[9, 0, 0]]), None);
    assert_eq!(plan("account = 'x' AND a >= 5", &[[9, 0, 0]]), Some(vec![(1, Some(10.0))]));
}

#[test]
fn an_alert_without_the_columns_answers_what_it_can() {
    let rule = rule(
        "SELECT time, account, upper(ip) AS ip, count(*) OVER w AS n FROM events\n\
         WHERE ip <> '' AND latitude > 3\n\
         WINDOW w AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND\n\
         CURRENT ROW)\nQUALIFY n >= 4 AND (outcome = 'failure' OR count(*) OVER (PARTITION BY account ORDER BY time RANGE\n\
         BETWEEN INTERVAL '2' HOUR PRECEDING AND CURRENT ROW) > 9)",
    );
    let filter = Filter::of(&rule).unwrap();
    let schema = engine(vec![rule.clone()]).schema(0);
    let row = json!({"time": "2026-03-01T12:00:00Z", "account": "x", "ip": "", "n": 6});
    let row = of_alert(&filter, &schema, row.as_object().unwrap()).unwrap();
    let truths: Vec<Truth> = row.leaves.iter().map(|leaf| leaf.truth).collect();
    // `ip` of the WHERE is not the `ip` of the alert, so it is not answered but concluded.
    use Truth::{True, Unknown};
    assert_eq!(truths, [True, True, True, Unknown, Unknown]);
    let known: Vec<bool> = row.leaves.iter().map(|leaf| leaf.left.is_some()).collect();
    assert_eq!(known, [false, false, true, false, false]);
    let rows = [row];
    assert_eq!(alone(&filter, 0, &rows), Err(Cannot::NotKnown));
    assert_eq!(alone(&filter, 1, &rows), Ok(Needed::MoreThan(6.0)));
    assert_eq!(alone(&filter, 2, &rows), Err(Cannot::NotKnown));
    let nothing = json!({"time": "2026-03-01T12:00:00Z", "account": "x", "ip": ""});
    let other = crate::tuning::tests::rule("SELECT time, account FROM events WHERE latitude > 3");
    let schema = engine(vec![other.clone()]).schema(0);
    assert_eq!(of_alert(&Filter::of(&other).unwrap(), &schema, nothing.as_object().unwrap()), None);
}
