//! Nightlatch: a streaming detector of account takeover.

mod error;
pub mod event;
pub mod rules;
pub mod simulate;

pub use error::{Error, ErrorKind, Result, suggest};
