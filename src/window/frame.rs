//! One sliding frame over a lane: which rows enter and leave at each new time.

use std::ops::Range;

use super::log::Log;
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
}

impl Schedule {
    /// Moves the cursor through the groups (their times ascend). A row may enter and leave in one
    /// step, when no row came for longer than the frame.
    pub(crate) fn advance(
        &mut self,
        frame: Frame,
        cursor: &mut Cursor,
        times: &Log<TimeMicros>,
        groups: &[TimeMicros],
        has_leavers: bool,
    ) {
        let begin = *cursor;
        self.clear();
        for (group, &time) in (0..).zip(groups) {
            let newest = time.saturating_sub(frame.end_micros);
            while cursor.entered < times.end() && times.get(cursor.entered) <= newest {
                cursor.entered += 1;
            }
            let oldest = time.saturating_sub(frame.start_micros);
            while has_leavers && cursor.left < cursor.entered && times.get(cursor.left) < oldest {
                cursor.left += 1;
            }
            self.push(
                group,
                (cursor.entered - begin.entered) as u32,
                (cursor.left - begin.left) as u32,
            );
        }
        if !has_leavers {
            cursor.left = cursor.entered;
        }
        self.enter = begin.entered..cursor.entered;
        self.leave = begin.left..cursor.left;
    }

    /// One group of rows that enter, and none that leaves.
    pub(crate) fn enter_at_once(&mut self, n_rows: u32) {
        self.clear();
        self.push(0, n_rows, 0);
    }

    fn clear(&mut self) {
        let columns = [&mut self.enter_ends, &mut self.leave_ends];
        columns.into_iter().for_each(Vec::clear);
        let columns = [&mut self.enter_groups, &mut self.leave_groups];
        columns.into_iter().for_each(Vec::clear);
    }

    fn push(&mut self, group: u32, enter_end: u32, leave_end: u32) {
        self.enter_ends.push(enter_end);
        self.leave_ends.push(leave_end);
        self.enter_groups.resize(enter_end as usize, group);
        self.leave_groups.resize(leave_end as usize, group);
    }
}
