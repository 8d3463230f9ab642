//! A checkpoint on its way to the disk.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::blocks::{BlockWriter, create_private, segment_path};
use super::failpoint;
use super::folder::{manifest_path, manifest_temp, numbers, remove, remove_others};
use super::manifest::{Manifest, SegmentUse};
use crate::{Error, Result};

/// Blocks are on their way to the system; nothing is durable yet.
#[derive(Debug)]
pub struct Pending {
    folder: PathBuf,
    segment: u64,
    /// Taken when they are waited for.
    blocks: Option<BlockWriter>,
    manifest: Manifest,
}

/// A checkpoint that is durable.
#[derive(Debug)]
pub struct Written {
    pub(super) segments: Vec<SegmentUse>,
    /// Bytes that it added to the folder.
    pub n_bytes: u64,
    /// Bytes of all files in the folder.
    pub folder_bytes: u64,
}

impl Pending {
    pub(super) fn new(folder: &Path, blocks: BlockWriter, manifest: Manifest) -> Self {
        let segment = blocks.segment();
        Self { folder: folder.to_owned(), segment, blocks: Some(blocks), manifest }
    }

    /// Position in the outbox that must be durable before this is.
    pub fn outbox(&self) -> u64 {
        self.manifest.outbox
    }

    /// Notes up to which event time alerts are delivered.
    pub fn set_delivered_until(&mut self, time: Option<crate::event::TimeMicros>) {
        self.manifest.delivered_until = time;
    }

    /// Waits until all is on the disk, with the manifest last.
    ///
    /// # Errors
    /// When the disk refuses. The manifest before stays the good one, and the files of this one are
    /// removed.
    pub fn write(mut self) -> Result<Written> {
        if let Some(blocks) = self.blocks.take() {
            blocks.finish().and_then(|file| self.sync(&file)).inspect_err(|_| self.remove())?;
        }
        let mut renamed = false;
        match self.write_all(&mut renamed) {
            Ok(written) => Ok(written),
            Err(error) => {
                // After the rename nobody knows which manifest the disk will show: both stay whole.
                if !renamed {
                    self.remove();
                }
                Err(self.unwritable(&error))
            }
        }
    }

    fn sync(&self, segment: &File) -> Result<()> {
        let synced = segment.sync_all().and_then(|()| failpoint("segment.synced"));
        synced.map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &std::io::Error) -> Error {
        Error::unavailable("a checkpoint cannot be written")
            .at(self.folder.display().to_string())
            .detail(error.to_string())
            .hint("the last good one stays in place; the next is tried in time")
    }

    /// Removes what was written, when the checkpoint is given up.
    pub fn remove(&self) {
        // What is left here goes with the next good manifest, or at the next start.
        let _ = remove(&manifest_temp(&self.folder));
        let _ = remove(&segment_path(&self.folder, self.segment));
    }

    fn write_all(&self, renamed: &mut bool) -> std::io::Result<Written> {
        // The segment's name must be there before a manifest that refers to it.
        sync_folder(&self.folder)?;
        let n_bytes = self.write_manifest()?;
        std::fs::rename(manifest_temp(&self.folder), manifest_path(&self.folder))?;
        *renamed = true;
        failpoint("manifest.renamed")?;
        sync_folder(&self.folder)?;
        // Space that could not be freed is freed next time.
        let _ = remove_others(&self.folder, self.segment, &numbers(&self.manifest.segments));
        let segment_bytes = self.manifest.segments.last().map_or(0, |segment| segment.n_bytes);
        Ok(Written {
            segments: self.manifest.segments.clone(),
            n_bytes: n_bytes + segment_bytes,
            folder_bytes: bytes_in(&self.folder).unwrap_or_default(),
        })
    }

    /// Writes the manifest beside the good one.
    fn write_manifest(&self) -> std::io::Result<u64> {
        let bytes = self.manifest.encode()?;
        let mut file = create_private(&manifest_temp(&self.folder))?;
        file.write_all(&bytes)?;
        failpoint("manifest.written")?;
        file.sync_all()?;
        failpoint("manifest.synced")?;
        Ok(bytes.len() as u64)
    }
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Bytes of the files in a folder and in the folders of it.
fn bytes_in(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A file that has gone meanwhile counts nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += match metadata.is_dir() {
            true => bytes_in(&entry.path()).unwrap_or_default(),
            false => metadata.len(),
        };
    }
    Ok(bytes)
}
