//! Kafka topics: alerts keyed by their entity, and records that were set aside as they came.
//!
//! A topic takes records until a broker has confirmed them, and tries for as long as it takes: while
//! no broker is there the pipeline waits, which holds the source back and loses nothing. Only a
//! request to stop ends the waiting; offsets are not committed then, so that a restart makes the
//! same alerts, with the same ids, again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::Destination;
use crate::alert::Alert;
use crate::event::dead_letter::RecordSink;
use crate::event::reject::Rejection;
use crate::event::{OriginKind, Origins};
use crate::kafka::{Cluster, Listener, refused};
use crate::{Error, Result};

const SERVE: Duration = Duration::from_millis(100);
const REMINDER: Duration = Duration::from_secs(30);
/// A broker that is not there may take so long of a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

const DEFAULTS: [(&str, &str); 2] = [
    ("compression.codec", "lz4"),
    // No end of the patience: what is not delivered is never given up.
    ("message.timeout.ms", "0"),
];
/// A retry must not become a second copy.
const FIXED: [(&str, &str); 1] = [("enable.idempotence", "true")];

/// Records that a broker has refused for good.
#[derive(Default)]
struct Outcome {
    refused: u64,
    reason: Option<String>,
}

struct Context {
    listener: Listener,
    outcome: Mutex<Outcome>,
}

impl Context {
    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.listener.token()
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, record)) = result {
            let mut outcome = self.outcome();
            outcome.refused += 1;
            let n_bytes = record.payload_len();
            outcome.reason.get_or_insert_with(|| format!("{error} (a record of {n_bytes} bytes)"));
        }
    }
}

/// One topic that is written to.
pub struct Topic {
    producer: BaseProducer<Context>,
    name: String,
    brokers: String,
    stop: Arc<AtomicBool>,
}

impl Topic {
    /// Connects, once the brokers answer and have the topic.
    ///
    /// # Errors
    /// When that takes longer than the cluster's patience, or when `stop` is set meanwhile.
    pub fn connect(cluster: &Cluster, name: &str, stop: Arc<AtomicBool>) -> Result<Self> {
        let producer: BaseProducer<Context> = cluster
            .client_config(&DEFAULTS, &FIXED)
            .create_with_context(Context {
                listener: Listener::new(cluster),
                outcome: Mutex::default(),
            })
            .map_err(|error| refused(&error))?;
        let serve = || producer.poll(Duration::ZERO);
        let listener = &producer.context().listener;
        cluster.wait_for(producer.client(), listener, &[name.to_owned()], &stop, serve)?;
        Ok(Self { producer, name: name.to_owned(), brokers: cluster.brokers.clone(), stop })
    }

    fn send(&self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<()> {
        let mut waiting = Waiting::new(self);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    waiting.go_on()?;
                }
                Err((error, _)) => {
                    return Err(self.refusal(1).detail(error.to_string()));
                }
            }
        }
    }

    /// Returns once a broker has confirmed all records.
    fn confirm(&self) -> Result<()> {
        let mut waiting = Waiting::new(self);
        while self.producer.in_flight_count() > 0 {
            // Flushing sends at once what else would wait for company.
            if self.producer.flush(SERVE).is_err() {
                waiting.go_on()?;
            }
        }
        let outcome = std::mem::take(&mut *self.producer.context().outcome());
        match outcome.reason {
            None => Ok(()),
            Some(reason) => Err(self.refusal(outcome.refused).detail(reason)),
        }
    }

    fn refusal(&self, n_records: u64) -> Error {
        Error::unavailable(format!(
            "Kafka refused {n_records} record(s) for the topic `{}`",
            self.name
        ))
        .hint("a record may be larger than the broker's `message.max.bytes`")
    }
}

/// Waits for a broker: says so now and again, and ends when the program is to stop.
struct Waiting<'a> {
    topic: &'a Topic,
    said_at: Instant,
    stop_seen: Option<Instant>,
}

impl<'a> Waiting<'a> {
    fn new(topic: &'a Topic) -> Self {
        Self { topic, said_at: Instant::now(), stop_seen: None }
    }

    fn go_on(&mut self) -> Result<()> {
        let Topic { producer, name, brokers, stop } = self.topic;
        producer.poll(SERVE);
        let n_waiting = producer.in_flight_count();
        if self.said_at.elapsed() >= REMINDER {
            self.said_at = Instant::now();
            tracing::warn!(brokers, topic = name, n_waiting, "records wait for a Kafka broker");
        }
        if stop.load(Ordering::Relaxed) {
            let since = *self.stop_seen.get_or_insert_with(Instant::now);
            if since.elapsed() >= STOP_PATIENCE {
                return Err(Error::unavailable(format!(
                    "{n_waiting} record(s) for the topic `{name}` were not delivered"
                ))
                .detail(format!("no Kafka broker answers at {brokers}"))
                .hint("their offsets are not committed: a restart makes the same alerts again"));
            }
        }
        Ok(())
    }
}

/// Alerts to a topic: the key is the entity, so that all revisions of an alert are in one partition
/// and in order.
pub struct AlertTopic(pub Topic);

impl Destination for AlertTopic {
    /// Returns once a broker has confirmed the alerts.
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        for alert in alerts {
            let value = alert.to_json();
            let record =
                BaseRecord::to(&self.0.name).key(alert.entity.as_bytes()).payload(&value[..]);
            self.0.send(record)?;
        }
        self.0.confirm()
    }

    fn flush(&mut self) -> Result<()> {
        self.0.confirm()
    }
}

/// Records that were set aside, to a topic: the value is the record's own bytes, the headers say
/// why and where.
pub struct RecordTopic(pub Topic);

impl RecordSink for RecordTopic {
    fn write(&mut self, origins: &Origins, rejection: &Rejection) -> Result<()> {
        let record = BaseRecord::to(&self.0.name)
            .headers(headers(origins, rejection))
            .payload(&rejection.raw[..]);
        self.0.send(record)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.confirm()
    }
}

fn headers(origins: &Origins, rejection: &Rejection) -> OwnedHeaders {
    let place = rejection.place;
    let origin = origins.get(place.origin);
    let name = origin.map_or("", |origin| &*origin.name).to_owned();
    let position = place.position.to_string();
    let place = if origin.is_some_and(|origin| origin.kind == OriginKind::File) {
        vec![("nightlatch.error.file", name), ("nightlatch.error.line", position)]
    } else {
        vec![
            ("nightlatch.error.topic", name),
            ("nightlatch.error.partition", place.partition.to_string()),
            ("nightlatch.error.offset", position),
        ]
    };
    let why = [
        ("nightlatch.error.reason", rejection.reason.label().to_owned()),
        ("nightlatch.error.detail", rejection.message.clone()),
    ];
    why.into_iter().chain(place).fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.as_str()) })
    })
}
