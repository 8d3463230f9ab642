//! The state folder: one process at a time, one good manifest, and the segments it refers to.

use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::blocks::{BlockReader, BlockWriter, segment_number, segment_path};
use super::manifest::{self, Loaded, Manifest, SegmentUse};
use super::pending::{Pending, Written};
use crate::{Error, Result};

/// A segment of which less than a quarter is in use is not worth its space.
const USED_MIN: u64 = 4;
/// So many segments are kept; of more, those with the fewest bytes in use are written again.
const SEGMENTS_MAX: usize = 256;

/// A folder that is ours as long as this lives.
///
/// A checkpoint is made in steps: [`StateFolder::begin`], blocks, [`StateFolder::seal`]; then
/// [`Pending::write`], which waits for the disk and so may run in a thread of its own; and in the
/// end [`StateFolder::adopt`]. Whatever fails on the way, the manifest before it stays the good one.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    // Closing the file lets go of the lock.
    _lock: File,
    /// What the newest manifest refers to.
    segments: Vec<SegmentUse>,
    next_segment: u64,
}

impl StateFolder {
    /// Opens the folder, makes it where there is none, and clears away what a crash left behind.
    ///
    /// # Errors
    /// When another process has it, or when it cannot be read and written.
    pub fn open(path: &Path) -> Result<(Self, Loaded)> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| unusable(path, &error))?;
        let lock = lock(path)?;
        remove(&manifest_temp(path)).map_err(|error| unusable(path, &error))?;
        let loaded = manifest::load(&manifest_path(path));
        let segments = match &loaded {
            Loaded::Good(manifest) => manifest.segments.clone(),
            _ => Vec::new(),
        };
        // Of a manifest that cannot be read nobody knows what it refers to. The next one will.
        if matches!(loaded, Loaded::Good(_) | Loaded::Nothing) {
            remove_others(path, u64::MAX, &numbers(&segments))
                .map_err(|error| unusable(path, &error))?;
        }
        let next_segment = next_segment(path).map_err(|error| unusable(path, &error))?;
        Ok((Self { path: path.to_owned(), _lock: lock, segments, next_segment }, loaded))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the blocks in it.
    pub fn reader(&self) -> BlockReader {
        BlockReader::new(&self.path)
    }

    /// A new segment for the blocks of the next checkpoint.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn begin(&mut self) -> Result<BlockWriter> {
        let number = self.next_segment;
        self.next_segment += 1;
        BlockWriter::create(&self.path, number, self.usable())
    }

    /// Segments whose blocks need not be written again.
    fn usable(&self) -> HashSet<u64> {
        let worth = |one: &&SegmentUse| one.used_bytes.saturating_mul(USED_MIN) >= one.n_bytes;
        let mut worth: Vec<&SegmentUse> = self.segments.iter().filter(worth).collect();
        worth.sort_by_key(|one| std::cmp::Reverse(one.used_bytes));
        worth.iter().take(SEGMENTS_MAX).map(|one| one.segment).collect()
    }

    /// Ends the segment; what is left is to be written by [`Pending::write`].
    pub fn seal(&self, blocks: BlockWriter, mut manifest: Manifest) -> Pending {
        let (segment, n_bytes) = (blocks.segment(), blocks.n_bytes());
        manifest.segments = used(&self.segments, &blocks.kept());
        manifest.segments.push(SegmentUse { segment, n_bytes, used_bytes: n_bytes });
        Pending::new(&self.path, blocks, manifest)
    }

    /// Takes note of a checkpoint that is durable.
    pub fn adopt(&mut self, written: &Written) {
        self.segments.clone_from(&written.segments);
    }
}

/// What is left in use of the segments before.
fn used(segments: &[SegmentUse], kept: &HashMap<u64, u64>) -> Vec<SegmentUse> {
    let still = segments.iter().filter_map(|one| {
        let used_bytes = (*kept.get(&one.segment)?).min(one.n_bytes);
        Some(SegmentUse { used_bytes, ..*one })
    });
    still.collect()
}

pub(super) fn numbers(segments: &[SegmentUse]) -> HashSet<u64> {
    segments.iter().map(|one| one.segment).collect()
}

pub(super) fn manifest_path(folder: &Path) -> PathBuf {
    folder.join("manifest")
}

pub(super) fn manifest_temp(folder: &Path) -> PathBuf {
    folder.join("manifest.new")
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = file.map_err(|error| unusable(folder, &error))?;
    match file.try_lock() {
        Ok(()) => {
            // For whoever wonders; the lock itself does not need it.
            let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(taken(folder, &mut file)),
        Err(TryLockError::Error(error)) => Err(unusable(folder, &error)),
    }
}

fn taken(folder: &Path, lock: &mut File) -> Error {
    let error = Error::usage("another process works with this state folder")
        .at(folder.display().to_string())
        .hint("stop it first, or give this one a folder of its own in `state.folder`");
    let mut process = String::new();
    let read = lock.rewind().and_then(|()| lock.take(20).read_to_string(&mut process));
    match (read, process.trim()) {
        (Ok(_), process) if !process.is_empty() => {
            error.detail(format!("process {process} holds its lock"))
        }
        _ => error,
    }
}

fn unusable(folder: &Path, error: &std::io::Error) -> Error {
    Error::unavailable("the state folder cannot be used")
        .at(folder.display().to_string())
        .detail(error.to_string())
        .hint("`state.folder` must be a folder that this user may write to, on a local disk")
}

/// Removes a file; one that is not there is gone already.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes all segments below a number but those that somebody refers to.
pub(super) fn remove_others(
    folder: &Path,
    below: u64,
    referred: &HashSet<u64>,
) -> std::io::Result<()> {
    for number in segments_in(folder)? {
        if number < below && !referred.contains(&number) {
            remove(&segment_path(folder, number))?;
        }
    }
    Ok(())
}

fn segments_in(folder: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        numbers.extend(entry?.file_name().to_str().and_then(segment_number));
    }
    Ok(numbers)
}

/// No number is used twice, so that no reference can mean two files.
fn next_segment(folder: &Path) -> std::io::Result<u64> {
    Ok(segments_in(folder)?.into_iter().max().unwrap_or(0).saturating_add(1))
}
