//! Which partition an input stands for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::source::InputId;

/// A partition of a topic.
pub type TopicPartition = (Arc<str>, i32);

/// The partition of every input that the source has ever told; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<HashMap<InputId, TopicPartition>>>);

impl Places {
    /// Topic and number of the partition; also of one that has vanished.
    pub fn get(&self, input: InputId) -> Option<TopicPartition> {
        self.known().get(&input).cloned()
    }

    pub(super) fn add(&self, input: InputId, partition: TopicPartition) {
        self.known().insert(input, partition);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<InputId, TopicPartition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
