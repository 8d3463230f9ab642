//! The state folder: what survives a restart.
//!
//! - `lock`: whoever holds it owns the folder.
//! - `manifest`: which state is good, see [`Manifest`]. It is replaced as a whole, by a rename.
//! - `segment-N`: blocks, see [`BlockWriter`]. Written once, synced before the manifest that refers to
//!   them, removed when no block of it is referred to any more.
//! - `spill/`: rows of windows that memory has no room for, see [`Spill`]. They do not survive.
//!
//! A checkpoint that fails, or that a crash cuts short at any point, leaves the manifest before it
//! and all of its segments as they were.

mod blocks;
mod failpoint;
mod folder;
mod keyed_hash;
mod manifest;
mod pending;
mod spill;
#[cfg(test)]
mod tests;

pub use blocks::{BlockReader, BlockRef, BlockWriter};
pub use failpoint::failpoint;
pub use folder::StateFolder;
pub use keyed_hash::KeyedHash;
pub use manifest::{InputPosition, Loaded, Manifest, SavedOrigin, SegmentUse};
pub use pending::{Pending, Written};
pub use spill::{Spill, SpillLimits, SpillRef, SpillStats, SpillStream};
