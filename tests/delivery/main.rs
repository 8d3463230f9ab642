//! Delivery as a receiver sees it: real HTTP servers that fail in every way, a real Kafka broker, the
//! program's own commands.

#![allow(clippy::unwrap_used)] // help for tests may panic as tests do

#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/broker.rs"]
mod broker;

mod addresses;
mod commands;
mod harness;
mod http;
mod restarts;
mod silences;
mod topics;
