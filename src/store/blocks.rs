//! Blocks: pieces of state with a checksum, many to a segment file. A segment is written once and
//! never changed; a checkpoint refers to blocks of its own segment and of older ones.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::failpoint;
use crate::{Error, Result};

/// Bytes that are handed to the system at once.
const BUFFER_BYTES: usize = 1 << 20;
/// Buffers that may wait for it; whoever adds more waits too.
const BUFFERS_MAX: usize = 64;

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

/// Takes the blocks of one checkpoint. A thread of its own hands them to the system, which may take as
/// long as the disk likes.
///
/// A failed write is kept until [`BlockWriter::finish`]: whoever adds blocks need not care.
#[derive(Debug)]
pub struct BlockWriter {
    segment: u64,
    path: PathBuf,
    /// What is not handed to the thread yet.
    buffer: Vec<u8>,
    sender: SyncSender<Vec<u8>>,
    thread: JoinHandle<std::io::Result<File>>,
    offset: u64,
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
        let (sender, buffers) = sync_channel::<Vec<u8>>(BUFFERS_MAX);
        let thread = std::thread::Builder::new()
            .name("nightlatch-state".to_owned())
            .spawn(move || write_all(file, &buffers))
            .map_err(|error| unwritable(&path, &error))?;
        let (buffer, kept) = (Vec::new(), RefCell::default());
        Ok(Self { segment, path, buffer, sender, thread, offset: 0, usable, kept })
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
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.hand_over();
        }
        block
    }

    fn hand_over(&mut self) {
        // The thread ends early when the disk refuses; it tells why in the end.
        let _ = self.sender.send(std::mem::take(&mut self.buffer));
    }

    /// Whether a block that was written earlier is still there to be referred to: by this writer, or by
    /// an earlier checkpoint. If not, write it again.
    ///
    /// Ask for each block of each checkpoint, and refer to it when the answer is yes: a segment lives
    /// as long as somebody was told that a block of it is kept.
    pub fn can_keep(&self, block: BlockRef) -> bool {
        if block.segment == self.segment {
            return true;
        }
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

    /// The file, when all bytes have been handed to the system; whoever takes it syncs it.
    ///
    /// # Errors
    /// When any write has failed.
    pub fn finish(mut self) -> Result<File> {
        self.hand_over();
        drop(self.sender);
        let written = self.thread.join().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
        written.map_err(|error| unwritable(&self.path, &error))
    }
}

fn write_all(mut file: File, buffers: &Receiver<Vec<u8>>) -> std::io::Result<File> {
    buffers.iter().try_for_each(|buffer| file.write_all(&buffer))?;
    failpoint("segment.written")?;
    Ok(file)
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
