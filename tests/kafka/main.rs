//! Everything about Kafka, against a real broker: the source, the topics, and the whole program.

#![allow(clippy::unwrap_used, clippy::expect_used)] // help for tests may panic as tests do

#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/broker.rs"]
mod broker;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/run.rs"]
mod program;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/truth.rs"]
mod truth;

mod harness;
mod lease;
mod run;
mod security;
mod source;
mod start;
