//! What several tests need.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::expect_used)] // each test binary uses its part

pub mod arrival;
pub mod events;
pub mod logins;
pub mod mmdb;
pub mod queries;
pub mod rows;
