//! Everything about Kafka, against a real broker: the source, the topics, and the whole program.

#[allow(unreachable_pub, missing_docs)]
#[path = "../support/broker.rs"]
mod broker;

mod run;
mod source;
