//! Tuning: what an edit of rules changes, why a rule fired, and what other thresholds would find.
//!
//! Nothing here reads a log or finds an alert: engines and episodes are those of `replay`.

pub(crate) mod changes;
pub(crate) mod filter;
pub(crate) mod probe;
pub(crate) mod silence;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;
pub(crate) mod variant;
