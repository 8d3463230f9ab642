//! Nightlatch: a streaming detector of account takeover.

mod error;
pub mod event;
pub mod rules;
mod window;

pub use error::{Error, ErrorKind, Result, suggest};
