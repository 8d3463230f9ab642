//! Running aggregates of one window: a value for each key, kept up to date as rows enter and leave.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::bits::Bits;
use super::interner::Interner;
use super::lane_log::LaneLog;
use super::snapshot::{Damage, FloatPairs};
use super::spec::{AggregateSpec, Cells};

/// How cells of a column compare, and what their 64 bits mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CellKind {
    /// Signed integers, instants, dates, durations.
    Signed,
    /// Unsigned integers and booleans.
    Unsigned,
    /// The bits of an `f64`.
    Float,
    /// An id of the interner with this index.
    Text(usize),
}

impl CellKind {
    fn compare(self, left: u64, right: u64, texts: &[Interner]) -> Ordering {
        match self {
            Self::Signed => left.cast_signed().cmp(&right.cast_signed()),
            Self::Unsigned => left.cmp(&right),
            Self::Float => f64::from_bits(left).total_cmp(&f64::from_bits(right)),
            Self::Text(domain) => {
                texts[domain].text(left as u32).cmp(texts[domain].text(right as u32))
            }
        }
    }
}

/// One aggregate over all keys of a lane. Rows enter and leave in log order, each once.
pub(crate) trait Accumulator {
    /// Makes room for slots below `n`.
    fn grow(&mut self, n: usize);
    /// The row `index` of key `slot` enters; `first` is the oldest row still in the window.
    fn enter(&mut self, slot: usize, value: u64, index: u64, first: u64);
    /// The row `index` leaves.
    fn leave(&mut self, slot: usize, value: u64, index: u64);
    /// The aggregate of a key now; `None` is NULL.
    fn read(&self, slot: usize) -> Option<u64>;
    /// The aggregates of these keys now.
    #[inline]
    fn read_all(&self, slots: &[u32], output: &mut Cells) {
        output.extend(slots.len(), slots.iter(), |slot| self.read(*slot as usize));
    }
    /// Bytes of state.
    fn bytes(&self) -> usize;
}

/// What cannot be added up anew to the last bit.
pub(crate) trait Rounded {
    /// The rounded numbers of each key.
    fn rounded(&self) -> FloatPairs;
    /// Puts the numbers back, when all rows have entered anew.
    fn set_rounded(&mut self, pairs: &FloatPairs) -> Result<(), Damage>;
}

pub(super) const NOT_OF_THESE_ROWS: Damage = "sums are of other rows";

/// `count(*)`, and `count(x)` with "x is not NULL" in the mask.
#[derive(Debug, Default)]
pub(crate) struct Count(Vec<u32>);

impl Accumulator for Count {
    fn grow(&mut self, n: usize) {
        self.0.resize(n.max(self.0.len()), 0);
    }
    #[inline]
    fn enter(&mut self, slot: usize, _: u64, _: u64, _: u64) {
        self.0[slot] += 1;
    }
    #[inline]
    fn leave(&mut self, slot: usize, _: u64, _: u64) {
        self.0[slot] -= 1;
    }
    #[inline]
    fn read(&self, slot: usize) -> Option<u64> {
        Some(u64::from(self.0[slot]))
    }
    #[inline]
    fn read_all(&self, slots: &[u32], output: &mut Cells) {
        read_counts(&self.0, slots, output);
    }
    fn bytes(&self) -> usize {
        self.0.capacity() * 4
    }
}

/// Counts are never NULL: one loop without a branch.
fn read_counts(counts: &[u32], slots: &[u32], output: &mut Cells) {
    output.values.extend(slots.iter().map(|slot| u64::from(counts[*slot as usize])));
    output.valid.resize(output.values.len(), true);
}

/// Exact `count(DISTINCT x)`: a value counts when it enters without an equal one before it in the
/// window, and stops counting when its row leaves and no equal one has entered after it. The row before
/// is known from the lane's links (distance in rows; 0 for none); a row that enters marks it, one bit.
#[derive(Debug)]
pub(crate) struct DistinctCount {
    counts: Vec<u32>,
    superseded: Bits,
}

impl DistinctCount {
    pub(crate) fn new() -> Self {
        Self { counts: Vec::new(), superseded: Bits::new() }
    }
}

impl Accumulator for DistinctCount {
    fn grow(&mut self, n: usize) {
        self.counts.resize(n.max(self.counts.len()), 0);
    }
    #[inline]
    fn enter(&mut self, slot: usize, distance: u64, index: u64, first: u64) {
        if distance == 0 || index - distance < first {
            self.counts[slot] += 1;
        } else {
            self.superseded.insert(index - distance, first);
        }
    }
    #[inline]
    fn leave(&mut self, slot: usize, _: u64, index: u64) {
        self.counts[slot] -= u32::from(!self.superseded.contains(index));
        self.superseded.trim(index);
    }
    #[inline]
    fn read(&self, slot: usize) -> Option<u64> {
        Some(u64::from(self.counts[slot]))
    }
    #[inline]
    fn read_all(&self, slots: &[u32], output: &mut Cells) {
        read_counts(&self.counts, slots, output);
    }
    fn bytes(&self) -> usize {
        self.counts.capacity() * 4 + self.superseded.bytes()
    }
}

/// `sum` of integers: wraps like SQL engines' 64-bit sums do, so signed and unsigned are one.
#[derive(Debug, Default)]
pub(crate) struct IntegerSum(Vec<(u64, u32)>);

impl Accumulator for IntegerSum {
    fn grow(&mut self, n: usize) {
        self.0.resize(n.max(self.0.len()), (0, 0));
    }
    #[inline]
    fn enter(&mut self, slot: usize, value: u64, _: u64, _: u64) {
        let (sum, n) = &mut self.0[slot];
        (*sum, *n) = (sum.wrapping_add(value), *n + 1);
    }
    #[inline]
    fn leave(&mut self, slot: usize, value: u64, _: u64) {
        let (sum, n) = &mut self.0[slot];
        (*sum, *n) = (sum.wrapping_sub(value), *n - 1);
    }
    #[inline]
    fn read(&self, slot: usize) -> Option<u64> {
        let (sum, n) = self.0[slot];
        (n > 0).then_some(sum)
    }
    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u64, u32)>()
    }
}

/// What a sum of floats needs so that subtracting gives back what was there before: the rounding
/// error apart (Neumaier 1974), and values that no subtraction can undo counted apart.
#[derive(Debug, Default, Clone, Copy)]
struct FloatSum {
    sum: f64,
    compensation: f64,
    n_finite: u32,
    n_nan: u32,
    n_plus_infinity: u32,
    n_minus_infinity: u32,
}

impl FloatSum {
    fn add(&mut self, value: f64, step: i32) {
        let counter = if value.is_finite() {
            &mut self.n_finite
        } else if value.is_nan() {
            &mut self.n_nan
        } else if value > 0.0 {
            &mut self.n_plus_infinity
        } else {
            &mut self.n_minus_infinity
        };
        *counter = counter.wrapping_add_signed(step);
        if !value.is_finite() {
            return;
        }
        if self.n_finite == 0 {
            (self.sum, self.compensation) = (0.0, 0.0);
            return;
        }
        let term = value * f64::from(step);
        let total = self.sum + term;
        let error = if self.sum.abs() >= term.abs() {
            (self.sum - total) + term
        } else {
            (term - total) + self.sum
        };
        if error.is_finite() {
            self.compensation += error;
        }
        self.sum = total;
    }

    fn n(&self) -> u32 {
        self.n_finite + self.n_nan + self.n_plus_infinity + self.n_minus_infinity
    }

    fn value(&self) -> f64 {
        let both = self.n_plus_infinity > 0 && self.n_minus_infinity > 0;
        if self.n_nan > 0 || both {
            f64::NAN
        } else if self.n_plus_infinity > 0 {
            f64::INFINITY
        } else if self.n_minus_infinity > 0 {
            f64::NEG_INFINITY
        } else {
            self.sum + self.compensation
        }
    }
}

/// `sum` of floats, and `avg` when `AVERAGE`.
#[derive(Debug, Default)]
pub(crate) struct FloatTotal<const AVERAGE: bool>(Vec<FloatSum>);

impl<const AVERAGE: bool> Accumulator for FloatTotal<AVERAGE> {
    fn grow(&mut self, n: usize) {
        self.0.resize(n.max(self.0.len()), FloatSum::default());
    }
    fn enter(&mut self, slot: usize, value: u64, _: u64, _: u64) {
        self.0[slot].add(f64::from_bits(value), 1);
    }
    fn leave(&mut self, slot: usize, value: u64, _: u64) {
        self.0[slot].add(f64::from_bits(value), -1);
    }
    fn read(&self, slot: usize) -> Option<u64> {
        let state = &self.0[slot];
        let n = state.n();
        let divisor = if AVERAGE { f64::from(n) } else { 1.0 };
        (n > 0).then(|| (state.value() / divisor).to_bits())
    }
    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<FloatSum>()
    }
}

impl<const AVERAGE: bool> Rounded for FloatTotal<AVERAGE> {
    fn rounded(&self) -> FloatPairs {
        let mut pairs = FloatPairs::default();
        for (slot, sum) in self.0.iter().enumerate().filter(|(_, sum)| sum.n_finite > 0) {
            pairs.push(slot, sum.sum, sum.compensation);
        }
        pairs
    }

    fn set_rounded(&mut self, pairs: &FloatPairs) -> Result<(), Damage> {
        if !pairs.fits(self.0.len(), 1, |slot| self.0[slot].n_finite > 0) {
            return Err(NOT_OF_THESE_ROWS);
        }
        for (slot, sum, compensation) in pairs.iter() {
            (self.0[slot].sum, self.0[slot].compensation) = (sum, compensation);
        }
        Ok(())
    }
}

/// Which rows of a frame a newer row makes irrelevant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Candidates {
    /// `min`: a newer value that is smaller or equal.
    Smallest,
    /// `max`: a newer value that is larger or equal.
    Largest,
    /// `first_value`: none.
    Oldest,
}

/// `min`, `max`, `first_value`: for each key the rows that may still become the answer, oldest first
/// (a monotone queue). Amortised O(1) a row.
#[derive(Debug)]
pub(crate) struct Queue {
    candidates: Candidates,
    kind: CellKind,
    rows: Vec<VecDeque<(u64, u64)>>,
    n_rows: usize,
}

impl Queue {
    pub(crate) fn new(candidates: Candidates, kind: CellKind) -> Self {
        Self { candidates, kind, rows: Vec::new(), n_rows: 0 }
    }

    /// The queue with what it needs to compare texts.
    pub(crate) fn with<'a>(&'a mut self, texts: &'a [Interner]) -> QueueRun<'a> {
        QueueRun { queue: self, texts }
    }

    /// The queue as that of `first_value`, with the rows: it respects NULLs, which values do not tell.
    pub(crate) fn first_of<'a>(
        &'a mut self,
        log: &'a LaneLog,
        spec: &'a AggregateSpec,
    ) -> FirstRun<'a> {
        FirstRun { queue: self, log, spec }
    }

    fn grow(&mut self, n: usize) {
        self.rows.resize_with(n.max(self.rows.len()), VecDeque::new);
    }

    fn push(&mut self, slot: usize, index: u64, value: u64) {
        self.rows[slot].push_back((index, value));
        self.n_rows += 1;
    }

    fn leave(&mut self, slot: usize, index: u64) {
        let rows = &mut self.rows[slot];
        if rows.front().is_some_and(|(first, _)| *first & !NULL_ROW == index) {
            rows.pop_front();
            self.n_rows -= 1;
            if rows.is_empty() {
                *rows = VecDeque::new(); // give the memory of a quiet key back
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<VecDeque<(u64, u64)>>() + self.n_rows * 32
    }
}

/// A [`Queue`] during one batch.
pub(crate) struct QueueRun<'a> {
    queue: &'a mut Queue,
    texts: &'a [Interner],
}

impl Accumulator for QueueRun<'_> {
    fn grow(&mut self, n: usize) {
        self.queue.grow(n);
    }

    fn enter(&mut self, slot: usize, value: u64, index: u64, _: u64) {
        let Queue { candidates, kind, rows, n_rows } = &mut *self.queue;
        let rows = &mut rows[slot];
        let hopeless = match candidates {
            Candidates::Smallest => Some(Ordering::Greater),
            Candidates::Largest => Some(Ordering::Less),
            Candidates::Oldest => None,
        };
        while let (Some(hopeless), Some((_, last))) = (hopeless, rows.back()) {
            let order = kind.compare(*last, value, self.texts);
            if order != hopeless && order != Ordering::Equal {
                break;
            }
            rows.pop_back();
            *n_rows -= 1;
        }
        self.queue.push(slot, index, value);
    }

    fn leave(&mut self, slot: usize, _: u64, index: u64) {
        self.queue.leave(slot, index);
    }

    fn read(&self, slot: usize) -> Option<u64> {
        self.queue.rows[slot].front().map(|(_, value)| *value)
    }

    fn bytes(&self) -> usize {
        self.queue.bytes()
    }
}

/// Marks the index of a row whose value is NULL; a lane never has so many rows.
const NULL_ROW: u64 = 1 << 63;

/// A [`Queue`] of `first_value` during one batch. It keeps the value of each row: where the row lies,
/// nobody can look when it is on disk.
pub(crate) struct FirstRun<'a> {
    queue: &'a mut Queue,
    log: &'a LaneLog,
    spec: &'a AggregateSpec,
}

impl Accumulator for FirstRun<'_> {
    fn grow(&mut self, n: usize) {
        self.queue.grow(n);
    }

    fn enter(&mut self, slot: usize, _: u64, index: u64, _: u64) {
        let value = self.log.values[self.spec.value].get(index);
        let is_valid = self.spec.valid.is_none_or(|mask| self.log.has(mask, index));
        self.queue.push(slot, if is_valid { index } else { index | NULL_ROW }, value);
    }

    fn leave(&mut self, slot: usize, _: u64, index: u64) {
        self.queue.leave(slot, index);
    }

    fn read(&self, slot: usize) -> Option<u64> {
        let (index, value) = self.queue.rows[slot].front()?;
        (index & NULL_ROW == 0).then_some(*value)
    }

    fn bytes(&self) -> usize {
        self.queue.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_sum_comes_back_to_what_it_was() {
        let mut sum = FloatTotal::<false>::default();
        sum.grow(1);
        for value in [0.5, 1e300, f64::INFINITY, f64::NAN] {
            sum.enter(0, f64::to_bits(value), 0, 0);
        }
        for value in [1e300, f64::INFINITY, f64::NAN] {
            sum.leave(0, f64::to_bits(value), 0);
        }
        assert_eq!(sum.read(0), Some(0.5f64.to_bits()));
        sum.leave(0, 0.5f64.to_bits(), 0);
        assert_eq!(sum.read(0), None);
    }
}
