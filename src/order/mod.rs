//! Order: events of all inputs in one sequence by event time, exactly once and never split between equal times.
//!
//! Each input has a watermark: its newest time less `lateness`. What lies below the lowest watermark
//! is released, in the order (time, event id, hash of the record, place). The sequence is a
//! function of the events alone: neither batch size, nor the split over inputs, nor the order of
//! arrival within `lateness` changes it. The exceptions have counters: late and future rows, and a
//! forced release where one input fills the whole buffer.

mod arrivals;
mod buffer;
mod dedup;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use hashbrown::HashMap;

use crate::Result;
use crate::event::reject::RejectReason;
use crate::event::{TimeMicros, schema};
use crate::source::InputId;
use crate::store::{BlockReader, BlockWriter};

pub use arrivals::{Arrivals, Arrived};
use buffer::{Buffer, Entry};
use dedup::Dedup;
pub use dedup::OrderManifest;

/// How events are put in order.
#[derive(Debug, Clone, Copy)]
pub struct OrderConfig {
    /// How far an input may be out of order.
    pub lateness_micros: TimeMicros,
    /// An event further ahead of the source's clock is turned away.
    pub clock_skew_micros: TimeMicros,
    /// An event id that comes again within this time is dropped; 0 keeps all.
    pub dedup_window_micros: TimeMicros,
    /// Rows that may wait.
    pub buffered_events_max: usize,
    /// Rows in a released batch, unless more have one time.
    pub batch_events: usize,
}

impl Default for OrderConfig {
    fn default() -> Self {
        Self {
            lateness_micros: 60_000_000,
            clock_skew_micros: 600_000_000,
            dedup_window_micros: 600_000_000,
            buffered_events_max: 1_000_000,
            batch_events: 8_192,
        }
    }
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderCounters {
    /// Rows taken in.
    pub admitted: u64,
    /// Rows behind the watermark.
    pub late: u64,
    /// Rows ahead of the clock.
    pub future: u64,
    /// Rows whose event id had been seen.
    pub duplicates: u64,
    /// Rows handed on.
    pub released: u64,
    /// Times that one input filled the buffer, so that rows had to go before their time.
    pub forced_releases: u64,
}

/// A row that was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnedAway {
    /// Row of the batch.
    pub row: u32,
    /// [`RejectReason::Late`] or [`RejectReason::Future`].
    pub reason: RejectReason,
}

/// What a manifest knows of an input.
#[derive(Debug, Clone, Copy)]
pub struct KnownInput {
    /// The input.
    pub input: InputId,
    /// The newest time taken in from before the position at which it is read on; `None`: it is not
    /// known, as when more of the input is read again.
    pub newest_before: Option<TimeMicros>,
    /// Positions below were read before: a row there that is turned away was counted then.
    pub read_until: i64,
}

#[derive(Debug)]
struct InputState {
    newest: Option<TimeMicros>,
    idle: bool,
    finished: bool,
    buffered: usize,
    read_until: i64,
}

impl Default for InputState {
    fn default() -> Self {
        Self { newest: None, idle: false, finished: false, buffered: 0, read_until: i64::MIN }
    }
}

impl InputState {
    fn holds(&self) -> bool {
        !self.idle && !self.finished
    }

    fn watermark(&self, lateness: TimeMicros) -> TimeMicros {
        self.newest.map_or(TimeMicros::MIN, |newest| newest.saturating_sub(lateness))
    }
}

/// The reorder buffer.
pub struct Order {
    config: OrderConfig,
    inputs: Vec<InputState>,
    index_of: HashMap<InputId, u32>,
    ids: Vec<InputId>,
    buffer: Buffer,
    dedup: Dedup,
    /// All rows below have been released, or are ready to be.
    released_until: TimeMicros,
    counters: OrderCounters,
}

impl Order {
    /// An empty buffer. Inputs are to be joined before the first row of any of them comes.
    pub fn new(config: OrderConfig) -> Self {
        Self {
            config,
            inputs: Vec::new(),
            index_of: HashMap::new(),
            ids: Vec::new(),
            buffer: Buffer::default(),
            dedup: Dedup::new(config.dedup_window_micros),
            released_until: TimeMicros::MIN,
            counters: OrderCounters::default(),
        }
    }

    /// The buffer as it was when `saved` was made, but for the rows that waited: they are read again,
    /// and those of them that are below `watermark` are turned away, silently.
    ///
    /// # Errors
    /// When a block cannot be read.
    pub fn restore(
        config: OrderConfig,
        watermark: Option<TimeMicros>,
        saved: &OrderManifest,
        blocks: &BlockReader,
        inputs: impl IntoIterator<Item = KnownInput>,
    ) -> Result<Self> {
        let released_until = watermark.unwrap_or(TimeMicros::MIN);
        let dedup = Dedup::restore(config.dedup_window_micros, saved, blocks, released_until)?;
        let mut order = Self { dedup, released_until, ..Self::new(config) };
        order.know(inputs);
        Ok(order)
    }

    /// Takes over what is known of inputs; each holds the watermark.
    pub fn know(&mut self, inputs: impl IntoIterator<Item = KnownInput>) {
        for known in inputs {
            let index = self.index(known.input);
            self.inputs[index] = InputState {
                newest: known.newest_before,
                read_until: known.read_until,
                ..InputState::default()
            };
        }
    }

    /// From now on what [`Self::checkpoint`] needs is kept.
    pub fn keep_journal(&mut self) {
        self.dedup.keep_journal();
    }

    /// Writes what is remembered of rows that were released. Rows that wait are not written: they are
    /// read again. Nothing may be ready and not yet taken by [`Self::release`].
    pub fn checkpoint(&mut self, blocks: &mut BlockWriter) -> OrderManifest {
        self.dedup.checkpoint(blocks, self.released_until)
    }

    /// Makes an input known: from now on it holds the watermark back. Joined again, a finished
    /// input starts afresh.
    pub fn join(&mut self, input: InputId) {
        let index = self.index(input);
        let state = &mut self.inputs[index];
        if state.finished {
            *state = InputState { buffered: state.buffered, ..InputState::default() };
        }
    }

    fn index(&mut self, input: InputId) -> usize {
        let next = self.inputs.len();
        let index = *self.index_of.entry(input).or_insert(next as u32) as usize;
        if index == next {
            self.inputs.push(InputState::default());
            self.ids.push(input);
        }
        index
    }

    /// Takes the rows of a batch in, and says which it turned away. An input that was idle is active
    /// again.
    pub fn admit(
        &mut self,
        input: InputId,
        batch: RecordBatch,
        received_at: TimeMicros,
    ) -> Vec<TurnedAway> {
        let index = self.index(input);
        let mut turned_away = Vec::new();
        let entries = self.admit_rows(index, &batch, received_at, &mut turned_away);
        let state = &mut self.inputs[index];
        state.idle = false;
        state.buffered += entries.len();
        self.counters.admitted += entries.len() as u64;
        self.buffer.push(batch, entries);
        self.advance();
        self.relieve(index);
        turned_away
    }

    /// Row by row, so that the cut into batches does not decide which row is late.
    fn admit_rows(
        &mut self,
        input: usize,
        batch: &RecordBatch,
        received_at: TimeMicros,
        turned_away: &mut Vec<TurnedAway>,
    ) -> Vec<Entry> {
        let times = batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>().values();
        let lateness = self.config.lateness_micros;
        let positions = batch.column(schema::POSITION).as_primitive::<Int64Type>().values();
        let latest = received_at.saturating_add(self.config.clock_skew_micros);
        let state = &mut self.inputs[input];
        let mut floor = state.watermark(lateness).max(self.released_until);
        let mut newest = state.newest.unwrap_or(TimeMicros::MIN);
        let mut entries = Vec::with_capacity(times.len());
        for (row, &time) in times.iter().enumerate() {
            let reason = if time > latest {
                RejectReason::Future
            } else if time < floor {
                RejectReason::Late
            } else {
                entries.push(Entry { time, row: row as u32, input: input as u32 });
                if time > newest {
                    newest = time;
                    floor = floor.max(time.saturating_sub(lateness));
                }
                continue;
            };
            if positions[row] >= state.read_until {
                turned_away.push(TurnedAway { row: row as u32, reason });
            }
        }
        let n_future =
            turned_away.iter().filter(|away| away.reason == RejectReason::Future).count();
        self.counters.future += n_future as u64;
        self.counters.late += (turned_away.len() - n_future) as u64;
        if !entries.is_empty() {
            state.newest = Some(newest);
        }
        entries
    }

    /// Makes ready what lies below the watermark of all inputs that hold it.
    fn advance(&mut self) {
        let lateness = self.config.lateness_micros;
        let holding = self.inputs.iter().filter(|input| input.holds());
        if let Some(watermark) = holding.map(|input| input.watermark(lateness)).min() {
            self.make_ready(watermark);
        } else if self.inputs.iter().all(|input| input.finished) {
            self.release_all();
        }
    }

    fn make_ready(&mut self, until: TimeMicros) {
        if until > self.released_until {
            self.released_until = until;
            let inputs = &mut self.inputs;
            self.buffer.make_ready(until, |entry| inputs[entry.input as usize].buffered -= 1);
        }
    }

    /// One input alone has filled the buffer: no other input can help, so its rows must go.
    fn relieve(&mut self, input: usize) {
        let max = self.config.buffered_events_max;
        let Some(newest) = self.inputs[input].newest else { return };
        if self.inputs[input].buffered < max {
            return;
        }
        self.counters.forced_releases += 1;
        self.make_ready(newest);
        if self.inputs[input].buffered >= max {
            self.make_ready(newest.saturating_add(1));
        }
    }

    /// The input has ended; it no longer holds the watermark. When all have ended, all is released.
    pub fn finish(&mut self, input: InputId) {
        let index = self.index(input);
        self.inputs[index].finished = true;
        self.advance();
    }

    /// An idle input does not hold the watermark back.
    pub fn set_idle(&mut self, input: InputId, idle: bool) {
        let index = self.index(input);
        self.inputs[index].idle = idle;
        self.advance();
    }

    /// Makes all that waits ready, as at the end of a replay or when all inputs have long been idle.
    /// What comes later with an earlier or equal time is late.
    pub fn release_all(&mut self) {
        if let Some(newest) = self.buffer.newest() {
            self.make_ready(newest.saturating_add(1));
        }
    }

    /// The next batch that is ready; repeat until `None`. Rows of one time are never in two batches.
    ///
    /// # Errors
    /// Only when arrow refuses the columns, which no input can cause.
    pub fn release(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(count) = self.buffer.next_piece(self.config.batch_events.max(1)) {
            let (dedup, mut kept) = (&mut self.dedup, 0);
            let batch = self.buffer.take_piece(count, |batch, row, time| {
                let keep = dedup.is_first(batch, row, time);
                kept += u64::from(keep);
                keep
            })?;
            self.counters.released += kept;
            self.counters.duplicates += count as u64 - kept;
            if batch.is_some() {
                return Ok(batch);
            }
        }
        self.buffer.tidy()?;
        Ok(None)
    }

    /// The input with the lowest watermark among those that hold it: the one to read next.
    pub fn slowest(&self) -> Option<InputId> {
        let holding = self.inputs.iter().zip(&self.ids).filter(|(input, _)| input.holds());
        holding.min_by_key(|(input, id)| (input.newest, **id)).map(|(_, id)| *id)
    }

    /// All rows below this time have been released or are ready; `None` before the first.
    pub fn watermark(&self) -> Option<TimeMicros> {
        (self.released_until != TimeMicros::MIN).then_some(self.released_until)
    }

    /// Newest time taken in from any input.
    pub fn newest(&self) -> Option<TimeMicros> {
        self.inputs.iter().filter_map(|input| input.newest).max()
    }

    /// Newest time taken in from one input.
    pub fn newest_of(&self, input: InputId) -> Option<TimeMicros> {
        self.state(input)?.newest
    }

    /// Whether an input has nothing more to give for now.
    pub fn is_idle(&self, input: InputId) -> bool {
        self.state(input).is_some_and(|state| state.idle)
    }

    /// Whether a position was read before the restart already.
    pub fn was_read(&self, input: InputId, position: i64) -> bool {
        self.state(input).is_some_and(|state| position < state.read_until)
    }

    fn state(&self, input: InputId) -> Option<&InputState> {
        self.inputs.get(*self.index_of.get(&input)? as usize)
    }

    /// Rows in a released batch, unless more have one time.
    pub fn batch_events(&self) -> usize {
        self.config.batch_events
    }

    /// Rows that wait, those that are ready included.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Memory of the waiting rows and of the event ids that are remembered.
    pub fn bytes(&self) -> usize {
        self.buffer.bytes() + self.dedup.bytes()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> OrderCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests;
