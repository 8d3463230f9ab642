//! How far a destination is: a small file beside the log, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::TimeMicros;
use crate::{Error, Result};

const SUFFIX: &str = ".cursor";

/// How far a destination is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Every entry before it has been looked at.
    pub(crate) next: u64,
    /// Those of them that are not delivered yet.
    #[serde(default)]
    pub(crate) open: BTreeMap<u64, Open>,
    /// What the destination wants to know after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Value>,
}

/// An entry that was taken and is not delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) at: TimeMicros,
    pub(crate) appended_at: TimeMicros,
}

impl Cursor {
    /// Whether an entry is still to be delivered.
    pub(crate) fn wants(&self, sequence: u64) -> bool {
        sequence >= self.next || self.open.contains_key(&sequence)
    }

    /// The first entry that is still to be delivered.
    pub(crate) fn first(&self) -> u64 {
        self.open.keys().next().map_or(self.next, |open| self.next.min(*open))
    }

    /// Whether any entry from `first` up to `end` is still to be delivered.
    pub(super) fn wants_any(&self, first: u64, end: u64) -> bool {
        first < end && (self.next < end || self.open.range(first..end).next().is_some())
    }

    /// Reads the cursors of all destinations in a folder. A damaged one starts again at the oldest
    /// entry: better twice than never.
    pub(super) fn all(folder: &Path) -> std::io::Result<BTreeMap<String, Self>> {
        let mut cursors = BTreeMap::new();
        for file in std::fs::read_dir(folder)? {
            let path = file?.path();
            let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(SUFFIX));
            let Some(name) = name else { continue };
            let cursor = serde_json::from_slice(&std::fs::read(&path)?).unwrap_or_else(|error| {
                tracing::warn!(destination = name, %error, "its cursor is damaged: \
                    it gets everything again that the outbox holds");
                Self::default()
            });
            cursors.insert(name.to_owned(), cursor);
        }
        Ok(cursors)
    }

    /// Replaces the file of a destination.
    pub(super) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let path = path_of(folder, name);
        let temporary = path.with_extension("cursor-new");
        let replace = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_data()?;
            std::fs::rename(&temporary, &path)
        };
        replace().map_err(|error: std::io::Error| {
            Error::unavailable("cannot write how far a destination is")
                .at(path.display().to_string())
                .detail(error.to_string())
        })
    }
}

/// Forgets a destination.
pub(super) fn remove(folder: &Path, name: &str) {
    match std::fs::remove_file(path_of(folder, name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(destination = name, %error, "its cursor cannot be removed");
        }
        _ => {}
    }
}

fn path_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{SUFFIX}"))
}
