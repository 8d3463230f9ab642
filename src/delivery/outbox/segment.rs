//! A segment: one file of the log, with a header that names the format and the first entry.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::{Entry, Step, resume, step};
use crate::{Error, Result};

/// Magic, format version, first sequence number, CRC-32 of these.
pub(super) const HEADER: usize = 24;
const MAGIC: [u8; 8] = *b"nl-outbx";
/// Raise it when an older program could not read what this one writes.
const VERSION: u32 = 1;
const PREFIX: &str = "log-";

/// One file of the log.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// Lower bound of its sequence numbers.
    pub(super) first: u64,
    /// Its last sequence number and one.
    pub(super) end: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    /// Bytes written.
    pub(super) n_bytes: u64,
    /// Bytes that are known to be on disk.
    pub(super) n_bytes_synced: u64,
}

impl Segment {
    /// A new file; one of that name is emptied.
    pub(super) fn create(folder: &Path, first: u64) -> std::io::Result<Self> {
        let path = path_of(folder, first);
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.write_all_at(&header(first), 0)?;
        Ok(Self {
            first,
            end: first,
            path,
            file: Arc::new(file),
            n_bytes: HEADER as u64,
            n_bytes_synced: 0,
        })
    }
}

fn header(first: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&first.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..20]);
    bytes[20..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

pub(super) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{first:020}"))
}

/// The segments of a folder, oldest first, each with the first sequence number of its name.
pub(super) fn list(folder: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix(PREFIX));
        if let Some(first) = number.and_then(|number| number.parse().ok()) {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

/// What a file of the log holds.
pub(super) struct Scan {
    pub(super) entries: Vec<Entry>,
    /// Where the last sound entry ends.
    pub(super) sound: u64,
    /// Bytes behind it that are no entry.
    pub(super) n_bytes_behind: u64,
    /// Where damaged stretches begin: between sound entries, and at 0 for the header.
    pub(super) damaged: Vec<u64>,
}

/// Reads a whole file.
///
/// # Errors
/// When it cannot be read, or when a newer program has written it.
pub(super) fn scan(path: &Path) -> Result<Scan> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|error| {
        Error::unavailable("the outbox cannot be read")
            .at(path.display().to_string())
            .detail(error.to_string())
    })?;
    let sound_header = check_header(path, &bytes)?;
    let mut scan = entries(&bytes);
    // A header that is cut short is a crash; one that is whole and wrong is damage.
    if !sound_header && bytes.len() >= HEADER {
        scan.damaged.push(0);
    }
    Ok(scan)
}

fn entries(bytes: &[u8]) -> Scan {
    let start = HEADER.min(bytes.len());
    let mut scan =
        Scan { entries: Vec::new(), sound: start as u64, n_bytes_behind: 0, damaged: Vec::new() };
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match step(rest) {
            Step::Entry(entry, length) => {
                scan.entries.push(entry);
                at += length;
                scan.sound = at as u64;
            }
            Step::Short | Step::Damaged => match resume(rest) {
                Some(skipped) => {
                    scan.damaged.push(at as u64);
                    at += skipped;
                }
                None => {
                    scan.n_bytes_behind = rest.len() as u64;
                    return scan;
                }
            },
        }
    }
}

/// Whether the header is whole; its checksum tells a newer version from a damaged number.
fn check_header(path: &Path, bytes: &[u8]) -> Result<bool> {
    let Some(header) = bytes.get(..HEADER) else { return Ok(false) };
    let sum = crc32fast::hash(&header[..20]).to_le_bytes();
    if header[..8] != MAGIC || header[20..] != sum {
        return Ok(false);
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version > VERSION {
        return Err(Error::usage("a newer Nightlatch has written the outbox")
            .at(path.display().to_string())
            .detail(format!("its format has version {version}, this program knows {VERSION}"))
            .hint(
                "run that version again until it has delivered all, or name another `state.folder`",
            ));
    }
    Ok(true)
}

/// For tests: the file of a future version.
#[cfg(test)]
pub(super) fn make_newer(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let sum = crc32fast::hash(&bytes[..20]);
    bytes[20..24].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}
