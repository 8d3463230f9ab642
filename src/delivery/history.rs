//! Alerts in the history, which is a destination like any other: in batches, again after a failure,
//! and only on the active instance.

use std::path::PathBuf;

use chrono::Utc;

use super::batch::{BatchDestination, Item, Position, Refusal};
use crate::config::HistoryFile;
use crate::history::{Revision, Writer};
use crate::{Error, Result};

/// The history file, opened when the first alert comes.
pub(crate) struct HistoryDestination {
    path: PathBuf,
    /// `None` before the first alert, and after a failure.
    writer: Option<Writer>,
}

impl HistoryDestination {
    pub(crate) fn new(config: &HistoryFile) -> Self {
        Self { path: config.file.clone(), writer: None }
    }
}

impl BatchDestination for HistoryDestination {
    fn is_ready(&self) -> bool {
        self.writer.is_some()
    }

    fn begin(&mut self) -> Result<Option<Position>> {
        self.writer = Some(Writer::open(&self.path)?);
        Ok(None)
    }

    fn deliver(&mut self, items: &[Item]) -> Result<Vec<Refusal>> {
        let Some(writer) = &mut self.writer else {
            return Err(Error::unexpected("the history is not open"));
        };
        let revisions: Vec<Revision<'_>> = items
            .iter()
            .map(|item| Revision { record: &item.alert, native: &item.entry.native })
            .collect();
        let written = writer.write(&revisions, Utc::now().timestamp_micros());
        let unusable = written.inspect_err(|_| self.writer = None)?;
        let refusal = |one: crate::history::Unusable| Refusal {
            index: one.index,
            reason: one.reason.to_owned(),
        };
        Ok(unusable.into_iter().map(refusal).collect())
    }

    fn settle(&mut self) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        writer.sync().inspect_err(|_| self.writer = None)
    }
}
