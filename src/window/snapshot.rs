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
    /// Sum, or mean.
    pub first: Vec<f64>,
    /// Rounding error of the sum, or sum of squares.
    pub second: Vec<f64>,
}

impl FloatPairs {
    pub(super) fn push(&mut self, slot: usize, first: f64, second: f64) {
        self.slots.push(slot as u32);
        self.first.push(first);
        self.second.push(second);
    }

    /// Whether these are the keys for which `is_wanted` says so among `n_slots`, each once.
    pub(super) fn fits(&self, n_slots: usize, is_wanted: impl Fn(usize) -> bool) -> bool {
        let n = self.slots.len();
        let wanted = (0..n_slots).filter(|slot| is_wanted(*slot)).map(|slot| slot as u32);
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
}

impl LaneRestore {
    /// A lane that is about to take rows from `state.head` on.
    ///
    /// # Errors
    /// When the state is not of such a lane.
    pub fn new(spec: &LaneSpec, limits: LaneLimits, state: LaneState) -> Result<Self, Damage> {
        let newest_slot = state.slots.iter().max();
        let n_slots = newest_slot.map_or(0, |slot| *slot as usize + 1);
        if state.head > state.end || state.end - state.head > u64::from(u32::MAX) {
            return Err("the log ends before it begins");
        }
        let mut lane = Lane::new(spec, limits);
        lane.log.begin_at(state.head, n_slots);
        Ok(Self { lane, state, references: vec![0; n_slots] })
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
        let before = if log.n_rows() > 0 { log.times.get(rows.first - 1) } else { TimeMicros::MIN };
        let ordered = rows.times.is_sorted() && rows.times.first().is_none_or(|t| *t >= before);
        if !ordered || rows.times.last().is_some_and(|time| *time > self.state.time) {
            return Err("rows are out of order");
        }
        count(&mut self.references, rows.slots.iter().copied())?;
        log.append_known(&rows)
    }

    /// The lane, when all is there.
    ///
    /// # Errors
    /// When the parts contradict each other.
    pub fn finish(self, texts: &[Interner]) -> Result<Lane, Damage> {
        let Self { mut lane, state, mut references } = self;
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
        lane.log.relink()?;
        lane.time = state.time;
        lane.dropped_rows = state.dropped_rows;
        lane.refill(&state, texts)?;
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
