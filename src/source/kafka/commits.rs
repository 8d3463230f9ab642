//! Which offsets may be committed: those whose records have been dealt with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::source::InputId;

/// A partition of a topic.
pub(super) type TopicPartition = (Arc<str>, i32);

#[derive(Debug, Default)]
struct Ledger {
    /// Inputs that this process owns now; only their offsets are ever committed.
    owned: HashMap<InputId, TopicPartition>,
    pending: HashMap<InputId, i64>,
}

/// The handle by which later stages say how far they have come. Clones share one state.
///
/// A position is the *next* offset to read, as Kafka wants it. Say it only when the records before
/// it are released, and the alerts that they made are delivered: after a restart reading goes on here.
#[derive(Debug, Clone, Default)]
pub struct Commits(Arc<Mutex<Ledger>>);

impl Commits {
    /// Everything of `input` before `next_offset` has been dealt with. Inputs that were taken away
    /// in the meantime are ignored: their new owner speaks for them.
    pub fn done(&self, input: InputId, next_offset: i64) {
        let mut ledger = self.ledger();
        if ledger.owned.contains_key(&input) {
            let pending = ledger.pending.entry(input).or_insert(next_offset);
            *pending = (*pending).max(next_offset);
        }
    }

    pub(super) fn own(&self, input: InputId, partition: TopicPartition) {
        self.ledger().owned.insert(input, partition);
    }

    pub(super) fn disown(&self, input: InputId) {
        let mut ledger = self.ledger();
        ledger.owned.remove(&input);
        ledger.pending.remove(&input);
    }

    /// Takes what is to be committed, if anything.
    pub(super) fn take(&self) -> KafkaResult<Option<TopicPartitionList>> {
        let mut ledger = self.ledger();
        let pending = std::mem::take(&mut ledger.pending);
        let mut list = TopicPartitionList::with_capacity(pending.len());
        for (input, next_offset) in pending {
            if let Some((topic, partition)) = ledger.owned.get(&input) {
                list.add_partition_offset(topic, *partition, Offset::Offset(next_offset))?;
            }
        }
        Ok((list.count() > 0).then_some(list))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_owned_inputs_are_committed_and_never_backwards() {
        let commits = Commits::default();
        commits.own(InputId(0), ("events".into(), 3));
        commits.done(InputId(0), 10);
        commits.done(InputId(0), 7);
        commits.done(InputId(1), 99);
        let list = commits.take().unwrap().unwrap();
        assert_eq!(list.count(), 1);
        assert_eq!(list.find_partition("events", 3).unwrap().offset(), Offset::Offset(10));
        assert!(commits.take().unwrap().is_none());
        commits.done(InputId(0), 11);
        commits.disown(InputId(0));
        assert!(commits.take().unwrap().is_none());
    }
}
