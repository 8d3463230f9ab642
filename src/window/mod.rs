//! The incremental window core: exact SQL windows over event time, row by row, in constant time a row.
//!
//! A [`lane::Lane`] holds all windows over one partition key. It does no I/O and reads no clock; texts
//! are integers here (see [`interner`]), values are 64-bit cells.

pub(crate) mod accumulator;
pub(crate) mod frame;
pub(crate) mod interner;
pub(crate) mod lane;
mod lane_log;
mod links;
mod log;
mod recency;
mod sliding;
mod slots;
pub(crate) mod spec;
