//! Nightlatch: a streaming detector of account takeover.

pub mod config;
mod error;
pub mod event;
pub mod order;
pub mod rules;
pub mod serve;
pub mod source;

pub use error::{Error, ErrorKind, Result, suggest};
