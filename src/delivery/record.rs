//! An alert as its native JSON says it: what the outbox holds and destinations encode.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::alert::Status;
use crate::incident::IncidentPart;
use crate::rules::Severity;

/// One revision of an alert, read back from its native JSON (`docs/alerts.md`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// 32 hexadecimal digits.
    pub id: String,
    /// 1, 2, ...; 0 of an early alert.
    pub revision: u64,
    /// What this revision reports.
    pub status: Status,
    /// Told before all events of its time were there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub early: bool,
    /// The rule's id.
    pub rule: String,
    /// The rule's version.
    pub rule_version: String,
    /// The rule's title.
    pub title: String,
    /// The rule's severity.
    pub severity: Severity,
    /// The query's column that names the episode.
    pub entity_type: String,
    /// Its value.
    pub entity: String,
    /// Time of the first matching event, RFC 3339.
    pub started_at: String,
    /// Time of the newest matching event, RFC 3339.
    pub updated_at: String,
    /// Accounts concerned, capped.
    pub accounts: Vec<String>,
    /// How many accounts are concerned.
    pub accounts_total: u64,
    /// Addresses concerned, capped.
    pub ips: Vec<String>,
    /// How many addresses are concerned.
    pub ips_total: u64,
    /// The rule's summary, filled in.
    pub summary: String,
    /// The query's other columns at the newest match.
    pub values: Map<String, Value>,
    /// Rows that the rule's query let through.
    pub matches: u64,
    /// Events that made it fire, capped.
    pub evidence: Vec<EvidenceRecord>,
    /// How many events made it fire.
    pub evidence_total: u64,
    /// MITRE ATT&CK technique ids.
    pub attack: Vec<String>,
    /// What an incident has beyond an alert.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Box<IncidentPart>>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so
fn is_false(value: &bool) -> bool {
    !value
}

/// One event that made an alert fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceRecord {
    /// The system that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Path of the log file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    /// Topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Partition of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Offset in the partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Event time, RFC 3339.
    pub time: String,
    /// The sender's id of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
}
