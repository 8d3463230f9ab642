//! How a frame moves over rows that may be on disk: a piece of them is brought back, passed, and let go.

use std::ops::Range;

use super::interner::Interner;
use super::lane_log::{LaneLog, PIECE_ROWS};
use super::sliding::{Groups, Sliding};
use super::slots::Slots;
use super::spec::Cells;
use crate::Result;
use crate::event::TimeMicros;

impl Sliding {
    /// Moves the frame to a time at which no row reads: rows enter, then rows leave.
    ///
    /// # Errors
    /// When rows do not come back from the disk.
    pub(crate) fn move_to(
        &mut self,
        time: TimeMicros,
        log: &mut LaneLog,
        slots: &mut Slots,
        texts: &[Interner],
    ) -> Result<()> {
        let (entered, left) = self.reach(time, log);
        if log.is_whole() || self.n_due(entered, left) <= PIECE_ROWS {
            log.ensure(self.cursor.entered, entered)?;
            log.ensure(self.cursor.left, left)?;
            let groups = Groups { times: &[time], ends: &[0], slots: &[], row_times: &[] };
            self.run(log, slots, &groups, texts, &mut Vec::new());
            return Ok(());
        }
        self.move_by_pieces(time, log, slots, texts)
    }

    /// The same for more rows than memory may have room for. All rows enter before the first one
    /// leaves, as they do in one go: what is rounded is rounded the same.
    fn move_by_pieces(
        &mut self,
        time: TimeMicros,
        log: &mut LaneLog,
        slots: &mut Slots,
        texts: &[Interner],
    ) -> Result<()> {
        let newest = time.saturating_sub(self.frame.end_micros);
        let reach = log.reach(self.cursor.entered, log.times.end(), |time| time <= newest);
        let mut is_there = false;
        while !is_there {
            let from = self.cursor.entered;
            let piece = reach.min(from + PIECE_ROWS);
            log.ensure(from, piece)?;
            let to = log.first_row(from, piece, |time| time <= newest);
            self.cursor.entered = to;
            self.pass(from..to, self.cursor.left..self.cursor.left, log, slots, texts);
            log.let_go();
            is_there = to < piece || piece == reach;
        }
        if !self.has_leavers {
            self.cursor.left = self.cursor.entered;
            return Ok(());
        }
        self.leave_by_pieces(time, log, slots, texts)
    }

    fn leave_by_pieces(
        &mut self,
        time: TimeMicros,
        log: &mut LaneLog,
        slots: &mut Slots,
        texts: &[Interner],
    ) -> Result<()> {
        let oldest = time.saturating_sub(self.frame.start_micros);
        let entered = self.cursor.entered;
        let reach = log.reach(self.cursor.left, entered, |time| time < oldest);
        let mut is_there = false;
        while !is_there {
            let from = self.cursor.left;
            let piece = reach.min(from + PIECE_ROWS);
            log.ensure(from, piece)?;
            let to = log.first_row(from, piece, |time| time < oldest);
            self.cursor.left = to;
            self.pass(entered..entered, from..to, log, slots, texts);
            log.let_go();
            is_there = to < piece || piece == reach;
        }
        Ok(())
    }

    /// Lets rows enter, then rows leave; no row reads.
    fn pass(
        &mut self,
        enter: Range<u64>,
        leave: Range<u64>,
        log: &LaneLog,
        slots: &mut Slots,
        texts: &[Interner],
    ) {
        self.enter.load(log, &enter);
        self.leave.load(log, &leave);
        self.schedule.at_once(enter, leave);
        let groups = Groups { times: &[0], ends: &[0], slots: &[], row_times: &[] };
        self.run_aggregates(log, slots, &groups, texts, &mut Vec::new());
    }

    /// Moves the frame through the groups and pushes one result column for each aggregate.
    ///
    /// # Errors
    /// When rows do not come back from the disk.
    pub(crate) fn run_batch(
        &mut self,
        log: &mut LaneLog,
        slots: &mut Slots,
        groups: &Groups<'_>,
        texts: &[Interner],
        columns: &mut Vec<Cells>,
    ) -> Result<()> {
        if log.is_whole() {
            self.run(log, slots, groups, texts, columns);
            return Ok(());
        }
        let first_column = columns.len();
        let mut first = 0;
        while first < groups.times.len() {
            let (end, is_too_much) = self.span(first, groups.times, log);
            if is_too_much {
                self.move_to(groups.times[first], log, slots, texts)?;
            }
            let (entered, left) = self.reach(groups.times[end - 1], log);
            log.ensure(self.cursor.entered, entered)?;
            log.ensure(self.cursor.left, left)?;
            let mut part = Vec::new();
            let ends = groups.ends_of(first..end);
            self.run(log, slots, &groups.part(first..end, &ends), texts, &mut part);
            append(columns, first_column, part);
            log.let_go();
            first = end;
        }
        Ok(())
    }

    /// One behind the last group until which no more rows enter and leave than memory has room for; and
    /// whether already the first is too much.
    fn span(&self, first: usize, times: &[TimeMicros], log: &LaneLog) -> (usize, bool) {
        let fits = |time: &TimeMicros| {
            let (entered, left) = self.reach(*time, log);
            self.n_due(entered, left) <= PIECE_ROWS
        };
        let n = times[first..].partition_point(fits);
        (first + n.max(1), n == 0)
    }

    /// One behind the rows that must be looked at, for those that enter until a time and those that
    /// leave.
    fn reach(&self, time: TimeMicros, log: &LaneLog) -> (u64, u64) {
        let newest = time.saturating_sub(self.frame.end_micros);
        let entered = log.reach(self.cursor.entered, log.times.end(), |time| time <= newest);
        if !self.has_leavers {
            return (entered, self.cursor.left);
        }
        let oldest = time.saturating_sub(self.frame.start_micros);
        (entered, log.reach(self.cursor.left, entered, |time| time < oldest))
    }

    fn n_due(&self, entered: u64, left: u64) -> u64 {
        (entered - self.cursor.entered) + left.saturating_sub(self.cursor.left)
    }
}

/// Appends the results of further rows to the columns from `first` on.
fn append(columns: &mut Vec<Cells>, first: usize, part: Vec<Cells>) {
    if columns.len() == first {
        columns.extend(part);
        return;
    }
    for (column, part) in columns[first..].iter_mut().zip(part) {
        column.values.extend(part.values);
        column.valid.extend(part.valid);
    }
}
