//! A lane's state as plain columns: what a checkpoint keeps, and how a lane takes it back.
//!
//! Rows of the log never change, so they are given in parts that can be kept apart. What follows from
//! the rows (cursors, counts, queues, tables, references of slots) is not given: taking them back
//! counts the rows again. Sums of floats are given, because adding up anew rounds differently.

use super::interner::Interner;
use super::lane::Lane;
use super::slots::Slots;
use super::spec::{LaneLimits, LaneSpec};
use crate::event::TimeMicros;
use crate::store::SpillStream;

/// What is wrong with state that should be taken back.
pub type Damage = &'static str;

/// Successive rows of a lane's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneRows {
    /// Index of the first.
    pub first: u64,
    /// Event times.
    pub times: Vec<TimeMicros>,
    /// Slot of the key.
    pub slots: Vec<u32>,
    /// Number in the stream, low 32 bits.
    pub rows: Vec<u32>,
    /// Eight masks a column.
    pub masks: Vec<Vec<u8>>,
    /// Cells of each value column.
    pub values: Vec<Vec<u64>>,
    /// For each distinct count the distance to the previous row of equal key and value; 0 for none.
    pub links: Vec<Vec<u32>>,
}

impl LaneRows {
    /// Index one behind the last.
    pub fn end(&self) -> u64 {
        self.first + self.times.len() as u64
    }

    /// The same rows without those before `head`.
    fn after(self, head: u64) -> Self {
        let skip = usize::try_from(head.saturating_sub(self.first)).unwrap_or(usize::MAX);
        if skip == 0 {
            return self;
        }
        fn cut<T>(mut column: Vec<T>, skip: usize) -> Vec<T> {
            column.drain(..skip.min(column.len()));
            column
        }
        Self {
            first: head,
            times: cut(self.times, skip),
            slots: cut(self.slots, skip),
            rows: cut(self.rows, skip),
            masks: self.masks.into_iter().map(|column| cut(column, skip)).collect(),
            values: self.values.into_iter().map(|column| cut(column, skip)).collect(),
            links: self.links.into_iter().map(|column| cut(column, skip)).collect(),
        }
    }

    fn has_equal_lengths(&self) -> bool {
        let n = self.times.len();
        self.slots.len() == n
            && self.rows.len() == n
            && self.masks.iter().all(|column| column.len() == n)
            && self.values.iter().all(|column| column.len() == n)
            && self.links.iter().all(|column| column.len() == n)
    }
}

/// Entries of keys in the order of their newest row; those of one key stand together, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecencyEntries {
    /// Slot of the key.
    pub slots: Vec<u32>,
    /// Event times.
    pub times: Vec<TimeMicros>,
    /// Cells.
    pub values: Vec<u64>,
    /// Which cells are not NULL.
    pub valid: Vec<bool>,
}

impl RecencyEntries {
    pub(super) fn push(&mut self, slot: u32, time: TimeMicros, value: Option<u64>) {
        self.slots.push(slot);
        self.times.push(time);
        self.values.push(value.unwrap_or(0));
        self.valid.push(value.is_some());
    }

    fn has_equal_lengths(&self) -> bool {
        let n = self.slots.len();
        self.times.len() == n && self.values.len() == n && self.valid.len() == n
    }

    /// Slot, time and value of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, TimeMicros, Option<u64>)> {
        let cells = self.values.iter().zip(&self.valid).map(|(v, is_valid)| is_valid.then_some(*v));
        self.slots
            .iter()
            .zip(&self.times)
            .zip(cells)
            .map(|((slot, time), cell)| (*slot, *time, cell))
    }

    /// The slots, each once.
    fn keys(&self) -> impl Iterator<Item = u32> {
        self.slots.chunk_by(|left, right| left == right).filter_map(|run| run.first().copied())
    }
}

/// Two numbers of each key that has any, by ascending slot: what an aggregate of floats keeps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FloatPairs {
    /// Slot of the key.
    pub slots: Vec<u32>,
    /// Sum, or sum of squares.
    pub first: Vec<f64>,
    /// What was rounded off it.
    pub second: Vec<f64>,
}

impl FloatPairs {
    pub(super) fn push(&mut self, slot: usize, first: f64, second: f64) {
        self.slots.push(slot as u32);
        self.first.push(first);
        self.second.push(second);
    }

    /// Whether these are the keys for which `is_wanted` says so among `n_slots`, each `n_pairs` times.
    pub(super) fn fits(
        &self,
        n_slots: usize,
        n_pairs: usize,
        is_wanted: impl Fn(usize) -> bool,
    ) -> bool {
        let n = self.slots.len();
        let wanted = (0..n_slots).filter(|slot| is_wanted(*slot));
        let wanted = wanted.flat_map(|slot| std::iter::repeat_n(slot as u32, n_pairs));
        self.first.len() == n && self.second.len() == n && wanted.eq(self.slots.iter().copied())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, f64, f64)> {
        let numbers = self.first.iter().zip(&self.second);
        self.slots.iter().zip(numbers).map(|(slot, (one, two))| (*slot as usize, *one, *two))
    }
}

/// State of a lane beside the rows of its log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LaneState {
    /// Event time that the lane has reached.
    pub time: TimeMicros,
    /// Oldest row of the log that some frame still needs.
    pub head: u64,
    /// One behind the newest row.
    pub end: u64,
    /// Rows that a limit kept out.
    pub dropped_rows: u64,
    /// Every slot, in use or free, is below this.
    pub n_slots: usize,
    /// Slots of the keys.
    pub slots: Vec<u32>,
    /// Their parts, the NULL bit set last: so many words for each slot as the key has columns and one.
    pub key_parts: Vec<u64>,
    /// For each aggregate of floats, in the order of the windows.
    pub floats: Vec<FloatPairs>,
    /// For each aggregate of the newest row, in the order of the windows.
    pub newest: Vec<RecencyEntries>,
    /// For each lag.
    pub lags: Vec<RecencyEntries>,
}

/// Takes a lane's state back: the rows first, in order, then the rest.
pub struct LaneRestore {
    lane: Lane,
    state: LaneState,
    /// Rows and entries that refer to each slot.
    references: Vec<u32>,
    /// Time of the newest row.
    newest: TimeMicros,
    /// Bytes of rows that stay in memory.
    log_bytes_max: usize,
}

impl LaneRestore {
    /// A lane that is about to take rows from `state.head` on.
    ///
    /// # Errors
    /// When the state is not of such a lane.
    pub fn new(spec: &LaneSpec, limits: LaneLimits, state: LaneState) -> Result<Self, Damage> {
        let newest_slot = state.slots.iter().max();
        let n_slots = newest_slot.map_or(0, |slot| *slot as usize + 1);
        if n_slots > state.n_slots {
            return Err("a key has a slot that was never given");
        }
        if state.head > state.end || state.end - state.head > u64::from(u32::MAX) {
            return Err("the log ends before it begins");
        }
        let mut lane = Lane::new(spec, limits);
        lane.log.begin_at(state.head, n_slots);
        let (newest, log_bytes_max) = (TimeMicros::MIN, usize::MAX);
        Ok(Self { lane, state, references: vec![0; n_slots], newest, log_bytes_max })
    }

    /// Lets rows go to the disk already while they are taken.
    pub fn spill_to(&mut self, stream: SpillStream, log_bytes_max: usize) {
        self.lane.spill_to(stream);
        self.log_bytes_max = log_bytes_max;
    }

    /// Takes the rows that follow those taken before; rows before the head are passed over.
    ///
    /// # Errors
    /// When they do not follow, or hold what no row can.
    pub fn rows(&mut self, rows: LaneRows) -> Result<(), Damage> {
        let log = &mut self.lane.log;
        if !rows.has_equal_lengths() {
            return Err("columns differ in length");
        }
        let rows = rows.after(self.state.head);
        if rows.first != log.times.end() || rows.end() > self.state.end {
            return Err("rows are missing");
        }
        let before = self.newest;
        let ordered = rows.times.is_sorted() && rows.times.first().is_none_or(|t| *t >= before);
        if !ordered || rows.times.last().is_some_and(|time| *time > self.state.time) {
            return Err("rows are out of order");
        }
        count(&mut self.references, rows.slots.iter().copied())?;
        // One piece may be larger than what memory has room for.
        log.append_known(&rows)?;
        self.newest = rows.times.last().copied().unwrap_or(before);
        log.keep_within(self.log_bytes_max);
        Ok(())
    }

    /// The lane, when all is there.
    ///
    /// # Errors
    /// When the parts contradict each other.
    pub fn finish(self, texts: &[Interner]) -> Result<Lane, Damage> {
        let Self { mut lane, state, mut references, .. } = self;
        if lane.log.times.end() != state.end {
            return Err("rows are missing");
        }
        for entries in state.newest.iter().chain(&state.lags) {
            let in_past = entries.times.iter().all(|time| *time <= state.time);
            if !entries.has_equal_lengths() || !in_past {
                return Err("newest rows of keys are out of order");
            }
            count(&mut references, entries.keys())?;
        }
        lane.slots = Slots::known(&lane.slots, &state.slots, &state.key_parts, references)?;
        lane.time = state.time;
        lane.dropped_rows = state.dropped_rows;
        lane.refill(&state, texts)?;
        lane.pin().map_err(|_| "rows do not come back from the disk")?;
        Ok(lane)
    }
}

/// Counts the references to slots.
fn count(references: &mut [u32], slots: impl Iterator<Item = u32>) -> Result<(), Damage> {
    for slot in slots {
        let references = references.get_mut(slot as usize).ok_or("a row has an unknown key")?;
        *references = references.checked_add(1).ok_or("a key has too many rows")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{AggregateSpec, CellKind, Frame, Function, LagSpec, LaneInput};
    use super::*;

    const LIMITS: LaneLimits = LaneLimits { rows_max: usize::MAX, keys_max: usize::MAX };

    /// Each function, with and without rows that wait for a frame to reach them.
    fn spec() -> LaneSpec {
        let functions = [
            Function::Count,
            Function::CountDistinct,
            Function::IntegerSum,
            Function::FloatSum,
            Function::DeviationSample,
            Function::Largest(CellKind::Unsigned),
            Function::First,
            Function::Newest,
        ];
        let aggregate = |function| AggregateSpec { function, mask: 0, value: 0, valid: None };
        let aggregates: Vec<AggregateSpec> = functions.map(aggregate).to_vec();
        let frame = |start_micros, end_micros| Frame { start_micros, end_micros };
        LaneSpec {
            n_key_columns: 1,
            n_masks: 2,
            n_values: 1,
            windows: vec![(frame(100, 0), aggregates.clone()), (frame(60, 20), aggregates)],
            lags: vec![LagSpec {
                n: 2,
                horizon_micros: 50,
                mask: 1,
                value: 0,
                valid: 0,
                default: None,
                ignores_nulls: false,
            }],
        }
    }

    fn input(first: u32, n: u32) -> LaneInput {
        let rows: Vec<u32> = (first..first + n).collect();
        LaneInput {
            times: rows.iter().map(|row| i64::from(row / 2) * 3).collect(),
            keys: rows.iter().flat_map(|row| [u64::from(row % 3), 0]).collect(),
            masks: vec![rows.iter().map(|row| if row % 5 == 0 { 0b10 } else { 0b11 }).collect()],
            values: vec![rows.iter().map(|row| (f64::from(row % 4) / 3.0).to_bits()).collect()],
            rows,
        }
    }

    fn pushed() -> Lane {
        let mut lane = Lane::new(&spec(), LIMITS);
        for first in (0..200).step_by(20) {
            let input = input(first, 20);
            lane.advance(input.times[0], &[]).unwrap();
            lane.push(input, &[]).unwrap();
        }
        lane
    }

    fn restored(state: LaneState, parts: Vec<LaneRows>) -> Result<Lane, Damage> {
        let mut restore = LaneRestore::new(&spec(), LIMITS, state)?;
        parts.into_iter().try_for_each(|rows| restore.rows(rows))?;
        restore.finish(&[])
    }

    fn parts(lane: &mut Lane) -> Vec<LaneRows> {
        let end = lane.state().end;
        let ranges = [(0, end - 30), (end - 30, end - 29), (end - 29, end)];
        ranges.map(|(from, to)| lane.rows(from, to).unwrap()).to_vec()
    }

    fn outputs(lane: &mut Lane) -> Vec<super::super::Cells> {
        let mut columns = Vec::new();
        for first in (200..400).step_by(10) {
            let input = input(first, 10);
            lane.advance(input.times[0], &[]).unwrap();
            columns.extend(lane.push(input, &[]).unwrap().columns);
        }
        columns
    }

    #[test]
    fn a_lane_taken_back_goes_on_to_the_bit() {
        let mut lane = pushed();
        let mut again = restored(lane.state(), parts(&mut lane)).unwrap();
        assert_eq!(again.state(), lane.state());
        assert_eq!(outputs(&mut again), outputs(&mut lane));
        lane.advance(1_000_000, &[]).unwrap();
        again.advance(1_000_000, &[]).unwrap();
        assert_eq!((again.n_keys(), again.n_rows()), (0, 0));
    }

    fn refused(change: impl Fn(&mut LaneState, &mut Vec<LaneRows>)) -> bool {
        let mut lane = pushed();
        let (mut state, mut parts) = (lane.state(), parts(&mut lane));
        change(&mut state, &mut parts);
        restored(state, parts).is_err()
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(!refused(|_, _| {}));
        assert!(refused(|_, parts| parts[1].slots[0] = 3));
        assert!(refused(|_, parts| parts[1].slots[0] = u32::MAX));
        assert!(refused(|_, parts| parts[1].times[0] += 1_000));
        assert!(refused(|_, parts| parts[2].times[0] -= 1_000));
        assert!(refused(|_, parts| parts[2].first += 1));
        assert!(refused(|_, parts| parts.truncate(2)));
        assert!(refused(|_, parts| parts.swap(0, 1)));
        assert!(refused(|_, parts| parts[1].rows.clear()));
        assert!(refused(|_, parts| parts[1].links.clear()));
        assert!(refused(|_, parts| parts[1].values.clear()));
        assert!(refused(|_, parts| parts[1].links[0][0] = 1_000));
        assert!(refused(|_, parts| parts[2].links[0].iter_mut().for_each(|link| *link = 1)));
        assert!(refused(|state, _| state.head = state.end + 1));
        assert!(refused(|state, _| state.end += 1));
        assert!(refused(|state, _| state.time = 0));
        assert!(refused(|state, _| state.slots[0] = 1));
        assert!(refused(|state, _| state.slots[2] = 3));
        assert!(refused(|state, _| state.slots.clear()));
        assert!(refused(|state, _| state.key_parts.clear()));
        assert!(refused(|state, _| state.floats.clear()));
        assert!(refused(|state, _| state.newest.clear()));
        assert!(refused(|state, _| state.lags.clear()));
        assert!(refused(|state, _| state.floats.push(FloatPairs::default())));
        assert!(refused(|state, _| state.floats[1].slots[0] = 9));
        assert!(refused(|state, _| state.floats[1].second.clear()));
        assert!(refused(|state, _| state.newest[0].times.reverse()));
        assert!(refused(|state, _| state.newest[0].slots[0] = 9));
        assert!(refused(|state, _| state.newest[0].slots[0] = state.newest[0].slots[1]));
        assert!(refused(|state, _| state.newest[0].times[2] += 1_000));
        assert!(refused(|state, _| state.lags[0].slots.iter_mut().for_each(|slot| *slot = 0)));
        assert!(refused(|state, _| state.lags[0].times.reverse()));
        assert!(refused(|state, _| state.lags[0].valid.clear()));
    }
}
