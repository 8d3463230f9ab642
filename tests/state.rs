//! State is bounded by what is inside the windows, and by the limits.

#![allow(clippy::expect_used)] // a test that cannot go on fails

mod support;

use nightlatch::rules::{Engine, LaneStats, StateLimits, parse_rule};
use support::events::{Event, batch};

const HEAD: &str = "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"account\"\nquiet = \"1 minute\"\nsummary = \"s\"\n*/\n";
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

fn engine(query: &str, limits: StateLimits) -> Engine {
    engine_of(&[query], limits)
}

fn engine_of(queries: &[&str], limits: StateLimits) -> Engine {
    let rule = |query| parse_rule("r.sql", "r.sql", &format!("{HEAD}{query}"));
    let rules = queries.iter().map(|query| rule(query).expect("front matter")).collect();
    let (engine, refused) = Engine::new(rules, &[], limits).expect("no references");
    assert!(refused.is_empty(), "{}", refused[0]);
    engine
}

fn event(time: i64, account: &'static str) -> Event {
    Event {
        time,
        action: "login",
        outcome: "failure",
        account,
        ip: Some("192.0.2.1"),
        device: None,
        asn: None,
        latitude: None,
    }
}

fn stats(engine: &Engine, name: &str) -> LaneStats {
    let all = engine.lane_stats();
    all.into_iter().find(|lane| lane.name == name).expect("the lane is there")
}

const UNBOUNDED: StateLimits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };
const COUNT: &str = "SELECT time, account, count(*) OVER (PARTITION BY account ORDER BY time \
    RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS n FROM events WHERE action = 'login'";

#[test]
fn nothing_is_left_when_the_windows_have_passed() {
    let mut engine = engine(COUNT, UNBOUNDED);
    let accounts = ["anna", "ben", "cleo"];
    let events: Vec<Event> =
        (0..30_000i64).map(|i| event(i * 1000, accounts[i as usize % 3])).collect();
    engine.process(&batch(&events, 0)).unwrap();
    assert_eq!((stats(&engine, "1:account").keys, stats(&engine, "1:account").rows), (3, 30_000));
    let mut other = event(DAY, "dora");
    other.action = "live_view";
    engine.process(&batch(&[other], 30_000)).unwrap();
    let lane = stats(&engine, "1:account");
    assert_eq!((lane.keys, lane.rows), (0, 0));
    assert!(lane.bytes < 10_000, "{} bytes are left", lane.bytes);
    assert_eq!(stats(&engine, "evidence").rows, 1, "only the newest batch");
}

#[test]
fn a_flood_of_keys_does_not_push_out_what_is_counted() {
    let mut engine = engine(COUNT, StateLimits { rows_max: usize::MAX, keys_max: 2 });
    let events: Vec<Event> = ["anna", "ben", "cleo", "anna", "dora", "anna"]
        .iter()
        .enumerate()
        .map(|(i, account)| event(i as i64 * SECOND, account))
        .collect();
    let matches = engine.process(&batch(&events, 0)).unwrap();
    let lines = support::rows::lines(&matches[0].columns);
    assert!(lines[5].ends_with("\"anna\" | \"3\""), "{}", lines[5]);
    assert!(lines[2].ends_with("\"cleo\" | \"NULL\""), "{}", lines[2]);
    let dropped = stats(&engine, "1:account").dropped_rows + stats(&engine, "texts").dropped_rows;
    assert_eq!(dropped, 2);
}

#[test]
fn rows_beyond_the_limit_are_counted_as_dropped() {
    let mut engine = engine(COUNT, StateLimits { rows_max: 4, keys_max: usize::MAX });
    let events: Vec<Event> = (0..10).map(|i| event(i * SECOND, "anna")).collect();
    engine.process(&batch(&events, 0)).unwrap();
    let lane = stats(&engine, "1:account");
    assert_eq!((lane.rows, lane.dropped_rows), (4, 6));
    // When the window has moved on there is room again.
    let matches = engine.process(&batch(&[event(DAY, "anna")], 10)).unwrap();
    assert!(support::rows::lines(&matches[0].columns)[0].ends_with("\"1\""));
}

#[test]
fn an_aggregate_of_the_newest_row_keeps_one_row_a_key() {
    let query = "SELECT time, account, max(time) OVER (PARTITION BY account ORDER BY time \
        RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND INTERVAL '1' MICROSECOND PRECEDING) AS before \
        FROM events";
    let mut engine = engine(query, UNBOUNDED);
    for day in 0..80i64 {
        let time = |i: i64| day * DAY + i * SECOND;
        let events: Vec<Event> = (0..1_000).map(|i| event(time(i), "anna")).collect();
        engine.process(&batch(&events, day as usize * 1_000)).unwrap();
    }
    engine.process(&batch(&[event(80 * DAY, "ben")], 80_000)).unwrap();
    let lane = stats(&engine, "1:account");
    assert_eq!((lane.keys, lane.rows), (2, 1));
    engine.process(&batch(&[event(300 * DAY, "cleo")], 80_001)).unwrap();
    assert_eq!(stats(&engine, "1:account").keys, 1);
}

#[test]
fn evidence_is_kept_for_the_rows_in_the_logs_only() {
    let query = "SELECT time, account, \
        count(*) FILTER (WHERE action = 'two_way_talk') OVER (PARTITION BY account ORDER BY time \
        RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW) AS talks, \
        count(*) OVER (PARTITION BY ip ORDER BY time \
        RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW) AS n \
        FROM events QUALIFY action = 'two_way_talk' AND talks = 2";
    let mut engine = engine(query, UNBOUNDED);
    let mut talk = event(0, "anna");
    talk.action = "two_way_talk";
    engine.process(&batch(&[talk.clone()], 0)).unwrap();
    let mut first = 1;
    for hour in 1..200i64 {
        let time = |i: i64| hour * 3600 * SECOND + i * SECOND;
        let events: Vec<Event> = (0..1_000).map(|i| event(time(i), "ben")).collect();
        engine.process(&batch(&events, first)).unwrap();
        first += events.len();
    }
    let rows = stats(&engine, "evidence").rows;
    assert!(rows < 70_000, "{rows} rows are kept");
    talk.time = 201 * 3600 * SECOND;
    assert_eq!(engine.process(&batch(&[talk], first)).unwrap().len(), 1);
    let (witnesses, total) = engine.witnesses(0, 0, 10).unwrap();
    let positions: Vec<i64> = witnesses.iter().map(|witness| witness.place.position).collect();
    assert_eq!((positions, total), (vec![0, first as i64], 2));
}

#[test]
fn what_is_usual_for_a_key_is_no_evidence_and_is_not_kept_as_such() {
    let query = "SELECT time, account, count(*) OVER (PARTITION BY account ORDER BY time \
        RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND INTERVAL '24' HOUR PRECEDING) AS visits \
        FROM events QUALIFY action = 'two_way_talk' AND visits = 5000";
    let mut engine = engine(query, UNBOUNDED);
    let visits: Vec<Event> = (0..5_000).map(|i| event(i * SECOND, "anna")).collect();
    engine.process(&batch(&visits, 0)).unwrap();
    let mut talk = event(3 * DAY, "anna");
    talk.action = "two_way_talk";
    assert_eq!(engine.process(&batch(&[talk], 5_000)).unwrap().len(), 1, "the visits are counted");
    let (witnesses, total) = engine.witnesses(0, 0, 10).unwrap();
    assert_eq!((witnesses.len(), total), (1, 1), "the talk alone");
    assert_eq!((stats(&engine, "1:account").rows, stats(&engine, "evidence").rows), (5_001, 1));
}

#[test]
fn what_another_rule_counts_in_the_same_frame_is_no_evidence() {
    let counting = |action: &str| {
        format!(
            "SELECT time, account, count(*) FILTER (WHERE action = '{action}') OVER (\
            PARTITION BY account ORDER BY time \
            RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS n \
            FROM events QUALIFY action = '{action}' AND n = 2"
        )
    };
    let (talks, logins) = (counting("two_way_talk"), counting("login"));
    let mut engine = engine_of(&[&talks, &logins], UNBOUNDED);
    let mut events: Vec<Event> = (0..6).map(|i| event(i * SECOND, "anna")).collect();
    events[1].action = "two_way_talk";
    events[5].action = "two_way_talk";
    let matches = engine.process(&batch(&events, 0)).unwrap();
    assert_eq!((matches[0].rule, matches[0].rows.clone()), (0, vec![5]));
    let (witnesses, _) = engine.witnesses(0, 5, 10).unwrap();
    let positions: Vec<i64> = witnesses.iter().map(|witness| witness.place.position).collect();
    assert_eq!(positions, [1, 5]);
}
