//! One sliding frame over a lane: which rows enter and leave at each new time.

use std::ops::Range;

use super::lane_log::LaneLog;
use crate::event::TimeMicros;

/// `RANGE BETWEEN start PRECEDING AND end PRECEDING`; an `end` of 0 is `CURRENT ROW`, peers included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// How far back the frame begins.
    pub start_micros: TimeMicros,
    /// How far back it ends.
    pub end_micros: TimeMicros,
}

/// From this distance on what a frame holds is what went before, not what happens.
const HISTORY_MICROS: TimeMicros = 60 * 60 * 1_000_000;

impl Frame {
    /// Whether it ends an hour or more before the row: it tells what is usual for a key, and its rows
    /// are no evidence of what is unusual.
    pub(crate) fn is_history(self) -> bool {
        self.end_micros >= HISTORY_MICROS
    }
}

/// A frame's two cursors into the log. Expiry is the cursor: there are no timers and no sweeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// One behind the newest row that has entered.
    pub(crate) entered: u64,
    /// Oldest row that has not left.
    pub(crate) left: u64,
}

/// What one batch does to one frame: the rows that enter and leave, cut by groups of equal time.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    pub(crate) enter: Range<u64>,
    pub(crate) leave: Range<u64>,
    /// For each group, one behind its last entering row, from the start of `enter`.
    pub(crate) enter_ends: Vec<u32>,
    /// The same for leaving rows.
    pub(crate) leave_ends: Vec<u32>,
    /// The group in which each entering row enters.
    pub(crate) enter_groups: Vec<u32>,
    /// The same for leaving rows.
    pub(crate) leave_groups: Vec<u32>,
    /// Times of the rows that are looked at.
    times: Vec<TimeMicros>,
}

impl Schedule {
    /// Moves the cursor through the groups (their times ascend). A row may enter and leave in one
    /// step, when no row came for longer than the frame. The rows that the cursor passes are in memory.
    pub(crate) fn advance(
        &mut self,
        frame: Frame,
        cursor: &mut Cursor,
        log: &LaneLog,
        groups: &[TimeMicros],
        has_leavers: bool,
    ) {
        let times = &log.times;
        let begin = *cursor;
        self.clear();
        (self.enter, self.leave) = (begin.entered..begin.entered, begin.left..begin.left);
        let Some(&last) = groups.last() else { return };
        let newest = last.saturating_sub(frame.end_micros);
        cursor.entered = log.first_row(begin.entered, times.end(), |time| time <= newest);
        times.copy_range(begin.entered, cursor.entered, &mut self.times);
        for (group, time) in (0..).zip(groups) {
            let newest = time.saturating_sub(frame.end_micros);
            fill(&mut self.enter_groups, &self.times, group, |time| time <= newest);
            self.enter_ends.push(self.enter_groups.len() as u32);
        }
        cursor.left = cursor.entered;
        if has_leavers {
            let oldest = last.saturating_sub(frame.start_micros);
            cursor.left = log.first_row(begin.left, cursor.entered, |time| time < oldest);
            times.copy_range(begin.left, cursor.left, &mut self.times);
            for (group, time) in (0..).zip(groups) {
                let oldest = time.saturating_sub(frame.start_micros);
                // A row leaves once it has entered.
                let entered = begin.entered + u64::from(self.enter_ends[group as usize]);
                let n_there = (entered.saturating_sub(begin.left) as usize).min(self.times.len());
                let there = &self.times[..n_there];
                fill(&mut self.leave_groups, there, group, |time| time < oldest);
                self.leave_ends.push(self.leave_groups.len() as u32);
            }
        } else {
            self.leave_ends.resize(groups.len(), 0);
        }
        (self.enter.end, self.leave.end) = (cursor.entered, cursor.left);
    }

    /// One group of rows that enter, and of rows that leave.
    pub(crate) fn at_once(&mut self, enter: Range<u64>, leave: Range<u64>) {
        self.clear();
        let (n_enter, n_leave) = (enter.end - enter.start, leave.end - leave.start);
        self.enter_groups.resize(n_enter as usize, 0);
        self.leave_groups.resize(n_leave as usize, 0);
        self.enter_ends.push(n_enter as u32);
        self.leave_ends.push(n_leave as u32);
        (self.enter, self.leave) = (enter, leave);
    }

    fn clear(&mut self) {
        self.enter_ends.clear();
        self.leave_ends.clear();
        self.enter_groups.clear();
        self.leave_groups.clear();
    }
}

/// Notes the group of the next rows, as long as they fulfil the condition.
fn fill(
    rows: &mut Vec<u32>,
    times: &[TimeMicros],
    group: u32,
    is_due: impl Fn(TimeMicros) -> bool,
) {
    while times.get(rows.len()).is_some_and(|time| is_due(*time)) {
        rows.push(group);
    }
}
