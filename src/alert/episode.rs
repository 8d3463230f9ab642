//! One open episode: what it has seen, and what it says.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::AlertConfig;
use super::alert::{Alert, Evidence, Status, Values};
use super::distinct::Distinct;
use super::summary::Template;
use super::value::rfc3339_micros;
use crate::Result;
use crate::event::{Place, TimeMicros};
use crate::rules::{Rule, Severity};
use crate::store::BlockRef;

/// What all episodes of one rule have in common.
#[derive(Debug)]
pub(super) struct RuleFacts {
    pub(super) id: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) title: Arc<str>,
    pub(super) severity: Severity,
    pub(super) entity_type: Arc<str>,
    pub(super) quiet_micros: TimeMicros,
    pub(super) attack: Arc<[Arc<str>]>,
    pub(super) summary: Template,
    pub(super) enrichment: Arc<BTreeMap<&'static str, String>>,
}

impl RuleFacts {
    pub(super) fn new(rule: &Rule, config: &AlertConfig) -> Result<Self> {
        let front = &rule.front;
        Ok(Self {
            id: rule.id.as_str().into(),
            version: rule.version.as_str().into(),
            title: front.title.as_str().into(),
            severity: front.severity,
            entity_type: front.entity.as_str().into(),
            quiet_micros: front.quiet_micros.max(0),
            attack: front.attack.iter().map(|id| id.as_str().into()).collect(),
            summary: Template::parse(&front.summary).map_err(|e| e.at(rule.path.as_str()))?,
            enrichment: config.enrichment.clone(),
        })
    }

    /// Number of the piece of time in which a moment lies.
    pub(super) fn start_piece(&self, time: TimeMicros) -> i64 {
        time.div_euclid(self.piece_micros())
    }

    fn piece_micros(&self) -> TimeMicros {
        self.quiet_micros.max(1)
    }
}

/// The id of an episode: the same on every replay, restart and machine.
///
/// It holds the piece of time in which the episode starts, not the start itself: one entity's episodes
/// lie further apart than a piece is long, and an id can be known before the exact start is.
pub(super) fn episode_id(rule: &RuleFacts, entity: &str, started_at: TimeMicros) -> Arc<str> {
    let piece = rule.start_piece(started_at).saturating_mul(rule.piece_micros());
    let piece = rfc3339_micros(piece);
    let parts = [&*rule.id, &*rule.version, &*rule.entity_type, entity, &piece];
    let digest = Sha256::digest(parts.join("\0"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// One episode of one (rule, entity).
#[derive(Debug)]
pub(super) struct Episode {
    pub(super) id: Arc<str>,
    pub(super) entity: Arc<str>,
    pub(super) revision: u64,
    pub(super) started_at: TimeMicros,
    pub(super) updated_at: TimeMicros,
    /// Event time of the newest revision.
    pub(super) emitted_at: TimeMicros,
    /// When the pending update is due; `None` when everything has been said.
    pub(super) update_due: Option<TimeMicros>,
    pub(super) matches: u64,
    pub(super) accounts: Distinct,
    pub(super) ips: Distinct,
    /// Sorted, capped.
    pub(super) evidence: Vec<Evidence>,
    pub(super) evidence_total: usize,
    /// Places of the evidence at `updated_at`: a row of the first frame may match later by itself.
    pub(super) newest_places: HashSet<Place>,
    pub(super) newest: Values,
    /// The block that holds it as it is now.
    pub(super) saved: Option<BlockRef>,
}

impl Episode {
    /// An episode of one match, which names nobody yet.
    pub(super) fn new(id: Arc<str>, entity: Arc<str>, time: TimeMicros, newest: Values) -> Self {
        Self {
            id,
            entity,
            revision: 0,
            started_at: time,
            updated_at: time,
            emitted_at: time,
            update_due: None,
            matches: 1,
            accounts: Distinct::default(),
            ips: Distinct::default(),
            evidence: Vec::new(),
            evidence_total: 0,
            newest_places: HashSet::new(),
            newest,
            saved: None,
        }
    }

    /// The next revision.
    pub(super) fn revise(&mut self, rule: &RuleFacts, status: Status, at: TimeMicros) -> Alert {
        self.revision += 1;
        self.saved = None;
        Alert {
            id: self.id.clone(),
            revision: self.revision,
            status,
            early: false,
            at,
            rule: rule.id.clone(),
            rule_version: rule.version.clone(),
            title: rule.title.clone(),
            severity: rule.severity,
            entity_type: rule.entity_type.clone(),
            entity: self.entity.clone(),
            started_at: self.started_at,
            updated_at: self.updated_at,
            accounts: self.accounts.names().to_vec(),
            accounts_total: self.accounts.total(),
            ips: self.ips.names().to_vec(),
            ips_total: self.ips.total(),
            summary: rule.summary.fill(|name| self.lookup(name)),
            values: self.newest.clone(),
            matches: self.matches,
            evidence: self.evidence.clone(),
            evidence_total: self.evidence_total,
            attack: rule.attack.clone(),
            enrichment: rule.enrichment.clone(),
            incident: None,
        }
    }

    /// A placeholder's value: a column of the query, else what every summary knows.
    fn lookup(&self, name: &str) -> Option<Cow<'_, Value>> {
        if let Some((_, value)) = self.newest.columns().find(|(column, _)| *column == name) {
            return Some(Cow::Borrowed(value));
        }
        let value = match name {
            "entity" => Value::from(&*self.entity),
            "accounts_total" => Value::from(self.accounts.total()),
            "ips_total" => Value::from(self.ips.total()),
            "matches" => Value::from(self.matches),
            _ => return None,
        };
        Some(Cow::Owned(value))
    }
}
