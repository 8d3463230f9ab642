//! Rows of windows that memory has no room for: blocks, compressed and with a checksum, in files that
//! live no longer than the process.
//!
//! This is not a checkpoint: after a crash nothing here is read again, whatever lies in the folder is
//! removed at the next start. So nothing waits for the disk.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zstd::bulk::{Compressor, Decompressor};

use super::failpoint;
use super::folder::remove;
use crate::{Error, Result};

/// A file takes no more blocks from here on. Space comes back a file at a time.
const FILE_BYTES: u64 = 64 << 20;
/// The fastest level that is worth its while: rows shrink to a third.
const LEVEL: i32 = 1;
/// A temporary folder is called by this, the process and a number.
const TEMPORARY: &str = "nightlatch-spill-";
const FILE: &str = "spill-";
const LOCK: &str = "lock";
/// Names that are tried for a temporary folder.
const NAMES_MAX: u32 = 1_000;

/// How much may lie where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpillLimits {
    /// Bytes of rows that stay in memory.
    pub in_memory_bytes_max: u64,
    /// Bytes of all files; rows beyond stay in memory as well.
    pub on_disk_bytes_max: u64,
}

/// What went to the disk and came back, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpillStats {
    /// Bytes of all files now.
    pub disk_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Blocks that stayed in memory because of the limit.
    pub refused_by_limit: u64,
    /// Blocks that stayed in memory because the disk did not take them.
    pub refused_by_disk: u64,
    /// Blocks that could not be read back.
    pub unreadable: u64,
}

/// The folder of one process, and its limits; the folder is made when the first block is written.
#[derive(Debug, Clone)]
pub struct Spill(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: SpillLimits,
    place: Place,
    /// The folder, once it is there, with the lock of a temporary one.
    folder: Mutex<Option<(PathBuf, Option<File>)>>,
    next_file: AtomicU64,
    is_refusing: AtomicBool,
    disk_bytes: AtomicU64,
    written_bytes: AtomicU64,
    read_bytes: AtomicU64,
    refused_by_limit: AtomicU64,
    refused_by_disk: AtomicU64,
    unreadable: AtomicU64,
}

#[derive(Debug)]
enum Place {
    /// A folder that is ours by the lock of the folder above it.
    Own(PathBuf),
    /// A new folder in this one.
    Temporary(PathBuf),
}

impl Spill {
    /// Files in a folder that no other process uses; what an earlier one left there is removed.
    ///
    /// # Errors
    /// When it is there and cannot be cleared.
    pub fn in_folder(folder: &Path, limits: SpillLimits) -> Result<Self> {
        clear(folder).map_err(|error| unusable(folder, &error))?;
        Ok(Self::new(Place::Own(folder.to_owned()), limits))
    }

    /// Files in a new folder within `parent`, gone with the last user. Folders of processes that were
    /// killed are removed when it is made.
    pub fn temporary(parent: &Path, limits: SpillLimits) -> Self {
        Self::new(Place::Temporary(parent.to_owned()), limits)
    }

    fn new(place: Place, limits: SpillLimits) -> Self {
        Self(Arc::new(Shared {
            limits,
            place,
            folder: Mutex::default(),
            next_file: AtomicU64::new(0),
            is_refusing: AtomicBool::new(false),
            disk_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            refused_by_limit: AtomicU64::new(0),
            refused_by_disk: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
        }))
    }

    /// How much may lie where.
    pub fn limits(&self) -> SpillLimits {
        self.0.limits
    }

    /// Files of their own for blocks that go in the order in which they came.
    pub fn stream(&self) -> SpillStream {
        SpillStream { shared: self.0.clone(), files: VecDeque::new(), open: None, codec: None }
    }

    /// What went to the disk and came back.
    pub fn stats(&self) -> SpillStats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SpillStats {
            disk_bytes: of(&self.0.disk_bytes),
            written_bytes: of(&self.0.written_bytes),
            read_bytes: of(&self.0.read_bytes),
            refused_by_limit: of(&self.0.refused_by_limit),
            refused_by_disk: of(&self.0.refused_by_disk),
            unreadable: of(&self.0.unreadable),
        }
    }
}

impl Shared {
    /// The folder, made when it is not there yet.
    fn folder(&self) -> io::Result<PathBuf> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, _)) = &*folder {
            return Ok(path.clone());
        }
        let made = match &self.place {
            Place::Own(path) => {
                DirBuilder::new().recursive(true).mode(0o700).create(path)?;
                (path.clone(), None)
            }
            Place::Temporary(parent) => {
                remove_abandoned(parent);
                let (path, lock) = make_temporary(parent)?;
                (path, Some(lock))
            }
        };
        let path = made.0.clone();
        *folder = Some(made);
        Ok(path)
    }

    /// Where the folder is or would be, for messages.
    fn place(&self) -> PathBuf {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*folder, &self.place) {
            (Some((path, _)), _) | (None, Place::Own(path) | Place::Temporary(path)) => {
                path.clone()
            }
        }
    }

    /// Tells of the first block that stays in memory, not of each.
    fn refuse(&self, why: &str) {
        if !self.is_refusing.swap(true, Ordering::Relaxed) {
            let folder = self.place();
            tracing::warn!(
                why,
                folder = %folder.display(),
                "rows of windows stay in memory beyond `state.log_in_memory_bytes_max`"
            );
        }
    }

    fn accept(&self) {
        if self.is_refusing.swap(false, Ordering::Relaxed) {
            tracing::info!("rows of windows go to the disk again");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let folder = self.folder.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((path, lock)) = folder {
            // What is left here goes at the next start.
            if lock.is_some() {
                let _ = remove(&path.join(LOCK));
            }
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpillRef {
    file: u64,
    offset: u32,
    n_bytes: u32,
    /// Before it was compressed.
    n_raw_bytes: u32,
    /// CRC-32 of the compressed bytes.
    crc32: u32,
}

/// Files of one user, which writes and frees blocks in about the same order. They go with it.
pub struct SpillStream {
    shared: Arc<Shared>,
    /// Oldest first; the last one is written to.
    files: VecDeque<SpillFile>,
    open: Option<File>,
    codec: Option<Codec>,
}

struct SpillFile {
    number: u64,
    n_bytes: u64,
    n_blocks: u64,
}

struct Codec {
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
}

impl Codec {
    fn new() -> io::Result<Self> {
        Ok(Self { compressor: Compressor::new(LEVEL)?, decompressor: Decompressor::new()? })
    }
}

impl SpillStream {
    /// Writes a block. `None`: a limit or the disk keeps it out, which is counted and told; it must stay
    /// in memory.
    pub fn write(&mut self, bytes: &[u8]) -> Option<SpillRef> {
        let shared = self.shared.clone();
        match self.try_write(bytes) {
            Ok(Some(block)) => {
                shared.written_bytes.fetch_add(u64::from(block.n_bytes), Ordering::Relaxed);
                shared.accept();
                Some(block)
            }
            Ok(None) => {
                shared.refused_by_limit.fetch_add(1, Ordering::Relaxed);
                shared.refuse("`state.log_on_disk_bytes_max` is reached");
                None
            }
            Err(error) => {
                shared.refused_by_disk.fetch_add(1, Ordering::Relaxed);
                shared.refuse(&error.to_string());
                None
            }
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<Option<SpillRef>> {
        let max = self.shared.limits.on_disk_bytes_max;
        if max == 0 {
            return Ok(None);
        }
        let packed = self.codec()?.compressor.compress(bytes)?;
        let n_bytes = packed.len() as u64;
        if self.shared.disk_bytes.load(Ordering::Relaxed).saturating_add(n_bytes) > max {
            return Ok(None);
        }
        let (number, offset) = self.file_to_write()?;
        let file = self.open.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let written = file.write_all_at(&packed, offset).and_then(|()| failpoint("spill.written"));
        if let Err(error) = written {
            // A part of it would take space for nothing; it is written over otherwise.
            let _ = file.set_len(offset);
            return Err(error);
        }
        self.shared.disk_bytes.fetch_add(n_bytes, Ordering::Relaxed);
        if let Some(file) = self.files.back_mut() {
            (file.n_bytes, file.n_blocks) = (offset + n_bytes, file.n_blocks + 1);
        }
        let small = |number: u64| u32::try_from(number).map_err(|_| io::ErrorKind::FileTooLarge);
        Ok(Some(SpillRef {
            file: number,
            offset: small(offset)?,
            n_bytes: small(n_bytes)?,
            n_raw_bytes: small(bytes.len() as u64)?,
            crc32: crc32fast::hash(&packed),
        }))
    }

    fn codec(&mut self) -> io::Result<&mut Codec> {
        match &mut self.codec {
            Some(codec) => Ok(codec),
            none => Ok(none.insert(Codec::new()?)),
        }
    }

    /// Number of the file that takes the next block, and where in it.
    fn file_to_write(&mut self) -> io::Result<(u64, u64)> {
        if let Some(file) = self.files.back()
            && self.open.is_some()
            && file.n_bytes < FILE_BYTES
        {
            return Ok((file.number, file.n_bytes));
        }
        let number = self.shared.next_file.fetch_add(1, Ordering::Relaxed);
        let path = path(&self.shared.folder()?, number);
        self.open = Some(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?);
        self.close_last();
        self.files.push_back(SpillFile { number, n_bytes: 0, n_blocks: 0 });
        Ok((number, 0))
    }

    /// Nothing more comes into the last file: it goes at once when all of its blocks have gone.
    fn close_last(&mut self) {
        if let Some(empty) = self.files.pop_back_if(|file| file.n_blocks == 0) {
            self.remove(&empty);
        }
    }

    /// Reads a block back.
    ///
    /// # Errors
    /// When its file is not there or short, or when the checksum says that a bit has changed.
    pub fn read(&mut self, block: SpillRef) -> Result<Vec<u8>> {
        let shared = self.shared.clone();
        let path = path(&shared.place(), block.file);
        let read = self.try_read(block, &path);
        shared.read_bytes.fetch_add(u64::from(block.n_bytes), Ordering::Relaxed);
        read.map_err(|why| {
            shared.unreadable.fetch_add(1, Ordering::Relaxed);
            unreadable(&path, why)
        })
    }

    fn try_read(&mut self, block: SpillRef, path: &Path) -> Result<Vec<u8>, String> {
        let mut packed = vec![0; block.n_bytes as usize];
        File::open(path)
            .and_then(|file| file.read_exact_at(&mut packed, u64::from(block.offset)))
            .map_err(|error| error.to_string())?;
        if crc32fast::hash(&packed) != block.crc32 {
            let SpillRef { n_bytes, offset, .. } = block;
            return Err(format!("the checksum of {n_bytes} bytes at {offset} does not hold"));
        }
        let codec = self.codec().map_err(|error| error.to_string())?;
        let n_bytes = block.n_raw_bytes as usize;
        let bytes = codec.decompressor.decompress(&packed, n_bytes);
        let bytes = bytes.map_err(|error| error.to_string())?;
        if bytes.len() == n_bytes { Ok(bytes) } else { Err("a block is short".to_owned()) }
    }

    /// Forgets a block. A file of which nothing is left is removed.
    pub fn free(&mut self, block: SpillRef) {
        let Ok(position) = self.files.binary_search_by_key(&block.file, |file| file.number) else {
            return;
        };
        let is_last = position + 1 == self.files.len();
        let file = &mut self.files[position];
        file.n_blocks = file.n_blocks.saturating_sub(1);
        if file.n_blocks > 0 || (is_last && file.n_bytes < FILE_BYTES) {
            return;
        }
        if is_last {
            self.open = None;
        }
        if let Some(file) = self.files.remove(position) {
            self.remove(&file);
        }
    }

    fn remove(&self, file: &SpillFile) {
        self.shared.disk_bytes.fetch_sub(file.n_bytes, Ordering::Relaxed);
        // Space that could not be freed is freed at the next start.
        let _ = remove(&path(&self.shared.place(), file.number));
    }
}

impl Drop for SpillStream {
    fn drop(&mut self) {
        self.files.iter().for_each(|file| self.remove(file));
    }
}

impl std::fmt::Debug for SpillStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpillStream").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{FILE}{number:010}"))
}

/// Removes the files of a process that is no more.
fn clear(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(FILE)) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// A new folder that nobody else may look into, and the lock that says that it is in use.
fn make_temporary(parent: &Path) -> io::Result<(PathBuf, File)> {
    let process = std::process::id();
    for number in 0..NAMES_MAX {
        let path = parent.join(format!("{TEMPORARY}{process}-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        }
        let mut options = OpenOptions::new();
        let lock = options.write(true).create_new(true).mode(0o600).open(path.join(LOCK))?;
        lock.try_lock().map_err(io::Error::from)?;
        return Ok((path, lock));
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes temporary folders whose process was killed. Those of others, and what cannot be removed,
/// are left.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_ours || !is_folder {
            continue;
        }
        let path = entry.path();
        let lock = OpenOptions::new().write(true).open(path.join(LOCK));
        if lock.is_ok_and(|lock| !matches!(lock.try_lock(), Err(TryLockError::WouldBlock))) {
            let _ = clear(&path);
            let _ = remove(&path.join(LOCK));
            let _ = std::fs::remove_dir(path);
        }
    }
}

fn unusable(folder: &Path, error: &io::Error) -> Error {
    Error::unavailable("the folder for rows of windows cannot be cleared")
        .at(folder.display().to_string())
        .detail(error.to_string())
        .hint("it must belong to this user; nothing in it is needed after a stop")
}

fn unreadable(path: &Path, why: String) -> Error {
    Error::unavailable("rows of a window cannot be read back")
        .at(path.display().to_string())
        .detail(why)
        .hint(
            "look after the disk; after a restart `run` goes on at its newest checkpoint, which \
             does not need this file",
        )
}
