//! One queue of fetched records for each partition.
//!
//! The library fetches ahead into each of them and stops at `queued.max.messages.kbytes`. So the
//! partition that holds the watermark back is read first, whatever the others have in store, and
//! nothing that was fetched need be thrown away.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;

use super::context::Context;
use crate::source::InputId;
use crate::{Error, Result};

pub(super) struct Queues {
    // Dropped before the consumer: the library wants its queues back before it ends.
    queues: BTreeMap<InputId, PartitionQueue<Context>>,
    consumer: Arc<BaseConsumer<Context>>,
    filled: Arc<Signal>,
}

/// Says that a queue was empty and is not any more.
#[derive(Default)]
struct Signal {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Queues {
    pub(super) fn new(consumer: Arc<BaseConsumer<Context>>) -> Self {
        Self { queues: BTreeMap::new(), consumer, filled: Arc::default() }
    }

    /// A queue of its own for a partition that is not assigned yet: later its first records could
    /// already lie in the common one.
    ///
    /// # Errors
    /// When the library knows no such partition.
    pub(super) fn open(&mut self, input: InputId, topic: &str, number: i32) -> Result<()> {
        let Some(mut queue) = self.consumer.split_partition_queue(topic, number) else {
            return Err(Error::unexpected("a partition cannot be read")
                .detail(format!("{topic}[{number}] has no queue")));
        };
        let filled = self.filled.clone();
        queue.set_nonempty_callback(move || filled.set());
        self.queues.insert(input, queue);
        Ok(())
    }

    pub(super) fn close(&mut self, input: InputId) {
        self.queues.remove(&input);
    }

    /// The next record of a partition, if one is there.
    pub(super) fn poll(&self, input: InputId) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.queues.get(&input)?.poll(Duration::ZERO)
    }

    /// All partitions, each once, the one after `last` first.
    pub(super) fn after(&self, last: InputId) -> Vec<InputId> {
        let behind = self.queues.keys().filter(|input| **input > last);
        behind.chain(self.queues.keys().filter(|input| **input <= last)).copied().collect()
    }

    /// From now on [`Queues::wait`] waits for what comes. To be called before looking into the queues,
    /// so that nothing comes unnoticed between looking and waiting.
    pub(super) fn expect(&self) {
        *self.filled.lock() = false;
    }

    /// Waits until a queue has been filled.
    pub(super) fn wait(&self, timeout: Duration) {
        let is_set = self.filled.lock();
        let waited = self.filled.changed.wait_timeout_while(is_set, timeout, |is_set| !*is_set);
        drop(waited);
    }
}

impl Signal {
    fn set(&self) {
        *self.lock() = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
