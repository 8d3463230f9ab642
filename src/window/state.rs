//! The running state of one aggregate, whichever its function is.

use super::accumulator::{
    Accumulator, Candidates, CellKind, Count, DistinctCount, FloatTotal, IntegerSum, Queue, Rounded,
};
use super::deviation::Deviation;
use super::recency::Newest;
use super::spec::{AggregateSpec, Function};

/// What an aggregate knows of each key.
pub(super) enum State {
    Count(Count),
    Distinct(DistinctCount, usize),
    IntegerSum(IntegerSum),
    FloatSum(FloatTotal<false>),
    Average(FloatTotal<true>),
    Sample(Deviation<false>),
    Population(Deviation<true>),
    Queue(Queue),
    Newest(Newest),
}

impl State {
    /// Nothing has entered yet. Distinct counts say by `links` which links they need.
    pub(super) fn new(spec: &AggregateSpec, links: &mut Vec<(usize, usize)>) -> Self {
        match spec.function {
            Function::Count => Self::Count(Count::default()),
            Function::CountDistinct => {
                let key = (spec.mask, spec.value);
                let found = links.iter().position(|other| *other == key);
                let index = found.unwrap_or_else(|| {
                    links.push(key);
                    links.len() - 1
                });
                Self::Distinct(DistinctCount::new(), index)
            }
            Function::IntegerSum => Self::IntegerSum(IntegerSum::default()),
            Function::FloatSum => Self::FloatSum(FloatTotal::default()),
            Function::Average => Self::Average(FloatTotal::default()),
            Function::DeviationSample => Self::Sample(Deviation::default()),
            Function::DeviationPopulation => Self::Population(Deviation::default()),
            Function::Smallest(kind) => Self::Queue(Queue::new(Candidates::Smallest, kind)),
            Function::Largest(kind) => Self::Queue(Queue::new(Candidates::Largest, kind)),
            Function::First => Self::Queue(Queue::new(Candidates::Oldest, CellKind::Unsigned)),
            Function::Newest => Self::Newest(Newest::new()),
        }
    }

    /// The state as one that rounds, if it does.
    pub(super) fn rounded(&self) -> Option<&dyn Rounded> {
        match self {
            Self::FloatSum(state) => Some(state),
            Self::Average(state) => Some(state),
            Self::Sample(state) => Some(state),
            Self::Population(state) => Some(state),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn rounded_mut(&mut self) -> Option<&mut dyn Rounded> {
        match self {
            Self::FloatSum(state) => Some(state),
            Self::Average(state) => Some(state),
            Self::Sample(state) => Some(state),
            Self::Population(state) => Some(state),
            _ => None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Count(state) => state.bytes(),
            Self::Distinct(state, _) => state.bytes(),
            Self::IntegerSum(state) => state.bytes(),
            Self::FloatSum(state) => state.bytes(),
            Self::Average(state) => state.bytes(),
            Self::Sample(state) => state.bytes(),
            Self::Population(state) => state.bytes(),
            Self::Queue(state) => state.bytes(),
            Self::Newest(state) => state.bytes(),
        }
    }
}
