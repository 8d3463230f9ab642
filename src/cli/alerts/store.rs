//! Where alerts are read from: a file of them, or the history of `run`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::Failure;
use crate::config::Config;
use crate::delivery::record::AlertRecord;
use crate::history::Reader;
use crate::{Error, Result};

/// Which file, as somebody wrote it.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// File of alerts, one JSON object a line [default: the history]
    #[arg(long, value_name = "FILE", conflicts_with = "history")]
    alerts: Option<PathBuf>,
    /// History, an SQLite file [default: that of the configuration]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

/// An alert or incident as its newest revision says it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) alert: AlertRecord,
    /// The JSON as it was delivered.
    pub(super) json: String,
}

impl Found {
    /// By start and id: RFC 3339 in UTC with 0, 3 or 6 digits of a second sorts as the times do once the
    /// `Z` is away.
    pub(super) fn key(&self) -> (&str, &str) {
        (self.alert.started_at.trim_end_matches('Z'), &self.alert.id)
    }
}

/// Where alerts are read from.
pub(super) enum Store {
    /// JSON Lines.
    File(PathBuf),
    /// What `run` keeps.
    History(Reader),
}

impl StoreArgs {
    /// The file that is named, else the history of a configuration file, else the usual one.
    ///
    /// # Errors
    /// When there is no history, or when it cannot be read.
    pub(super) fn open(&self, file: Option<&Path>, config: &Config) -> Result<Store, Failure> {
        if let Some(alerts) = &self.alerts {
            return Ok(Store::File(alerts.clone()));
        }
        let path = match (&self.history, config.history_file(), file) {
            (Some(named), ..) => named.clone(),
            (None, Some(configured), _) => configured,
            (None, None, Some(file)) => return Err(unkept(file).into()),
            (None, None, None) => usual(config)?,
        };
        Ok(Store::History(Reader::open(&path)?))
    }
}

fn unkept(file: &Path) -> Error {
    Error::usage("the configuration keeps no history")
        .at(file.display().to_string())
        .hint("add a section `[history]` to it, or name a file of alerts by --alerts")
}

fn usual(config: &Config) -> Result<PathBuf> {
    let path = config.usual_history_file();
    if path.exists() {
        return Ok(path);
    }
    Err(Error::usage("it is not said where the alerts are")
        .detail(format!("Without an option they are read from {}.", path.display()))
        .hint("name a configuration by --config, a history by --history, or a file of alerts by --alerts"))
}

impl Store {
    /// What errors call it.
    pub(super) fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::History(reader) => reader.path().display().to_string(),
        }
    }
}

/// Ids that are named when several begin alike.
pub(super) const NAMED_MAX: usize = 3;

/// That several ids begin so, some of which are `fitting`.
pub(super) fn ambiguous(fitting: &[&str], start: &str, place: &str) -> Error {
    let named = fitting.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    Error::usage(format!("several alerts have an id that begins with `{start}`"))
        .at(place)
        .hint(format!("write more of it; they are, among others, {named}"))
}
