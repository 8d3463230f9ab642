//! The same alerts come of a log in order, and of one that was shuffled within the lateness, partly sent
//! twice and split over eight files.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use nightlatch::event::time::parse_rfc3339;
use serde_json::Value;

use super::{queries, said};

const EVENTS: &str = "60000";
/// Below the default of `order.lateness`.
const DELAY_MAX_MICROS: u64 = 55_000_000;
/// Every so many events comes twice.
const DUPLICATES: u64 = 10;
const FILES: u64 = 8;

/// A number below `below` that looks random and is the same each time.
fn draw(what: &str, index: usize, copy: usize, below: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (what, index, copy).hash(&mut hasher);
    hasher.finish() % below
}

/// The alerts of log files, without the places of their evidence.
fn alerts(files: &[PathBuf]) -> Vec<Value> {
    let folder = queries().to_string_lossy().into_owned();
    let mut arguments = vec!["replay", "--json", "--quiet", "--rules", &folder];
    let files: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
    arguments.extend(files.iter().map(|file| &**file));
    let text = said(&arguments);
    let mut alerts: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an alert is JSON")).collect();
    for alert in &mut alerts {
        for evidence in alert["evidence"].as_array_mut().expect("evidence") {
            let evidence = evidence.as_object_mut().expect("an object");
            assert!(evidence.remove("file").is_some() && evidence.remove("line").is_some());
        }
    }
    alerts
}

fn time_of(line: &str) -> i64 {
    let event: Value = serde_json::from_str(line).expect("an event is JSON");
    assert!(event["event_id"].is_string(), "{line}");
    event["time"].as_str().and_then(parse_rfc3339).expect("a time")
}

fn in_order(log: &str) -> String {
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_by_key(|line| time_of(line));
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// Lines by the time at which they arrive, some of them twice.
fn arrivals(log: &str) -> Vec<&str> {
    let mut arrivals: Vec<(i64, &str)> = Vec::new();
    for (index, line) in log.lines().enumerate() {
        let time = time_of(line);
        let copies = if draw("twice", index, 0, DUPLICATES) == 0 { 2 } else { 1 };
        for copy in 0..copies {
            let delay = draw("delay", index, copy, DELAY_MAX_MICROS);
            arrivals.push((time + delay.cast_signed(), line));
        }
    }
    arrivals.sort_by_key(|(time, _)| *time);
    arrivals.into_iter().map(|(_, line)| line).collect()
}

fn split(lines: &[&str], folder: &Path) -> Vec<PathBuf> {
    let mut texts = vec![String::new(); FILES as usize];
    for (index, line) in lines.iter().enumerate() {
        let text = &mut texts[draw("file", index, 0, FILES) as usize];
        text.push_str(line);
        text.push('\n');
    }
    let write = |(number, text): (usize, &String)| {
        let path = folder.join(format!("part-{number}.jsonl"));
        fs::write(&path, text).expect("a file can be written");
        path
    };
    texts.iter().enumerate().map(write).collect()
}

#[test]
fn however_a_city_arrives_its_alerts_are_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.jsonl");
    let name = path.to_string_lossy();
    said(&[
        "simulate",
        "--scenario",
        "city",
        "--seed",
        "32",
        "--events",
        EVENTS,
        "--output",
        &name,
    ]);
    // In order, because the city has events of its own that come too late.
    let log = in_order(&fs::read_to_string(&path).expect("the log"));
    fs::write(&path, &log).expect("a file can be written");
    let expected = alerts(std::slice::from_ref(&path));
    assert!(expected.len() >= 50, "only {} revisions", expected.len());
    let lines = arrivals(&log);
    assert!(lines.len() > log.lines().count() * 21 / 20);
    let files = split(&lines, folder.path());
    let found = alerts(&files);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}
