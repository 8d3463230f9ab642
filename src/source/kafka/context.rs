//! Callbacks of the client library, turned into one closed list of changes.
//!
//! All of them run inside a poll, on the thread that polls; only log lines come from other threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::commits::Commits;
use super::metrics::{KafkaErrorKind, KafkaMetrics};

/// What happened inside a poll beside messages.
pub(super) enum Change {
    /// These partitions are ours from now on.
    Assigned(Vec<(String, i32)>),
    /// These partitions are no longer ours.
    Revoked(Vec<(String, i32)>),
    /// What the library knows of brokers and partitions.
    Statistics(Box<Statistics>),
}

pub(super) struct Context {
    pub(super) commits: Commits,
    pub(super) metrics: KafkaMetrics,
    changes: Mutex<Vec<Change>>,
    callbacks: AtomicU64,
}

impl Context {
    pub(super) fn new(commits: Commits, metrics: KafkaMetrics) -> Self {
        Self { commits, metrics, changes: Mutex::default(), callbacks: AtomicU64::new(0) }
    }

    /// The changes since the last call.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes())
    }

    /// Number of callbacks so far: a poll that gave nothing, and called nothing back, met an empty
    /// queue.
    pub(super) fn callbacks(&self) -> u64 {
        self.callbacks.load(Ordering::Relaxed)
    }

    fn changes(&self) -> MutexGuard<'_, Vec<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called_back(&self) {
        self.callbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// Last chance to commit what has been dealt with, before somebody else reads on.
    fn commit_before_revocation(&self, consumer: &BaseConsumer<Self>) {
        // A lost assignment has a new owner already; its offsets are not ours to move.
        if consumer.assignment_lost() {
            return;
        }
        let list = match self.commits.take() {
            Ok(Some(list)) => list,
            Ok(None) => return,
            Err(error) => return self.commit_failed(&error),
        };
        if let Err(error) = consumer.commit(&list, CommitMode::Sync) {
            self.commit_failed(&error);
        }
    }

    pub(super) fn commit_failed(&self, error: &KafkaError) {
        self.metrics.error(KafkaErrorKind::Commit);
        tracing::warn!(%error, "offsets were not committed; a restart reads some messages again");
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<(String, i32)> {
    list.elements()
        .iter()
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // The library's own words are detail: what matters is said by the source, once.
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", "{facility}: {message}");
            }
            _ => tracing::debug!(target: "librdkafka", "{facility}: {message}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.called_back();
        self.changes().push(Change::Statistics(Box::new(statistics)));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.called_back();
        // The end of a partition comes by this way too, and is no error.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::debug!(target: "librdkafka", %error, reason);
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.called_back();
        match rebalance {
            Rebalance::Assign(_) => {}
            Rebalance::Revoke(list) => {
                self.commit_before_revocation(consumer);
                self.changes().push(Change::Revoked(partitions(list)));
            }
            Rebalance::Error(error) => {
                self.metrics.error(KafkaErrorKind::Other);
                tracing::warn!(%error, "the consumer group could not share out its partitions");
            }
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            self.changes().push(Change::Assigned(partitions(list)));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        self.called_back();
        match result {
            // Nothing was stored for some partition: not an error of ours.
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => self.commit_failed(&error),
        }
    }
}
