//! Nightlatch: a streaming detector of account takeover.

pub mod alert;
pub mod delivery;
mod error;
pub mod event;
pub mod rules;
pub mod simulate;
mod window;

pub use error::{Error, ErrorKind, Result, suggest};
