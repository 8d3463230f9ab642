//! Commits, on a thread of their own: the library does not call back for those that are not waited
//! for, and waiting for one must not keep the group from being polled.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::{Error, Result};

/// The thread; one commit is on its way at a time. It ends when this is dropped.
pub(super) struct Committer {
    lists: SyncSender<TopicPartitionList>,
    results: Receiver<KafkaResult<()>>,
}

impl Committer {
    pub(super) fn start<C: ConsumerContext + 'static>(
        consumer: &Arc<BaseConsumer<C>>,
    ) -> Result<Self> {
        let (lists, asked) = sync_channel::<TopicPartitionList>(1);
        let (sender, results) = sync_channel(1);
        // The consumer is closed by the thread that polls.
        let consumer = Arc::downgrade(consumer);
        let run = move || {
            for list in asked {
                let Some(consumer) = consumer.upgrade() else { return };
                let result = consumer.commit(&list, CommitMode::Sync);
                if sender.send(result).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("nightlatch-commit".to_owned()).spawn(run).map_err(
            |error| Error::unexpected("cannot start a thread").detail(error.to_string()),
        )?;
        Ok(Self { lists, results })
    }

    /// Sends a commit; only when no other is on its way.
    pub(super) fn send(&self, list: TopicPartitionList) {
        // The thread outlives this.
        let _ = self.lists.try_send(list);
    }

    /// What became of it, once that is known.
    pub(super) fn result(&self) -> Option<KafkaResult<()>> {
        self.results.try_recv().ok()
    }
}
