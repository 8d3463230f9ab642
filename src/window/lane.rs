//! A lane: all windows over one partition key, on one append-only columnar log.

use super::interner::Interner;
use super::lane_log::LaneLog;
use super::recency::Lag;
use super::sliding::{Groups, Sliding};
use super::slots::{NO_SLOT, Slots};
use super::snapshot::{Damage, LaneRows, LaneState};
use super::spec::{Cells, LagSpec, LaneInput, LaneLimits, LaneOutput, LaneSpec, mask_bit};
use crate::Result;
use crate::event::TimeMicros;
use crate::store::SpillStream;

/// Rows go in by batches in time order; every aggregate's value at each row comes out. Exact: equal to
/// evaluating the window for each row over the whole table.
pub struct Lane {
    limits: LaneLimits,
    pub(super) slots: Slots,
    pub(super) log: LaneLog,
    windows: Vec<Sliding>,
    lags: Vec<(LagSpec, Lag)>,
    /// For each mask column the bits that an aggregate counts by.
    counting_bits: Vec<u8>,
    /// Key and time of each row of the last batch.
    batch: Vec<(u32, TimeMicros)>,
    /// Slots of rows that no aggregate counts: they live until the next batch.
    visitors: Vec<u32>,
    pub(super) dropped_rows: u64,
    /// Event time up to which the windows have moved.
    pub(super) time: TimeMicros,
}

impl Lane {
    /// An empty lane.
    pub fn new(spec: &LaneSpec, limits: LaneLimits) -> Self {
        let mut links = Vec::new();
        let windows = spec.windows.iter().map(|(f, a)| Sliding::new(*f, a, &mut links)).collect();
        Self {
            limits,
            slots: Slots::new(spec.n_key_columns, limits.keys_max),
            log: LaneLog::new(spec.n_masks, spec.n_values, links),
            windows,
            lags: spec.lags.iter().map(|lag| (*lag, Lag::new(lag.n))).collect(),
            counting_bits: counting_bits(spec),
            batch: Vec::new(),
            visitors: Vec::new(),
            dropped_rows: 0,
            time: TimeMicros::MIN,
        }
    }

    /// Lets old rows go to the disk: see [`Lane::keep_within`].
    pub fn spill_to(&mut self, stream: SpillStream) {
        self.log.spill_to(stream);
    }

    /// Lets time pass: what no row at `time` or later can see is freed.
    ///
    /// # Errors
    /// When rows do not come back from the disk; the lane is of no use then.
    pub fn advance(&mut self, time: TimeMicros, texts: &[Interner]) -> Result<()> {
        self.time = time;
        self.visitors.drain(..).for_each(|slot| self.slots.release(slot));
        for window in &mut self.windows {
            window.move_to(time, &mut self.log, &mut self.slots, texts)?;
            window.expire(time, &mut self.slots);
        }
        for (spec, lag) in &mut self.lags {
            let limit = time.saturating_sub(spec.horizon_micros);
            while let Some(slot) = lag.recency.expire(limit) {
                lag.clear(slot);
                self.slots.release(slot);
            }
        }
        let end = self.log.times.end();
        let tail = self.windows.iter().map(|w| w.cursor.left).min().unwrap_or(end);
        self.log.trim(tail, &mut self.slots)?;
        self.pin()
    }

    /// Keeps the rows at which cursors stand in memory, and lets the disk have the others that cursors
    /// have passed.
    pub(super) fn pin(&mut self) -> Result<()> {
        let cursors = self.windows.iter().flat_map(|w| [w.cursor.left, w.cursor.entered]);
        let head = self.log.head;
        self.log.pin(cursors.chain([head]))
    }

    /// Writes old rows to the disk until those in memory take no more than so many bytes, as far as
    /// there is a disk and it takes them.
    pub fn keep_within(&mut self, bytes_max: usize) {
        self.log.keep_within(bytes_max);
    }

    /// Takes the next rows and gives every aggregate's value at each of them.
    ///
    /// # Errors
    /// As [`Lane::advance`].
    pub fn push(&mut self, mut input: LaneInput, texts: &[Interner]) -> Result<LaneOutput> {
        let (slots, dropped) = self.admit(&mut input);
        let logged = self.log_rows(&input, &slots);
        let (times, ends) = groups_of(&input.times);
        let groups = Groups { times: &times, ends: &ends, slots: &slots, row_times: &input.times };
        self.time = times.last().copied().unwrap_or(self.time);
        let mut columns = Vec::new();
        for window in &mut self.windows {
            window.run_batch(&mut self.log, &mut self.slots, &groups, texts, &mut columns)?;
        }
        for (spec, lag) in &mut self.lags {
            columns.push(run_lag(spec, lag, &input, &slots, &mut self.slots));
        }
        self.batch.clear();
        self.batch.extend(slots.iter().copied().zip(input.times));
        self.visitors.extend(slots.iter().zip(logged).filter(|(_, l)| !l).map(|(slot, _)| *slot));
        self.pin()?;
        Ok(LaneOutput { columns, dropped })
    }

    /// Finds each row's slot; rows beyond a limit are taken out of the input.
    fn admit(&mut self, input: &mut LaneInput) -> (Vec<u32>, Vec<u32>) {
        let width = self.slots.width();
        let mut room = self.limits.rows_max.saturating_sub(self.log.n_rows());
        let mut slots = Vec::with_capacity(input.times.len());
        let mut dropped = Vec::new();
        for (row, key) in input.keys.chunks_exact(width).enumerate() {
            let slot = if room > 0 { self.slots.find_or_insert(key) } else { NO_SLOT };
            if slot == NO_SLOT {
                dropped.push(row as u32);
            } else {
                self.slots.retain(slot);
                slots.push(slot);
                room -= usize::from(self.counts(input, row));
            }
        }
        if !dropped.is_empty() {
            self.dropped_rows += dropped.len() as u64;
            input.remove_rows(&dropped, width);
        }
        (slots, dropped)
    }

    /// Whether any aggregate counts the row; if none does, the log need not hold it.
    fn counts(&self, input: &LaneInput, row: usize) -> bool {
        self.counting_bits.iter().zip(&input.masks).any(|(bits, column)| column[row] & bits != 0)
    }

    /// Appends the rows that count; says which.
    fn log_rows(&mut self, input: &LaneInput, slots: &[u32]) -> Vec<bool> {
        let logged: Vec<bool> = (0..slots.len()).map(|row| self.counts(input, row)).collect();
        let n_slots = self.slots.capacity();
        if logged.iter().all(|logged| *logged) {
            self.log.append(input, slots, n_slots);
        } else {
            let (input, slots) = input.filtered(slots, &logged);
            self.log.append(&input, &slots, n_slots);
        }
        logged
    }

    /// Calls `visit` with the stream row (low 32 bits) of each row that one of the `aggregates` of
    /// `window` counts at row `row` of the last batch: it lies in the frame and has the row's key. Newest
    /// first, until it says `false`. None of a frame that tells what went before. Dropped rows do not
    /// count in `row`.
    ///
    /// # Errors
    /// When rows do not come back from the disk.
    pub fn visit_frame(
        &mut self,
        window: usize,
        aggregates: &[usize],
        row: usize,
        visit: impl FnMut(u32) -> bool,
    ) -> Result<()> {
        let (window, (slot, time)) = (&self.windows[window], self.batch[row]);
        let newest = time.saturating_sub(window.frame.end_micros);
        let oldest = time.saturating_sub(window.frame.start_micros);
        let masks = window.witness_masks(aggregates);
        if masks.is_empty() {
            return Ok(());
        }
        self.log.visit_key(slot, (oldest, newest), &masks, visit)
    }

    /// Indices of the rows that [`Lane::visit_frame`] may still give.
    fn witnesses(&self) -> std::ops::Range<u64> {
        let windows = self.windows.iter().filter(|window| window.has_witnesses());
        let end = self.log.times.end();
        windows.map(|window| window.cursor.left).min().unwrap_or(end)..end
    }

    /// Number of rows that may still be evidence.
    pub fn n_witnesses(&self) -> usize {
        let rows = self.witnesses();
        (rows.end - rows.start) as usize
    }

    /// Stream row (low 32 bits) of the oldest row that may still be evidence.
    pub fn oldest_witness(&self) -> Option<u32> {
        self.witnesses().next().map(|index| self.log.rows.get(index))
    }

    /// Calls `visit` with the stream row (low 32 bits) of each row that may still be evidence, oldest
    /// first, from the first on that is not `is_before`, until it says `false`.
    ///
    /// # Errors
    /// When rows do not come back from the disk.
    pub fn visit_witnesses(
        &mut self,
        is_before: impl Fn(u32) -> bool,
        mut visit: impl FnMut(u32) -> bool,
    ) -> Result<()> {
        let witnesses = self.witnesses();
        for index in self.log.start_of(&is_before).max(witnesses.start)..witnesses.end {
            self.log.ensure_evidence(index)?;
            let row = self.log.rows.get(index);
            if !is_before(row) && !visit(row) {
                break;
            }
        }
        Ok(())
    }

    /// Event time that the lane has reached; the lowest of all when it has seen none.
    pub fn time(&self) -> TimeMicros {
        self.time
    }

    /// The state beside the rows of the log.
    pub fn state(&self) -> LaneState {
        let end = self.log.times.end();
        let (slots, key_parts) = self.slots.live();
        let mut state = LaneState {
            time: self.time,
            head: self.windows.iter().map(|w| w.cursor.left).min().unwrap_or(end),
            end,
            dropped_rows: self.dropped_rows,
            n_slots: self.slots.capacity(),
            slots,
            key_parts,
            lags: self.lags.iter().map(|(_, lag)| lag.entries()).collect(),
            ..LaneState::default()
        };
        for window in &self.windows {
            window.remains(&mut state.floats, &mut state.newest);
        }
        state
    }

    /// Index of the oldest row of the log, and one behind the newest.
    pub fn held_rows(&self) -> (u64, u64) {
        (self.log.head, self.log.times.end())
    }

    /// The rows of the log with an index within `from..to`, so far as they are there.
    ///
    /// # Errors
    /// When rows do not come back from the disk.
    pub fn rows(&mut self, from: u64, to: u64) -> Result<LaneRows> {
        let from = from.max(self.log.head);
        let to = to.min(self.log.times.end()).max(from);
        self.log.ensure(from, to)?;
        let rows = self.log.copy_rows(from, to);
        self.log.let_go();
        Ok(rows)
    }

    /// Fills the windows and lags anew from the log and the rest of the state.
    pub(super) fn refill(&mut self, state: &LaneState, texts: &[Interner]) -> Result<(), Damage> {
        let (mut floats, mut newest) = (state.floats.iter(), state.newest.iter());
        for window in &mut self.windows {
            let slots = &mut self.slots;
            window.refill(state.time, &mut self.log, slots, texts, &mut floats, &mut newest)?;
        }
        let is_left_over = floats.next().is_some() || newest.next().is_some();
        if is_left_over || state.lags.len() != self.lags.len() {
            return Err("the state is of another lane");
        }
        for ((_, lag), entries) in self.lags.iter_mut().zip(&state.lags) {
            lag.restore(self.slots.capacity(), entries)?;
        }
        Ok(())
    }

    /// Keys that have rows.
    pub fn n_keys(&self) -> usize {
        self.slots.len()
    }

    /// Rows in the log.
    pub fn n_rows(&self) -> usize {
        self.log.n_rows()
    }

    /// Rows that a limit kept out, since the start.
    pub fn dropped_rows(&self) -> u64 {
        self.dropped_rows
    }

    /// Rows that are on disk alone.
    pub fn n_rows_on_disk(&self) -> usize {
        self.log.n_rows_on_disk()
    }

    /// Bytes of the rows in memory: what [`Lane::keep_within`] bounds.
    pub fn log_bytes(&self) -> usize {
        self.log.columns_bytes()
    }

    /// Bytes of state in memory.
    pub fn bytes(&self) -> usize {
        self.log.bytes()
            + self.slots.bytes()
            + self.windows.iter().map(Sliding::bytes).sum::<usize>()
            + self.lags.iter().map(|(_, lag)| lag.bytes()).sum::<usize>()
    }
}

fn counting_bits(spec: &LaneSpec) -> Vec<u8> {
    let mut bits = vec![0; spec.n_masks.div_ceil(8)];
    for aggregate in spec.windows.iter().flat_map(|(_, aggregates)| aggregates) {
        let (column, bit) = mask_bit(aggregate.mask);
        bits[column] |= bit;
    }
    bits
}

fn run_lag(
    spec: &LagSpec,
    lag: &mut Lag,
    input: &LaneInput,
    row_slots: &[u32],
    slots: &mut Slots,
) -> Cells {
    lag.grow(slots.capacity());
    let mut output = Cells::default();
    for (row, (&slot, &time)) in row_slots.iter().zip(&input.times).enumerate() {
        let start = time.saturating_sub(spec.horizon_micros);
        output.push(lag.read(slot, start).unwrap_or(spec.default));
        let value = input.has(spec.valid, row).then(|| input.values[spec.value][row]);
        let counts = input.has(spec.mask, row) && (value.is_some() || !spec.ignores_nulls);
        if counts && lag.push(slot, time, value) {
            slots.retain(slot);
        }
    }
    output
}

/// The distinct times, and one behind the last row of each.
fn groups_of(times: &[TimeMicros]) -> (Vec<TimeMicros>, Vec<u32>) {
    let (mut groups, mut ends) = (Vec::new(), Vec::new());
    for (row, &time) in times.iter().enumerate() {
        if groups.last() != Some(&time) {
            debug_assert!(groups.last().is_none_or(|last| *last < time), "rows out of order");
            groups.push(time);
            ends.push(row as u32);
        }
        if let Some(end) = ends.last_mut() {
            *end = row as u32 + 1;
        }
    }
    (groups, ends)
}
