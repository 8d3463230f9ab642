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
mod standing;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

pub use commits::Commits;
pub use connection::KafkaOptions;
pub use metrics::KafkaMetrics;

use super::{Delivery, InputId, RawBatch, Source};
use crate::event::reject::{RejectReason, Rejection};
use crate::event::{OriginKind, Origins, TimeMicros};
use crate::{Error, Result};
use commits::TopicPartition;
use context::{Change, Context};
use standing::{Snapshot, Standing};

/// A poll waits at most so long; then the caller may look after other things.
const POLL: Duration = Duration::from_millis(100);
/// Messages are gathered for at most so long before they are handed on.
const GATHER: Duration = Duration::from_millis(20);
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// The others wait at most so long for the input that holds the watermark back.
const HOLD: Duration = Duration::from_secs(1);
/// Gathered bytes above which only the input that holds the watermark back is read on.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A broker that was silent for less than this is there: a fetch is answered within half a second.
const SILENCE_MIN: Duration = Duration::from_secs(2);
const REMINDER: Duration = Duration::from_secs(30);

/// One partition that is ours.
struct Partition {
    key: TopicPartition,
    origin: u32,
    standing: Standing,
    /// Newest snapshot that nobody has looked at yet.
    snapshot: Option<Snapshot>,
    /// Batches that are not handed on yet.
    held: VecDeque<RawBatch>,
}

/// A consumer group's member.
pub struct Kafka {
    consumer: BaseConsumer<Context>,
    options: KafkaOptions,
    origins: HashMap<Arc<str>, u32>,
    partitions: HashMap<InputId, Partition>,
    by_key: HashMap<TopicPartition, InputId>,
    inputs_so_far: u32,
    /// Next offsets of what was handed on, also of partitions that were taken away since.
    handed_on: HashMap<TopicPartition, i64>,
    ready: VecDeque<Delivery>,
    held_bytes: usize,
    paused: bool,
    /// The input that the others wait for, and since when.
    holding: Option<(InputId, Instant)>,
    committed_at: Instant,
    connection: Connection,
}

/// Whether a broker is there, said once and then now and again.
struct Connection {
    up: bool,
    said_at: Instant,
}

impl Kafka {
    /// Joins the group, once the brokers answer and have the topics.
    ///
    /// # Errors
    /// When that takes longer than the patience, or when `stop` is set meanwhile.
    pub fn connect(
        options: KafkaOptions,
        origins: &mut Origins,
        metrics: KafkaMetrics,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let context = Context::new(Commits::default(), metrics);
        let consumer = connection::connect(&options, context, stop)?;
        consumer.context().metrics.connected.set(1);
        tracing::info!(brokers = options.brokers, group = options.group, topics = ?options.topics, "connected to Kafka");
        let name = |topic: &String| (Arc::from(topic.as_str()), origins.intern(OriginKind::Topic, topic));
        Ok(Self {
            origins: options.topics.iter().map(name).collect(),
            consumer,
            options,
            partitions: HashMap::new(),
            by_key: HashMap::new(),
            inputs_so_far: 0,
            handed_on: HashMap::new(),
            ready: VecDeque::new(),
            held_bytes: 0,
            paused: false,
            holding: None,
            committed_at: Instant::now(),
            connection: Connection { up: true, said_at: Instant::now() },
        })
    }

    /// The handle by which later stages say what may be committed.
    pub fn commits(&self) -> Commits {
        self.consumer.context().commits.clone()
    }

    // ---- What is handed on

    fn take_batch(&mut self, wanted: Option<InputId>) -> Option<Delivery> {
        let input = self.choose(wanted)?;
        let partition = self.partitions.get_mut(&input)?;
        let batch = partition.held.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(batch.n_bytes());
        if let Some(position) = batch.last_position() {
            self.handed_on.insert(partition.key.clone(), position + 1);
        }
        Some(Delivery::Batch(batch))
    }

    /// The wanted input where it has a batch. While it is behind, the others wait, so that none
    /// runs far ahead of it in event time; but not for ever.
    fn choose(&mut self, wanted: Option<InputId>) -> Option<InputId> {
        let has_batch = |partition: &Partition| !partition.held.is_empty();
        if let Some((input, partition)) = wanted.and_then(|input| Some((input, self.partitions.get(&input)?))) {
            if has_batch(partition) {
                self.holding = None;
                return Some(input);
            }
            if !partition.standing.at_end() && self.hold_for(input) {
                return None;
            }
        }
        // The one with most in store, so that nobody starves.
        let fullest = self.partitions.iter().filter(|(_, partition)| has_batch(partition));
        fullest.max_by_key(|(input, partition)| (partition.held.len(), **input)).map(|(input, _)| *input)
    }

    fn hold_for(&mut self, input: InputId) -> bool {
        match self.holding {
            Some((held_for, since)) if held_for == input => since.elapsed() < HOLD,
            _ => {
                self.holding = Some((input, Instant::now()));
                true
            }
        }
    }

    // ---- Polling

    /// Takes what is there; waits only for the first message.
    fn gather(&mut self, wanted: Option<InputId>) -> Result<()> {
        self.hold_back(wanted);
        let (started, mut n_events, mut timeout) = (Instant::now(), 0, POLL);
        while n_events < self.options.batch_events && started.elapsed() < POLL + GATHER {
            let callbacks = self.consumer.context().callbacks();
            // The consumer lends its messages; nothing else of `self` may be touched meanwhile.
            let polled = match self.consumer.poll(timeout) {
                Some(Ok(message)) => Polled::Message(Copied::of(&message)),
                Some(Err(error)) => Polled::Error(error),
                None if self.consumer.context().callbacks() == callbacks => Polled::Empty,
                None => Polled::Callback,
            };
            self.apply_changes();
            match polled {
                Polled::Message(message) => {
                    self.keep(message);
                    n_events += 1;
                }
                Polled::Error(error) => self.polled_error(error)?,
                Polled::Empty => {
                    self.look_at_snapshots(true);
                    break;
                }
                Polled::Callback => break,
            }
            timeout = Duration::ZERO;
        }
        Ok(())
    }

    fn keep(&mut self, message: Copied) {
        let key: TopicPartition = (message.topic, message.partition);
        let Some(input) = self.by_key.get(&key).copied() else { return };
        let Some(partition) = self.partitions.get_mut(&input) else { return };
        if partition.standing.record(message.offset) {
            self.ready.push_back(Delivery::Active(input));
        }
        let metrics = &self.consumer.context().metrics;
        if self.handed_on.get(&key).is_some_and(|next| message.offset < *next) {
            metrics.redelivered.inc();
            return;
        }
        let Some(payload) = message.payload else {
            metrics.tombstones.inc();
            return;
        };
        let received_at = now();
        let fits = partition.held.back().is_some_and(|batch| batch.len() < self.options.batch_events);
        if !fits {
            partition.held.push_back(RawBatch::new(input, partition.origin, key.1, received_at));
        }
        let Some(batch) = partition.held.back_mut() else { return };
        batch.received_at = received_at;
        batch.written_at = received_at;
        self.held_bytes += payload.len();
        if payload.len() > self.options.record_bytes_max {
            reject_long(batch, message.offset, payload, self.options.record_bytes_max);
        } else {
            batch.push(message.offset, &payload);
        }
    }

    fn polled_error(&mut self, error: KafkaError) -> Result<()> {
        let metrics = &self.consumer.context().metrics;
        match error {
            KafkaError::PartitionEOF(partition) => self.partition_end(partition),
            KafkaError::MessageConsumptionFatal(code) => {
                metrics.error("other");
                return Err(Error::unexpected("the Kafka consumer cannot go on")
                    .detail(code.to_string())
                    .hint("nothing is lost: a restart reads on at the last committed offsets"));
            }
            error => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::PollExceeded) => {
                    metrics.error("poll_interval");
                    tracing::warn!(
                        "the pipeline took no events for max.poll.interval.ms: the group has taken the partitions away; joining again"
                    );
                }
                Some(
                    RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::OperationTimedOut,
                ) => metrics.error("broker"),
                Some(
                    RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SaslAuthenticationFailed,
                ) => {
                    metrics.error("authorization");
                    tracing::error!(%error, "Kafka refuses this user; trying again");
                }
                _ => {
                    metrics.error("other");
                    tracing::warn!(%error, "Kafka reports an error; trying again");
                }
            },
        }
        Ok(())
    }

    /// The library names the partition's number alone: with several topics that may be ambiguous,
    /// and then only the statistics tell.
    fn partition_end(&mut self, number: i32) {
        let mut same = self.partitions.values_mut().filter(|partition| partition.key.1 == number);
        if let (Some(partition), None) = (same.next(), same.next()) {
            partition.standing.end();
        }
    }

    /// Stops the fetching of inputs that are far ahead, while the wanted one is behind.
    fn hold_back(&mut self, wanted: Option<InputId>) {
        let full = self.held_bytes > HELD_BYTES_MAX;
        let behind = wanted.filter(|input| {
            self.partitions.get(input).is_some_and(|partition| partition.held.is_empty())
        });
        let (Some(behind), true) = (behind, full) else {
            if self.paused && self.held_bytes < HELD_BYTES_MAX / 2 {
                self.paused = false;
                self.set_fetching(true, None);
            }
            return;
        };
        self.set_fetching(true, Some(behind));
        self.set_fetching(false, Some(behind));
        self.paused = true;
    }

    /// Resumes (all, or just `input`) or pauses (all but `input`).
    fn set_fetching(&self, on: bool, input: Option<InputId>) {
        let mut list = TopicPartitionList::new();
        for (id, partition) in &self.partitions {
            if input.is_none_or(|input| (input == *id) == on) {
                list.add_partition(&partition.key.0, partition.key.1);
            }
        }
        let done = if on { self.consumer.resume(&list) } else { self.consumer.pause(&list) };
        if let Err(error) = done {
            tracing::debug!(%error, on, "cannot pause or resume");
        }
    }

    // ---- What polls bring beside messages

    fn apply_changes(&mut self) {
        for change in self.consumer.context().take_changes() {
            match change {
                Change::Assigned(keys) => keys.into_iter().for_each(|key| self.assigned(key)),
                Change::Revoked(keys) => keys.into_iter().for_each(|key| self.revoked(key)),
                Change::Statistics(statistics) => self.learn(&statistics),
            }
        }
    }

    fn assigned(&mut self, (topic, number): (String, i32)) {
        let Some((topic, origin)) = self.origins.get_key_value(topic.as_str()) else { return };
        let (input, key) = (InputId(self.inputs_so_far), (topic.clone(), number));
        tracing::info!(topic = &*key.0, partition = number, "partition assigned");
        self.inputs_so_far += 1;
        let partition = Partition {
            key: key.clone(),
            origin: *origin,
            standing: Standing::default(),
            snapshot: None,
            held: VecDeque::new(),
        };
        self.partitions.insert(input, partition);
        self.by_key.insert(key.clone(), input);
        self.consumer.context().commits.own(input, key);
        self.ready.push_back(Delivery::Joined(input));
    }

    /// What was fetched and not handed on is left to the new owner.
    fn revoked(&mut self, (topic, number): (String, i32)) {
        let key = (Arc::from(topic), number);
        let Some(input) = self.by_key.remove(&key) else { return };
        tracing::info!(topic = &*key.0, partition = number, "partition revoked");
        if let Some(partition) = self.partitions.remove(&input) {
            let n_bytes: usize = partition.held.iter().map(RawBatch::n_bytes).sum();
            self.held_bytes = self.held_bytes.saturating_sub(n_bytes);
        }
        self.consumer.context().commits.disown(input);
        self.consumer.context().metrics.forget_lag(&key.0, number);
        self.ready.push_back(Delivery::Finished(input));
    }

    fn learn(&mut self, statistics: &Statistics) {
        // What nobody could look at while the queue was empty is looked at as it is.
        self.look_at_snapshots(false);
        self.notice_connection(statistics);
        let silence_max = self.options.idle_after.max(SILENCE_MIN).as_micros();
        for partition in self.partitions.values_mut() {
            let (topic, number) = &partition.key;
            let known = statistics.topics.get(&**topic).and_then(|topic| topic.partitions.get(number));
            let Some(known) = known else { continue };
            let mut brokers = statistics.brokers.values();
            let fresh = brokers.any(|broker| {
                broker.nodeid == known.broker
                    && broker.state == "UP"
                    && u128::try_from(broker.rxidle).is_ok_and(|silence| silence < silence_max)
            });
            partition.snapshot = Some(Snapshot {
                at_micros: statistics.ts,
                next_offset: known.next_offset,
                high_watermark: known.hi_offset,
                fresh,
                drained: false,
            });
            if known.hi_offset >= 0 {
                // A topic that was made anew starts at 0 again.
                if self.handed_on.get(&partition.key).is_some_and(|next| *next > known.hi_offset) {
                    self.handed_on.remove(&partition.key);
                }
                let start = known.committed_offset.max(known.lo_offset).max(0);
                let lag = partition.standing.lag(known.hi_offset, start);
                self.consumer.context().metrics.set_lag(topic, *number, lag);
            }
        }
    }

    fn look_at_snapshots(&mut self, drained: bool) {
        let idle_after = i64::try_from(self.options.idle_after.as_micros()).unwrap_or(i64::MAX);
        for (input, partition) in &mut self.partitions {
            // What is held is not handed on yet, so the partition is not at its end for the others.
            let Some(snapshot) = partition.snapshot.take().filter(|_| partition.held.is_empty()) else { continue };
            let drained = Snapshot { drained, ..snapshot };
            match partition.standing.observe(&drained, idle_after) {
                Some(true) => self.ready.push_back(Delivery::Idle(*input)),
                Some(false) => self.ready.push_back(Delivery::Active(*input)),
                None => {}
            }
        }
    }

    fn notice_connection(&mut self, statistics: &Statistics) {
        let up = statistics.brokers.values().any(|broker| broker.state == "UP");
        let changed = up != self.connection.up;
        let brokers = &self.options.brokers;
        self.consumer.context().metrics.connected.set(i64::from(up));
        if changed && up {
            tracing::info!(brokers, "Kafka is back");
        } else if !up && (changed || self.connection.said_at.elapsed() >= REMINDER) {
            tracing::warn!(brokers, "no Kafka broker answers; nothing is lost, trying until one does");
        } else {
            return;
        }
        self.connection = Connection { up, said_at: Instant::now() };
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
        if let Some(delivery) = self.ready.pop_front() {
            return Ok(Some(delivery));
        }
        if let Some(delivery) = self.take_batch(wanted) {
            return Ok(Some(delivery));
        }
        self.gather(wanted)?;
        let delivery = self.ready.pop_front().or_else(|| self.take_batch(wanted));
        Ok(Some(delivery.unwrap_or(Delivery::Nothing)))
    }
}

impl Drop for Kafka {
    /// Commits what has been dealt with and leaves the group. The consumer's own drop waits for the
    /// end of the revocation, and may wait for ever unless the polls before it have served it.
    fn drop(&mut self) {
        self.commit(CommitMode::Sync);
        self.consumer.unsubscribe();
        let started = Instant::now();
        while started.elapsed() < 2 * HOLD {
            let _ = self.consumer.poll(POLL);
            let left = self.consumer.assignment().map_or(0, |list| list.count());
            if left == 0 {
                break;
            }
        }
    }
}

/// What one poll gave.
enum Polled {
    Message(Copied),
    Error(KafkaError),
    /// The queue was empty.
    Empty,
    /// Only callbacks ran.
    Callback,
}

/// A message, free of the consumer that lent it.
struct Copied {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    payload: Option<Vec<u8>>,
}

impl Copied {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        Self {
            topic: Arc::from(message.topic()),
            partition: message.partition(),
            offset: message.offset(),
            payload: message.payload().map(<[u8]>::to_vec),
        }
    }
}

fn reject_long(batch: &mut RawBatch, offset: i64, raw: Vec<u8>, bytes_max: usize) {
    let message = format!(
        "record of {} bytes is longer than {bytes_max}\nhint: raise input.record_bytes_max",
        raw.len()
    );
    let place = batch.place_of(offset);
    batch.rejections.push(Rejection { place, reason: RejectReason::RecordTooLong, message, raw });
}

fn now() -> TimeMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
