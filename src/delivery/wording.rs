//! An alert in words, for receivers where people read.
//!
//! Whatever came from events is escaped (see [`crate::alert::escape`]): it can neither hide nor turn
//! around what stands beside it.

use serde_json::Value;

use super::record::{AlertRecord, EvidenceRecord};
use super::shorten::{cut, first_few};
use crate::alert::escape;

/// Places of evidence that are named; the others are counted.
const PLACES_SHOWN: usize = 3;
/// Length of one value of the query's columns.
const VALUE_CHARS_MAX: usize = 200;
/// Names that are looked at: no text has room for more.
const NAMES_MAX: usize = 1000;

/// `HIGH opened: Credential stuffing from one address`.
pub(crate) fn heading(alert: &AlertRecord) -> String {
    let severity = alert.severity.label().to_uppercase();
    let early = if alert.early { " early" } else { "" };
    format!("{severity} {}{early}: {}", alert.status.label(), escape(&alert.title))
}

/// What there is to know beside title and summary: label and text, each text at most `chars_max`
/// UTF-16 units long.
pub(crate) fn facts(alert: &AlertRecord, chars_max: usize) -> Vec<(&'static str, String)> {
    let names = |names: &[String], total| {
        let safe: Vec<_> = names.iter().take(NAMES_MAX).map(|name| escape(name)).collect();
        first_few(safe.iter().map(|name| &**name), total, chars_max)
    };
    let places: Vec<_> = alert.evidence.iter().take(PLACES_SHOWN).map(place).collect();
    let places = places.iter().map(String::as_str);
    let facts = [
        ("Entity", format!("{} {}", escape(&alert.entity_type), escape(&alert.entity))),
        ("Rule", format!("{} ({})", escape(&alert.rule), escape(&alert.rule_version))),
        ("Since", escape(&alert.started_at).into_owned()),
        ("Newest match", escape(&alert.updated_at).into_owned()),
        ("Matches", alert.matches.to_string()),
        ("Accounts", names(&alert.accounts, alert.accounts_total)),
        ("Addresses", names(&alert.ips, alert.ips_total)),
        ("Values", values(alert, chars_max)),
        ("Evidence", first_few(places, alert.evidence_total, chars_max)),
        ("ATT&CK", names(&alert.attack, alert.attack.len() as u64)),
        ("Alert", format!("{}, revision {}", escape(&alert.id), alert.revision)),
    ];
    let told = facts.into_iter().filter(|(_, text)| !text.is_empty());
    told.map(|(label, text)| (label, cut(&text, chars_max))).collect()
}

/// `failures 417, reason bad_password`; what is NULL is left out.
fn values(alert: &AlertRecord, chars_max: usize) -> String {
    let said = alert.values.iter().filter(|(_, value)| !value.is_null());
    let said: Vec<String> = said
        .take(NAMES_MAX)
        .map(|(name, value)| format!("{} {}", escape(name), cut(&plain(value), VALUE_CHARS_MAX)))
        .collect();
    let total = alert.values.values().filter(|value| !value.is_null()).count() as u64;
    first_few(said.iter().map(String::as_str), total, chars_max)
}

/// A value without the quotes of JSON.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text).into_owned(),
        other => escape(&other.to_string()).into_owned(),
    }
}

/// `events/3@77` or `auth.log:12`.
fn place(evidence: &EvidenceRecord) -> String {
    let number = |number: Option<i64>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let place = match (&evidence.topic, &evidence.file) {
        (Some(topic), _) => {
            let partition = number(evidence.partition.map(i64::from));
            format!("{topic}/{partition}@{}", number(evidence.offset))
        }
        (None, Some(file)) => format!("{file}:{}", number(evidence.line)),
        (None, None) => evidence.time.clone(),
    };
    escape(&place).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::example;

    #[test]
    fn an_alert_in_words() {
        let alert = example::alert();
        assert_eq!(heading(&alert), "HIGH opened: Credential stuffing from one address");
        let text: String =
            facts(&alert, 200).iter().map(|(label, text)| format!("{label}: {text}\n")).collect();
        insta::assert_snapshot!(text, @"
        Entity: ip 203.0.113.9
        Rule: credential_stuffing (0123456789ab)
        Since: 2019-03-01T12:00:00.25Z
        Newest match: 2019-03-01T12:01:00.25Z
        Matches: 400
        Accounts: user0@example.org, user1@example.org, user2@example.org, user3@example.org, user4@example.org, user5@example.org, user6@example.org, user7@example.org, ... and 37 more
        Addresses: 203.0.113.9, 2001:db8::1
        Values: failures 417, reason bad_password
        Evidence: events/3@70, events/3@71, events/3@72, ... and 414 more
        ATT&CK: T1110.004, T1078
        Alert: 0123456789abcdef0123456789abcdef, revision 1
        ");
    }

    #[test]
    fn facts_are_bounded_and_nothing_in_them_deceives() {
        for alert in example::all() {
            for chars_max in [60, 200, 1000] {
                for (label, text) in facts(&alert, chars_max) {
                    assert!(text.encode_utf16().count() <= chars_max, "{label}: {text}");
                    assert_eq!(escape(&text), text, "{label}");
                }
            }
        }
    }
}
