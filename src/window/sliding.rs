//! One frame of a lane with its running aggregates.

use std::ops::Range;

use super::accumulator::{Accumulator, Rounded};
use super::frame::{Cursor, Frame, Schedule};
use super::interner::Interner;
use super::lane_log::{LaneLog, PIECE_ROWS};
use super::log::Log;
use super::recency::Newest;
use super::slots::Slots;
use super::snapshot::{Damage, FloatPairs, RecencyEntries};
use super::spec::{AggregateSpec, Cells, Function, mask_bit};
use super::state::State;
use crate::Result;
use crate::event::TimeMicros;

/// The rows that a batch adds, by groups of equal time.
pub(crate) struct Groups<'a> {
    pub(crate) times: &'a [TimeMicros],
    /// One behind the last row of each group.
    pub(crate) ends: &'a [u32],
    pub(crate) slots: &'a [u32],
    /// Time of each row.
    pub(crate) row_times: &'a [TimeMicros],
}

impl<'a> Groups<'a> {
    /// Where some of the groups end, counted from their own first row.
    pub(super) fn ends_of(&self, groups: Range<usize>) -> Vec<u32> {
        let first = self.first_row(groups.start);
        self.ends[groups].iter().map(|end| end - first).collect()
    }

    /// Some of the groups, which end as [`Groups::ends_of`] says.
    pub(super) fn part<'p>(&self, groups: Range<usize>, ends: &'p [u32]) -> Groups<'p>
    where
        'a: 'p,
    {
        let rows = self.first_row(groups.start) as usize..self.first_row(groups.end) as usize;
        Groups {
            times: &self.times[groups],
            ends,
            slots: &self.slots[rows.clone()],
            row_times: &self.row_times[rows],
        }
    }

    fn first_row(&self, group: usize) -> u32 {
        group.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

/// A frame, its cursors, and the aggregates over it.
pub(crate) struct Sliding {
    pub(crate) frame: Frame,
    pub(crate) cursor: Cursor,
    aggregates: Vec<(AggregateSpec, State)>,
    /// Whether an aggregate needs to see rows leave; else rows are done with once they have entered.
    pub(super) has_leavers: bool,
    pub(super) schedule: Schedule,
    pub(super) enter: Side,
    pub(super) leave: Side,
}

/// Columns of the rows that enter, or leave, copied out of the log: the inner loops run over slices.
#[derive(Default)]
pub(super) struct Side {
    first: u64,
    slots: Vec<u32>,
    /// The mask whose rows are marked.
    mask: Option<usize>,
    /// Rows that the mask lets in, ascending, from `first`.
    marked: Vec<u32>,
    /// What the aggregate takes of each marked row.
    values: Vec<u64>,
}

/// Rows of a mask that are looked at together: most masks let few rows in.
const MARK_ROWS: usize = 32;

impl Side {
    pub(super) fn load(&mut self, log: &LaneLog, rows: &Range<u64>) {
        self.first = rows.start;
        log.slots.copy_range(rows.start, rows.end, &mut self.slots);
        self.mask = None;
    }

    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    fn load_mask(&mut self, log: &LaneLog, mask: usize) {
        if self.mask.replace(mask) == Some(mask) {
            return;
        }
        let (column, bit) = mask_bit(mask);
        let (first, end) = (self.first, self.end());
        self.marked.clear();
        let mut row = 0;
        for piece in log.masks[column].slices(first, end).flat_map(|s| s.chunks(MARK_ROWS)) {
            if piece.iter().fold(0, |all, bits| all | bits) & bit != 0 {
                let marked = (row..).zip(piece).filter(|(_, bits)| **bits & bit != 0);
                self.marked.extend(marked.map(|(row, _)| row));
            }
            row += piece.len() as u32;
        }
    }

    /// What a column of the log says of the marked rows.
    fn load_values<T: Copy + Default + Into<u64>>(&mut self, column: &Log<T>) {
        let first = self.first;
        self.values.clear();
        let values = self.marked.iter().map(|row| column.get(first + u64::from(*row)).into());
        self.values.extend(values);
    }
}

/// Where one pass over the marked rows of a side stands.
struct Pass<'a> {
    side: &'a Side,
    groups: &'a [u32],
    at: usize,
}

impl<'a> Pass<'a> {
    fn new(side: &'a Side, groups: &'a [u32]) -> Self {
        Self { side, groups, at: 0 }
    }

    /// The group of the next marked row; beyond all groups when there is none.
    #[inline]
    fn group(&self) -> usize {
        let row = self.side.marked.get(self.at);
        row.map_or(usize::MAX, |row| self.groups[*row as usize] as usize)
    }

    /// The next marked row, when it is of this group: its slot, value and index.
    #[inline]
    fn next_of<const VALUES: bool>(&mut self, group: usize) -> Option<(usize, u64, u64)> {
        if self.group() != group {
            return None;
        }
        let row = self.side.marked[self.at];
        let value = if VALUES { self.side.values[self.at] } else { 0 };
        self.at += 1;
        let slot = self.side.slots[row as usize] as usize;
        Some((slot, value, self.side.first + u64::from(row)))
    }
}

impl Sliding {
    pub(crate) fn new(
        frame: Frame,
        aggregates: &[AggregateSpec],
        links: &mut Vec<(usize, usize)>,
    ) -> Self {
        Self {
            frame,
            cursor: Cursor::default(),
            has_leavers: aggregates.iter().any(|a| a.function != Function::Newest),
            aggregates: aggregates.iter().map(|a| (*a, State::new(a, links))).collect(),
            schedule: Schedule::default(),
            enter: Side::default(),
            leave: Side::default(),
        }
    }

    /// Moves the frame through the groups; the rows that enter and leave are in memory.
    pub(super) fn run(
        &mut self,
        log: &LaneLog,
        slots: &mut Slots,
        groups: &Groups<'_>,
        texts: &[Interner],
        columns: &mut Vec<Cells>,
    ) {
        let has_leavers = self.has_leavers;
        let before = self.cursor;
        self.schedule.advance(self.frame, &mut self.cursor, log, groups.times, has_leavers);
        self.enter.load(log, &self.schedule.enter);
        let leave =
            if has_leavers { self.schedule.leave.clone() } else { before.left..before.left };
        self.leave.load(log, &leave);
        self.run_aggregates(log, slots, groups, texts, columns);
    }

    pub(super) fn run_aggregates(
        &mut self,
        log: &LaneLog,
        slots: &mut Slots,
        groups: &Groups<'_>,
        texts: &[Interner],
        columns: &mut Vec<Cells>,
    ) {
        let mut aggregates = std::mem::take(&mut self.aggregates);
        for (spec, state) in &mut aggregates {
            columns.push(self.run_aggregate(spec, state, log, slots, groups, texts));
        }
        self.aggregates = aggregates;
    }

    fn run_aggregate(
        &mut self,
        spec: &AggregateSpec,
        state: &mut State,
        log: &LaneLog,
        slots: &mut Slots,
        groups: &Groups<'_>,
        texts: &[Interner],
    ) -> Cells {
        self.enter.load_mask(log, spec.mask);
        self.leave.load_mask(log, spec.mask);
        match state {
            State::Count(_) => {}
            State::Queue(_) if spec.function == Function::First => {}
            State::Distinct(_, links) => self.enter.load_values(&log.links[*links].2.previous),
            _ => {
                self.enter.load_values(&log.values[spec.value]);
                self.leave.load_values(&log.values[spec.value]);
            }
        }
        let n = slots.capacity();
        match state {
            State::Count(state) => self.drive::<_, false, false>(state, n, groups),
            State::Distinct(state, _) => self.drive::<_, true, false>(state, n, groups),
            State::IntegerSum(state) => self.drive::<_, true, true>(state, n, groups),
            State::FloatSum(state) => self.drive::<_, true, true>(state, n, groups),
            State::Average(state) => self.drive::<_, true, true>(state, n, groups),
            State::Sample(state) => self.drive::<_, true, true>(state, n, groups),
            State::Population(state) => self.drive::<_, true, true>(state, n, groups),
            State::Queue(state) if spec.function == Function::First => {
                self.drive::<_, false, false>(&mut state.first_of(log, spec), n, groups)
            }
            State::Queue(state) => self.drive::<_, true, true>(&mut state.with(texts), n, groups),
            State::Newest(state) => self.drive_newest(state, spec.valid, log, slots, groups),
        }
    }

    /// For each group of equal time: rows enter, rows leave, then every row of the group reads. Groups
    /// in which nothing enters or leaves read together with those before them. The constants say on
    /// which side the aggregate takes values.
    fn drive<A: Accumulator, const ENTER: bool, const LEAVE: bool>(
        &self,
        state: &mut A,
        n_slots: usize,
        groups: &Groups<'_>,
    ) -> Cells {
        state.grow(n_slots);
        let mut output = Cells::with_capacity(groups.slots.len());
        let schedule = &self.schedule;
        let mut entering = Pass::new(&self.enter, &schedule.enter_groups);
        let mut leaving = Pass::new(&self.leave, &schedule.leave_groups);
        let mut row = 0;
        loop {
            let group = entering.group().min(leaving.group());
            let before = group.min(groups.ends.len()).checked_sub(1);
            let end = before.map_or(0, |before| groups.ends[before] as usize);
            state.read_all(&groups.slots[row..end], &mut output);
            row = end;
            if group >= groups.ends.len() {
                return output;
            }
            let left = before.map_or(0, |before| schedule.leave_ends[before]);
            let oldest = self.leave.first + u64::from(left);
            while let Some((slot, value, index)) = entering.next_of::<ENTER>(group) {
                state.enter(slot, value, index, oldest);
            }
            while let Some((slot, value, index)) = leaving.next_of::<LEAVE>(group) {
                state.leave(slot, value, index);
            }
        }
    }

    fn drive_newest(
        &self,
        state: &mut Newest,
        valid: Option<usize>,
        log: &LaneLog,
        slots: &mut Slots,
        groups: &Groups<'_>,
    ) -> Cells {
        state.grow(slots.capacity());
        let mut output = Cells::with_capacity(groups.slots.len());
        let mut entering = Pass::new(&self.enter, &self.schedule.enter_groups);
        let mut row = 0;
        loop {
            let group = entering.group();
            let before = group.min(groups.ends.len()).checked_sub(1);
            let end = before.map_or(0, |before| groups.ends[before] as usize);
            let times = &groups.row_times[row..end];
            state.read_all(&groups.slots[row..end], times, self.frame.start_micros, &mut output);
            row = end;
            if group >= groups.ends.len() {
                return output;
            }
            while let Some((slot, value, index)) = entering.next_of::<true>(group) {
                let is_valid = valid.is_none_or(|mask| log.has(mask, index));
                let slot = slot as u32;
                if state.enter(slot, log.times.get(index), is_valid.then_some(value)) {
                    slots.retain(slot);
                }
            }
        }
    }

    /// Frees the keys whose newest row no frame at `time` or later can see.
    pub(crate) fn expire(&mut self, time: TimeMicros, slots: &mut Slots) {
        let limit = time.saturating_sub(self.frame.start_micros);
        for (_, state) in &mut self.aggregates {
            let State::Newest(newest) = state else { continue };
            while let Some(slot) = newest.recency.expire(limit) {
                slots.release(slot);
            }
        }
    }

    /// Where the cursors stand at a time: they follow from the rows.
    fn cursor_at(&self, time: TimeMicros, log: &mut LaneLog) -> Result<Cursor> {
        let (head, end) = (log.head, log.times.end());
        let newest = time.saturating_sub(self.frame.end_micros);
        let entered = log.find_row(head, end, |time| time <= newest)?;
        let oldest = time.saturating_sub(self.frame.start_micros);
        let left = match self.has_leavers {
            true => log.find_row(head, entered, |time| time < oldest)?,
            false => entered,
        };
        Ok(Cursor { entered, left })
    }

    /// What the rows alone do not tell of the aggregates: pairs of floats, and newest rows of keys.
    pub(crate) fn remains(&self, floats: &mut Vec<FloatPairs>, newest: &mut Vec<RecencyEntries>) {
        for (_, state) in &self.aggregates {
            match state {
                State::Newest(state) => newest.push(state.entries()),
                other => floats.extend(other.rounded().map(Rounded::rounded)),
            }
        }
    }

    /// Lets the rows of an earlier process enter again and puts back what they alone do not tell.
    pub(crate) fn refill<'s>(
        &mut self,
        time: TimeMicros,
        log: &mut LaneLog,
        slots: &mut Slots,
        texts: &[Interner],
        floats: &mut impl Iterator<Item = &'s FloatPairs>,
        newest: &mut impl Iterator<Item = &'s RecencyEntries>,
    ) -> Result<(), Damage> {
        self.cursor = self.cursor_at(time, log).map_err(|_| NOT_READ_BACK)?;
        for (from, to) in pieces(self.cursor.left, self.cursor.entered) {
            log.ensure(from, to).map_err(|_| NOT_READ_BACK)?;
            self.enter_again(from..to, log, slots, texts);
            log.let_go();
        }
        let n_slots = slots.capacity();
        for (_, state) in &mut self.aggregates {
            if let State::Newest(state) = state {
                state.restore(n_slots, newest.next().ok_or("an aggregate is missing")?)?;
            } else if let Some(state) = state.rounded_mut() {
                state.set_rounded(floats.next().ok_or("an aggregate is missing")?)?;
            }
        }
        Ok(())
    }

    fn enter_again(
        &mut self,
        rows: Range<u64>,
        log: &LaneLog,
        slots: &mut Slots,
        texts: &[Interner],
    ) {
        let none = self.cursor.left..self.cursor.left;
        self.enter.load(log, &rows);
        self.leave.load(log, &none);
        self.schedule.at_once(rows, none);
        // One group of rows that enter, and none that reads.
        let groups = Groups { times: &[0], ends: &[0], slots: &[], row_times: &[] };
        let mut aggregates = std::mem::take(&mut self.aggregates);
        for (spec, state) in &mut aggregates {
            if !matches!(state, State::Newest(_)) {
                self.run_aggregate(spec, state, log, slots, &groups, texts);
            }
        }
        self.aggregates = aggregates;
    }

    /// Masks of those of the named aggregates whose rows are evidence: they keep them in the log.
    pub(crate) fn witness_masks(&self, aggregates: &[usize]) -> Vec<usize> {
        if self.frame.is_history() {
            return Vec::new();
        }
        let named = aggregates.iter().map(|aggregate| &self.aggregates[*aggregate].0);
        let logged = named.filter(|spec| spec.function != Function::Newest);
        logged.map(|spec| spec.mask).collect()
    }

    /// Whether any of its rows may be evidence.
    pub(crate) fn has_witnesses(&self) -> bool {
        let is_logged = |(spec, _): &(AggregateSpec, State)| spec.function != Function::Newest;
        !self.frame.is_history() && self.aggregates.iter().any(is_logged)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.aggregates.iter().map(|(_, state)| state.bytes()).sum()
    }
}

/// What is wrong with rows that were put on disk while a lane was taken back.
const NOT_READ_BACK: Damage = "rows do not come back from the disk";

/// The rows `from..to` in pieces that memory has room for.
fn pieces(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let starts = (from..to).step_by(PIECE_ROWS as usize);
    starts.map(move |start| (start, to.min(start + PIECE_ROWS)))
}
