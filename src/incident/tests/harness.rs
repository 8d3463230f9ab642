//! Events and alerts by hand, and a run that feeds them to the incidents.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array, new_null_array,
};

use super::super::*;
use crate::alert::{Alert, AlertConfig, Evidence, EvidencePlace, Status, Values};
use crate::event::schema;
use crate::rules::Severity;

pub(super) const MINUTE: TimeMicros = 60_000_000;
pub(super) const HOUR: TimeMicros = 60 * MINUTE;
pub(super) const DAY: TimeMicros = 24 * HOUR;
/// 2019-03-01T12:00:00Z
const START: TimeMicros = 1_551_441_600_000_000;

pub(super) fn config() -> IncidentConfig {
    IncidentConfig {
        window_micros: DAY,
        quiet_micros: DAY,
        lookback_micros: HOUR,
        open_max: 1000,
        members_max: 1000,
        accounts_max: 100,
        steps_max: 100,
        recent_max: 100_000,
        shared_accounts: 10,
        popular_accounts: 20,
    }
}

pub(super) fn limits() -> AlertConfig {
    AlertConfig::default()
}

/// One event: texts by column, and numbers.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) time: TimeMicros,
    texts: BTreeMap<&'static str, String>,
    numbers: BTreeMap<&'static str, i64>,
}

/// An act of a customer that succeeded.
pub(super) fn act(offset: TimeMicros, account: &str, action: &str) -> Event {
    let texts = [("account", account), ("actor", account), ("action", action)];
    let more = [("outcome", "success"), ("actor_type", "customer")];
    let texts = texts.into_iter().chain(more).map(|(name, text)| (name, text.to_owned()));
    Event { time: START + offset, texts: texts.collect(), numbers: BTreeMap::new() }
}

impl Event {
    fn with(mut self, column: &'static str, text: &str) -> Self {
        self.texts.insert(column, text.to_owned());
        self
    }

    pub(super) fn by(self, device: &str, ip: &str) -> Self {
        self.with("device", device).with("ip", ip)
    }

    pub(super) fn on(self, resource: &str) -> Self {
        self.with("resource", resource)
    }

    pub(super) fn session(self, session: &str) -> Self {
        self.with("session", session)
    }

    pub(super) fn fingerprint(self, fingerprint: &str) -> Self {
        self.with("tls_fingerprint", fingerprint)
    }

    pub(super) fn failed(self) -> Self {
        self.with("outcome", "failure")
    }

    pub(super) fn at_home(mut self, accounts: i64) -> Self {
        self.numbers.insert("ip_accounts", accounts);
        self
    }

    pub(super) fn network(mut self, asn: i64) -> Self {
        self.numbers.insert("asn", asn);
        self
    }

    fn text(&self, column: &str) -> Option<&str> {
        self.texts.get(column).map(String::as_str)
    }
}

fn texts<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(texts.collect::<StringViewArray>())
}

fn batch_of(events: &[Event]) -> RecordBatch {
    let schema = schema::event_batch();
    let n = events.len();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        let name = field.name().as_str();
        match name {
            "time" => {
                let times =
                    TimestampMicrosecondArray::from_iter_values(events.iter().map(|e| e.time));
                Arc::new(times.with_timezone("+00:00"))
            }
            "ip_accounts" | "asn" => Arc::new(
                events.iter().map(|e| e.numbers.get(name).copied()).collect::<Int64Array>(),
            ),
            "_origin" => Arc::new(UInt32Array::from(vec![0; n])),
            "_partition" => Arc::new(Int32Array::from(vec![0; n])),
            "_position" => Arc::new(Int64Array::from_iter_values(1..=n as i64)),
            "_hash" => Arc::new(UInt64Array::from(vec![0; n])),
            _ if events.iter().any(|e| e.texts.contains_key(name)) => {
                texts(events.iter().map(|e| e.text(name)))
            }
            _ => new_null_array(field.data_type(), n),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

/// An alert about the account of an event, that came of it.
pub(super) fn account_alert(id: &str, event: &Event) -> Alert {
    let account = event.text("account").unwrap().to_owned();
    alert(id, "account", &account, event, std::slice::from_ref(&account))
}

/// An alert about a source, that came of an event.
pub(super) fn source_alert(
    id: &str,
    entity_type: &str,
    entity: &str,
    event: &Event,
    tried: &[String],
) -> Alert {
    alert(id, entity_type, entity, event, tried)
}

fn alert(id: &str, entity_type: &str, entity: &str, event: &Event, tried: &[String]) -> Alert {
    let named = ["account", "ip", "device", "session", "tls_fingerprint"];
    let columns = named.into_iter().filter(|name| event.text(name).is_some());
    let columns = columns.map(|name| (name, texts([event.text(name)].into_iter()), true));
    let values = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let ip = event.text("ip").unwrap_or_default();
    Alert {
        id: id.into(),
        revision: 1,
        status: Status::Opened,
        at: event.time,
        rule: "a_rule".into(),
        rule_version: "0123456789ab".into(),
        title: "Title of the rule".into(),
        severity: Severity::High,
        entity_type: entity_type.into(),
        entity: entity.into(),
        started_at: event.time,
        updated_at: event.time,
        accounts: tried.iter().map(|name| name.as_str().into()).collect(),
        accounts_total: tried.len(),
        ips: vec![ip.into()],
        ips_total: 1,
        summary: String::new(),
        values: Values::read(&values, 0, entity_type.into()),
        matches: 1,
        evidence: vec![Evidence {
            time: event.time,
            event_id: None,
            source: None,
            place: EvidencePlace::File { file: "log".into(), line: 1 },
        }],
        evidence_total: 1,
        attack: Arc::new(["T1078".into()]),
        enrichment: Arc::default(),
        early: false,
        incident: None,
    }
}

impl Alert {
    pub(super) fn medium(self) -> Self {
        Self { severity: Severity::Medium, ..self }
    }

    pub(super) fn low(self) -> Self {
        Self { severity: Severity::Low, ..self }
    }

    pub(super) fn rule(self, rule: &str) -> Self {
        Self { rule: rule.into(), ..self }
    }
}

/// Incidents, and all that they have said.
pub(super) struct Run {
    pub(super) incidents: Incidents,
    pub(super) told: Vec<Alert>,
}

impl Run {
    pub(super) fn new(config: IncidentConfig) -> Self {
        Self { incidents: Incidents::new(config, limits()), told: Vec::new() }
    }

    pub(super) fn feed(&mut self, events: &[Event]) -> Vec<Alert> {
        self.feed_with(events, &[])
    }

    pub(super) fn feed_with(&mut self, events: &[Event], alerts: &[Alert]) -> Vec<Alert> {
        let told = self.incidents.take(&batch_of(events), alerts.to_vec());
        self.keep(told)
    }

    pub(super) fn flush(&mut self) {
        let told = self.incidents.flush(Vec::new());
        self.keep(told);
    }

    /// Keeps what incidents say.
    pub(super) fn keep(&mut self, mut told: Vec<Alert>) -> Vec<Alert> {
        told.retain(|one| one.incident.is_some());
        self.told.extend(told.iter().cloned());
        told
    }

    pub(super) fn last(&self) -> &Alert {
        self.told.last().unwrap()
    }

    /// The newest revision of each incident that no other took over, by start.
    pub(super) fn finals(&self) -> Vec<Alert> {
        let mut newest: BTreeMap<&str, &Alert> = BTreeMap::new();
        newest.extend(self.told.iter().map(|one| (&*one.id, one)));
        let kept = newest.into_values();
        let kept = kept.filter(|one| one.incident.as_ref().unwrap().merged_into.is_none());
        let mut kept: Vec<Alert> = kept.cloned().collect();
        kept.sort_by_key(|one| one.started_at);
        kept
    }
}
