//! Tuning: what an edit of rules changes, why a rule fired, and what other thresholds would find.
//!
//! Nothing here reads a log or finds an alert: engines and episodes are those of `replay`.

pub(crate) mod changes;
