//! Blocks: pieces of state with a checksum, many to a segment file. A segment is written once and
//! never changed; a checkpoint refers to blocks of its own segment and of older ones.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::failpoint;
use crate::{Error, Result};

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// Number of the segment file.
    pub segment: u64,
    /// Bytes before it in the file.
    pub offset: u64,
    /// Its length.
    pub n_bytes: u64,
    /// CRC-32 of its bytes.
    pub crc32: u32,
}

/// Takes the blocks of one checkpoint.
///
/// A failed write is kept until [`BlockWriter::finish`]: whoever adds blocks need not care.
#[derive(Debug)]
pub struct BlockWriter {
    segment: u64,
    path: PathBuf,
    file: BufWriter<File>,
    offset: u64,
    failure: Option<std::io::Error>,
    /// Segments whose blocks may be referred to again.
    usable: HashSet<u64>,
    /// Bytes that are referred to again, by segment.
    kept: RefCell<HashMap<u64, u64>>,
}

impl BlockWriter {
    /// A new segment in the folder; blocks of the `usable` segments are kept.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(folder: &Path, segment: u64, usable: HashSet<u64>) -> Result<Self> {
        let path = segment_path(folder, segment);
        let file = create_private(&path).map_err(|error| unwritable(&path, &error))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let kept = RefCell::default();
        Ok(Self { segment, path, file, offset: 0, failure: None, usable, kept })
    }

    /// Writes a block.
    pub fn add(&mut self, bytes: &[u8]) -> BlockRef {
        let block = BlockRef {
            segment: self.segment,
            offset: self.offset,
            n_bytes: bytes.len() as u64,
            crc32: crc32fast::hash(bytes),
        };
        self.offset += block.n_bytes;
        if self.failure.is_none() {
            self.failure = self.file.write_all(bytes).err();
        }
        block
    }

    /// Whether a block that an earlier checkpoint wrote is still there to be referred to. If not,
    /// write it again.
    ///
    /// Ask for each block of each checkpoint, and refer to it when the answer is yes: a segment lives
    /// as long as somebody was told that a block of it is kept.
    pub fn can_keep(&self, block: BlockRef) -> bool {
        let usable = self.usable.contains(&block.segment);
        if usable {
            *self.kept.borrow_mut().entry(block.segment).or_default() += block.n_bytes;
        }
        usable
    }

    pub(super) fn segment(&self) -> u64 {
        self.segment
    }

    /// Bytes of older segments that were kept, by segment.
    pub(super) fn kept(&self) -> HashMap<u64, u64> {
        self.kept.borrow().clone()
    }

    /// Bytes added so far.
    pub fn n_bytes(&self) -> u64 {
        self.offset
    }

    /// The file, all bytes handed to the system; whoever takes it syncs it.
    ///
    /// # Errors
    /// When any write has failed.
    pub fn finish(mut self) -> Result<File> {
        if let Some(error) = self.failure.take() {
            return Err(unwritable(&self.path, &error));
        }
        let path = self.path;
        let file = self.file.into_inner().map_err(|error| unwritable(&path, error.error()))?;
        failpoint("segment.written").map_err(|error| unwritable(&path, &error))?;
        Ok(file)
    }
}

/// Reads blocks back.
#[derive(Debug)]
pub struct BlockReader {
    folder: PathBuf,
    /// Segments that were read from, each with its length.
    files: RefCell<HashMap<u64, Rc<(File, u64)>>>,
}

/// Files that a reader holds open: far below any limit of open files.
const OPEN_FILES_MAX: usize = 64;

impl BlockReader {
    /// Blocks of the segments in a folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: RefCell::default() }
    }

    /// The bytes of a block.
    ///
    /// # Errors
    /// When its file is not there or short, or when the checksum says that a bit has changed.
    pub fn read(&self, block: BlockRef) -> Result<Vec<u8>> {
        let unreadable = |detail: String| {
            Error::unavailable("a block of the state cannot be read")
                .at(segment_path(&self.folder, block.segment).display().to_string())
                .detail(detail)
        };
        let bytes = self.read_bytes(block).map_err(|error| unreadable(error.to_string()))?;
        if crc32fast::hash(&bytes) != block.crc32 {
            let place = format!("{} bytes at {}", block.n_bytes, block.offset);
            return Err(unreadable(format!("the checksum of {place} does not hold")));
        }
        Ok(bytes)
    }

    fn read_bytes(&self, block: BlockRef) -> std::io::Result<Vec<u8>> {
        let segment = self.open(block.segment)?;
        let (file, len) = &*segment;
        // A damaged reference must not ask for memory that no file can fill.
        if block.offset.saturating_add(block.n_bytes) > *len {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; usize::try_from(block.n_bytes).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, block.offset)?;
        Ok(bytes)
    }

    fn open(&self, segment: u64) -> std::io::Result<Rc<(File, u64)>> {
        let mut files = self.files.borrow_mut();
        if let Some(file) = files.get(&segment) {
            return Ok(file.clone());
        }
        let file = File::open(segment_path(&self.folder, segment))?;
        let len = file.metadata()?.len();
        if files.len() >= OPEN_FILES_MAX {
            files.clear();
        }
        let opened = Rc::new((file, len));
        files.insert(segment, opened.clone());
        Ok(opened)
    }
}

/// A new and empty file that only its owner may read.
pub(super) fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The number of a segment's file; `None` for other files.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    name.strip_prefix("segment-")?.parse().ok()
}

/// The file of a segment.
pub(super) fn segment_path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("segment-{segment:010}"))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable("cannot write the state")
        .at(path.display().to_string())
        .detail(error.to_string())
}
