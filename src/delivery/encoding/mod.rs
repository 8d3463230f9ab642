//! The schemas in which an alert can be told: its own, OCSF, and ECS.

mod ecs;
mod ocsf;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::AlertRecord;
use super::shorten::fit;
use crate::alert::write_json;
use crate::rules::Severity;

/// A schema of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// The alert's own JSON.
    #[default]
    Native,
    /// Open Cybersecurity Schema Framework 1.8, Detection Finding.
    Ocsf,
    /// Elastic Common Schema 9.4.
    Ecs,
}

impl Encoding {
    /// The alert as one line of JSON without the line feed, at most `bytes_max` bytes long.
    ///
    /// `native` is the alert's own line, which the native encoding hands on as it is unless it is too
    /// long. What is too long is told with shorter lists and texts, each of which says so.
    pub fn encode(self, alert: &AlertRecord, native: &[u8], bytes_max: usize) -> Vec<u8> {
        if self == Self::Native && native.len() <= bytes_max {
            return native.to_vec();
        }
        fit(alert, bytes_max, |alert, reduced| match self {
            Self::Native => json_line(alert),
            Self::Ocsf => json_line(&ocsf::detection_finding(alert, reduced)),
            Self::Ecs => json_line(&ecs::alert(alert)),
        })
    }
}

/// Compact JSON in which nothing deceives who reads it raw.
pub(crate) fn json_line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    let _ = write_json(value, &mut bytes); // a Vec takes every write; every key is text
    bytes
}

/// The value without members that are null.
pub(crate) fn without_nulls(mut object: Value) -> Value {
    if let Value::Object(members) = &mut object {
        members.retain(|_, value| !value.is_null());
    }
    object
}

/// An instant of an alert; times that no calendar has are microseconds.
pub(crate) fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// An instant of an alert in microseconds; 0 when it is none.
pub(crate) fn micros(text: &str) -> i64 {
    match instant(text) {
        Some(time) => time.timestamp_micros(),
        None => text.parse().unwrap_or(0),
    }
}

/// 1 to 5, as OCSF counts.
fn severity_number(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

/// Whether receivers that insist on addresses take this text for one.
fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// The technique of an ATT&CK id, and the id itself when it is a sub-technique's.
fn technique(id: &str) -> (&str, Option<&str>) {
    match id.split_once('.') {
        Some((technique, _)) => (technique, Some(id)),
        None => (id, None),
    }
}

/// The id of one revision.
fn revision_id(alert: &AlertRecord) -> String {
    format!("{}-{}", alert.id, alert.revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::example;

    const SCHEMAS: [Encoding; 3] = [Encoding::Native, Encoding::Ocsf, Encoding::Ecs];

    #[test]
    fn native_is_handed_on_byte_for_byte_unless_it_is_too_long() {
        let alert = example::alert();
        let native = br#"{"some":  "bytes"}"#;
        assert_eq!(Encoding::Native.encode(&alert, native, 100), native);
        let shorter = Encoding::Native.encode(&alert, &[b' '; 3000], 2500);
        assert_eq!(serde_json::from_slice::<AlertRecord>(&shorter).unwrap(), alert);
    }

    #[test]
    fn every_schema_keeps_any_limit_a_receiver_has() {
        for alert in example::all() {
            let native = example::native(&alert);
            for (schema, bytes_max) in SCHEMAS.into_iter().flat_map(|s| [(s, 1 << 20), (s, 20_000)])
            {
                let line = schema.encode(&alert, &native, bytes_max);
                assert!(line.len() <= bytes_max, "{schema:?}: {}", line.len());
                assert!(serde_json::from_slice::<Value>(&line).unwrap().is_object());
            }
        }
    }

    #[test]
    fn nothing_in_a_line_deceives_a_terminal() {
        let alert = example::nasty();
        for schema in [Encoding::Ocsf, Encoding::Ecs] {
            let line = schema.encode(&alert, b"", 1 << 20);
            let text = String::from_utf8(line).unwrap();
            assert_eq!(crate::alert::escape(&text), text, "{schema:?}");
        }
    }

    #[test]
    fn times_are_read_back() {
        assert_eq!(micros("2019-03-01T12:00:00.25Z"), 1_551_441_600_250_000);
        assert_eq!(micros("9223372036854775807"), i64::MAX);
        assert_eq!(micros("soon"), 0);
    }

    #[test]
    fn shapes_are_stable() {
        let alert = example::alert();
        for (name, schema) in [("ocsf", Encoding::Ocsf), ("ecs", Encoding::Ecs)] {
            let line = schema.encode(&alert, b"", 1 << 20);
            let mut value: Value = serde_json::from_slice(&line).unwrap();
            for version in ["/metadata/product/version", "/nightlatch/version"] {
                if let Some(version) = value.pointer_mut(version) {
                    *version = Value::from("[version]");
                }
            }
            insta::assert_json_snapshot!(name, value);
        }
    }
}
