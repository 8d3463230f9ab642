//! The console in a real browser, and at its sockets.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

#[path = "../support/http.rs"]
#[allow(dead_code, unreachable_pub)]
mod http;
#[path = "../support/program.rs"]
#[allow(dead_code, unreachable_pub)]
mod program;

mod browser;
mod door;
mod stage;
mod walk;
