//! Alerts in a JSON Lines file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::JsonLines;
use crate::{Error, Result};

/// A new file; one that is there is emptied. For a replay.
///
/// # Errors
/// When it cannot be written.
pub fn create(path: &Path) -> Result<JsonLines<BufWriter<File>>> {
    let file = File::create(path).map_err(|error| unwritable(path, &error))?;
    Ok(lines(file, path))
}

/// The end of a file, which is created when it is not there. For a run.
///
/// A last line that a crash cut short is ended first, so that it spoils no other.
///
/// # Errors
/// When it cannot be read or written.
pub fn append(path: &Path) -> Result<JsonLines<BufWriter<File>>> {
    let open = OpenOptions::new().read(true).append(true).create(true).open(path);
    let file = open
        .and_then(|mut file| {
            if ends_within_a_line(&mut file)? {
                file.write_all(b"\n")?;
            }
            Ok(file)
        })
        .map_err(|error| unwritable(path, &error))?;
    Ok(lines(file, path))
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

fn lines(file: File, path: &Path) -> JsonLines<BufWriter<File>> {
    JsonLines::new(BufWriter::new(file), path.display().to_string())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable("cannot write the alerts file")
        .at(path.display().to_string())
        .detail(error.to_string())
}
