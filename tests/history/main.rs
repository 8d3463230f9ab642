//! The history behind the dispatcher, and its API over real sockets.

#![allow(clippy::unwrap_used)] // help for tests may panic as tests do

#[allow(dead_code)]
#[path = "../delivery/harness.rs"]
mod harness;

mod access;
mod client;
mod keeping;
mod pages;
