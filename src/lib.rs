//! Nightlatch: a streaming detector of account takeover.

pub mod alert;
pub mod config;
pub mod delivery;
mod error;
pub mod event;
pub mod kafka;
pub mod order;
pub mod rules;
pub mod serve;
pub mod source;

pub use error::{Error, ErrorKind, Result, suggest};
