//! The state folder: what survives a restart.

mod blocks;

pub use blocks::{BlockReader, BlockRef, BlockWriter};
