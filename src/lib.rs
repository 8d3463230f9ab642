//! Nightlatch: a streaming detector of account takeover.

mod error;
pub mod event;
pub mod order;
pub mod rules;
pub mod source;

pub use error::{Error, ErrorKind, Result, suggest};
