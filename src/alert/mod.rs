//! Alerts: episodes of matches, what each keeps as evidence, and how values become JSON and text.
//!
//! An episode belongs to one rule and one entity. What it says, and when, is a pure function of
//! the released rows: no clock, no host name, no random value, and no trace of how the rows were
//! cut into batches.

#[allow(clippy::module_inception)] // an alert is what the folder is about
mod alert;
mod deadline;
mod distinct;
mod early;
mod episode;
mod episodes;
mod json;
mod saved;
mod summary;
#[cfg(test)]
mod tests;
mod text;
mod value;

pub use alert::{Alert, Evidence, EvidencePlace, Status, Values};
pub use early::{EarlyAlerts, EarlyStats};
pub use episodes::{Episodes, Frame};
pub(crate) use json::write_json;
pub use json::write_json_lines;
pub(crate) use saved::evidences;
pub use saved::{EpisodesManifest, RestoredEpisodes};
pub use summary::check_summary;
pub use text::{escape, shorten};
pub use value::{json_value, rfc3339, text_value};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::TimeMicros;

/// Limits of what an alert holds and of how often it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertConfig {
    /// An open episode speaks at most once in so much event time.
    pub update_every_micros: TimeMicros,
    /// Events that an alert lists; `evidence_total` counts the others.
    pub evidence_max: usize,
    /// Accounts that an alert lists; `accounts_total` counts the others.
    pub accounts_max: usize,
    /// Addresses that an alert lists; `ips_total` counts the others.
    pub ips_max: usize,
    /// Episodes that may be open at once; more are delivered once and not followed.
    pub open_max: usize,
    /// Different accounts that an episode can tell apart, and different addresses. Beyond it
    /// `accounts_total` and `ips_total` stand still.
    pub accounts_tracked_max: usize,
    /// Rows of the frame that are read when an episode opens, the newest ones.
    pub frame_rows_max: usize,
    /// Versions of the data files that columns come from, by kind.
    pub enrichment: Arc<BTreeMap<&'static str, String>>,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            update_every_micros: 300_000_000,
            evidence_max: 100,
            accounts_max: 100,
            ips_max: 100,
            open_max: 100_000,
            accounts_tracked_max: 10_000,
            frame_rows_max: 10_000,
            enrichment: Arc::default(),
        }
    }
}

/// Counters of one rule's alerts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleAlertStats {
    /// Alerts, each counted once: revisions with status `opened`.
    pub opened: u64,
    /// Revisions with status `updated`.
    pub updated: u64,
    /// Revisions with status `closed`.
    pub closed: u64,
}

/// Counters of all alerts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertStats {
    /// By rule, in the order of the rules given to [`Episodes::new`].
    pub rules: Vec<RuleAlertStats>,
    /// Episodes that are open now.
    pub open: usize,
    /// Matches that name no episode because the entity is NULL.
    pub dropped_entity_null: u64,
    /// Alerts delivered once and not followed, because `open_max` episodes were open.
    pub untracked: u64,
    /// Mentions of accounts that could not be told apart any more (`accounts_tracked_max`).
    pub uncounted_accounts: u64,
    /// Mentions of addresses that could not be told apart any more (`accounts_tracked_max`).
    pub uncounted_ips: u64,
    /// Episodes that opened without all rows of their frame: there were more than `frame_rows_max`,
    /// or more than `evidence_max` when the episode is not followed.
    pub truncated_frames: u64,
}
