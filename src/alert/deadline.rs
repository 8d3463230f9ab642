//! Moments of event time at which an episode has something to say.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::TimeMicros;

/// What is due. An episode that closes needs no update at the same moment, so closing comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Close,
    Update,
}

/// One moment. The order of the fields is the order in which deadlines fire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    pub(super) time: TimeMicros,
    pub(super) due: Due,
    /// The rule's place among all rules in the order of their ids.
    pub(super) rank: usize,
    pub(super) entity: Arc<str>,
}

/// All pending deadlines: at most one of each kind for each open episode.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<Deadline>);

impl Deadlines {
    pub(super) fn insert(&mut self, deadline: Deadline) {
        self.0.insert(deadline);
    }

    pub(super) fn remove(&mut self, deadline: &Deadline) {
        self.0.remove(deadline);
    }

    /// The next deadline before `time`.
    pub(super) fn pop_before(&mut self, time: TimeMicros) -> Option<Deadline> {
        if self.0.first()?.time < time { self.0.pop_first() } else { None }
    }

    /// Takes all updates, in order; what is left are the closes.
    pub(super) fn take_updates(&mut self) -> Vec<Deadline> {
        self.0.extract_if(.., |deadline| deadline.due == Due::Update).collect()
    }
}
