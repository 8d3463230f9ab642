//! The partitions that are ours: what each has given, and what is not handed on yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::statistics::Statistics;

use super::KafkaOptions;
use super::commits::Commits;
use super::metrics::KafkaMetrics;
use super::standing::{Snapshot, Standing};
use crate::event::reject::{RejectReason, Rejection};
use crate::event::{OriginKind, Origins, TimeMicros};
use crate::source::{Delivery, InputId, RawBatch};

/// The others wait at most so long for the input that holds the watermark back.
const HOLD: Duration = Duration::from_secs(1);
/// A broker that was silent for less than this is there: a fetch is answered within half a second.
const SILENCE_MIN: Duration = Duration::from_secs(2);

struct Topic {
    name: Arc<str>,
    origin: u32,
    inputs: HashMap<i32, InputId>,
    /// Next offsets of what was handed on, also of partitions that were taken away since.
    handed_on: HashMap<i32, i64>,
}

/// One partition that is ours.
struct Partition {
    topic: Arc<str>,
    number: i32,
    origin: u32,
    /// Records before it were handed on before the partition was assigned again.
    first: i64,
    standing: Standing,
    /// Newest snapshot that nobody has looked at yet.
    snapshot: Option<Snapshot>,
    /// Batches that are not handed on yet.
    held: VecDeque<Held>,
}

/// A batch that is not handed on yet.
struct Held {
    batch: RawBatch,
    /// The offset after its last record.
    next_offset: i64,
    /// Bytes of all its records, those set aside among them.
    n_bytes: usize,
}

pub(super) struct Partitions {
    topics: HashMap<String, Topic>,
    inputs: HashMap<InputId, Partition>,
    inputs_so_far: u32,
    /// Events about inputs that the caller has not heard yet; they go before any batch.
    pub(super) news: VecDeque<Delivery>,
    held_bytes: usize,
    /// The input that the others wait for, and since when.
    holding: Option<(InputId, Instant)>,
    idle_after: Duration,
    record_bytes_max: usize,
    batch_events: usize,
    commits: Commits,
    metrics: KafkaMetrics,
}

impl Partitions {
    pub(super) fn new(
        options: &KafkaOptions,
        origins: &mut Origins,
        commits: Commits,
        metrics: KafkaMetrics,
    ) -> Self {
        let topics = options.topics.iter().map(|name| {
            let origin = origins.intern(OriginKind::Topic, name);
            let topic = Topic {
                name: name.as_str().into(),
                origin,
                inputs: HashMap::new(),
                handed_on: HashMap::new(),
            };
            (name.clone(), topic)
        });
        Self {
            topics: topics.collect(),
            inputs: HashMap::new(),
            inputs_so_far: 0,
            news: VecDeque::new(),
            held_bytes: 0,
            holding: None,
            idle_after: options.idle_after,
            record_bytes_max: options.record_bytes_max,
            batch_events: options.batch_events,
            commits,
            metrics,
        }
    }

    // ---- Coming and going

    pub(super) fn assigned(&mut self, topic: &str, number: i32) {
        let Some(topic) = self.topics.get_mut(topic) else { return };
        tracing::info!(topic = &*topic.name, partition = number, "partition assigned");
        let input = InputId(self.inputs_so_far);
        self.inputs_so_far += 1;
        topic.inputs.insert(number, input);
        let partition = Partition {
            topic: topic.name.clone(),
            number,
            origin: topic.origin,
            first: topic.handed_on.get(&number).copied().unwrap_or(0),
            standing: Standing::default(),
            snapshot: None,
            held: VecDeque::new(),
        };
        self.commits.own(input, (topic.name.clone(), number));
        self.inputs.insert(input, partition);
        self.news.push_back(Delivery::Joined(input));
    }

    /// What was fetched and not handed on is left to the new owner.
    pub(super) fn revoked(&mut self, topic: &str, number: i32) {
        let Some(topic) = self.topics.get_mut(topic) else { return };
        let Some(input) = topic.inputs.remove(&number) else { return };
        tracing::info!(topic = &*topic.name, partition = number, "partition revoked");
        if let Some(partition) = self.inputs.remove(&input) {
            let n_bytes: usize = partition.held.iter().map(|held| held.n_bytes).sum();
            self.held_bytes = self.held_bytes.saturating_sub(n_bytes);
        }
        self.commits.disown(input);
        self.metrics.forget_lag(&topic.name, number);
        self.news.push_back(Delivery::Finished(input));
    }

    // ---- Records in

    /// Copies a message into the batch of its partition.
    pub(super) fn keep(&mut self, message: &BorrowedMessage<'_>, received_at: TimeMicros) {
        let number = message.partition();
        let input = self.topics.get(message.topic()).and_then(|topic| topic.inputs.get(&number));
        let Some((input, partition)) =
            input.and_then(|input| Some((*input, self.inputs.get_mut(input)?)))
        else {
            return;
        };
        if partition.standing.record(message.offset()) {
            self.news.push_back(Delivery::Active(input));
        }
        if message.offset() < partition.first {
            self.metrics.redelivered_dropped.inc();
            return;
        }
        let Some(payload) = message.payload() else {
            self.metrics.tombstones_dropped.inc();
            return;
        };
        let held = partition.open_batch(input, received_at, self.batch_events);
        held.keep(message.offset(), payload, received_at, self.record_bytes_max);
        self.held_bytes += payload.len();
    }

    /// The library names the partition's number alone: with several topics that may be ambiguous,
    /// and then only the statistics tell.
    pub(super) fn end(&mut self, number: i32) {
        let mut same = self.inputs.values_mut().filter(|partition| partition.number == number);
        if let (Some(partition), None) = (same.next(), same.next()) {
            partition.standing.end();
        }
    }

    // ---- Batches out

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether the input is ours and has nothing that could be handed on.
    pub(super) fn lacks_batch(&self, input: InputId) -> bool {
        self.inputs.get(&input).is_some_and(|partition| partition.held.is_empty())
    }

    /// All partitions, with their inputs.
    pub(super) fn all(&self) -> impl Iterator<Item = (InputId, &str, i32)> {
        self.inputs.iter().map(|(input, partition)| (*input, &*partition.topic, partition.number))
    }

    pub(super) fn take_batch(&mut self, wanted: Option<InputId>) -> Option<RawBatch> {
        let input = self.choose(wanted)?;
        let partition = self.inputs.get_mut(&input)?;
        let Held { batch, next_offset, n_bytes } = partition.held.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(n_bytes);
        if let Some(topic) = self.topics.get_mut(&*partition.topic) {
            topic.handed_on.insert(partition.number, next_offset);
        }
        Some(batch)
    }

    /// The wanted input where it has a batch. While it is behind, the others wait, so that none
    /// runs far ahead of it in event time; but not for ever.
    fn choose(&mut self, wanted: Option<InputId>) -> Option<InputId> {
        let wanted = wanted.and_then(|input| Some((input, self.inputs.get(&input)?)));
        if let Some((input, partition)) = wanted {
            if !partition.held.is_empty() {
                self.holding = None;
                return Some(input);
            }
            if !partition.standing.at_end() && self.hold_for(input) {
                return None;
            }
        }
        // The one with most in store, so that nobody starves.
        let full = self.inputs.iter().filter(|(_, partition)| !partition.held.is_empty());
        full.max_by_key(|(input, partition)| (partition.held.len(), **input))
            .map(|(input, _)| *input)
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

    // ---- What the library's statistics tell

    pub(super) fn learn(&mut self, statistics: &Statistics) {
        // What nobody could look at while the queue was empty is looked at as it is.
        self.look_at_snapshots(false);
        let silence_max_micros = self.idle_after.max(SILENCE_MIN).as_micros();
        for partition in self.inputs.values_mut() {
            let topic = statistics.topics.get(&*partition.topic);
            let Some(known) = topic.and_then(|topic| topic.partitions.get(&partition.number))
            else {
                continue;
            };
            let fresh = statistics.brokers.values().any(|broker| {
                let silence = u128::try_from(broker.rxidle).unwrap_or(u128::MAX);
                broker.nodeid == known.broker
                    && broker.state == "UP"
                    && silence < silence_max_micros
            });
            partition.snapshot = Some(Snapshot {
                at_micros: statistics.ts,
                next_offset: known.next_offset,
                high_watermark: known.hi_offset,
                fresh,
                drained: false,
            });
            if known.hi_offset < 0 {
                continue;
            }
            // A topic that was made anew starts at 0 again.
            if partition.first > known.hi_offset {
                partition.first = 0;
            }
            let start = known.committed_offset.max(known.lo_offset).max(0);
            let lag = partition.standing.lag(known.hi_offset, start);
            self.metrics.set_lag(&partition.topic, partition.number, lag);
        }
    }

    /// Finds out who is idle. `drained`: the queue was empty just now, so that all that was fetched
    /// when the snapshots were taken is here.
    pub(super) fn look_at_snapshots(&mut self, drained: bool) {
        let idle_after_micros = i64::try_from(self.idle_after.as_micros()).unwrap_or(i64::MAX);
        for (input, partition) in &mut self.inputs {
            // For the others a partition is at its end only when all of it is handed on.
            let snapshot = partition.snapshot.take().filter(|_| partition.held.is_empty());
            let Some(snapshot) = snapshot else { continue };
            let snapshot = Snapshot { drained, ..snapshot };
            match partition.standing.observe(&snapshot, idle_after_micros) {
                Some(true) => self.news.push_back(Delivery::Idle(*input)),
                Some(false) => self.news.push_back(Delivery::Active(*input)),
                None => {}
            }
        }
    }
}

impl Partition {
    /// The newest batch, or a new one where that is full.
    fn open_batch(
        &mut self,
        input: InputId,
        received_at: TimeMicros,
        events_max: usize,
    ) -> &mut Held {
        let index = match self.held.back() {
            Some(held) if held.n_records() < events_max => self.held.len() - 1,
            _ => {
                let batch = RawBatch::new(input, self.origin, self.number, received_at);
                self.held.push_back(Held { batch, next_offset: 0, n_bytes: 0 });
                self.held.len() - 1
            }
        };
        &mut self.held[index]
    }
}

impl Held {
    fn n_records(&self) -> usize {
        self.batch.len() + self.batch.rejections.len()
    }

    fn keep(&mut self, offset: i64, record: &[u8], received_at: TimeMicros, bytes_max: usize) {
        let batch = &mut self.batch;
        (batch.received_at, batch.written_at) = (received_at, received_at);
        self.next_offset = offset + 1;
        self.n_bytes += record.len();
        if record.len() <= bytes_max {
            return batch.push(offset, record);
        }
        let n_bytes = record.len();
        batch.rejections.push(Rejection {
            place: batch.place_of(offset),
            reason: RejectReason::RecordTooLong,
            message: format!(
                "record of {n_bytes} bytes is longer than {bytes_max}\n\
                 hint: raise input.record_bytes_max"
            ),
            raw: record.to_vec(),
        });
    }
}
