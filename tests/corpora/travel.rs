//! Verdicts of others about impossible travel: those that the geodesic gives.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A rule as one would write it about impossible travel, without exceptions.
const TRAVEL: &str = r#"/*
title    = "Impossible travel"
severity = "medium"
entity   = "account"
quiet    = "1 hour"
horizon  = "30 days"
summary  = "{account} moved {km} km at {km_per_hour} km/h"
*/
WITH steps AS (
    SELECT
        time,
        account,
        latitude,
        longitude,
        lag(latitude) OVER own AS latitude_before,
        lag(longitude) OVER own AS longitude_before,
        lag(time) OVER own AS time_before
    FROM events
    WHERE action = 'login' AND latitude IS NOT NULL
    WINDOW own AS (PARTITION BY account ORDER BY time)
),
travel AS (
    SELECT
        time,
        account,
        distance_km(latitude_before, longitude_before, latitude, longitude) AS km,
        CASE
            WHEN time = time_before THEN 0.001
            ELSE (CAST(time AS BIGINT) - CAST(time_before AS BIGINT)) / 3600000000.0
        END AS hours
    FROM steps
)
SELECT time, account, km, km / hours AS km_per_hour
FROM travel
WHERE km > 100 AND km / hours > 300
"#;

/// Two logins: seconds since the epoch in microseconds, latitude, longitude.
type Login = (i64, f64, f64);

fn journey(account: &str, logins: [Login; 2]) -> Vec<(i64, String)> {
    let line = |(number, (time, latitude, longitude)): (usize, Login)| {
        let event = serde_json::json!({
            "time": time, "action": "login", "outcome": "success", "account": account,
            "latitude": latitude, "longitude": longitude, "event_id": format!("{account}/{number}"),
        });
        (time, format!("{event}\n"))
    };
    logins.into_iter().enumerate().map(line).collect()
}

/// Who travelled impossibly, how far and how fast, by both engines.
fn travellers(mut events: Vec<(i64, String)>) -> BTreeMap<String, (f64, f64)> {
    // Sorting keeps the order of logins of one time.
    events.sort_by_key(|(time, _)| *time);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/travel.sql"), TRAVEL).unwrap();
    let log: String = events.into_iter().map(|(_, line)| line).collect();
    fs::write(folder.path().join("log.jsonl"), log).unwrap();
    let rows = |engine: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
        command.args([
            "rules",
            "run",
            "travel",
            "log.jsonl",
            "--rules",
            "rules",
            "--engine",
            engine,
        ]);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let live = rows("live");
    assert_eq!(live, rows("batch"));
    let traveller = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| row[name].as_f64().unwrap();
        (row["account"].as_str().unwrap().to_owned(), (number("km"), number("km_per_hour")))
    };
    live.lines().map(traveller).collect()
}

const MILLISECOND: i64 = 1_000;
const HOUR_MICROS: f64 = 3_600_000_000.0;
/// Noon of 2025-03-14.
const NOON: i64 = 1_741_953_600_000_000;

#[test]
fn travel_is_impossible_when_it_is_far_and_fast() {
    // One degree of the equator is 111.32 km; 0.898 degrees are 99.96 km, 0.899 are 100.08 km.
    let after = |hours: f64| NOON + (hours * HOUR_MICROS) as i64;
    let journey = |name, end, longitude| journey(name, [(NOON, 0.0, 0.0), (end, 0.0, longitude)]);
    let events = [
        journey("fast", after(0.1), 1.0),
        journey("slow", after(0.372), 1.0),
        journey("just fast", after(0.371), 1.0),
        journey("near", after(0.0), 0.898),
        journey("just far", after(0.0), 0.899),
        journey("at rest", after(0.0), 0.0),
    ];
    let found = travellers(events.concat());
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["fast", "just far", "just fast"]);
    // No time at all counts as 0.001 hours.
    assert_eq!(found["just far"].1.floor(), (found["just far"].0 * 1000.0).floor());
}

#[test]
fn verdicts_of_others_about_travel_agree() {
    let Some(corpora) = std::env::var_os("NIGHTLATCH_CORPORA") else {
        eprintln!("NIGHTLATCH_CORPORA names no folder: journeys made by hand alone are checked");
        travel_is_impossible_when_it_is_far_and_fast();
        return;
    };
    let path = Path::new(&corpora).join("travel/impossible_travel.jsonl");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut events = Vec::new();
    let mut speeds = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let verdict: Value = serde_json::from_str(line).unwrap();
        let (login, before) = (&verdict["login"], &verdict["login"]["buffalogs"]);
        let float = |value: &Value| value.as_f64().unwrap();
        let end = chrono::DateTime::parse_from_rfc3339(login["timestamp"].as_str().unwrap());
        let end = end.unwrap().timestamp_micros();
        let to = (float(&login["lat"]), float(&login["lon"]));
        let from = (float(&before["start_lat"]), float(&before["start_lon"]));
        let speed = float(&before["avg_speed"]);
        // The first pass tells how far it is; the time between follows from the speed. It must come
        // out as whole milliseconds, as all times of the suite are: no other distance does that.
        let probe = journey(&number.to_string(), [(NOON, from.0, from.1), (NOON, to.0, to.1)]);
        events.push((probe, end, from, to));
        speeds.push(speed);
    }
    assert_eq!(speeds.len(), 222, "another suite");
    let far = travellers(events.iter().flat_map(|(probe, ..)| probe.clone()).collect());
    assert_eq!(far.len(), 222);
    let mut all = Vec::new();
    for (number, (_, end, from, to)) in events.iter().enumerate() {
        let km = far[&number.to_string()].0;
        let milliseconds = km / speeds[number] * HOUR_MICROS / 1_000.0;
        assert!((milliseconds - milliseconds.round()).abs() < 1e-3, "{number}: {milliseconds} ms");
        // 3,600 ms is what no time at all counts as.
        let between = milliseconds.round() as i64 % 3_600 * MILLISECOND;
        let told = [(end - between, from.0, from.1), (*end, to.0, to.1)];
        all.extend(journey(&format!("{number} told"), told));
        for (name, km_per_hour) in [("slow", 299.0), ("fast", 301.0)] {
            let start = end - (km / km_per_hour * HOUR_MICROS) as i64;
            let logins = [(start, from.0, from.1), (*end, to.0, to.1)];
            all.extend(journey(&format!("{number} {name}"), logins));
        }
    }
    let found = travellers(all);
    for (number, speed) in speeds.iter().enumerate() {
        let told = found.get(&format!("{number} told")).map(|(_, km_per_hour)| *km_per_hour);
        assert!(told.is_some_and(|told| (told.floor() - speed).abs() <= 1.0), "{number}: {told:?}");
        assert!(found.contains_key(&format!("{number} fast")), "{number}");
        assert!(!found.contains_key(&format!("{number} slow")), "{number}");
    }
}
