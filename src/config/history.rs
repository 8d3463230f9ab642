//! `[history]`: what is kept of alerts and incidents, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::KeyPath;
use super::{Config, units};
use crate::Error;

/// In the state folder.
pub(super) const FILE: &str = "history.sqlite";
/// About 5 GiB of usual alerts.
const ROWS_MAX: usize = 1_000_000;

/// `[history]`; without the section nothing is kept and there is no API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryConfig {
    /// The SQLite file; absent: `history.sqlite` in the state folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// What had no new revision for so long, by the clock, is deleted. There is no default: it is
    /// personal data.
    #[serde(with = "units::duration")]
    pub retention: Duration,
    /// Alerts and incidents that are kept.
    #[serde(default = "rows_max")]
    pub rows_max: usize,
}

fn rows_max() -> usize {
    ROWS_MAX
}

/// What a type cannot say of `[history]`, and of who may read it.
pub(super) fn problems(config: &Config, found: &mut Vec<(KeyPath, Error)>) {
    let Some(history) = &config.history else {
        if config.http.tokens_file.is_some() {
            let error = Error::usage("tokens for an API that there is not");
            found.push((
                &["http", "tokens_file"],
                error.hint("the API serves what `[history]` keeps: add that section"),
            ));
        }
        return;
    };
    if history.retention.is_zero() {
        found.push((
            &["history", "retention"],
            Error::usage("must be longer than nothing")
                .hint("say for how long alerts are needed, e.g. \"180 days\""),
        ));
    }
    if history.rows_max == 0 {
        found.push((&["history", "rows_max"], Error::usage("must be at least 1")));
    }
    if history.file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
        found.push((&["history", "file"], Error::usage("a file needs a name")));
    }
    if !config.http.listen.ip().is_loopback() && config.http.tokens_file.is_none() {
        found.push((
            &["http", "listen"],
            Error::usage("the API would be open to everybody who reaches this address")
                .detail("it tells names and addresses of alerts, and `[history]` turns it on")
                .hint("name a file of tokens in `http.tokens_file`, or listen on 127.0.0.1"),
        ));
    }
}
