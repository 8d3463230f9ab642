//! The assertions of a test of the CrowdSec hub, read as data: parsed events, and alerts.

use std::collections::BTreeMap;

/// Names and values of an event.
pub(crate) type Fields = BTreeMap<String, String>;

/// An expected alert: a bucket that overflowed.
#[derive(Debug, Default)]
pub(crate) struct Alert {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// Who is to be flagged.
    pub(crate) sources: Vec<String>,
    /// How many events there were in all, where that is told.
    pub(crate) n_events: Option<usize>,
    /// The events that it lists: the last ones.
    pub(crate) events: Vec<Fields>,
}

/// A line of the log as a parser has left it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Parsed {
    /// Whether the parser knew it.
    pub(crate) is_success: bool,
    /// Whether scenarios are not to see it.
    pub(crate) is_whitelisted: bool,
    /// What scenarios read first.
    pub(crate) meta: Fields,
    /// What the parsers cut out.
    pub(crate) parsed: Fields,
    /// The time, in one format.
    pub(crate) time: Option<String>,
}

/// A step of the path on the left side of an assertion.
#[derive(Debug, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    Key(String),
    /// `[4:]`: what follows is the end of the value only.
    From(usize),
}

/// The alerts of `scenario.assert`.
pub(crate) fn alerts(text: &str) -> Vec<Alert> {
    let mut alerts: BTreeMap<usize, Alert> = BTreeMap::new();
    let mut events: BTreeMap<(usize, usize), Fields> = BTreeMap::new();
    for line in text.lines() {
        if let Some((source, place)) = line.split_once(" in results[") {
            let index = place.split(']').next().unwrap().parse().unwrap();
            alerts.entry(index).or_default().sources.push(unquoted(source));
            continue;
        }
        let Some((path, value)) = assertion(line) else { continue };
        let [Step::Name(results), Step::Index(index), rest @ ..] = path.as_slice() else {
            continue;
        };
        assert_eq!(results, "results", "{line}");
        let names: Vec<&str> = rest.iter().filter_map(Step::name).collect();
        let alert = alerts.entry(*index).or_default();
        match (names.as_slice(), rest) {
            (["Overflow", "Alert", "GetScenario"], _) => alert.scenario = value,
            (["Overflow", "Alert", "GetEventsCount"], _) => alert.n_events = value.parse().ok(),
            (
                ["Overflow", "Alert", "Events", "GetMeta"],
                [_, _, _, Step::Index(event), _, Step::Key(key), end @ ..],
            ) => {
                let value = completed(key, value, end);
                events.entry((*index, *event)).or_default().insert(key.clone(), value);
            }
            _ => {}
        }
    }
    for ((alert, _), fields) in events {
        alerts.entry(alert).or_default().events.push(fields);
    }
    alerts.into_values().collect()
}

/// The lines of `parser.assert` after the last stage that any line has reached.
pub(crate) fn parsed(text: &str) -> Vec<Parsed> {
    // By stage, then by parser, then by place among the lines that came so far.
    let mut stages: BTreeMap<String, BTreeMap<String, BTreeMap<usize, Parsed>>> = BTreeMap::new();
    for (path, value) in text.lines().filter_map(assertion) {
        let [_, Step::Key(stage), Step::Key(parser), Step::Index(index), rest @ ..] =
            path.as_slice()
        else {
            continue;
        };
        let parsers = stages.entry(stage.clone()).or_default();
        let line = parsers.entry(parser.clone()).or_default().entry(*index).or_default();
        let names: Vec<&str> = rest.iter().filter_map(Step::name).collect();
        match (names.as_slice(), rest) {
            (["Success"], _) => line.is_success = value == "true",
            (["Evt", "Whitelisted"], _) => line.is_whitelisted = value == "true",
            (["Evt", what], [_, _, Step::Key(key), end @ ..]) => {
                let value = completed(key, value, end);
                match *what {
                    "Meta" => drop(line.meta.insert(key.clone(), value)),
                    "Parsed" => drop(line.parsed.insert(key.clone(), value)),
                    "Enriched" if key == "MarshaledTime" => line.time = Some(value),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let stages: Vec<BTreeMap<_, _>> = stages.into_values().collect();
    let Some((last, earlier)) = stages.split_last() else { return Vec::new() };
    let mut lines = last_stage(last);
    for parser in earlier.iter().rev().flat_map(BTreeMap::values) {
        let known: Vec<&Parsed> = parser.values().filter(|line| line.is_success).collect();
        // Only lines that one stage knows come to the next one.
        if known.len() == lines.len() {
            lines.iter_mut().zip(known).for_each(|(line, before)| line.complete(before));
        }
    }
    lines.retain(|line| !line.is_whitelisted);
    lines
}

/// Every parser of a stage sees the same lines: those of the one that knew most.
fn last_stage(parsers: &BTreeMap<String, BTreeMap<usize, Parsed>>) -> Vec<Parsed> {
    let known = |lines: &BTreeMap<usize, Parsed>| lines.values().filter(|l| l.is_success).count();
    let Some(best) = parsers.values().max_by_key(|lines| known(lines)) else { return Vec::new() };
    let is_whitelisted =
        |n: &usize| parsers.values().filter_map(|lines| lines.get(n)).any(|l| l.is_whitelisted);
    let known = best.iter().filter(|(_, line)| line.is_success);
    known.map(|(n, line)| Parsed { is_whitelisted: is_whitelisted(n), ..line.clone() }).collect()
}

impl Parsed {
    /// Takes over what an earlier stage says and this one leaves out.
    fn complete(&mut self, before: &Self) {
        for (own, fields) in [(&mut self.meta, &before.meta), (&mut self.parsed, &before.parsed)] {
            for (name, value) in fields {
                own.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

impl Step {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// `path == value`; the path without the function around it.
fn assertion(line: &str) -> Option<(Vec<Step>, String)> {
    let (path, value) = line.split_once(" == ")?;
    let path = path.strip_prefix("basename(").map_or(path, |path| path.trim_end_matches(')'));
    Some((steps(path)?, unquoted(value)))
}

fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let (step, length) = match first {
            '.' | '(' | ')' => (None, 1),
            '"' => {
                let end = rest[1..].find('"')? + 2;
                (Some(Step::Key(unquoted(&rest[..end]))), end)
            }
            '[' if rest.starts_with("[\"") => (None, 1),
            ']' => (None, 1),
            '[' => {
                let end = rest.find(']')?;
                let inside = &rest[1..end];
                let number = |text: &str| text.parse::<usize>().ok();
                let step = match inside.strip_suffix(':') {
                    Some(start) => Step::From(number(start)?),
                    None => Step::Index(number(inside)?),
                };
                (Some(step), end + 1)
            }
            _ => {
                let end = rest.find(['.', '[', '(', ')', ']']).unwrap_or(rest.len());
                (Some(Step::Name(rest[..end].to_owned())), end)
            }
        };
        steps.extend(step);
        rest = &rest[length..];
    }
    Some(steps)
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let plain = || text.trim_matches('"').to_owned();
    if text.starts_with('"') {
        serde_json::from_str(text).unwrap_or_else(|_| plain())
    } else {
        plain()
    }
}

/// Where an assertion leaves the year out, because the log does, it is any year.
fn completed(key: &str, value: String, end: &[Step]) -> String {
    match end {
        [.., Step::From(4)] if key == "timestamp" || key == "MarshaledTime" => {
            format!("2024{value}")
        }
        _ => value,
    }
}

#[test]
fn assertions_are_read_as_data() {
    let alerts = alerts(concat!(
        "len(results) == 1\n",
        "\"192.0.2.1\" in results[0].Overflow.GetSources()\n",
        "results[0].Overflow.Sources[\"192.0.2.1\"].IP == \"192.0.2.1\"\n",
        "results[0].Overflow.Alert.Events[0].GetMeta(\"timestamp\")[4:] == \"-01-31T12:00:00Z\"\n",
        "basename(results[0].Overflow.Alert.Events[1].GetMeta(\"datasource_path\")) == \"a \\\"log\\\"\"\n",
        "results[0].Overflow.Alert.GetScenario() == \"x/y\"\n",
        "results[0].Overflow.Alert.GetEventsCount() == 7\n",
    ));
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert_eq!((alert.scenario.as_str(), alert.n_events), ("x/y", Some(7)));
    assert_eq!(alert.sources, ["192.0.2.1"]);
    assert_eq!(alert.events[0]["timestamp"], "2024-01-31T12:00:00Z");
    assert_eq!(alert.events[1]["datasource_path"], "a \"log\"");
    let parsed = parsed(concat!(
        "results[\"s01\"][\"a/b\"][0].Success == false\n",
        "results[\"s01\"][\"a/b\"][1].Success == true\n",
        "results[\"s01\"][\"a/b\"][1].Evt.Meta[\"service\"] == \"web\"\n",
        "results[\"s01\"][\"a/b\"][2].Success == true\n",
        "results[\"s02\"][\"a/b\"][0].Success == true\n",
        "results[\"s02\"][\"a/b\"][0].Evt.Meta[\"log_type\"] == \"login\"\n",
        "results[\"s02\"][\"a/b\"][1].Success == true\n",
        "results[\"s02\"][\"a/b\"][2].Success == false\n",
        "results[\"s02\"][\"c/d\"][1].Evt.Whitelisted == true\n",
    ));
    let [line] = parsed.as_slice() else { panic!("{parsed:?}") };
    assert_eq!((line.meta["log_type"].as_str(), line.meta["service"].as_str()), ("login", "web"));
}
