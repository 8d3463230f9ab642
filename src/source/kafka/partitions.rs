//! The partitions that are read: what each has given, and what is not handed on yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::statistics::Statistics;

use super::context::Context;
use super::metrics::KafkaMetrics;
use super::places::Places;
use super::queues::Queues;
use super::standing::{Snapshot, Standing};
use super::start::Position;
use super::topics::{self, Survey};
use super::{KafkaOptions, failed, now};
use crate::Result;
use crate::event::reject::{RejectReason, Rejection};
use crate::event::{OriginKind, Origins, TimeMicros};
use crate::source::{Delivery, InputId, RawBatch};

/// The others wait at most so long for the input that holds the watermark back.
const HOLD: Duration = Duration::from_secs(1);
/// Records are gathered for at most so long before they are handed on.
const GATHER: Duration = Duration::from_millis(20);
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
    /// Records that are not handed on yet.
    held: Option<RawBatch>,
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
    queues: Queues,
    /// The input that was read last out of turn.
    last: InputId,
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
    pub(super) fn new(
        options: &KafkaOptions,
        consumer: Arc<BaseConsumer<Context>>,
        metrics: KafkaMetrics,
    ) -> Self {
        Self {
            topics: HashMap::new(),
            inputs: HashMap::new(),
            inputs_so_far: 0,
            origins: Origins::default(),
            places: Places::default(),
            news: VecDeque::new(),
            queues: Queues::new(consumer),
            last: InputId(0),
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
    ) -> Result<()> {
        self.origins = origins.clone();
        let is_there = |position: &Position| {
            let same = |(topic, number, _): &&(String, i32, _)| {
                *topic == position.topic && *number == position.partition
            };
            partitions.iter().find(same)
        };
        for position in positions {
            match is_there(position) {
                Some((topic, number, offset)) => {
                    self.add(topic, *number, *offset)?;
                }
                None => self.absent(position),
            }
        }
        for (topic, number, offset) in partitions {
            if !self.topics.get(topic).is_some_and(|topic| topic.inputs.contains_key(number)) {
                self.add(topic, *number, *offset)?;
            }
        }
        // All are known before the first delivery: nobody need be told.
        self.news.retain(|news| !matches!(news, Delivery::Topic(..)));
        *origins = self.origins.clone();
        Ok(())
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

    fn add(&mut self, topic: &str, number: i32, next_offset: Option<i64>) -> Result<InputId> {
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
            held: None,
        };
        self.inputs.insert(input, partition);
        self.queues.open(input, topic, number)?;
        Ok(input)
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
    pub(super) fn compare(&mut self, survey: &Survey) -> Result<Difference> {
        let is_new = |(topic, number): &(String, i32)| {
            !self.topics.get(topic).is_some_and(|topic| topic.inputs.contains_key(number))
        };
        let new: Vec<_> = topics::partitions(survey).into_iter().filter(is_new).collect();
        for (topic, number) in &new {
            let input = self.add(topic, *number, None)?;
            self.news.push_back(Delivery::Joined(input));
        }
        for (name, topic) in &mut self.topics {
            topic.missed = if survey.contains_key(name) { 0 } else { topic.missed + 1 };
        }
        let is_gone = |topic: &&Topic| topic.missed >= MISSED_MAX && !topic.inputs.is_empty();
        let gone: Vec<_> =
            self.topics.values().filter(is_gone).map(|topic| topic.name.clone()).collect();
        let gone = gone.iter().flat_map(|topic| self.vanish(topic)).collect();
        Ok(Difference { new, gone })
    }

    fn vanish(&mut self, name: &str) -> Vec<(String, i32)> {
        tracing::warn!(topic = name, "the topic is gone");
        self.metrics.topics_vanished.inc();
        let inputs = self.topics.get_mut(name).map(|topic| std::mem::take(&mut topic.inputs));
        let mut gone = Vec::new();
        for (number, input) in inputs.into_iter().flatten() {
            // What was fetched before is still worth reading.
            while let Ok(Some(batch)) = self.read(input) {
                self.news.push_back(Delivery::Batch(batch));
            }
            self.queues.close(input);
            self.inputs.remove(&input);
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

    // ---- Records in, batches out

    /// All that has come of the input with the lowest time, as a batch. While it has nothing and is
    /// behind, the others wait, so that none runs far ahead of it in event time; but not for ever.
    pub(super) fn next_batch(&mut self, wanted: Option<InputId>) -> Result<Option<RawBatch>> {
        if let Some(input) = wanted.filter(|input| self.inputs.contains_key(input)) {
            if let Some(batch) = self.read(input)? {
                self.holding = None;
                return Ok(Some(batch));
            }
            if !self.is_at_end(input) && self.hold_for(input) {
                return Ok(None);
            }
        }
        for input in self.queues.after(self.last) {
            if let Some(batch) = self.read(input)? {
                self.last = input;
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn is_at_end(&self, input: InputId) -> bool {
        self.inputs.get(&input).is_some_and(|partition| partition.standing.at_end())
    }

    /// All that has come of an input.
    fn read(&mut self, input: InputId) -> Result<Option<RawBatch>> {
        let started = Instant::now();
        let received_at = now();
        while self.n_held(input) < self.batch_events && started.elapsed() < GATHER {
            if !self.take_record(input, received_at)? {
                break;
            }
        }
        Ok(self.inputs.get_mut(&input).and_then(|partition| partition.held.take()))
    }

    fn n_held(&self, input: InputId) -> usize {
        let held = self.inputs.get(&input).and_then(|partition| partition.held.as_ref());
        held.map_or(0, |batch| batch.len() + batch.rejections.len())
    }

    /// Takes one record out of the partition's queue; false when that is empty.
    fn take_record(&mut self, input: InputId, received_at: TimeMicros) -> Result<bool> {
        let Some(partition) = self.inputs.get_mut(&input) else { return Ok(false) };
        match self.queues.poll(input) {
            Some(Ok(message)) => {
                if partition.standing.record(message.offset()) {
                    self.news.push_back(Delivery::Active(input));
                }
                if !partition.keep(input, &message, received_at, self.record_bytes_max) {
                    self.metrics.tombstones_dropped.inc();
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => partition.standing.end(),
            Some(Err(error)) => failed(&error, &self.metrics)?,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// From now on [`Partitions::wait`] waits for what comes.
    pub(super) fn expect(&self) {
        self.queues.expect();
    }

    /// Waits until a partition that had no record has one.
    pub(super) fn wait(&self, timeout: Duration) {
        self.queues.wait(timeout);
    }

    /// All partitions.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, i32)> {
        self.inputs.values().map(|partition| (&*partition.topic, partition.number))
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

    /// Finds out who is idle, and how far reading is behind.
    pub(super) fn learn(&mut self, statistics: &Statistics) -> Result<()> {
        let received_at = now();
        for input in self.queues.after(self.last) {
            // An empty queue says that all that was fetched when the statistics were made is here.
            // To see that, a record is taken out where there is one.
            let drained = !self.take_record(input, received_at)?;
            self.learn_of(input, statistics, drained);
        }
        Ok(())
    }

    fn learn_of(&mut self, input: InputId, statistics: &Statistics, drained: bool) {
        let Some(partition) = self.inputs.get_mut(&input) else { return };
        let topic = statistics.topics.get(&*partition.topic);
        let Some(known) = topic.and_then(|topic| topic.partitions.get(&partition.number)) else {
            return;
        };
        let silence_max_micros = self.idle_after.max(SILENCE_MIN).as_micros();
        let fresh = statistics.brokers.values().any(|broker| {
            let silence = u128::try_from(broker.rxidle).unwrap_or(u128::MAX);
            broker.nodeid == known.broker && broker.state == "UP" && silence < silence_max_micros
        });
        let snapshot = Snapshot {
            at_micros: statistics.ts,
            next_offset: known.next_offset,
            high_watermark: known.hi_offset,
            fresh,
            drained,
        };
        // For the others a partition is at its end only when all of it is handed on.
        if partition.held.is_none() {
            let idle_after_micros = i64::try_from(self.idle_after.as_micros()).unwrap_or(i64::MAX);
            match partition.standing.observe(&snapshot, idle_after_micros) {
                Some(true) => self.news.push_back(Delivery::Idle(input)),
                Some(false) => self.news.push_back(Delivery::Active(input)),
                None => {}
            }
        }
        if known.hi_offset < 0 {
            return;
        }
        if let Some(n_lost) = partition.find_lost(known.lo_offset) {
            self.metrics.lost(&partition.topic, partition.number, n_lost);
        }
        let start = partition.next_offset.unwrap_or(known.lo_offset).max(0);
        let lag = partition.standing.lag(known.hi_offset, start);
        self.metrics.set_lag(&partition.topic, partition.number, lag);
    }

    /// Fetching was held up: what the library knew of the ends of partitions is old.
    pub(super) fn doubt(&mut self) {
        for partition in self.inputs.values_mut() {
            partition.standing.doubt();
        }
    }
}

impl Partition {
    /// Copies a record into the batch that is not handed on yet; false when it has no value.
    fn keep(
        &mut self,
        input: InputId,
        message: &BorrowedMessage<'_>,
        received_at: TimeMicros,
        bytes_max: usize,
    ) -> bool {
        self.expect(message.offset());
        let Some(payload) = message.payload() else { return false };
        let (origin, number) = (self.origin, self.number);
        let new = || RawBatch::new(input, origin, number, received_at);
        let batch = self.held.get_or_insert_with(new);
        (batch.received_at, batch.written_at) = (received_at, received_at);
        if payload.len() <= bytes_max {
            batch.push(message.offset(), payload);
        } else {
            batch.rejections.push(too_long(batch, message.offset(), payload, bytes_max));
        }
        true
    }

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
}

fn too_long(batch: &RawBatch, offset: i64, record: &[u8], bytes_max: usize) -> Rejection {
    let n_bytes = record.len();
    Rejection {
        place: batch.place_of(offset),
        reason: RejectReason::RecordTooLong,
        message: format!(
            "record of {n_bytes} bytes is longer than {bytes_max}\n\
             hint: raise input.record_bytes_max"
        ),
        raw: record.to_vec(),
    }
}
