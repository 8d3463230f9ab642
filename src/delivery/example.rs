//! Alerts for the tests of encoders: a common one, and all that is odd.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Map, Value, json};

use super::record::{AlertRecord, EvidenceRecord};
use crate::alert::Status;
use crate::rules::Severity;

/// 2019-03-01T12:30:00Z, half an hour after the example began.
pub(crate) const NOW: i64 = 1_551_443_400;

/// What an attacker may call himself: mentions, markup, controls, overrides, emoji.
pub(crate) const NASTY: &str = "<!channel> @here *b* _i_ [x](http://evil.example) `c` & <b> \
    {{DATE(2019-01-01)}} \u{202e}gpj.exe\u{1b}[31m\n\0 \u{1f600}\u{e0041} \"'\\";

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn evidence(offset: i64) -> EvidenceRecord {
    EvidenceRecord {
        source: Some("auth".to_owned()),
        file: None,
        line: None,
        topic: Some("events".to_owned()),
        partition: Some(3),
        offset: Some(offset),
        time: "2019-03-01T12:00:00.25Z".to_owned(),
        event_id: Some(format!("e-{offset}")),
    }
}

/// A common one.
pub(crate) fn alert() -> AlertRecord {
    AlertRecord {
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        revision: 1,
        status: Status::Opened,
        rule: "credential_stuffing".to_owned(),
        rule_version: "0123456789ab".to_owned(),
        title: "Credential stuffing from one address".to_owned(),
        severity: Severity::High,
        entity_type: "ip".to_owned(),
        entity: "203.0.113.9".to_owned(),
        started_at: "2019-03-01T12:00:00.25Z".to_owned(),
        updated_at: "2019-03-01T12:01:00.25Z".to_owned(),
        accounts: (0..8).map(|n| format!("user{n}@example.org")).collect(),
        accounts_total: 45,
        ips: vec!["203.0.113.9".to_owned(), "2001:db8::1".to_owned()],
        ips_total: 2,
        summary: "417 failed logins to 45 accounts from 203.0.113.9 within 10 minutes".to_owned(),
        values: object(json!({"failures": 417, "reason": "bad_password", "user_agent": null})),
        matches: 400,
        evidence: (70..75).map(evidence).collect(),
        evidence_total: 417,
        attack: vec!["T1110.004".to_owned(), "T1078".to_owned()],
        early: false,
        incident: None,
    }
}

/// A later revision of the same alert.
pub(crate) fn revised(revision: u64, status: Status) -> AlertRecord {
    AlertRecord { revision, status, ..alert() }
}

/// Everything that is long or many.
pub(crate) fn huge() -> AlertRecord {
    let name = "\u{1f600}<&>".repeat(100_000 / 7);
    let long = (0..5).map(|n| (format!("column_{n}"), Value::from(&*name)));
    let many = (0..2000).map(|n| (format!("number_{n}"), Value::from(n)));
    AlertRecord {
        title: name.clone(),
        entity: name.clone(),
        accounts: (0..10_000).map(|n| format!("{n} {}", name.get(..70).unwrap_or("x"))).collect(),
        accounts_total: 1_000_000,
        ips: (0..10_000).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect(),
        ips_total: 10_000,
        summary: name.clone(),
        values: long.chain(many).collect(),
        evidence: (0..10_000).map(evidence).collect(),
        evidence_total: 20_000_000,
        attack: (0..1000).map(|n| format!("T{n:04}.001")).collect(),
        ..alert()
    }
}

/// Everything that an attacker chooses.
pub(crate) fn nasty() -> AlertRecord {
    AlertRecord {
        title: NASTY.to_owned(),
        entity: NASTY.to_owned(),
        accounts: vec![NASTY.to_owned(), String::new()],
        ips: vec![NASTY.to_owned(), "999.1.1.1".to_owned(), "::ffff:10.0.0.1".to_owned()],
        summary: NASTY.to_owned(),
        values: object(json!({ NASTY: NASTY, "list": [NASTY, null, 1.5], "deep": {"a": [NASTY]} })),
        evidence: vec![EvidenceRecord { event_id: Some(NASTY.to_owned()), ..evidence(1) }],
        attack: vec![NASTY.to_owned()],
        ..alert()
    }
}

/// Nothing that need not be there; times beyond what a calendar has.
pub(crate) fn bare() -> AlertRecord {
    AlertRecord {
        entity: String::new(),
        started_at: "-9223372036854775808".to_owned(),
        updated_at: "9223372036854775807".to_owned(),
        accounts: Vec::new(),
        accounts_total: 0,
        ips: Vec::new(),
        ips_total: 0,
        summary: String::new(),
        values: Map::new(),
        evidence: Vec::new(),
        evidence_total: 0,
        attack: Vec::new(),
        ..alert()
    }
}

/// Each of them; the small ones in each status.
pub(crate) fn all() -> Vec<AlertRecord> {
    let statuses = [Status::Opened, Status::Updated, Status::Closed];
    let in_each =
        |alert: AlertRecord| statuses.map(|status| AlertRecord { status, ..alert.clone() });
    let small = [alert(), nasty(), bare()].into_iter().flat_map(in_each);
    small.chain([huge(), AlertRecord { status: Status::Closed, ..huge() }]).collect()
}

/// The alert's own line.
pub(crate) fn native(alert: &AlertRecord) -> Vec<u8> {
    serde_json::to_vec(alert).unwrap()
}

/// A file that only its owner can read.
pub(crate) fn secret_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(file.path(), owner_only).unwrap();
    file
}

/// The body of a request.
pub(crate) fn body(request: &super::http_destination::Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}
