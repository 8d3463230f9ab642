//! Incidents: alerts that belong together, the accounts that fell, and what was done with them.
//!
//! The stage sits between alerts and delivery. It sees every released batch and every revision of an
//! alert, in order, and gives revisions of incidents: documents with all fields of an alert and a
//! part of their own ([`IncidentPart`]). Like alerts they are a function of the released rows and the
//! limits: no clock, no random value, and no trace of how rows were cut into batches.
//!
//! ```text
//! rows ──> acts (what was done lately) ──────────┐ back to `lookback`, and from then on
//! alerts ─> member (marks of the intruder) ──> victims: accounts, and the intruder's acts there
//!              │ link: which two belong together  │
//!              └──> incidents (open, merged, closed) ──> telling ─> paragraph
//! ```

mod acts;
mod incidents;
mod joining;
mod link;
mod marks;
mod member;
mod paragraph;
mod part;
mod saved;
mod telling;
#[cfg(test)]
mod tests;
mod victim;
mod words;

pub use incidents::Incidents;
pub use part::{FallPart, IncidentPart, MemberPart, SourcesPart, StepPart};
pub use saved::IncidentsManifest;

use crate::event::TimeMicros;

/// What `kind` says of an incident; alerts have no `kind`.
pub const KIND: &str = "incident";

/// What links alerts, and limits of what an incident holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentConfig {
    /// Two alerts link when no more event time lies between them.
    pub window_micros: TimeMicros,
    /// An incident is closed after so long without a new alert or step; not less than the window.
    pub quiet_micros: TimeMicros,
    /// Acts of an intruder are looked for so far before the alert.
    pub lookback_micros: TimeMicros,
    /// Incidents that may be open at once.
    pub open_max: usize,
    /// Alerts that one incident keeps.
    pub members_max: usize,
    /// Accounts whose story an incident tells.
    pub accounts_max: usize,
    /// Acts that are kept of one account, and steps that are told of it.
    pub steps_max: usize,
    /// Acts that are remembered of all accounts together.
    pub recent_max: usize,
    /// An address where more accounts are at home links only together with another key.
    pub shared_accounts: usize,
    /// A device or TLS fingerprint that more other accounts use successfully is no key.
    pub popular_accounts: usize,
}

/// Counters since the start; limits count when they bite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IncidentStats {
    /// Incidents that are open now.
    pub open: usize,
    /// Revisions with status `opened`.
    pub opened: u64,
    /// Revisions with status `updated`.
    pub updated: u64,
    /// Revisions with status `closed`, those of merged ones too.
    pub closed: u64,
    /// Of these, incidents that another one took over.
    pub merged: u64,
    /// Alerts without an incident (`open_max`).
    pub open_max: u64,
    /// Alerts that an incident counts and does not keep (`members_max`).
    pub members_max: u64,
    /// Revisions that do not tell of every account (`accounts_max`).
    pub accounts_max: u64,
    /// Acts that are not told (`steps_max`).
    pub steps_max: u64,
    /// Acts forgotten before `lookback` (`recent_max`).
    pub recent_max: u64,
    /// Alerts that did not link by a key that too many share (a bound of the program).
    pub crowded: u64,
}
