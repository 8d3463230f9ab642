//! Alerts in a JSON Lines file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::JsonLines;
use super::batch::{BatchDestination, Item, Refusal};
use super::encoding::Encoding;
use crate::config::FileConfig;
use crate::{Error, Result};

/// A new file; one that is there is emptied. For a replay.
///
/// # Errors
/// When it cannot be written.
pub fn create(path: &Path) -> Result<JsonLines<BufWriter<File>>> {
    let file = File::create(path).map_err(|error| unwritable(path, &error))?;
    Ok(JsonLines::new(BufWriter::new(file), path.display().to_string()))
}

/// The end of a file, opened when the first alert comes.
pub(crate) struct AlertFile {
    path: PathBuf,
    encoding: Encoding,
    file: Option<File>,
}

impl AlertFile {
    pub(crate) fn new(config: &FileConfig) -> Self {
        Self { path: config.file.clone(), encoding: config.encoding, file: None }
    }

    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => open_at_end(&self.path)?,
        };
        file.write_all(lines)?;
        self.file = Some(file);
        Ok(())
    }
}

impl BatchDestination for AlertFile {
    fn deliver(&mut self, items: &[Item]) -> Result<Vec<Refusal>> {
        let lines = json_lines(items, self.encoding);
        self.write(&lines).map_err(|error| unwritable(&self.path, &error))?;
        Ok(Vec::new())
    }

    fn settle(&mut self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        // A pipe or a terminal keeps nothing.
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if is_file && let Err(error) = file.sync_data() {
            self.file = None;
            return Err(unwritable(&self.path, &error));
        }
        Ok(())
    }
}

/// One revision a line.
pub(super) fn json_lines(items: &[Item], encoding: Encoding) -> Vec<u8> {
    let mut lines = Vec::new();
    for item in items {
        lines.extend_from_slice(&encoding.encode(&item.alert, &item.entry.native, usize::MAX));
        lines.push(b'\n');
    }
    lines
}

/// The end of a file, which is created when it is not there. A last line that a crash or a full disk
/// cut short is ended first, so that it spoils no other.
fn open_at_end(path: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if ends_within_a_line(&mut file)? {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// Only a regular file has an end to look at; a pipe or a terminal has none.
fn ends_within_a_line(file: &mut File) -> std::io::Result<bool> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable("cannot write the alerts file")
        .at(path.display().to_string())
        .detail(error.to_string())
}
