//! What `evaluate` tells: plain numbers, ready for a table, for JSON and for a page.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Micros;

/// The whole result.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Logs that were compared.
    pub logs: u64,
    /// How long after an attack an alert still counts.
    pub grace_seconds: i64,
    /// Their events; none where the truth does not tell and no log was given.
    pub events: Option<u64>,
    /// Their events that belong to no attack.
    pub benign_events: Option<u64>,
    /// Accounts times days, of all logs.
    pub account_days: Option<f64>,
    /// Accounts that fell.
    pub takeovers: Found,
    /// Attacks in which none fell, insiders and uses after the end among them.
    pub others: Found,
    /// Alerts of any severity.
    pub alerts: u64,
    /// Alerts of severity medium or above that concern no attack.
    pub false_alerts: u64,
    /// The same for each million benign events.
    pub false_per_million: Option<f64>,
    /// The same for each 1,000 accounts and day.
    pub false_per_thousand_account_days: Option<f64>,
    /// By kind of attack and evasion.
    pub by_kind: Vec<KindRow>,
    /// By what was done after the entry: takeovers.
    pub by_aftermath: Vec<AftermathRow>,
    /// By rule.
    pub by_rule: Vec<RuleRow>,
    /// By benign behaviour.
    pub by_trap: Vec<TrapRow>,
    /// What was not found.
    pub missed: Vec<Missed>,
    /// False alerts one by one, the first thousand.
    pub false_list: Vec<FalseAlert>,
    /// Seconds from first hostile success to alert, of each takeover found, ascending.
    pub latencies_seconds: Vec<f64>,
    #[serde(skip)]
    pub(super) kinds: BTreeMap<(String, String), KindRow>,
    #[serde(skip)]
    pub(super) aftermaths: BTreeMap<String, AftermathRow>,
    #[serde(skip)]
    pub(super) rules: BTreeMap<String, RuleRow>,
    #[serde(skip)]
    pub(super) traps: BTreeMap<String, TrapRow>,
}

/// How many of some there are, and how many were found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Found {
    /// In the truth.
    pub total: u64,
    /// Found by an alert.
    pub found: u64,
    /// `found` of `total`; none of nothing.
    pub recall: Option<f64>,
    /// Median wait in seconds.
    pub median_seconds: Option<f64>,
    /// 95th percentile.
    pub p95_seconds: Option<f64>,
    #[serde(skip)]
    pub(super) waits: Vec<f64>,
}

impl Found {
    /// One more, found after so many seconds or not.
    pub(super) fn add(&mut self, wait_seconds: Option<f64>) {
        self.total += 1;
        self.found += u64::from(wait_seconds.is_some());
        self.waits.extend(wait_seconds);
    }

    fn finish(&mut self) {
        self.waits.sort_by(f64::total_cmp);
        self.recall = (self.total > 0).then(|| self.found as f64 / self.total as f64);
        self.median_seconds = quantile(&self.waits, 50);
        self.p95_seconds = quantile(&self.waits, 95);
    }
}

/// The smallest value that so many in a hundred do not exceed.
fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// One kind of attack.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KindRow {
    /// Its name.
    pub kind: String,
    /// How it tries to pass unseen.
    pub evasion: String,
    /// Accounts that fell to it.
    pub takeovers: Found,
    /// Attacks of the kind in which none fell.
    pub others: Found,
}

/// One thing to do with an account.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AftermathRow {
    /// Its name.
    pub aftermath: String,
    /// Accounts that fell and to which it was done.
    pub takeovers: Found,
}

/// One rule.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RuleRow {
    /// Its name.
    pub rule: String,
    /// Of its alerts.
    pub severity: String,
    /// All of its alerts.
    pub alerts: u64,
    /// Those that concern an attack.
    pub true_alerts: u64,
    /// Those of severity medium or above that concern none.
    pub false_alerts: u64,
    /// Takeovers that it found.
    pub takeovers: u64,
    /// Takeovers that no other rule found.
    pub takeovers_alone: u64,
    /// Other attacks that it found.
    pub others: u64,
    /// Other attacks that no other rule found.
    pub others_alone: u64,
}

/// One kind of benign behaviour.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TrapRow {
    /// Its name.
    pub trap: String,
    /// How often it comes in the logs.
    pub occurrences: u64,
    /// False alerts about it.
    pub false_alerts: u64,
    /// Rules that gave them, with how many.
    pub rules: BTreeMap<String, u64>,
}

/// A takeover, or another attack, that no alert is about.
#[derive(Debug, Clone, Serialize)]
pub struct Missed {
    /// Number of the log, from 1.
    pub log: u64,
    /// Id in the truth.
    pub attack: String,
    /// Kind of attack.
    pub kind: String,
    /// How it tried to pass unseen.
    pub evasion: String,
    /// What was done afterwards.
    pub aftermath: Vec<String>,
    /// The account that fell, if one did.
    pub account: Option<String>,
}

/// A false alert.
#[derive(Debug, Clone, Serialize)]
pub struct FalseAlert {
    /// Number of the log, from 1.
    pub log: u64,
    /// Id of the alert.
    pub id: String,
    /// Its rule.
    pub rule: String,
    /// Its severity.
    pub severity: &'static str,
    /// Its entity.
    pub entity: String,
    /// When it began, in microseconds since the epoch.
    pub started_micros: Micros,
    /// The benign behaviour that it is about.
    pub trap: String,
}

impl Report {
    pub(super) fn new(grace_seconds: i64) -> Self {
        Self {
            logs: 0,
            grace_seconds,
            events: Some(0),
            benign_events: Some(0),
            account_days: Some(0.0),
            takeovers: Found::default(),
            others: Found::default(),
            alerts: 0,
            false_alerts: 0,
            false_per_million: None,
            false_per_thousand_account_days: None,
            by_kind: Vec::new(),
            by_aftermath: Vec::new(),
            by_rule: Vec::new(),
            by_trap: Vec::new(),
            missed: Vec::new(),
            false_list: Vec::new(),
            latencies_seconds: Vec::new(),
            kinds: BTreeMap::new(),
            aftermaths: BTreeMap::new(),
            rules: BTreeMap::new(),
            traps: BTreeMap::new(),
        }
    }

    /// Works out what follows from the counts.
    pub(super) fn finish(&mut self) {
        self.takeovers.finish();
        self.others.finish();
        self.latencies_seconds.clone_from(&self.takeovers.waits);
        let per =
            |of: Option<f64>| of.filter(|of| *of > 0.0).map(|of| self.false_alerts as f64 / of);
        self.false_per_million = per(self.benign_events.map(|events| events as f64 / 1e6));
        self.false_per_thousand_account_days = per(self.account_days.map(|days| days / 1e3));
        self.by_kind = std::mem::take(&mut self.kinds).into_values().collect();
        for row in &mut self.by_kind {
            row.takeovers.finish();
            row.others.finish();
        }
        self.by_aftermath = std::mem::take(&mut self.aftermaths).into_values().collect();
        self.by_aftermath.iter_mut().for_each(|row| row.takeovers.finish());
        self.by_rule = std::mem::take(&mut self.rules).into_values().collect();
        self.by_trap = std::mem::take(&mut self.traps).into_values().collect();
        self.by_trap.sort_by_key(|row| std::cmp::Reverse(row.false_alerts));
    }
}
