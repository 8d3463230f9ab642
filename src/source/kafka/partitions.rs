//! The partitions that are read: what each has given, and what is not handed on yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::statistics::Statistics;

use super::KafkaOptions;
use super::metrics::KafkaMetrics;
use super::places::Places;
use super::standing::{Snapshot, Standing};
use super::start::Position;
use super::topics::{self, Survey};
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
    /// Surveys in a row that did not find it.
    missed: u32,
}

/// One partition that is read.
struct Partition {
    topic: Arc<str>,
    number: i32,
    origin: u32,
    /// The offset that must come next, where that is known.
    next_offset: Option<i64>,
    /// Offsets that never came: the first, and the one that came instead.
    gap: Option<(i64, i64)>,
    standing: Standing,
    /// Newest snapshot that nobody has looked at yet.
    snapshot: Option<Snapshot>,
    /// Batches that are not handed on yet.
    held: VecDeque<Held>,
}

/// A batch that is not handed on yet.
struct Held {
    batch: RawBatch,
    /// Bytes of all its records, those set aside among them.
    n_bytes: usize,
}

/// What has changed between two looks at the topics.
pub(super) struct Difference {
    /// Partitions to read from their beginning.
    pub(super) new: Vec<(String, i32)>,
    /// Partitions to read no more.
    pub(super) gone: Vec<(String, i32)>,
}

pub(super) struct Partitions {
    topics: HashMap<String, Topic>,
    inputs: HashMap<InputId, Partition>,
    inputs_so_far: u32,
    /// All origins of the run, as the pipeline has them.
    origins: Origins,
    places: Places,
    /// Events about inputs that the caller has not heard yet; they go before any batch.
    pub(super) news: VecDeque<Delivery>,
    held_bytes: usize,
    /// The input that the others wait for, and since when.
    holding: Option<(InputId, Instant)>,
    idle_after: Duration,
    record_bytes_max: usize,
    batch_events: usize,
    metrics: KafkaMetrics,
}

/// So many surveys in a row must miss a topic: a broker that has just started may not know it yet.
const MISSED_MAX: u32 = 2;

impl Partitions {
    pub(super) fn new(options: &KafkaOptions, metrics: KafkaMetrics) -> Self {
        Self {
            topics: HashMap::new(),
            inputs: HashMap::new(),
            inputs_so_far: 0,
            origins: Origins::default(),
            places: Places::default(),
            news: VecDeque::new(),
            held_bytes: 0,
            holding: None,
            idle_after: options.idle_after,
            record_bytes_max: options.record_bytes_max,
            batch_events: options.batch_events,
            metrics,
        }
    }

    // ---- Coming and going

    /// The partitions that are there at the start: those of a checkpoint first, in its order.
    pub(super) fn begin(
        &mut self,
        origins: &mut Origins,
        positions: &[Position],
        partitions: &[(String, i32, Option<i64>)],
    ) {
        self.origins = origins.clone();
        let is_there = |position: &Position| {
            let same = |(topic, number, _): &&(String, i32, _)| {
                *topic == position.topic && *number == position.partition
            };
            partitions.iter().find(same)
        };
        for position in positions {
            match is_there(position) {
                Some((topic, number, offset)) => drop(self.add(topic, *number, *offset)),
                None => self.absent(position),
            }
        }
        for (topic, number, offset) in partitions {
            if !self.topics.get(topic).is_some_and(|topic| topic.inputs.contains_key(number)) {
                self.add(topic, *number, *offset);
            }
        }
        // All are known before the first delivery: nobody need be told.
        self.news.retain(|news| !matches!(news, Delivery::Topic(..)));
        *origins = self.origins.clone();
    }

    /// The partition of a checkpoint is no longer read: its input ends at once.
    fn absent(&mut self, position: &Position) {
        let Position { topic, partition, .. } = position;
        tracing::warn!(topic, partition, "the partition is not read any more");
        let input = self.next_input();
        self.places.add(input, (topic.as_str().into(), *partition));
        self.news.push_back(Delivery::Finished(input));
    }

    fn next_input(&mut self) -> InputId {
        let input = InputId(self.inputs_so_far);
        self.inputs_so_far += 1;
        input
    }

    fn add(&mut self, topic: &str, number: i32, next_offset: Option<i64>) -> InputId {
        let input = self.next_input();
        let (name, origin) = self.topic(topic);
        tracing::info!(topic, partition = number, next_offset, "reading a partition");
        self.places.add(input, (name.clone(), number));
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.inputs.insert(number, input);
        }
        let partition = Partition {
            topic: name,
            number,
            origin,
            next_offset,
            gap: None,
            standing: Standing::default(),
            snapshot: None,
            held: VecDeque::new(),
        };
        self.inputs.insert(input, partition);
        input
    }

    fn topic(&mut self, name: &str) -> (Arc<str>, u32) {
        if let Some(topic) = self.topics.get(name) {
            return (topic.name.clone(), topic.origin);
        }
        let origin = self.origins.intern(OriginKind::Topic, name);
        let topic = Topic { name: name.into(), origin, inputs: HashMap::new(), missed: 0 };
        self.news.push_back(Delivery::Topic(origin, topic.name.clone()));
        let known = (topic.name.clone(), origin);
        self.topics.insert(name.to_owned(), topic);
        known
    }

    /// Compares with the topics that are there now.
    pub(super) fn compare(&mut self, survey: &Survey) -> Difference {
        let is_new = |(topic, number): &(String, i32)| {
            !self.topics.get(topic).is_some_and(|topic| topic.inputs.contains_key(number))
        };
        let new: Vec<_> = topics::partitions(survey).into_iter().filter(is_new).collect();
        for (topic, number) in &new {
            let input = self.add(topic, *number, None);
            self.news.push_back(Delivery::Joined(input));
        }
        for (name, topic) in &mut self.topics {
            topic.missed = if survey.contains_key(name) { 0 } else { topic.missed + 1 };
        }
        let is_gone = |topic: &&Topic| topic.missed >= MISSED_MAX && !topic.inputs.is_empty();
        let gone: Vec<_> =
            self.topics.values().filter(is_gone).map(|topic| topic.name.clone()).collect();
        Difference { new, gone: gone.iter().flat_map(|topic| self.vanish(topic)).collect() }
    }

    fn vanish(&mut self, name: &str) -> Vec<(String, i32)> {
        tracing::warn!(topic = name, "the topic is gone");
        self.metrics.topics_vanished.inc();
        let inputs = self.topics.get_mut(name).map(|topic| std::mem::take(&mut topic.inputs));
        let mut gone = Vec::new();
        for (number, input) in inputs.into_iter().flatten() {
            if let Some(partition) = self.inputs.remove(&input) {
                let n_bytes: usize = partition.held.iter().map(|held| held.n_bytes).sum();
                self.held_bytes = self.held_bytes.saturating_sub(n_bytes);
                // What was fetched before is still worth reading.
                let batches = partition.held.into_iter().map(|held| Delivery::Batch(held.batch));
                self.news.extend(batches);
            }
            self.metrics.forget_lag(name, number);
            self.news.push_back(Delivery::Finished(input));
            gone.push((name.to_owned(), number));
        }
        gone
    }

    /// All inputs so far, those that have ended at once among them.
    pub(super) fn known(&self) -> Vec<InputId> {
        (0..self.inputs_so_far).map(InputId).collect()
    }

    pub(super) fn places(&self) -> Places {
        self.places.clone()
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
        partition.expect(message.offset());
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

    /// Whether the input is read and has nothing that could be handed on.
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
        let Held { batch, n_bytes } = partition.held.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(n_bytes);
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
            if let Some(n_lost) = partition.find_lost(known.lo_offset) {
                self.metrics.lost(&partition.topic, partition.number, n_lost);
            }
            let start = partition.next_offset.unwrap_or(known.lo_offset).max(0);
            let lag = partition.standing.lag(known.hi_offset, start);
            self.metrics.set_lag(&partition.topic, partition.number, lag);
        }
    }

    /// Fetching was held up: what the library knew of the ends of partitions is old.
    pub(super) fn doubt(&mut self) {
        for partition in self.inputs.values_mut() {
            partition.snapshot = None;
            partition.standing.doubt();
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
    /// A record came. Where others were to come before it, a later look at the partition's start
    /// tells whether retention took them: compaction and transactions leave gaps too.
    fn expect(&mut self, offset: i64) {
        match self.next_offset {
            Some(expected) if offset > expected => {
                self.gap.get_or_insert((expected, offset));
            }
            Some(expected) if offset < expected => tracing::warn!(
                topic = &*self.topic,
                partition = self.number,
                expected,
                offset,
                "the partition goes on at a lower offset: it was made anew"
            ),
            _ => {}
        }
        self.next_offset = Some(offset + 1);
    }

    /// Records that retention took before they were read, now that the partition's start is known.
    fn find_lost(&mut self, low_watermark: i64) -> Option<i64> {
        let (first, end) = match (self.gap.take(), self.next_offset) {
            (Some((first, came)), _) => (first, low_watermark.min(came)),
            // Nothing is left to come that would show the gap.
            (None, Some(next)) if self.standing.at_end() && next < low_watermark => {
                self.next_offset = Some(low_watermark);
                (next, low_watermark)
            }
            _ => return None,
        };
        (end > first).then_some(end - first)
    }

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
                self.held.push_back(Held { batch, n_bytes: 0 });
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
