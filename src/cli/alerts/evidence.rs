//! The events that prove an alert, read again from the log where they stand.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::Result;
use crate::alert::{escape, shorten};
use crate::delivery::record::EvidenceRecord;
use crate::event::Origins;
use crate::source::{Delivery, FileOptions, Files, Source};

/// Characters of one event that are shown.
const EVENT_CHARS_MAX: usize = 400;

/// What people look for in an event, in the order in which they read it.
const SHOWN: [&str; 11] = [
    "action",
    "outcome",
    "reason",
    "account",
    "actor",
    "ip",
    "country",
    "device",
    "session",
    "resource_label",
    "ticket",
];

/// The lines of log files that an alert names, by file and line.
pub(super) type Lines = HashMap<(String, i64), String>;

/// Reads the lines that the evidence names; a file that is not there gives none.
pub(super) fn lines(evidence: &[EvidenceRecord]) -> Lines {
    let mut wanted: HashMap<&str, BTreeSet<i64>> = HashMap::new();
    for one in evidence {
        if let (Some(file), Some(line)) = (&one.file, one.line) {
            wanted.entry(file).or_default().insert(line);
        }
    }
    let mut found = Lines::new();
    for (file, lines) in wanted {
        // Evidence without its log is shown by its place.
        let _ = read(file, lines, &mut found);
    }
    found
}

fn read(file: &str, mut wanted: BTreeSet<i64>, found: &mut Lines) -> Result<()> {
    if file == "-" {
        return Ok(()); // standard input is gone
    }
    let mut files = Files::open(&[file], FileOptions::default(), &mut Origins::default())?;
    while let Some(delivery) = files.next(None)? {
        let Delivery::Batch(batch) = delivery else { continue };
        for index in 0..batch.len() {
            let line = batch.place(index).position;
            if wanted.remove(&line) {
                let text = String::from_utf8_lossy(batch.record(index)).into_owned();
                found.insert((file.to_owned(), line), text);
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(())
}

/// One event for people: time, then what it says, or where it stands.
pub(super) fn event(one: &EvidenceRecord, lines: &Lines) -> String {
    let place = place(one);
    let raw = one.file.clone().zip(one.line).and_then(|at| lines.get(&at));
    let told = raw.map_or_else(String::new, |raw| said(raw));
    escape(&format!("{}  {told}  [{place}]", one.time)).into_owned()
}

fn said(raw: &str) -> String {
    let Ok(Value::Object(event)) = serde_json::from_str::<Value>(raw) else {
        return shorten(raw, EVENT_CHARS_MAX).into_owned();
    };
    let shown = SHOWN.iter().filter_map(|name| match event.get(*name)? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) if *name == "action" || *name == "outcome" => Some(text.clone()),
        Value::String(text) => Some(format!("{name} {text}")),
        other => Some(format!("{name} {other}")),
    });
    shorten(&shown.collect::<Vec<_>>().join(", "), EVENT_CHARS_MAX).into_owned()
}

fn place(one: &EvidenceRecord) -> String {
    match (&one.file, &one.topic) {
        (Some(file), _) => format!("{file}:{}", one.line.unwrap_or_default()),
        (None, Some(topic)) => format!(
            "{topic}/{} offset {}",
            one.partition.unwrap_or_default(),
            one.offset.unwrap_or_default()
        ),
        (None, None) => one.event_id.clone().unwrap_or_default(),
    }
}
