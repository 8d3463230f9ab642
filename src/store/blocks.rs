//! Blocks: pieces of state with a checksum, many to a segment file. A segment is written once and
//! never changed; a checkpoint refers to blocks of its own segment and of older ones.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
}

impl BlockWriter {
    /// A new segment in the folder; blocks of the `usable` segments are kept.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(folder: &Path, segment: u64, usable: HashSet<u64>) -> Result<Self> {
        let path = segment_path(folder, segment);
        let file = File::create(&path).map_err(|error| unwritable(&path, &error))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { segment, path, file, offset: 0, failure: None, usable })
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
    pub fn can_keep(&self, block: BlockRef) -> bool {
        self.usable.contains(&block.segment)
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
        self.file.into_inner().map_err(|error| unwritable(&path, error.error()))
    }
}

/// Reads blocks back.
#[derive(Debug)]
pub struct BlockReader {
    folder: PathBuf,
}

impl BlockReader {
    /// Blocks of the segments in a folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The bytes of a block.
    ///
    /// # Errors
    /// When its file is not there or short, or when the checksum says that a bit has changed.
    pub fn read(&self, block: BlockRef) -> Result<Vec<u8>> {
        let path = segment_path(&self.folder, block.segment);
        let unreadable = |detail: String| {
            Error::unavailable("a block of the state cannot be read")
                .at(path.display().to_string())
                .detail(detail)
        };
        let bytes = read_at(&path, block).map_err(|error| unreadable(error.to_string()))?;
        if crc32fast::hash(&bytes) != block.crc32 {
            let place = format!("{} bytes at {}", block.n_bytes, block.offset);
            return Err(unreadable(format!("the checksum of {place} does not hold")));
        }
        Ok(bytes)
    }
}

fn read_at(path: &Path, block: BlockRef) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    // A damaged reference must not ask for memory that no file can fill.
    if block.offset.saturating_add(block.n_bytes) > file.metadata()?.len() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    file.seek(SeekFrom::Start(block.offset))?;
    let mut bytes = Vec::new();
    file.take(block.n_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
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
