//! An alert or an incident as destinations get it, as far as the page shows it.

use serde::Deserialize;

use crate::event::TimeMicros;

/// One document, from its JSON. What is left out is empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Document {
    pub(super) id: String,
    /// `incident`, or nothing.
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) rule: String,
    pub(super) title: String,
    pub(super) severity: String,
    pub(super) entity_type: String,
    pub(super) entity: String,
    pub(super) started_at: String,
    pub(super) updated_at: String,
    pub(super) accounts: Vec<String>,
    pub(super) accounts_total: u64,
    pub(super) ips: Vec<String>,
    pub(super) ips_total: u64,
    pub(super) summary: String,
    pub(super) matches: u64,
    pub(super) evidence: Vec<Evidence>,
    pub(super) evidence_total: u64,
    pub(super) alerts_total: u64,
    pub(super) fallen: Vec<Fallen>,
    pub(super) fallen_total: u64,
    /// Accounts that somebody inside the company looked at.
    pub(super) viewed: Vec<Fallen>,
    pub(super) viewed_total: u64,
    pub(super) sources: Sources,
    /// The incident that took this one over.
    pub(super) merged_into: Option<String>,
}

/// One event behind a document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Evidence {
    file: String,
    line: i64,
    topic: String,
    partition: i32,
    offset: i64,
}

impl Evidence {
    /// `file:line` or `topic/partition@offset`.
    pub(super) fn place(&self) -> String {
        if self.topic.is_empty() {
            format!("{}:{}", self.file, self.line)
        } else {
            format!("{}/{}@{}", self.topic, self.partition, self.offset)
        }
    }
}

/// Where an incident came from, beside its addresses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sources {
    /// Numbers of the networks.
    pub(super) asns: Vec<i64>,
    pub(super) devices: Vec<String>,
    pub(super) fingerprints: Vec<String>,
}

/// An account that the intruder got into, or that somebody inside looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fallen {
    pub(super) account: String,
    pub(super) fell_at: String,
    pub(super) how: String,
    pub(super) steps: Vec<Step>,
}

/// What the intruder did there, the same action in a row as one step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) action: String,
    pub(super) count: u64,
    pub(super) resources: Vec<String>,
    pub(super) ip: String,
}

impl Document {
    /// Whether it is an incident, and not an alert.
    pub(super) fn is_incident(&self) -> bool {
        self.kind == "incident"
    }

    /// When it began.
    pub(super) fn started(&self) -> TimeMicros {
        micros(&self.started_at)
    }

    /// 0 for what is not known, 1 for `info` to 5 for `critical`.
    pub(super) fn rank(&self) -> usize {
        let ranks = ["info", "low", "medium", "high", "critical"];
        ranks.iter().position(|name| *name == self.severity).map_or(0, |place| place + 1)
    }
}

/// A time of a document; one that is none is the beginning of 1970.
pub(super) fn micros(time: &str) -> TimeMicros {
    chrono::DateTime::parse_from_rfc3339(time).map_or(0, |time| time.timestamp_micros())
}
