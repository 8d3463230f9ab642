//! The incremental window core: exact SQL windows over event time, row by row, in constant time a row.
//!
//! A [`Lane`] holds all windows over one partition key. It reads no clock, and does no I/O of its own:
//! old rows go to the disk and come back through the `SpillStream` that it is given. Texts are integers
//! here (see [`Interner`]), values are 64-bit cells.

mod accumulator;
mod bits;
mod chunk;
mod deviation;
mod frame;
mod interner;
mod lane;
mod lane_log;
mod links;
mod log;
mod movement;
mod recency;
mod residence;
#[cfg(test)]
mod residence_tests;
mod sliding;
mod slots;
mod snapshot;
mod spec;
mod state;

pub use accumulator::CellKind;
pub use frame::Frame;
pub use interner::{Interner, InternerUses};
pub use lane::Lane;
pub use snapshot::{Damage, FloatPairs, LaneRestore, LaneRows, LaneState, RecencyEntries};
pub(crate) use spec::mask_bit;
pub use spec::{
    AggregateSpec, Cells, Function, LagSpec, LaneInput, LaneLimits, LaneOutput, LaneSpec,
};
