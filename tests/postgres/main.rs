//! PostgreSQL as a destination, against a real server: rows, revisions, days, and everything that goes
//! wrong with a database.

#![allow(clippy::unwrap_used)] // help for tests may panic as tests do

#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/dashboards.rs"]
mod boards;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../delivery/harness.rs"]
mod harness;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/postgres.rs"]
mod server;

mod access;
mod dashboards;
mod days;
mod documents;
mod failures;
mod migrations;
mod roles;
mod rows;
