//! What the tests store, and where.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use nightlatch::alert::Alert;
use nightlatch::config::DestinationConfig;
use nightlatch::delivery::Surroundings;
use nightlatch::delivery::trial::{self, Trial};
use nightlatch::kafka::{Cluster, Security};
use serde_json::{Value, json};

use crate::harness::{self, Rig, destinations, until};
use crate::server::{Database, Server, shared};

/// A destination, with keys of the test's own instead of or after the usual ones.
pub(crate) fn destination(keys: &[(&str, String)]) -> Vec<DestinationConfig> {
    let lines: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    destinations(&format!("[[destination]]\nname = 'db'\ntype = 'postgresql'\n{lines}"))
}

/// The keys that reach a database without TLS.
pub(crate) fn keys(database: &Database, password: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("host", "'127.0.0.1'".to_owned()),
        ("port", database.port.to_string()),
        ("database", format!("'{}'", database.name)),
        ("user", "'nightlatch'".to_owned()),
        ("password_file", format!("'{}'", password.display())),
        ("tls", "'disable'".to_owned()),
        ("retention", "'90 days'".to_owned()),
        ("retry_first", "'10 ms'".to_owned()),
        ("retry_max", "'200 ms'".to_owned()),
    ]
}

/// The keys with one set to another value.
pub(crate) fn with(
    mut keys: Vec<(&'static str, String)>,
    key: &'static str,
    value: &str,
) -> Vec<(&'static str, String)> {
    keys.retain(|(known, _)| *known != key);
    keys.push((key, value.to_owned()));
    keys
}

/// An outbox that is delivered to a database of its own.
pub(crate) struct Stored {
    pub(crate) rig: Rig,
    pub(crate) database: Database,
}

impl Stored {
    pub(crate) fn new() -> Self {
        Self::at(shared())
    }

    pub(crate) fn at(server: &Server) -> Self {
        let (mut rig, database) = (Rig::new(), server.database());
        let password = rig.secret_file("password", crate::server::PASSWORD);
        rig.start(&destination(&keys(&database, &password)));
        Self { rig, database }
    }

    pub(crate) fn append(&self, alerts: &[Alert]) {
        self.rig.outbox.append(alerts).unwrap();
    }

    pub(crate) fn append_incident(&self, document: &Value) {
        self.append(&[revision(document)]);
    }

    /// Waits until so many revisions are stored.
    pub(crate) fn until_delivered(&self, count: u64) {
        until("the deliveries", || self.rig.outcome("db", "delivered") >= count);
        assert_eq!(self.rig.outcome("db", "delivered"), count);
    }
}

/// An incident as the pipeline has it.
fn revision(document: &Value) -> Alert {
    let text = |key: &str| document[key].as_str().unwrap();
    let time = |key: &str| DateTime::parse_from_rfc3339(text(key)).unwrap().to_utc();
    let total = |key: &str| usize::try_from(document[key].as_u64().unwrap()).unwrap();
    let number = u64::from_str_radix(text("id"), 16).unwrap();
    let one = alert(number, document["revision"].as_u64().unwrap(), time("started_at"));
    Alert {
        status: serde_json::from_value(document["status"].clone()).unwrap(),
        severity: serde_json::from_value(document["severity"].clone()).unwrap(),
        rule: text("rule").into(),
        rule_version: text("rule_version").into(),
        title: text("title").into(),
        entity_type: text("entity_type").into(),
        entity: text("entity").into(),
        summary: text("summary").to_owned(),
        updated_at: time("updated_at").timestamp_micros(),
        accounts_total: total("accounts_total"),
        matches: document["matches"].as_u64().unwrap(),
        evidence: Vec::new(),
        evidence_total: total("evidence_total"),
        incident: Some(serde_json::from_value(document.clone()).unwrap()),
        ..one
    }
}

/// One test alert, once.
pub(crate) fn attempt(keys: &[(&str, String)]) -> Trial {
    let cluster = Cluster {
        brokers: "127.0.0.1:1".to_owned(),
        patience: std::time::Duration::from_secs(1),
        librdkafka: Default::default(),
        security: Security::default(),
    };
    let around = Surroundings { cluster, group: "test".to_owned() };
    trial::send(&destination(keys)[0], &around, Utc::now()).unwrap()
}

pub(crate) fn hours_ago(hours: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(hours)
}

/// A revision of alert `number` that began when it is said.
pub(crate) fn alert(number: u64, revision: u64, started_at: DateTime<Utc>) -> Alert {
    let micros = started_at.timestamp_micros();
    let mut alert = harness::alert((number, revision));
    (alert.at, alert.started_at) = (micros, micros);
    alert.updated_at = micros + i64::try_from(revision).unwrap() * 1_000_000;
    for evidence in &mut alert.evidence {
        evidence.time = micros;
    }
    alert.accounts = vec!["ann@example.org".into(), "bob".into()];
    alert
}

pub(crate) fn id(number: u64) -> String {
    format!("{number:032x}")
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A revision of incident `number`: two alerts, two accounts, one of which fell.
pub(crate) fn incident(number: u64, revision: u64, started_at: DateTime<Utc>) -> Value {
    let member = |number: u64| {
        json!({"id": id(number), "rule": "credential_stuffing", "severity": "high",
               "entity_type": "ip", "entity": "203.0.113.9", "started_at": text(started_at)})
    };
    let at = |minutes: i64| text(started_at + TimeDelta::minutes(minutes));
    json!({
        "id": id(number), "kind": "incident", "revision": revision, "status": "opened",
        "rule": "incident", "rule_version": "", "title": "1 account fell to an attack on 2",
        "severity": "critical", "entity_type": "incident", "entity": id(number),
        "started_at": text(started_at), "updated_at": at(20),
        "accounts": ["ann@example.org", "bob"], "accounts_total": 2,
        "ips": ["203.0.113.9"], "ips_total": 1,
        "summary": "2 accounts were tried from one address; 1 fell", "values": {}, "matches": 2,
        "evidence": [], "evidence_total": 2, "attack": ["T1110.004"],
        "alerts": [member(1), member(2)], "alerts_total": 2,
        "fallen": [{"account": "ann@example.org", "fell_at": at(5), "how": "guessed password",
            "steps": [
                {"from": at(6), "to": at(9), "action": "live_view", "count": 2,
                 "resources": ["cam-1", "cam-2"], "ip": "203.0.113.9"},
                {"from": at(10), "to": at(10), "action": "two_way_talk", "count": 1,
                 "resources": [], "ip": ""}]}],
        "viewed": [{"account": "bob", "fell_at": at(12), "how": "many recordings", "steps": [
            {"from": at(12), "to": at(13), "action": "recording_view", "count": 3,
             "resources": ["rec-1"], "ip": ""}]}],
        "viewed_total": 1,
        "fallen_total": 1,
        "sources": {"ips_total": 1, "asns": [64500], "devices": [], "fingerprints": [], "sessions": []},
    })
}
