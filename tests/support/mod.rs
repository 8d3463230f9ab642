//! Help for tests that need more than the library: a real broker.

pub mod broker;
