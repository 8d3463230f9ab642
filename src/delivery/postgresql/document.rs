//! A revision as it is stored: its JSON, made fit for PostgreSQL.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::super::batch::{Item, Refusal};
use super::super::encoding::instant;

/// Partitions are made for starts from so long ago to so far ahead, and so there are at most about
/// four thousand.
const PAST_DAYS_MAX: i64 = 3660;
const FUTURE_DAYS_MAX: i64 = 366;

/// A revision that can be stored.
#[derive(Debug)]
pub(super) struct Document {
    /// Which of the batch.
    pub(super) index: usize,
    pub(super) id: String,
    pub(super) revision: u64,
    pub(super) started_at: DateTime<Utc>,
    pub(super) is_incident: bool,
    /// The whole revision; no text in it has the character NUL, which PostgreSQL does not take.
    pub(super) json: Value,
}

/// The highest revision of each id, and what can never be stored.
pub(super) fn read(items: &[Item], now: DateTime<Utc>) -> (Vec<Document>, Vec<Refusal>) {
    let (mut newest, mut refusals) = (HashMap::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        match read_one(index, item, now) {
            Ok(document) => keep(&mut newest, document),
            Err(reason) => refusals.push(Refusal { index, reason }),
        }
    }
    let mut documents: Vec<Document> = newest.into_values().collect();
    documents.sort_by_key(|document| document.index);
    (documents, refusals)
}

fn keep(newest: &mut HashMap<(bool, String), Document>, document: Document) {
    let key = (document.is_incident, document.id.clone());
    let is_newer = newest.get(&key).is_none_or(|known| known.revision <= document.revision);
    if is_newer {
        newest.insert(key, document);
    }
}

fn read_one(index: usize, item: &Item, now: DateTime<Utc>) -> Result<Document, String> {
    let json: Value =
        serde_json::from_slice(&item.entry.native).map_err(|error| error.to_string())?;
    let mut json = without_nul(json);
    let started_at = stored_time("started_at", &item.alert.started_at, now)?;
    stored_time("updated_at", &item.alert.updated_at, now)?;
    drop_odd_times(&mut json);
    Ok(Document {
        index,
        id: without_nul_text(item.alert.id.clone()),
        revision: item.alert.revision,
        started_at,
        is_incident: json["kind"] == "incident",
        json,
    })
}

/// A time within the years that are stored.
fn stored_time(key: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let days = |time: DateTime<Utc>| (time - now).num_days();
    match instant(text) {
        Some(time) if (-PAST_DAYS_MAX..=FUTURE_DAYS_MAX).contains(&days(time)) => Ok(time),
        _ => {
            let first = now - TimeDelta::days(PAST_DAYS_MAX);
            Err(format!("`{key}` is {text}, and rows are stored from {first:.0} to a year ahead"))
        }
    }
}

/// Events may have times that no calendar has: they are told without.
fn drop_odd_times(json: &mut Value) {
    for event in json["evidence"].as_array_mut().into_iter().flatten() {
        if event["time"].as_str().is_none_or(|time| instant(time).is_none()) {
            event["time"] = Value::Null;
        }
    }
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul_text(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(members) => {
            let members = members.into_iter();
            let safe = members.map(|(key, value)| (without_nul_text(key), without_nul(value)));
            Value::Object(safe.collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// As summaries show it.
fn without_nul_text(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\\u{0}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::super::example;
    use super::super::super::outbox::Entry;
    use super::super::super::record::AlertRecord;
    use super::*;

    fn item(alert: AlertRecord) -> Item {
        let (id, revision, native) = (alert.id.clone(), alert.revision, example::native(&alert));
        Item { entry: Entry { sequence: 0, at: 0, appended_at: 0, id, revision, native }, alert }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(example::NOW, 0).unwrap()
    }

    #[test]
    fn the_highest_revision_of_each_is_stored() {
        let revision = |revision| item(AlertRecord { revision, ..example::alert() });
        let other = item(AlertRecord { id: "f".repeat(32), ..example::alert() });
        let items = [revision(2), other, revision(3), revision(1)];
        let (documents, refusals) = read(&items, now());
        let kept: Vec<_> = documents.iter().map(|one| (one.index, one.revision)).collect();
        assert_eq!(kept, [(1, 1), (2, 3)]);
        assert!(refusals.is_empty());
    }

    #[test]
    fn nul_is_shown_and_nothing_else_is_changed() {
        let (documents, refusals) = read(&[item(example::nasty())], now());
        assert!(refusals.is_empty());
        let text = documents[0].json.to_string();
        assert!(!text.contains("\\u0000"), "{text}");
        let entity = documents[0].json["entity"].as_str().unwrap();
        assert_eq!(entity, example::NASTY.replace('\0', "\\u{0}"));
    }

    #[test]
    fn times_that_no_partition_takes_are_refused() {
        let old = AlertRecord { started_at: "1970-01-01T00:00:00Z".to_owned(), ..example::alert() };
        let (documents, refusals) = read(&[item(example::bare()), item(old)], now());
        assert!(documents.is_empty());
        assert!(refusals[0].reason.contains("`started_at` is -9223372036854775808"));
        assert!(refusals[1].reason.contains("1970"), "{}", refusals[1].reason);
    }
}
