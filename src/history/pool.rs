//! Connections that only read, used again. How many read at one time is up to the caller.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::file::Opened;
use super::unusable;
use crate::Result;

/// So many connections are kept open.
const IDLE_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    open: fn(&Path) -> Result<Opened>,
    idle: Mutex<Vec<Opened>>,
}

impl Pool {
    /// Opens the file as `open` does when it is first read.
    pub(super) fn new(path: &Path, open: fn(&Path) -> Result<Opened>) -> Self {
        Self { path: path.to_owned(), open, idle: Mutex::default() }
    }

    /// Reads what one moment has: everything in one call sees the same state.
    pub(super) fn read<T>(
        &self,
        call: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let opened = self.take()?;
        let answer = opened
            .connection
            .unchecked_transaction()
            .and_then(|transaction| call(&transaction))
            .map_err(|error| unusable(&self.path, &error))?;
        self.put_back(opened);
        Ok(answer)
    }

    fn take(&self) -> Result<Opened> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(opened) = idle.filter(|opened| opened.is_current(&self.path)) {
            return Ok(opened);
        }
        let opened = (self.open)(&self.path)?;
        let only_reads = opened.connection.pragma_update(None, "query_only", true);
        only_reads.map_err(|error| unusable(&self.path, &error))?;
        Ok(opened)
    }

    fn put_back(&self, opened: Opened) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(opened);
        }
    }
}
