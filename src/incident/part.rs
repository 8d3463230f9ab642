//! What an incident has beyond the fields of an alert, as it is written and read back.

use serde::{Deserialize, Serialize};

use crate::rules::Severity;

/// The further fields of an incident, written after those of an alert (`docs/incidents.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentPart {
    /// Always [`super::KIND`].
    pub kind: String,
    /// Its alerts, in the order of start and id, capped.
    pub alerts: Vec<MemberPart>,
    /// How many alerts it has.
    pub alerts_total: u64,
    /// Accounts that let the intruder in, in the order in which they fell, capped.
    pub fallen: Vec<FallPart>,
    /// How many fell.
    pub fallen_total: u64,
    /// Accounts that somebody inside the company looked at, in the same shape, capped.
    #[serde(default)]
    pub viewed: Vec<FallPart>,
    /// How many were looked at.
    #[serde(default)]
    pub viewed_total: u64,
    /// Where it came from.
    pub sources: SourcesPart,
    /// The incident that took this one over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<String>,
}

impl IncidentPart {
    /// Whether accounts that fell or were looked at are missing from its lists.
    pub(super) fn is_cut(&self) -> bool {
        self.fallen_total > self.fallen.len() as u64 || self.viewed_total > self.viewed.len() as u64
    }
}

/// One alert of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberPart {
    /// Id of the alert.
    pub id: String,
    /// Its rule.
    pub rule: String,
    /// Its severity.
    pub severity: Severity,
    /// The column that names its episode.
    pub entity_type: String,
    /// The value of that column.
    pub entity: String,
    /// Time of its first match, RFC 3339.
    pub started_at: String,
}

/// One account, and what was done with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallPart {
    /// The account.
    pub account: String,
    /// The intruder's first success, RFC 3339.
    pub fell_at: String,
    /// Title of the alert that says so.
    pub how: String,
    /// What was done, in order, capped.
    pub steps: Vec<StepPart>,
}

/// One action, repeated without another between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPart {
    /// Time of the first, RFC 3339.
    pub from: String,
    /// Time of the last, RFC 3339.
    pub to: String,
    /// The action.
    pub action: String,
    /// How often.
    pub count: u64,
    /// Resources that were used, capped.
    pub resources: Vec<String>,
    /// From which address; empty where the events have none.
    pub ip: String,
}

/// Where an incident came from; lists are capped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesPart {
    /// How many addresses.
    pub ips_total: u64,
    /// Numbers of their networks.
    pub asns: Vec<i64>,
    /// Device ids.
    pub devices: Vec<String>,
    /// TLS fingerprints.
    pub fingerprints: Vec<String>,
    /// Sessions.
    pub sessions: Vec<String>,
}
