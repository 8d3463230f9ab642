//! The member of the group, and its thread.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::state::{Asked, State};
use crate::kafka::{Cluster, Listener, create_topic, refused};
use crate::source::kafka::metrics::{KafkaErrorKind, LeaseChange};
use crate::source::kafka::{KafkaOptions, group, kind};
use crate::{Error, Result};

const POLL: Duration = Duration::from_millis(50);
/// How often a standby reads how far the active instance has delivered.
const READ_EVERY: Duration = Duration::from_secs(1);
/// The brokers must answer such a question within this.
const ANSWER: Duration = Duration::from_secs(1);
/// After a commit that failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// So many failures in a row that a rebalance may cause; then the membership is in doubt.
const FAILURES_MAX: u32 = 10;
/// The last commit, and letting go of the partition, may take so long.
const FLUSH: Duration = Duration::from_secs(2);
const MAX_POLL_INTERVAL: (&str, u64) = ("max.poll.interval.ms", 300_000);

const DEFAULTS: [(&str, &str); 1] = [super::SESSION_TIMEOUT];

const FIXED: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    // Whoever holds the lease keeps it when others come and go.
    ("partition.assignment.strategy", "cooperative-sticky"),
];

struct Context {
    listener: Listener,
    state: Arc<State>,
    topic: String,
    /// The partition is ours.
    owned: AtomicBool,
    /// What became of the commit on its way.
    committed: Mutex<Option<KafkaResult<()>>>,
}

impl Context {
    fn owned(&self) -> bool {
        self.owned.load(Ordering::Acquire)
    }

    fn holds_lease(&self, list: &TopicPartitionList) -> bool {
        list.find_partition(&self.topic, 0).is_some()
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.listener.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.listener.error(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        self.listener.token()
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(_) => {}
            Rebalance::Revoke(list) => {
                if self.holds_lease(list) {
                    self.owned.store(false, Ordering::Release);
                    let (change, why) = if consumer.assignment_lost() {
                        (LeaseChange::Lost, "the group did not hear of this instance")
                    } else {
                        (LeaseChange::Revoked, "the group gives it to another instance")
                    };
                    self.state.give_up(change, why);
                }
            }
            Rebalance::Error(error) => {
                self.state.metrics.error(KafkaErrorKind::Other);
                tracing::warn!(%error, "the consumer group could not share out the lease");
            }
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance
            && self.holds_lease(list)
        {
            self.owned.store(true, Ordering::Release);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}

pub(super) struct Member {
    consumer: BaseConsumer<Context>,
    state: Arc<State>,
    topic: String,
    cluster: Cluster,
    watchdog: Watchdog,
    /// What is on its way to the broker.
    in_flight: Option<Asked>,
    failures: u32,
    retry_at: Instant,
    read_at: Option<Instant>,
    session_timeout: Duration,
}

/// Looks whether the pipeline makes progress.
struct Watchdog {
    alive: Arc<AtomicU64>,
    seen: u64,
    seen_at: Instant,
    patience: Duration,
    /// The pipeline stands still, and the group is left.
    barks: bool,
}

impl Watchdog {
    /// Looks; the answer is the new state when it has changed.
    fn look(&mut self) -> Option<bool> {
        let alive = self.alive.load(Ordering::Relaxed);
        if alive != self.seen || alive == 0 {
            (self.seen, self.seen_at) = (alive, Instant::now());
        }
        let barks = self.seen_at.elapsed() >= self.patience;
        let changed = barks != self.barks;
        self.barks = barks;
        changed.then_some(barks)
    }
}

impl Member {
    pub(super) fn connect(
        options: &KafkaOptions,
        state: Arc<State>,
        alive: Arc<AtomicU64>,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let (cluster, topic) = (&options.cluster, &options.lease_topic);
        let mut config = cluster.client_config(&DEFAULTS, &FIXED);
        config.set("group.id", &options.group);
        let milliseconds = |key: &str, default: u64| {
            let set = config.get(key).and_then(|text| text.parse().ok());
            Duration::from_millis(set.unwrap_or(default))
        };
        let patience = milliseconds(MAX_POLL_INTERVAL.0, MAX_POLL_INTERVAL.1);
        let session_timeout = milliseconds(super::SESSION_TIMEOUT.0, 10_000);
        let context = Context {
            listener: Listener::new(cluster),
            state: state.clone(),
            topic: topic.clone(),
            owned: AtomicBool::new(false),
            committed: Mutex::default(),
        };
        let consumer: BaseConsumer<Context> =
            config.create_with_context(context).map_err(|error| refused(&error))?;
        ready_topic(cluster, &consumer, topic, stop)?;
        let now = Instant::now();
        let watchdog = Watchdog { alive, seen: 0, seen_at: now, patience, barks: false };
        let member = Self {
            consumer,
            state,
            topic: topic.clone(),
            cluster: cluster.clone(),
            watchdog,
            in_flight: None,
            failures: 0,
            retry_at: now,
            read_at: None,
            session_timeout,
        };
        member.subscribe();
        Ok(member)
    }

    /// Lives until the membership is dropped.
    pub(super) fn run(mut self) {
        let mut looked_at = Instant::now();
        while !self.state.closing() {
            self.poll(POLL);
            // A process that was stopped, or a machine that slept: the group has forgotten us, and
            // the library may not know that yet.
            let silence = looked_at.elapsed();
            looked_at = Instant::now();
            if silence >= self.session_timeout
                && self.state.give_up(LeaseChange::Lost, "the process stood still")
            {
                self.rejoin();
            }
            self.watch();
            self.settle_commit();
            self.send_commit();
            self.read_progress();
        }
        self.leave();
    }

    fn poll(&self, timeout: Duration) {
        let Some(Err(error)) = self.consumer.poll(timeout) else { return };
        match kind(&error) {
            KafkaErrorKind::Authorization => {
                self.state.metrics.error(KafkaErrorKind::Authorization);
                tracing::error!(%error, "Kafka refuses this user the consumer group");
            }
            _ => tracing::debug!(%error, "the lease's consumer reports an error"),
        }
        let is_gone = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
        );
        if is_gone && let Err(reason) = create_topic(&self.cluster, &self.topic, 1) {
            tracing::error!(topic = self.topic, reason, "the lease topic is gone");
        }
    }

    // ---- Membership

    fn subscribe(&self) {
        if let Err(error) = self.consumer.subscribe(&[&self.topic]) {
            tracing::error!(%error, "cannot subscribe to the lease topic");
        }
    }

    /// Lets go of the partition, and polls until that has gone through: the callback is served by
    /// polls alone.
    fn unsubscribe(&self) {
        self.consumer.unsubscribe();
        let started = Instant::now();
        while started.elapsed() < FLUSH {
            self.poll(POLL);
            if self.consumer.assignment().is_ok_and(|list| list.count() == 0) {
                break;
            }
        }
    }

    /// A member with a new name: whatever the group thinks of the old one.
    fn rejoin(&self) {
        self.unsubscribe();
        self.subscribe();
    }

    fn watch(&mut self) {
        match self.watchdog.look() {
            Some(true) => {
                self.state.metrics.error(KafkaErrorKind::PollInterval);
                let patience = self.watchdog.patience;
                tracing::error!(?patience, "the pipeline stands still; leaving the consumer group");
                self.state.give_up(LeaseChange::Lost, "the pipeline stands still");
                self.unsubscribe();
            }
            Some(false) => {
                tracing::info!("the pipeline goes on; joining the consumer group again");
                self.subscribe();
            }
            None => {}
        }
    }

    fn leave(&mut self) {
        let started = Instant::now();
        while started.elapsed() < FLUSH {
            self.settle_commit();
            if self.in_flight.is_none() {
                self.retry_at = Instant::now();
                self.send_commit();
                if self.in_flight.is_none() {
                    break;
                }
            }
            self.poll(POLL);
        }
        self.state.give_up(LeaseChange::Revoked, "this instance ends");
        self.unsubscribe();
    }

    // ---- How far the group has come

    /// Reads it when it is time; a lease counts as gained when that has gone well.
    fn read_progress(&mut self) {
        if self.state.generation().is_some() {
            return;
        }
        let owned = self.consumer.context().owned() && !self.watchdog.barks;
        if !owned && self.read_at.is_some_and(|read_at| read_at.elapsed() < READ_EVERY) {
            return;
        }
        self.read_at = Some(Instant::now());
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, 0);
        let read = self.consumer.committed_offsets(list, ANSWER);
        match read.and_then(|list| group::progress(&list)) {
            Ok(progress) => {
                self.state.learn(progress.and_then(|progress| progress.delivered_until));
                if owned {
                    self.failures = 0;
                    self.state.gain();
                }
            }
            Err(error) => tracing::debug!(%error, "what the group has committed cannot be read"),
        }
    }

    fn send_commit(&mut self) {
        if self.in_flight.is_some() || Instant::now() < self.retry_at {
            return;
        }
        let Some(asked) = self.state.take() else { return };
        let sent =
            self.list(&asked).and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        self.in_flight = Some(asked);
        if let Err(error) = sent {
            self.failed(&error);
        }
    }

    /// How far alerts are delivered is said with each offset, and with the lease's own partition,
    /// which is there even when no offset is committed yet.
    fn list(&self, asked: &Asked) -> KafkaResult<TopicPartitionList> {
        let note = group::note(asked.delivered_until.max(self.state.delivered_until()));
        let mut list = TopicPartitionList::with_capacity(asked.offsets.len() + 1);
        let lease = [(self.topic.as_str(), 0, 0)];
        let offsets =
            asked.offsets.iter().map(|((topic, number), next)| (&**topic, *number, *next));
        for (topic, number, next_offset) in lease.into_iter().chain(offsets) {
            let mut element = list.add_partition(topic, number);
            element.set_offset(Offset::Offset(next_offset))?;
            element.set_metadata(&note);
        }
        Ok(list)
    }

    fn settle_commit(&mut self) {
        let committed = &self.consumer.context().committed;
        let result = committed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match result {
            Some(Ok(())) => {
                self.failures = 0;
                let done = self.in_flight.take();
                self.state.learn(done.and_then(|done| done.delivered_until));
            }
            Some(Err(error)) => self.failed(&error),
            None => {}
        }
    }

    /// A rebalance, and an outage, turn commits away too; the membership is in doubt when a broker
    /// does not know it, or when that goes on for long.
    fn failed(&mut self, error: &KafkaError) {
        use RDKafkaErrorCode as Code;
        let metrics = &self.state.metrics;
        metrics.error(KafkaErrorKind::Commit);
        let Some(asked) = self.in_flight.take() else { return };
        self.retry_at = Instant::now() + RETRY_AFTER;
        let code = error.rdkafka_error_code();
        let is_fenced = matches!(
            code,
            Some(Code::UnknownMemberId | Code::FencedInstanceId | Code::IllegalGeneration)
        );
        self.failures += u32::from(is_fenced);
        let is_certain = is_fenced && code != Some(Code::IllegalGeneration);
        if !is_certain && self.failures < FAILURES_MAX {
            tracing::debug!(%error, "offsets are not committed yet");
            return self.state.put_back(asked);
        }
        metrics.commits_fenced.inc();
        self.failures = 0;
        if self.state.give_up(LeaseChange::Lost, "the broker turned a commit away") {
            self.rejoin();
        }
    }
}

/// Returns once the lease topic is there; makes it if need be.
fn ready_topic(
    cluster: &Cluster,
    consumer: &BaseConsumer<Context>,
    topic: &str,
    stop: &AtomicBool,
) -> Result<()> {
    let listener = &consumer.context().listener;
    let serve = || drop(consumer.poll(Duration::ZERO));
    let n_partitions = |timeout| {
        let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.filter(|topic| topic.error().is_none()).map_or(0, |t| t.partitions().len()))
    };
    match cluster.ask(listener, stop, serve, n_partitions)? {
        0 => {}
        1 => return Ok(()),
        n => {
            tracing::warn!(topic, partitions = n, "the lease topic has more than one partition");
            return Ok(());
        }
    }
    tracing::info!(topic, "making the lease topic");
    create_topic(cluster, topic, 1).map_err(|reason| {
        let brokers = &cluster.brokers;
        Error::unavailable(format!("the lease topic `{topic}` cannot be made"))
            .at("kafka.lease_topic")
            .detail(reason)
            .hint(format!(
                "make it: kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} \
                 --partitions 1"
            ))
    })?;
    cluster.wait_for(consumer.client(), listener, &[topic.to_owned()], stop, serve)
}
