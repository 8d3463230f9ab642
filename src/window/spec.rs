//! What a lane is asked to compute, what goes in and what comes out.

use super::accumulator::CellKind;
use super::frame::Frame;
use crate::event::TimeMicros;

/// An aggregate function of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `count(*)`, or of an argument that is not NULL by the mask.
    Count,
    /// Exact `count(DISTINCT x)`.
    CountDistinct,
    /// `sum` of 64-bit integers.
    IntegerSum,
    /// `sum` of floats.
    FloatSum,
    /// `avg` of floats.
    Average,
    /// `stddev`.
    DeviationSample,
    /// `stddev_pop`.
    DeviationPopulation,
    /// `min`.
    Smallest(CellKind),
    /// `max`.
    Largest(CellKind),
    /// `first_value`.
    First,
    /// `last_value`, and `max(time)`: the newest row alone decides.
    Newest,
}

/// One aggregate: which rows it counts and what it takes from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AggregateSpec {
    /// Which function.
    pub function: Function,
    /// Index of the mask column.
    pub mask: usize,
    /// Index of the value column; unused by `count(*)`.
    pub value: usize,
    /// Index of the mask that says where the value is not NULL, for functions that respect NULLs.
    pub valid: Option<usize>,
}

/// `lag(x, n)` within a horizon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LagSpec {
    /// How many rows back.
    pub n: usize,
    /// How far back in time.
    pub horizon_micros: TimeMicros,
    /// Index of the mask column: the rows that count.
    pub mask: usize,
    /// Index of the value column.
    pub value: usize,
    /// Index of the mask that says where the value is not NULL.
    pub valid: usize,
    /// Cell for rows that have no n-th row before them.
    pub default: Option<u64>,
    /// Whether rows whose value is NULL are passed over.
    pub ignores_nulls: bool,
}

/// What a lane computes.
#[derive(Debug, Clone, Default)]
pub struct LaneSpec {
    /// Columns of the partition key.
    pub n_key_columns: usize,
    /// Mask columns.
    pub n_masks: usize,
    /// Value columns.
    pub n_values: usize,
    /// Each frame with its aggregates.
    pub windows: Vec<(Frame, Vec<AggregateSpec>)>,
    /// All `lag`s.
    pub lags: Vec<LagSpec>,
}

/// Upper bounds of a lane's state.
#[derive(Debug, Clone, Copy)]
pub struct LaneLimits {
    /// Rows in the log.
    pub rows_max: usize,
    /// Keys with rows.
    pub keys_max: usize,
}

/// The rows of one batch that concern a lane, in event-time order, each group of equal times whole.
#[derive(Debug, Default)]
pub struct LaneInput {
    /// Event times, ascending.
    pub times: Vec<TimeMicros>,
    /// Number of each row in the stream, low 32 bits.
    pub rows: Vec<u32>,
    /// `n_key_columns + 1` parts for each row, the last the bit set of NULL parts.
    pub keys: Vec<u64>,
    /// One bit for each mask, eight masks a column.
    pub masks: Vec<Vec<u8>>,
    /// Cells of each value column.
    pub values: Vec<Vec<u64>>,
}

impl LaneInput {
    pub(crate) fn has(&self, mask: usize, row: usize) -> bool {
        let (column, bit) = mask_bit(mask);
        self.masks[column][row] & bit != 0
    }

    /// The rows that `keep` names, for the log: all columns but the keys.
    pub(crate) fn filtered(&self, slots: &[u32], keep: &[bool]) -> (Self, Vec<u32>) {
        let input = Self {
            times: kept(&self.times, keep),
            rows: kept(&self.rows, keep),
            keys: Vec::new(),
            masks: self.masks.iter().map(|column| kept(column, keep)).collect(),
            values: self.values.iter().map(|column| kept(column, keep)).collect(),
        };
        (input, kept(slots, keep))
    }

    pub(crate) fn remove_rows(&mut self, dropped: &[u32], key_width: usize) {
        let mut keep = vec![true; self.times.len()];
        dropped.iter().for_each(|row| keep[*row as usize] = false);
        retain_rows(&mut self.times, &keep, 1);
        retain_rows(&mut self.rows, &keep, 1);
        retain_rows(&mut self.keys, &keep, key_width);
        self.masks.iter_mut().for_each(|column| retain_rows(column, &keep, 1));
        self.values.iter_mut().for_each(|column| retain_rows(column, &keep, 1));
    }
}

fn kept<T: Copy>(column: &[T], keep: &[bool]) -> Vec<T> {
    column.iter().zip(keep).filter(|(_, keep)| **keep).map(|(value, _)| *value).collect()
}

fn retain_rows<T>(column: &mut Vec<T>, keep: &[bool], width: usize) {
    let mut index = 0;
    column.retain(|_| {
        index += 1;
        keep[(index - 1) / width]
    });
}

/// Column and bit of a mask.
pub(crate) fn mask_bit(mask: usize) -> (usize, u8) {
    (mask / 8, 1 << (mask % 8))
}

/// A result column over the rows of a batch: cells and which of them are not NULL.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cells {
    /// Cells; 0 where there is no value.
    pub values: Vec<u64>,
    /// Which rows have a value.
    pub valid: Vec<bool>,
}

impl Cells {
    pub(crate) fn with_capacity(n_rows: usize) -> Self {
        Self { values: Vec::with_capacity(n_rows), valid: Vec::with_capacity(n_rows) }
    }

    /// Appends what `read` gives for each of `n` items: room is made once, not for each.
    #[inline]
    pub(crate) fn extend<T>(
        &mut self,
        n: usize,
        items: impl Iterator<Item = T>,
        read: impl Fn(T) -> Option<u64>,
    ) {
        let first = self.values.len();
        self.values.resize(first + n, 0);
        self.valid.resize(first + n, false);
        let cells = self.values[first..].iter_mut().zip(&mut self.valid[first..]);
        for (item, (value, valid)) in items.zip(cells) {
            let cell = read(item);
            (*value, *valid) = (cell.unwrap_or(0), cell.is_some());
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: Option<u64>) {
        self.values.push(value.unwrap_or(0));
        self.valid.push(value.is_some());
    }
}

/// What a lane gives back for one batch.
#[derive(Debug, Default)]
pub struct LaneOutput {
    /// One for each aggregate, window by window, then one for each lag.
    pub columns: Vec<Cells>,
    /// Rows of the input that a limit kept out, ascending; the columns have no entry for them.
    pub dropped: Vec<u32>,
}
