//! An alert as a member of an incident.

use serde::{Deserialize, Serialize};

use super::marks::{About, Mark, Marks, RowFacts};
use crate::alert::{Alert, Evidence, evidences};
use crate::event::TimeMicros;
use crate::rules::Severity;

/// What an incident needs of its alert's newest revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) id: String,
    /// The revision with which it came: 1, but for an alert that outlived its incident.
    pub(super) first_revision: u64,
    pub(super) rule: String,
    pub(super) title: String,
    pub(super) severity: Severity,
    pub(super) entity_type: String,
    pub(super) entity: String,
    pub(super) started_at: TimeMicros,
    pub(super) updated_at: TimeMicros,
    pub(super) accounts: Vec<String>,
    pub(super) accounts_total: usize,
    pub(super) ips: Vec<String>,
    pub(super) ips_total: usize,
    #[serde(with = "evidences")]
    pub(super) evidence: Vec<Evidence>,
    pub(super) evidence_total: usize,
    pub(super) attack: Vec<String>,
    pub(super) about: About,
    pub(super) marks: Marks,
    /// Accounts whose story it may begin: the one that it is about, or those that an insider saw.
    pub(super) victims: Vec<String>,
}

impl Member {
    pub(super) fn new(alert: &Alert) -> Self {
        Self {
            id: alert.id.to_string(),
            first_revision: alert.revision,
            rule: alert.rule.to_string(),
            title: alert.title.to_string(),
            severity: alert.severity,
            entity_type: alert.entity_type.to_string(),
            entity: alert.entity.to_string(),
            started_at: alert.started_at,
            updated_at: alert.updated_at,
            accounts: Vec::new(),
            accounts_total: 0,
            ips: Vec::new(),
            ips_total: 0,
            evidence: Vec::new(),
            evidence_total: 0,
            attack: alert.attack.iter().map(ToString::to_string).collect(),
            about: About::Nothing,
            marks: Marks::default(),
            victims: Vec::new(),
        }
    }

    /// Takes a revision; gives whether there is anything new.
    pub(super) fn take(
        &mut self,
        alert: &Alert,
        row: Option<&RowFacts>,
        popular: &dyn Fn(Mark<'_>) -> bool,
    ) -> bool {
        let is_new = self.updated_at != alert.updated_at
            || self.accounts_total != alert.accounts_total
            || self.ips_total != alert.ips_total
            || self.evidence_total != alert.evidence_total;
        self.updated_at = alert.updated_at;
        self.accounts = alert.accounts.iter().map(ToString::to_string).collect();
        self.accounts_total = alert.accounts_total;
        self.ips = alert.ips.iter().map(ToString::to_string).collect();
        self.ips_total = alert.ips_total;
        self.evidence.clone_from(&alert.evidence);
        self.evidence_total = alert.evidence_total;
        self.about = self.marks.take(alert, row, popular);
        self.victims = self.find_victims(alert, row);
        is_new
    }

    fn find_victims(&self, alert: &Alert, row: Option<&RowFacts>) -> Vec<String> {
        let said = || alert.values.iter().find(|(name, _)| *name == "account");
        match self.about {
            About::Insider => self.accounts.clone(),
            About::Account if self.entity_type == "account" => vec![self.entity.clone()],
            About::Account | About::Client => {
                let said = said().and_then(|(_, value)| value.as_str().map(str::to_owned));
                let said = said.or_else(|| self.victims.first().cloned());
                said.or_else(|| row.map(|row| row.account.clone())).into_iter().collect()
            }
            About::Source | About::Nothing => Vec::new(),
        }
    }

    /// The earliest time that tells of the attack. What an attack on many consists of is hostile;
    /// among the events of other alerts may be the owner's.
    pub(super) fn seen_from(&self) -> TimeMicros {
        let first = self.evidence.first().map_or(self.started_at, |one| one.time);
        if self.about == About::Source { first.min(self.started_at) } else { self.started_at }
    }
}
