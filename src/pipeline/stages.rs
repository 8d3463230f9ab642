//! The stages after the reader: set aside, order, consumer.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;

use super::checkpoint::State;
use super::reader::{Queued, Wanted};
use super::{Annotator, Aside, Checkpoints, Consumer, Counts, Events, Message, PATIENCE};
use crate::event::dead_letter::RecordSink;
use crate::event::reject::{RejectReason, Rejection};
use crate::event::{OriginKind, Origins, TimeMicros, schema};
use crate::order::{Arrivals, Order, TurnedAway};
use crate::serve::Metrics;
use crate::serve::metrics::{gauge, raise};
use crate::source::RawBatch;
use crate::{Error, Result};

/// Numbers are taken over so often: they cost as much as some hundred events.
const MEASURE_EVERY: Duration = Duration::from_millis(50);
/// Waits without a message after a stop before the reader is believed to hang in a read.
const WAITS_MAX: u32 = 5;

#[allow(clippy::cast_precision_loss)] // microseconds of years 1 to 9999 as seconds
fn seconds(time: TimeMicros) -> f64 {
    time as f64 / 1e6
}

/// What the thread of the later stages owns.
pub(super) struct Stages<'a> {
    pub(super) order: Order,
    /// For a consumer that takes rows as they arrive.
    pub(super) arrivals: Option<Arrivals>,
    /// Rows that have arrived since the last release.
    pub(super) arrived: Vec<RecordBatch>,
    pub(super) annotator: Annotator,
    pub(super) consumer: &'a mut dyn Consumer,
    pub(super) watch: &'a mut dyn FnMut(&Counts, u64),
    pub(super) wanted: Arc<Wanted>,
    pub(super) queued: Arc<Queued>,
    pub(super) origins: Origins,
    pub(super) aside: Aside,
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) release_on_stop: bool,
    pub(super) metrics: Arc<Metrics>,
    pub(super) counts: Counts,
    /// The reader sits in a read that may never return (a terminal).
    pub(super) reader_hangs: bool,
    /// The reader has said that nothing more comes.
    pub(super) ended: bool,
    /// When numbers were taken over last.
    pub(super) measured_at: Option<Instant>,
    /// A stage failed in the middle of a message: what is known is no state to keep.
    pub(super) broken: bool,
}

impl Stages<'_> {
    /// Takes messages to the end, then says what is left to say, also after a failure of the source.
    pub(super) fn run(&mut self, receiver: &Receiver<Message>) -> Result<()> {
        let read = self.take_all(receiver);
        // What was found is delivered, and the first failure is told.
        read.and(self.end())
    }

    fn take_all(&mut self, receiver: &Receiver<Message>) -> Result<()> {
        let mut waits = 0;
        while !self.consumer.reader_gone() {
            match receiver.recv_timeout(PATIENCE) {
                Ok(message) => {
                    let is_last = self.take_waiting(message, receiver)?;
                    if is_last {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if self.stop.load(Ordering::Relaxed) => {
                    waits += 1;
                    self.reader_hangs = waits >= WAITS_MAX;
                    if self.reader_hangs {
                        return Ok(());
                    }
                }
                // The lag grows while nothing comes.
                Err(RecvTimeoutError::Timeout) => self.measure(),
            }
            self.tend_checkpoints();
            (self.watch)(&self.counts, self.consumer.found());
        }
        self.stop.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Takes a message and those that wait behind it, then hands on what is ready: that costs much the
    /// same for few rows as for many. True after the last message.
    fn take_waiting(&mut self, first: Message, receiver: &Receiver<Message>) -> Result<bool> {
        let taken = self.take_up_to_batch(first, receiver);
        if !self.broken {
            let handed_on = self.hand_on_arrivals().and_then(|()| self.release());
            handed_on.inspect_err(|_| self.broken = true)?;
        }
        taken
    }

    fn hand_on_arrivals(&mut self) -> Result<()> {
        let Some(arrivals) = self.arrivals.as_mut().filter(|_| !self.arrived.is_empty()) else {
            return Ok(());
        };
        let Some(mut arrived) = arrivals.take(&std::mem::take(&mut self.arrived))? else {
            return Ok(());
        };
        arrived.batch = self.annotator.enrich(arrived.batch)?;
        self.consumer.arrive(&arrived, &self.origins)
    }

    fn take_up_to_batch(&mut self, first: Message, receiver: &Receiver<Message>) -> Result<bool> {
        let (mut next, mut n_rows) = (Some(first), 0);
        while let Some(message) = next {
            self.queued.remove(&message);
            let n_more = message.n_rows();
            match message {
                Message::End(unknown_fields) => {
                    self.counts.unknown_fields = unknown_fields;
                    self.ended = true;
                    return Ok(true);
                }
                Message::Failed(error) => return Err(error),
                message => self.take(message).inspect_err(|_| self.broken = true)?,
            }
            // The next one is taken to be about as long.
            n_rows += n_more;
            let has_room = n_rows + n_more <= self.order.batch_events();
            next = if has_room { receiver.try_recv().ok() } else { None };
        }
        Ok(false)
    }

    fn take(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Events(events) => self.events(*events)?,
            Message::Topic(origin, name) => {
                let index = self.origins.intern(OriginKind::Topic, &name);
                debug_assert_eq!(index, origin, "the source counts origins as we do");
            }
            Message::Joined(input) => {
                self.order.join(input);
                self.counts.inputs += 1;
            }
            Message::Finished(input) => {
                self.order.finish(input);
                self.counts.inputs = self.counts.inputs.saturating_sub(1);
                self.release()?;
                if let Some(checkpoints) = &mut self.checkpoints {
                    checkpoints.resume.forget(input);
                }
            }
            Message::Idle(input) => self.order.set_idle(input, true),
            Message::Active(input) => self.order.set_idle(input, false),
            Message::AllIdle => {
                self.order.release_all();
                self.release()?;
                self.consumer.settle()?;
            }
            Message::End(_) | Message::Failed(_) => {}
        }
        self.wanted.set(self.order.slowest());
        Ok(())
    }

    fn events(&mut self, events: Events) -> Result<()> {
        let Events { raw, mut decoded, n_bytes, outside } = events;
        self.count(&raw, decoded.batch.num_rows() as u64, n_bytes);
        self.counts.ignored += decoded.ignored;
        self.counts.outside += outside;
        let offsets = offsets(&raw, &decoded.rejections);
        for rejection in std::mem::take(&mut decoded.rejections) {
            // Read again after a restart, it was set aside before it.
            if !self.order.was_read(raw.input, rejection.place.position) {
                self.reject(&rejection)?;
            }
        }
        // The newest time that may wait: those turned away are dealt with at once.
        let times = decoded.batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>();
        let newest = times.values().iter().copied().max();
        let newest_before = self.order.newest_of(raw.input);
        let n_before = self.order.counters().admitted;
        let turned_away = self.order.admit(raw.input, decoded.batch.clone(), raw.received_at);
        let n_admitted = (self.order.counters().admitted - n_before) as usize;
        // Rows that are dropped without a word were read before a restart.
        let is_new = n_admitted + turned_away.len() == decoded.batch.num_rows();
        if self.arrivals.is_some() && n_admitted > 0 && is_new {
            self.arrived.push(admitted(&decoded.batch, &turned_away)?);
        }
        for away in turned_away {
            let rejection = decoded.turned_away(&raw, away.row, away.reason);
            self.reject(&rejection)?;
        }
        flush(&mut self.aside.dead_letter)?;
        flush(&mut self.aside.late)?;
        if let (Some(checkpoints), Some(offsets)) = (&mut self.checkpoints, offsets) {
            let admitted = newest.map(|newest| newest.min(self.order.newest().unwrap_or(newest)));
            checkpoints.resume.read(&raw, &self.origins, offsets, admitted, newest_before);
        }
        Ok(())
    }

    /// Between two messages all that is ready has been taken: the state of all stages fits together.
    fn tend_checkpoints(&mut self) {
        if !self.consumer.reader_gone() {
            self.with_checkpoints(Checkpoints::tend);
        }
    }

    fn with_checkpoints(&mut self, act: impl FnOnce(&mut Checkpoints, State<'_>)) {
        let Some(checkpoints) = &mut self.checkpoints else { return };
        let state = State {
            order: &mut self.order,
            annotator: &mut self.annotator,
            consumer: self.consumer,
            origins: &self.origins,
        };
        act(checkpoints, state);
    }

    fn count(&mut self, raw: &RawBatch, n_events: u64, n_bytes: u64) {
        self.counts.events += n_events;
        self.counts.bytes += n_bytes;
        self.metrics.event_bytes.inc_by(n_bytes);
        let origin = self.origins.get(raw.origin).map_or("", |origin| &*origin.name);
        self.metrics.events.with_label_values(&[origin]).inc_by(n_events);
    }

    /// Sets a record aside: counted, told, and kept where the configuration says.
    fn reject(&mut self, rejection: &Rejection) -> Result<()> {
        let (sinks, sink) = match rejection.reason {
            RejectReason::Late | RejectReason::Future => (&mut self.aside.late, "late"),
            _ => (&mut self.aside.dead_letter, "dead_letter"),
        };
        for one in sinks.iter_mut() {
            one.write(&self.origins, rejection)?;
        }
        if !sinks.is_empty() {
            self.metrics.dead_letters.with_label_values(&[sink]).inc();
        }
        match rejection.reason {
            RejectReason::Late | RejectReason::Future => {}
            reason => {
                *self.counts.rejected.entry(reason.label()).or_default() += 1;
                self.metrics.rejected.with_label_values(&[reason.label()]).inc();
            }
        }
        if let Some(tell) = &mut self.aside.tell {
            tell(&self.origins, rejection);
        }
        Ok(())
    }

    /// Hands on all that is ready, and then the time that the stream has reached.
    fn release(&mut self) -> Result<()> {
        while let Some(batch) = self.order.release()? {
            let started = Instant::now();
            let batch = self.annotator.annotate(batch)?;
            self.consumer.take(&batch, &self.origins)?;
            self.metrics.observe_batch(started.elapsed(), batch.num_rows());
            if self.consumer.reader_gone() {
                return Ok(());
            }
        }
        let watermark = self.order.watermark();
        if let Some(watermark) = watermark
            && self.counts.watermark != Some(watermark)
        {
            self.consumer.advance(watermark)?;
            self.counts.watermark = Some(watermark);
        }
        if let (Some(checkpoints), Some(watermark)) = (&mut self.checkpoints, watermark) {
            checkpoints.resume.dealt_with(watermark);
        }
        if self.measured_at.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
            self.measure();
        }
        Ok(())
    }

    fn measure(&mut self) {
        self.measured_at = Some(Instant::now());
        let order = self.order.counters();
        self.counts.late = order.late;
        self.counts.future = order.future;
        self.counts.duplicates = order.duplicates;
        let metrics = &self.metrics;
        raise(&metrics.late, order.late);
        raise(&metrics.future, order.future);
        raise(&metrics.duplicates, order.duplicates);
        raise(&metrics.forced_releases, order.forced_releases);
        metrics.buffered.set(gauge(self.order.buffered()));
        if let Some(watermark) = self.order.watermark() {
            metrics.watermark_seconds.set(seconds(watermark));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            metrics.lag_seconds.set((now.as_secs_f64() - seconds(watermark)).max(0.0));
        }
        self.annotator.measure(metrics);
        self.consumer.measure(metrics);
    }

    /// The end: what waits is released where that is wanted, and all is told.
    fn end(&mut self) -> Result<()> {
        let stopped = self.stop.load(Ordering::Relaxed);
        // With a state folder the stream goes on after a restart, unless the source itself has ended.
        let goes_on = self.checkpoints.is_some() && (stopped || !self.ended);
        let reader_gone = self.consumer.reader_gone();
        if !reader_gone && !goes_on && (self.release_on_stop || !stopped) {
            self.order.release_all();
            self.release().inspect_err(|_| self.broken = true)?;
        }
        if goes_on {
            self.consumer.suspend()?
        } else {
            self.consumer.finish()?
        }
        flush(&mut self.aside.dead_letter)?;
        flush(&mut self.aside.late)?;
        if !self.broken && !reader_gone {
            self.with_checkpoints(Checkpoints::finish);
        }
        self.measure();
        (self.watch)(&self.counts, self.consumer.found());
        Ok(())
    }
}

/// From the offset of a batch's first record to the one after its last; `None` when it holds none.
fn offsets(raw: &RawBatch, rejections: &[Rejection]) -> Option<Range<i64>> {
    let records = (0..raw.len()).map(|index| raw.place(index).position);
    let positions = records.chain(rejections.iter().map(|rejection| rejection.place.position));
    let (first, last) = (positions.clone().min()?, positions.max()?);
    Some(first..last + 1)
}

/// The rows that were not turned away.
fn admitted(batch: &RecordBatch, turned_away: &[TurnedAway]) -> Result<RecordBatch> {
    if turned_away.is_empty() {
        return Ok(batch.clone());
    }
    let mut is_admitted = vec![true; batch.num_rows()];
    turned_away.iter().for_each(|away| is_admitted[away.row as usize] = false);
    filter_record_batch(batch, &BooleanArray::from(is_admitted))
        .map_err(|error| Error::unexpected("events cannot be left out").detail(error.to_string()))
}

fn flush(sinks: &mut [Box<dyn RecordSink>]) -> Result<()> {
    sinks.iter_mut().try_for_each(|sink| sink.flush())
}

/// A place as people name it: `file:line`, or `topic[partition]@offset`.
pub(crate) fn place_text(origins: &Origins, place: crate::event::Place) -> String {
    match origins.get(place.origin) {
        Some(origin) if origin.kind == OriginKind::Topic => {
            format!("{}[{}]@{}", origin.name, place.partition, place.position)
        }
        Some(origin) => format!("{}:{}", origin.name, place.position),
        None => format!("?:{}", place.position),
    }
}
