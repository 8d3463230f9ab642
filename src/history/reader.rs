//! The history for those who read it beside the program that keeps it: the file must be there, and
//! nothing in it is changed.

use std::path::{Path, PathBuf};

use super::pool::Pool;
use super::{Details, Filter, FindingKind, Page, details, file, page};
use crate::Result;

/// A history that is only read.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    readers: Pool,
}

impl Reader {
    /// Opens a file that is there.
    ///
    /// # Errors
    /// When there is none, or when it is damaged, no history, or of another version.
    pub fn open(path: &Path) -> Result<Self> {
        let readers = Pool::new(path, file::open_to_read);
        readers.read(|_| Ok(()))?;
        Ok(Self { path: path.to_owned(), readers })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`super::History::page`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page(&self, filter: &Filter, limit: usize) -> Result<Page> {
        self.readers.read(|connection| page::read(connection, filter, limit))
    }

    /// As [`super::History::details`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn details(&self, kind: FindingKind, id: &str) -> Result<Option<Details>> {
        self.readers.read(|connection| details::read(connection, kind, id))
    }

    /// Findings whose id begins so, at most `limit` of each kind.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn beginning(&self, start: &str, limit: u32) -> Result<Vec<(FindingKind, String)>> {
        self.readers.read(|connection| details::beginning(connection, start, limit))
    }
}
