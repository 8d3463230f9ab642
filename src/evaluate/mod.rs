//! `evaluate`: what the alerts are worth, held against what is true about the log.
//!
//! An alert *concerns* an attack when both are true:
//! - its time, `started_at` of the first revision to the newest `updated_at`, meets the attack's: first
//!   event to last event and [`Options::grace`] after it;
//! - it names the attack: an address that is the attack's own (as entity or in `ips`; addresses that
//!   the innocent share are not in the truth's `entities.ip`), a resource of it (as entity or in
//!   `values`), an actor of it and one of its accounts, an account of it as entity, or half and more
//!   of the alert's `accounts` are accounts of it.
//!
//! A *takeover*, one account that fell in one attack, is found when an alert that concerns the attack
//! names the account, or an own address or an actor of the attack that reached the account. It is found at the event time of the first revision that
//! does: `started_at` of revision 1, `updated_at` of later ones. The wait is that time less the first
//! hostile success, 0 when the alert came first. Any other attack is found when an alert concerns it.
//! A *false alert* has severity medium or above and concerns no attack.

mod goals;
mod html;
mod read;
mod report;
mod score;
mod table;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::{Error, Result};
pub use goals::Goals;
pub use html::page;
pub use report::Report;
pub use table::{markdown, text};

/// Microseconds since the epoch.
type Micros = i64;

/// What to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// Alerts as `replay --json` writes them, one file for each log.
    pub alerts: Vec<PathBuf>,
    /// What is true about the logs, in the same order.
    pub truths: Vec<PathBuf>,
    /// The logs themselves, where the truth does not tell their size; none, or as many.
    pub logs: Vec<PathBuf>,
    /// How long after the last event of an attack an alert is still about it, in seconds.
    pub grace_seconds: i64,
}

/// Compares alerts with truth.
///
/// # Errors
/// A file that cannot be read, or that is not what it should be.
pub fn evaluate(options: &Options) -> Result<Report> {
    check(options)?;
    let mut report = Report::new(options.grace_seconds);
    for (number, (alerts, truth)) in options.alerts.iter().zip(&options.truths).enumerate() {
        let mut truth = read::truth(truth)?;
        if let Some(log) = options.logs.get(number) {
            read::measure(log, &mut truth)?;
        }
        let alerts = read::alerts(alerts)?;
        score::score(&alerts, &truth, options.grace_seconds * 1_000_000, &mut report);
    }
    report.finish();
    Ok(report)
}

fn check(options: &Options) -> Result<()> {
    let (alerts, truths, logs) = (options.alerts.len(), options.truths.len(), options.logs.len());
    if alerts != truths || alerts == 0 {
        let error = Error::usage(format!("{alerts} files of alerts, and {truths} of truth"));
        return Err(error.hint("give one --truth for each --alerts, in the same order"));
    }
    if logs != 0 && logs != alerts {
        let error = Error::usage(format!("{alerts} files of alerts, and {logs} logs"));
        return Err(error.hint("give one --log for each --alerts, in the same order, or none"));
    }
    Ok(())
}
