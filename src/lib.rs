//! Nightlatch: a streaming detector of account takeover.

pub mod alert;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod enrich;
mod error;
pub mod evaluate;
pub mod event;
pub mod history;
pub mod incident;
pub mod kafka;
pub mod learn;
mod markup;
pub mod order;
pub mod pipeline;
pub mod report;
pub mod rules;
pub mod serve;
mod service;
pub mod simulate;
pub mod source;
pub mod store;
mod tuning;
pub mod window;

pub use error::{Error, ErrorKind, Result, suggest};
