//! What every destination that is not behind HTTP has in common: it takes many revisions at once, and
//! may block meanwhile.

use serde::{Deserialize, Serialize};

use super::outbox::Entry;
use super::record::AlertRecord;
use crate::Result;
use crate::event::TimeMicros;

/// One revision on its way.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) entry: Entry,
    /// What the entry says.
    pub(crate) alert: AlertRecord,
}

/// The last revision that a receiver has, as it remembers itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) at: TimeMicros,
    pub(crate) id: String,
    pub(crate) revision: u64,
}

/// A revision that will never be taken.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Which of the batch.
    pub(crate) index: usize,
    pub(crate) reason: String,
}

/// One kind of receiver that takes revisions in order.
pub(crate) trait BatchDestination: Send {
    /// Whether it can deliver without [`BatchDestination::begin`].
    fn is_ready(&self) -> bool {
        true
    }

    /// Connects. If the receiver itself remembers what it has, everything up to there is skipped.
    fn begin(&mut self) -> Result<Option<Position>> {
        Ok(None)
    }

    /// Delivers all but those that will never be taken. After an error all of them come again.
    fn deliver(&mut self, items: &[Item]) -> Result<Vec<Refusal>>;

    /// Makes what was delivered durable.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// This instance is not the active one: lets go of what only one may hold.
    fn pause(&mut self) {}

    /// Whether nobody reads any more.
    fn reader_gone(&self) -> bool {
        false
    }
}
