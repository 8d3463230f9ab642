//! Kafka: each partition that the consumer group gives us is an input of its own.
//!
//! One thread polls: whoever calls [`Source::next`]. While nobody calls, nothing is polled: the
//! library fetches ahead up to `queued.max.messages.kbytes` and then waits, which is how a slow
//! pipeline holds the brokers back. Not to call for `max.poll.interval.ms` (5 minutes) costs the
//! partitions; the next call says so and joins the group again.

mod commits;
mod connection;
mod context;
mod metrics;
mod partitions;
mod standing;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

pub use commits::Commits;
pub use connection::KafkaOptions;
pub use metrics::{KafkaErrorKind, KafkaMetrics};

use super::{Delivery, InputId, Source};
use crate::event::{Origins, TimeMicros};
use crate::{Error, Result};
use context::{Change, Context};
use partitions::Partitions;

/// A poll waits at most so long; then the caller may look after other things.
const POLL: Duration = Duration::from_millis(100);
/// Messages are gathered for at most so long before they are handed on.
const GATHER: Duration = Duration::from_millis(20);
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Gathered bytes above which only the input that holds the watermark back is read on.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Leaving the group may take so long.
const LEAVE: Duration = Duration::from_secs(2);
const REMINDER: Duration = Duration::from_secs(30);

/// A member of a consumer group.
pub struct Kafka {
    consumer: BaseConsumer<Context>,
    partitions: Partitions,
    link: Link,
    batch_events: usize,
    /// Some partitions are paused.
    paused: bool,
    committed_at: Instant,
}

/// Whether a broker is there: said when it changes, and now and again while none is.
struct Link {
    brokers: String,
    up: bool,
    said_at: Instant,
}

impl Kafka {
    /// Joins the group, once the brokers answer and have the topics.
    ///
    /// # Errors
    /// When that takes longer than the patience, or when `stop` is set meanwhile.
    pub fn connect(
        options: &KafkaOptions,
        origins: &mut Origins,
        metrics: KafkaMetrics,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let commits = Commits::default();
        let partitions = Partitions::new(options, origins, commits.clone(), metrics.clone());
        let consumer = connection::connect(options, Context::new(commits, metrics), stop)?;
        consumer.context().metrics.connected.set(1);
        let KafkaOptions { cluster, group, topics, .. } = options;
        let brokers = &cluster.brokers;
        tracing::info!(brokers, group, ?topics, "connected to Kafka");
        Ok(Self {
            consumer,
            partitions,
            link: Link { brokers: brokers.clone(), up: true, said_at: Instant::now() },
            batch_events: options.batch_events,
            paused: false,
            committed_at: Instant::now(),
        })
    }

    /// The handle by which later stages say what may be committed.
    pub fn commits(&self) -> Commits {
        self.consumer.context().commits.clone()
    }

    /// Takes what is there; waits only for the first message.
    fn gather(&mut self, wanted: Option<InputId>) -> Result<()> {
        self.hold_back(wanted);
        let (started, mut timeout, mut received_at) = (Instant::now(), POLL, 0);
        for _ in 0..self.batch_events {
            let context = self.consumer.context();
            let callbacks = context.callbacks();
            let polled = self.consumer.poll(timeout);
            if !timeout.is_zero() {
                // After the wait: a record that came just now is not from the future.
                received_at = now();
                timeout = Duration::ZERO;
            }
            let called_back = context.callbacks() != callbacks;
            if called_back {
                apply(context, &mut self.partitions, &mut self.link);
            }
            match polled {
                Some(Ok(message)) => self.partitions.keep(&message, received_at),
                Some(Err(error)) => failed(&error, &mut self.partitions, &context.metrics)?,
                None if called_back => {}
                None => {
                    self.partitions.look_at_snapshots(true);
                    break;
                }
            }
            if started.elapsed() > POLL + GATHER {
                break;
            }
        }
        Ok(())
    }

    /// Stops the fetching of inputs that are far ahead, while the wanted one is behind.
    fn hold_back(&mut self, wanted: Option<InputId>) {
        let held_bytes = self.partitions.held_bytes();
        let behind = wanted.filter(|input| self.partitions.lacks_batch(*input));
        match behind {
            Some(behind) if held_bytes > HELD_BYTES_MAX => {
                self.set_fetching(true, |input| input == behind);
                self.set_fetching(false, |input| input != behind);
                self.paused = true;
            }
            _ if self.paused && held_bytes < HELD_BYTES_MAX / 2 => {
                self.set_fetching(true, |_| true);
                self.paused = false;
            }
            _ => {}
        }
    }

    fn set_fetching(&self, on: bool, of: impl Fn(InputId) -> bool) {
        let mut list = TopicPartitionList::new();
        for (_, topic, number) in self.partitions.all().filter(|(input, ..)| of(*input)) {
            list.add_partition(topic, number);
        }
        let done = if on { self.consumer.resume(&list) } else { self.consumer.pause(&list) };
        if let Err(error) = done {
            tracing::debug!(%error, on, "cannot pause or resume partitions");
        }
    }

    fn commit(&mut self, mode: CommitMode) {
        self.committed_at = Instant::now();
        let context = self.consumer.context();
        let done = context.commits.take().and_then(|list| match list {
            Some(list) => self.consumer.commit(&list, mode),
            None => Ok(()),
        });
        if let Err(error) = done {
            context.commit_failed(&error);
        }
    }

    fn next_known(&mut self, wanted: Option<InputId>) -> Option<Delivery> {
        let news = self.partitions.news.pop_front();
        news.or_else(|| self.partitions.take_batch(wanted).map(Delivery::Batch))
    }
}

impl Source for Kafka {
    /// None is known before the group has shared out its partitions; each is told as
    /// [`Delivery::Joined`].
    fn inputs(&self) -> Vec<InputId> {
        Vec::new()
    }

    fn next(&mut self, wanted: Option<InputId>) -> Result<Option<Delivery>> {
        if self.committed_at.elapsed() >= COMMIT_EVERY {
            self.commit(CommitMode::Async);
        }
        if let Some(delivery) = self.next_known(wanted) {
            return Ok(Some(delivery));
        }
        self.gather(wanted)?;
        Ok(Some(self.next_known(wanted).unwrap_or(Delivery::Nothing)))
    }
}

impl Drop for Kafka {
    /// Commits what has been dealt with and leaves the group. The consumer's own drop waits for the
    /// end of the revocation, and may wait for ever unless polls before it have served it.
    fn drop(&mut self) {
        if self.link.up {
            self.commit(CommitMode::Sync);
        }
        self.consumer.unsubscribe();
        let started = Instant::now();
        while started.elapsed() < LEAVE {
            let _ = self.consumer.poll(POLL);
            if self.consumer.assignment().is_ok_and(|list| list.count() == 0) {
                break;
            }
        }
    }
}

impl Link {
    fn notice(&mut self, statistics: &Statistics, metrics: &KafkaMetrics) {
        let up = statistics.brokers.values().any(|broker| broker.state == "UP");
        let changed = up != self.up;
        metrics.connected.set(i64::from(up));
        if changed && up {
            tracing::info!(brokers = self.brokers, "Kafka is back");
        } else if !up && (changed || self.said_at.elapsed() >= REMINDER) {
            tracing::warn!(
                brokers = self.brokers,
                "no Kafka broker answers; trying until one does"
            );
        } else {
            return;
        }
        (self.up, self.said_at) = (up, Instant::now());
    }
}

fn apply(context: &Context, partitions: &mut Partitions, link: &mut Link) {
    for change in context.take_changes() {
        match change {
            Change::Assigned(list) => {
                list.iter().for_each(|(topic, number)| partitions.assigned(topic, *number));
            }
            Change::Revoked(list) => {
                list.iter().for_each(|(topic, number)| partitions.revoked(topic, *number));
            }
            Change::Statistics(statistics) => {
                link.notice(&statistics, &context.metrics);
                partitions.learn(&statistics);
            }
        }
    }
}

/// Everything but a fatal error is for the library to try again; here it is counted and told.
fn failed(error: &KafkaError, partitions: &mut Partitions, metrics: &KafkaMetrics) -> Result<()> {
    if let KafkaError::PartitionEOF(number) = error {
        partitions.end(*number);
        return Ok(());
    }
    let kind = kind(error);
    metrics.error(kind);
    match kind {
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
            return Err(Error::unexpected("the Kafka consumer cannot go on")
                .detail(error.to_string())
                .hint("nothing is lost: a restart reads on at the last committed offsets"));
        }
        // Told by `Link`, once for all brokers.
        KafkaErrorKind::Broker => {}
        KafkaErrorKind::PollInterval => tracing::warn!(
            "the pipeline took no events for max.poll.interval.ms, and the group took the \
             partitions away; joining again"
        ),
        KafkaErrorKind::Authorization => {
            tracing::error!(%error, "Kafka refuses this user; trying again");
        }
        KafkaErrorKind::Commit | KafkaErrorKind::Other => {
            tracing::warn!(%error, "Kafka reports an error; trying again");
        }
    }
    Ok(())
}

fn kind(error: &KafkaError) -> KafkaErrorKind {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::PollExceeded) => KafkaErrorKind::PollInterval,
        Some(
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut,
        ) => KafkaErrorKind::Broker,
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed,
        ) => KafkaErrorKind::Authorization,
        _ => KafkaErrorKind::Other,
    }
}

fn now() -> TimeMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
