//! Kafka: each partition of each topic is an input of its own.
//!
//! All partitions are assigned by hand: an instance reads everything, whether it is the active one
//! or stands by. Which one is active is decided apart from that, by the [`Lease`].
//!
//! One thread polls: whoever calls [`Source::next`]. While the pipeline takes nothing, nothing is
//! polled for a moment, and the library fetches ahead, for each partition up to
//! `queued.max.messages.kbytes`. When that moment gets long, fetching is paused and polling goes on, so
//! that the connection stays alive.

mod connection;
mod context;
mod discovery;
mod group;
mod lease;
mod metrics;
mod partitions;
mod places;
mod queues;
mod standing;
mod start;
mod topics;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

pub use connection::KafkaOptions;
pub use group::GroupProgress;
pub use lease::{Lease, Membership};
pub use metrics::{KafkaErrorKind, KafkaMetrics, LeaseChange};
pub use places::{Places, TopicPartition};
pub use start::{Position, Start};

use super::{Delivery, InputId, Source};
use crate::event::{Origins, TimeMicros};
use crate::kafka::{Cluster, Retention, retentions};
use crate::{Error, Result};
use connection::Connection;
use context::Context;
use discovery::Discovery;
use partitions::{Difference, Partitions};

/// A wait for records takes at most so long; then the caller may look after other things.
const POLL: Duration = Duration::from_millis(100);
/// The pipeline may take nothing for so long before fetching is paused: a pause throws away what was
/// fetched ahead.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
/// A wait for the pipeline that does not poll, and one that does.
const SHORT_WAIT: Duration = Duration::from_millis(1);
const LONG_WAIT: Duration = Duration::from_millis(20);
const REMINDER: Duration = Duration::from_secs(30);

/// A reader of all partitions.
pub struct Kafka {
    // Dropped before the consumer, as the queues in it want it.
    partitions: Partitions,
    consumer: Arc<BaseConsumer<Context>>,
    discovery: Discovery,
    link: Link,
    cluster: Cluster,
    /// Since when the pipeline has taken nothing.
    full_since: Option<Instant>,
    /// All partitions are paused, because the pipeline takes nothing.
    held_back: bool,
    /// What happened while nobody could be told.
    failure: Option<Error>,
}

/// Whether a broker is there: said when it changes, and now and again while none is.
struct Link {
    brokers: String,
    up: bool,
    said_at: Instant,
}

impl Kafka {
    /// What the group has committed so far: asked before the start.
    ///
    /// # Errors
    /// When no broker answers within the patience, or when `stop` is set meanwhile.
    pub fn committed(
        options: &KafkaOptions,
        metrics: KafkaMetrics,
        stop: &AtomicBool,
    ) -> Result<Option<GroupProgress>> {
        group::committed(options, metrics, stop)
    }

    /// Assigns itself all partitions, once the brokers answer and have the topics.
    ///
    /// # Errors
    /// When that takes longer than the patience, or when `stop` is set meanwhile.
    pub fn connect(
        options: &KafkaOptions,
        origins: &mut Origins,
        metrics: KafkaMetrics,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let connection = Connection::open(options, metrics.clone(), stop)?;
        let found = topics::partitions(&connection.survey()?);
        let offsets = connection.offsets(&found)?;
        let found: Vec<_> =
            found.into_iter().zip(offsets).map(|((topic, n), offset)| (topic, n, offset)).collect();
        let (consumer, topics) = (Arc::new(connection.consumer), connection.topics);
        let mut partitions = Partitions::new(options, consumer.clone(), metrics);
        let positions = match &options.start {
            Start::Positions(positions) | Start::Since(_, positions) => positions.as_slice(),
            Start::Beginning => &[],
        };
        partitions.begin(origins, positions, &found)?;
        connection::assign(&consumer, &found)?;
        let discovery = Discovery::start(&consumer, topics, options.discover_every)?;
        consumer.context().metrics.connected.set(1);
        let KafkaOptions { cluster, group, topics, .. } = options;
        let (brokers, n_partitions) = (&cluster.brokers, found.len());
        tracing::info!(brokers, group, ?topics, n_partitions, "connected to Kafka");
        if found.is_empty() {
            tracing::warn!(?topics, "no topic fits these patterns yet: there is nothing to read");
        }
        Ok(Self {
            consumer,
            partitions,
            discovery,
            link: Link { brokers: brokers.clone(), up: true, said_at: Instant::now() },
            cluster: cluster.clone(),
            full_since: None,
            held_back: false,
            failure: None,
        })
    }

    /// Which partition each input stands for.
    pub fn places(&self) -> Places {
        self.partitions.places()
    }

    /// How long records stay in the topics that are read now.
    ///
    /// # Errors
    /// The reason why nobody says it.
    pub fn retention(&self) -> Result<Vec<Retention>, String> {
        let mut topics: Vec<&str> = self.partitions.all().map(|(topic, _)| topic).collect();
        topics.sort_unstable();
        topics.dedup();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        retentions(&self.cluster, &topics)
    }

    /// Warns of topics that cannot rebuild windows which reach back so far.
    pub fn warn_of_short_retention(&self, reach: Duration) {
        let retentions = match self.retention() {
            Ok(retentions) => retentions,
            Err(reason) => {
                tracing::info!(reason, "how long topics keep their records is not known");
                return;
            }
        };
        for Retention { topic, time, compacted } in retentions {
            let reach = humantime::format_duration(reach);
            if let Some(time) = time.filter(|time| *time < *reach.get_ref()) {
                let kept = humantime::format_duration(time);
                tracing::warn!(topic, %kept, %reach, "the topic keeps its records for a shorter \
                    time than the longest window reaches back: windows cannot be rebuilt in full");
            }
            if compacted {
                tracing::warn!(topic, "the topic is compacted: events vanish from it at any time");
            }
        }
    }

    /// Serves what the library has to say; records come by the queues of their partitions.
    fn serve(&mut self) -> Result<()> {
        let context = self.consumer.context();
        loop {
            let callbacks = context.callbacks();
            match self.consumer.poll(Duration::ZERO) {
                Some(Err(error)) => failed(&error, &context.metrics)?,
                Some(Ok(message)) => {
                    return Err(Error::unexpected("a record came by the wrong queue")
                        .detail(format!("{}[{}]", message.topic(), message.partition())));
                }
                None if context.callbacks() == callbacks => break,
                None => {}
            }
        }
        for statistics in context.take_statistics() {
            self.link.notice(&statistics, context);
            if !self.held_back {
                self.partitions.learn(&statistics)?;
            }
        }
        Ok(())
    }

    /// Reads new partitions, and lets go of those that are gone.
    fn discover(&mut self) -> Result<()> {
        let Some(survey) = self.discovery.news() else { return Ok(()) };
        let Difference { new, gone } = self.partitions.compare(&survey)?;
        if !gone.is_empty() {
            connection::unassign(&self.consumer, &gone);
        }
        let new: Vec<_> = new.into_iter().map(|(topic, number)| (topic, number, None)).collect();
        connection::assign(&self.consumer, &new)
    }

    /// The pipeline takes again.
    fn go_on(&mut self) {
        self.full_since = None;
        if self.held_back {
            self.partitions.doubt();
            self.set_fetching(true);
            self.held_back = false;
            self.consumer.context().metrics.paused.set(0);
            tracing::info!("the pipeline takes events again");
        }
    }

    fn set_fetching(&self, on: bool) {
        let mut list = TopicPartitionList::new();
        for (topic, number) in self.partitions.all() {
            list.add_partition(topic, number);
        }
        let done = if on { self.consumer.resume(&list) } else { self.consumer.pause(&list) };
        if let Err(error) = done {
            tracing::debug!(%error, on, "cannot pause or resume partitions");
        }
    }
}

impl Source for Kafka {
    fn inputs(&self) -> Vec<InputId> {
        self.partitions.known()
    }

    fn next(&mut self, wanted: Option<InputId>) -> Result<Option<Delivery>> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.go_on();
        if let Some(news) = self.partitions.news.pop_front() {
            return Ok(Some(news));
        }
        self.discover()?;
        self.serve()?;
        self.partitions.expect();
        let batch = self.partitions.next_batch(wanted)?;
        // What there is to tell of an input comes before its records.
        self.partitions.news.extend(batch.map(Delivery::Batch));
        let next = self.partitions.news.pop_front();
        if next.is_none() {
            self.partitions.wait(POLL);
        }
        Ok(Some(next.unwrap_or(Delivery::Nothing)))
    }

    /// A short wait needs nothing: the library's queue is bounded. In a long one it is paused, and
    /// polled, so that tokens are renewed and outages noticed.
    fn wait(&mut self) {
        let since = *self.full_since.get_or_insert_with(Instant::now);
        if since.elapsed() < PAUSE_AFTER {
            return std::thread::sleep(SHORT_WAIT);
        }
        if !self.held_back {
            self.set_fetching(false);
            self.held_back = true;
            self.consumer.context().metrics.paused.set(1);
            tracing::info!("the pipeline takes no events; Kafka waits for it");
        }
        if let Err(error) = self.serve() {
            self.failure.get_or_insert(error);
        }
        std::thread::sleep(LONG_WAIT);
    }
}

impl Link {
    fn notice(&mut self, statistics: &Statistics, context: &Context) {
        let up = any_up(statistics);
        let changed = up != self.up;
        context.metrics.connected.set(i64::from(up));
        if changed && up {
            tracing::info!(brokers = self.brokers, "Kafka is back");
        } else if !up && (changed || self.said_at.elapsed() >= REMINDER) {
            tracing::warn!(
                brokers = self.brokers,
                reason = context.listener.reason(),
                "no Kafka broker answers; trying until one does"
            );
        } else {
            return;
        }
        (self.up, self.said_at) = (up, Instant::now());
    }
}

/// Whether a broker is there: one of those that lead our partitions, where that is known.
fn any_up(statistics: &Statistics) -> bool {
    let brokers = statistics.brokers.values();
    // Those that only stand for a role may be idle, and then never notice that they are cut off.
    let real: Vec<_> =
        brokers.filter(|broker| !matches!(&*broker.source, "logical" | "internal")).collect();
    let lead = real.iter().any(|broker| !broker.toppars.is_empty());
    real.iter().any(|broker| broker.state == "UP" && (!lead || !broker.toppars.is_empty()))
}

/// Everything but a fatal error is for the library to try again; here it is counted and told.
fn failed(error: &KafkaError, metrics: &KafkaMetrics) -> Result<()> {
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
        KafkaErrorKind::Authorization => {
            tracing::error!(%error, "Kafka refuses this user; trying again");
        }
        KafkaErrorKind::PollInterval | KafkaErrorKind::Commit | KafkaErrorKind::Other => {
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
            | Code::OperationTimedOut
            | Code::SSL,
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
