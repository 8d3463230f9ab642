//! `nightlatch run` as its users have it: instances that fall over, restart, are reloaded and stopped,
//! against a real broker and real receivers. What is delivered is what one replay of the same events
//! finds.

#![allow(clippy::unwrap_used)] // help for tests may panic as tests do

#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/broker.rs"]
mod broker;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/run.rs"]
mod program;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/receiver.rs"]
mod receiver;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../support/truth.rs"]
mod truth;

mod damage;
mod events;
mod faults;
mod history;
mod manager;
mod reload;
mod restart;
mod secrets;
mod stage;
mod standby;
mod stopping;
