//! A data file as bytes, and the version that they are.

use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// A larger file is refused: the largest known have less than a third of it.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// After so long answers are stale, and some licences do not allow older data.
const AGE_DAYS_MAX: u64 = 30;
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// What a data file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// Country, city and position: `enrich.city`.
    City,
    /// Number and organisation of networks: `enrich.asn`.
    Asn,
    /// Classes of networks: `[[enrich.network]]`.
    Network,
    /// User agents: `enrich.user_agents`.
    UserAgents,
}

impl DataKind {
    /// The name in alerts.
    pub fn name(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::Asn => "asn",
            Self::Network => "network",
            Self::UserAgents => "user_agents",
        }
    }
}

/// Which data a file held when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataVersion {
    /// What it is for.
    pub kind: DataKind,
    /// The file as the configuration names it.
    pub file: String,
    /// First 12 hexadecimal digits of the SHA-256 of its bytes; of an MMDB `@` and the time of its
    /// build (seconds since the epoch) behind them. Equal bytes have equal versions everywhere.
    pub version: String,
    /// When the data was built, in seconds since the epoch: an MMDB says it, of other files it is the
    /// time of their last change. For people alone: no result depends on it.
    pub built_seconds: Option<u64>,
}

impl DataVersion {
    /// Whole days since the data was built.
    pub fn age_days(&self, now: SystemTime) -> Option<u64> {
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(now.saturating_sub(self.built_seconds?) / DAY_SECONDS)
    }

    /// Whether the data is older than 30 days.
    pub fn is_old(&self, now: SystemTime) -> bool {
        self.age_days(now).is_some_and(|days| days >= AGE_DAYS_MAX)
    }
}

/// A file in memory. Files are read whole: one that is replaced while the program runs changes nothing.
pub(super) struct DataFile {
    pub(super) kind: DataKind,
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    digest: String,
    changed_seconds: Option<u64>,
}

impl DataFile {
    pub(super) fn read(kind: DataKind, path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let unread = |detail: String| {
            Error::usage("a data file cannot be read")
                .at(format!("{name} ({})", key(kind)))
                .detail(detail)
                .hint("name a file that is there, or take it out of `[enrich]`: its columns are then NULL")
        };
        let file = std::fs::File::open(path).map_err(|error| unread(error.to_string()))?;
        let metadata = file.metadata().map_err(|error| unread(error.to_string()))?;
        if !metadata.is_file() {
            return Err(unread("it is no regular file".to_owned()));
        }
        let mut bytes =
            Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(1 << 31));
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unread(error.to_string()))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(unread("it is longer than 4 GiB".to_owned()));
        }
        let changed = metadata.modified().ok();
        let changed_seconds =
            changed.and_then(|time| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs()));
        let digest =
            Sha256::digest(&bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { kind, name, bytes, digest, changed_seconds })
    }

    /// The version; an MMDB knows when it was built.
    pub(super) fn version(&self, build_epoch: Option<u64>) -> DataVersion {
        let version = match build_epoch {
            Some(epoch) => format!("{}@{epoch}", self.digest),
            None => self.digest.clone(),
        };
        let built_seconds = build_epoch.or(self.changed_seconds);
        DataVersion { kind: self.kind, file: self.name.clone(), version, built_seconds }
    }

    /// An error about what the file holds; `line` from 1.
    pub(super) fn refuse(&self, line: Option<usize>, message: impl Into<String>) -> Error {
        let line = line.map_or(String::new(), |line| format!(":{line}"));
        Error::usage(message).at(format!("{}{line} ({})", self.name, key(self.kind)))
    }

    /// The file as text.
    pub(super) fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.bytes).map(|text| text.trim_start_matches('\u{feff}')).map_err(
            |error| {
                let before = self.bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                self.refuse(Some(line), "a data file is neither MMDB nor text")
                    .detail("these bytes are no UTF-8")
                    .hint("unpack what is packed (.gz, .zip); download again what is cut short")
            },
        )
    }
}

fn key(kind: DataKind) -> &'static str {
    match kind {
        DataKind::City => "enrich.city",
        DataKind::Asn => "enrich.asn",
        DataKind::Network => "enrich.network",
        DataKind::UserAgents => "enrich.user_agents",
    }
}
