//! The simulator's promises: deterministic, exact in number, in order, well formed.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{SimulateArgs, simulate};

fn run(seed: u64, events: u64) -> (String, String) {
    let args = SimulateArgs {
        scenario: "ring-2019".into(),
        seed,
        events,
        traps: None,
        attacks: None,
        truth: None,
        output: None,
    };
    let (mut log, mut truth) = (Vec::new(), Vec::new());
    simulate(&args, &mut log, Some(&mut truth)).unwrap();
    (String::from_utf8(log).unwrap(), String::from_utf8(truth).unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert_eq!(run(7, 6000), run(7, 6000));
}

#[test]
fn another_seed_gives_another_log() {
    assert_ne!(run(7, 3000).0, run(8, 3000).0);
}

/// A change of these bytes is a change of every published log: it must be meant.
#[test]
fn the_first_event_is_what_it_always_was() {
    let (log, _) = run(2019, 1);
    let event: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(event["event_id"], "r2019-00000001");
    assert!(event["time"].as_str().unwrap().starts_with("2019-11-04T0"), "{log}");
}

#[test]
fn the_number_of_events_is_exact() {
    for events in [0, 1, 2, 999, 5000] {
        assert_eq!(run(1, events).0.lines().count() as u64, events);
    }
}

#[test]
fn every_line_has_what_an_event_needs_and_times_never_go_back() {
    let mut newest = String::new();
    let mut ids = HashSet::new();
    for event in lines(&run(3, 20_000).0) {
        let field = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let time = field("time");
        assert_eq!(time.len(), "2019-11-04T00:00:00.000Z".len());
        assert!(chrono::DateTime::parse_from_rfc3339(&time).is_ok(), "{time}");
        assert!(time >= newest, "{time} after {newest}");
        newest = time;
        assert!(!field("action").is_empty() && !field("account").is_empty());
        assert!(matches!(field("outcome").as_str(), "success" | "failure"));
        assert!(
            event.get("ip").is_none_or(|ip| ip
                .as_str()
                .unwrap()
                .parse::<std::net::IpAddr>()
                .is_ok())
        );
        assert!(ids.insert(field("event_id")));
    }
}

#[test]
fn a_log_covers_some_days_whatever_its_size() {
    for events in [5000, 60_000] {
        let log = run(11, events).0;
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        let day: u32 = last["time"].as_str().unwrap()[8..10].parse().unwrap();
        assert!((7..=17).contains(&day), "{events} events end on day {day}");
    }
}

#[test]
fn truth_tells_what_is_in_the_log() {
    let (log, truth) = run(2019, 5000);
    let events: BTreeMap<String, Value> = lines(&log)
        .into_iter()
        .map(|event| (event["event_id"].as_str().unwrap().to_owned(), event))
        .collect();
    let planted = lines(&truth);
    let kinds: HashSet<&str> = planted.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert!(kinds.len() >= 10, "{kinds:?}");
    for line in &planted {
        let ids = line["event_ids"].as_array().unwrap();
        let first = &events[ids[0].as_str().unwrap()];
        assert_eq!(first["time"], line["started_at"]);
        assert!(line["accounts"].as_array().unwrap().contains(&first["account"]));
        assert!(line["events"].as_u64().unwrap() >= ids.len() as u64);
    }
}

#[test]
fn an_unknown_scenario_is_refused_with_a_suggestion() {
    let args = SimulateArgs {
        scenario: "ring2019".into(),
        seed: 1,
        events: 1,
        traps: None,
        attacks: None,
        truth: None,
        output: None,
    };
    let error = simulate(&args, &mut Vec::new(), None).unwrap_err();
    assert_eq!(error.exit_code(), 64);
    assert_eq!(error.hint.as_deref(), Some("did you mean \"ring-2019\"?"));
}

/// `examples/README.md` says which command made them.
#[test]
fn the_published_example_is_what_its_command_gives() {
    let (log, truth) = run(2019, 5000);
    assert!(log == include_str!("../../examples/ring-2019.jsonl"), "the example log has changed");
    assert!(truth == include_str!("../../examples/ring-2019.truth.jsonl"), "its truth has changed");
}
