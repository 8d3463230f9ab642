//! Which rows stay for the sake of evidence, and what they say at a match.

use std::collections::HashSet;

use super::engine::{Engine, RunningLane};
use super::history::row_number;
use crate::Result;
use crate::event::Witness;

impl Engine {
    /// The rows that the aggregates of `rule` count at `row` of the batch that was processed last, in time
    /// order, the row itself among them. The newest `max` rows; the second value counts all, but of
    /// each frame no more than `max + 1`: a hot key must not make every alert walk a long frame.
    ///
    /// # Errors
    /// When rows do not come back from the disk.
    pub fn witnesses(
        &mut self,
        rule: usize,
        row: u32,
        max: usize,
    ) -> Result<(Vec<Witness>, usize)> {
        let row = row.saturating_sub(self.n_reread);
        let mut rows = Vec::new();
        for ((lane, window), aggregates) in &self.plans[rule].aggregates {
            let running = &mut self.lanes[*lane];
            let Ok(position) = running.positions.binary_search(&row) else { continue };
            let end = rows.len() + max.saturating_add(1);
            running.lane.visit_frame(*window, aggregates, position, |low| {
                rows.push(self.history.row_number(low));
                rows.len() < end
            })?;
        }
        let first = self.history.first_row_of_newest_batch();
        rows.extend(first.map(|first| first + u64::from(row)));
        rows.sort_unstable();
        rows.dedup();
        if rows.first().is_some_and(|row| self.history.may_be_double(*row)) {
            return self.single_witnesses(&rows, max);
        }
        let newest = &rows[rows.len().saturating_sub(max)..];
        let found = newest.iter().filter_map(|row| self.history.witness(*row).transpose());
        Ok((found.collect::<Result<_>>()?, rows.len()))
    }

    /// The same where an event may have two numbers: one of an earlier process, and one of now.
    fn single_witnesses(&mut self, rows: &[u64], max: usize) -> Result<(Vec<Witness>, usize)> {
        let mut found: Vec<(u64, Witness)> = Vec::with_capacity(rows.len());
        for row in rows {
            found.extend(self.history.witness(*row)?.map(|witness| (*row, witness)));
        }
        let mut places = HashSet::new();
        found.reverse();
        found.retain(|(_, witness)| places.insert(witness.place));
        found.sort_by(|(left_row, left), (right_row, right)| {
            let order = left.time.cmp(&right.time).then_with(|| left.event_id.cmp(&right.event_id));
            order.then(left_row.cmp(right_row))
        });
        let total = found.len();
        let newest = found.into_iter().skip(total.saturating_sub(max));
        Ok((newest.map(|(_, witness)| witness).collect(), total))
    }

    /// Keeps the witnesses of the rows that some lane may still name as evidence.
    pub(super) fn trim_history(&mut self) -> Result<()> {
        let oldest = self.lanes.iter().filter_map(|running| running.lane.oldest_witness());
        let oldest = oldest.map(|low| self.history.row_number(low)).min();
        self.history.trim(oldest.unwrap_or(self.history.next_row()));
        let n_held = self.lanes.iter().map(|running| running.lane.n_witnesses()).sum();
        if !self.history.is_loose(n_held) {
            return Ok(());
        }
        let (lanes, next_row) = (&mut self.lanes, self.history.next_row());
        self.history.compact(|first, end| held_rows(lanes, next_row, first, end))
    }

    /// Lets the disk have the oldest rows when those in memory take more than they may: of each lane, and
    /// of the evidence, in proportion.
    pub(super) fn keep_within_memory(&mut self) -> Result<()> {
        let Some(spill) = &self.spill else { return Ok(()) };
        let bytes_max = usize::try_from(spill.limits().in_memory_bytes_max).unwrap_or(usize::MAX);
        let of_lanes: usize = self.lanes.iter().map(|running| running.lane.log_bytes()).sum();
        let bytes = of_lanes + self.history.bytes();
        if bytes <= bytes_max {
            return Ok(());
        }
        let share = |own: usize| (own as u128 * bytes_max as u128 / bytes as u128) as usize;
        for running in &mut self.lanes {
            running.lane.keep_within(share(running.lane.log_bytes()));
        }
        let (lanes, next_row) = (&mut self.lanes, self.history.next_row());
        let bytes_max = share(self.history.bytes());
        self.history.keep_within(bytes_max, |first, end| held_rows(lanes, next_row, first, end))
    }
}

/// The rows from one number to another that lanes hold, and of which they may still tell.
fn held_rows(lanes: &mut [RunningLane], next_row: u64, first: u64, end: u64) -> Result<Vec<u64>> {
    let mut held = Vec::new();
    for running in lanes {
        let is_before = |low| row_number(next_row, low) < first;
        running.lane.visit_witnesses(is_before, |low| {
            let row = row_number(next_row, low);
            let is_wanted = row < end;
            held.extend(is_wanted.then_some(row));
            is_wanted
        })?;
    }
    held.sort_unstable();
    held.dedup();
    Ok(held)
}
