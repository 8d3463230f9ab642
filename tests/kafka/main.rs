//! Everything about Kafka, against a real broker: the source, the topics, and the whole program.

#[path = "../support/mod.rs"]
mod support;

mod run;
mod source;
