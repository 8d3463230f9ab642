//! Standard deviations of a window: sums in twice the precision of a float.
//!
//! Welford's method (1962) with rows taken back leaves what was rounded off behind: a frame of equal
//! values that follow large ones gets a deviation, or the root of a negative number. Sums of values and
//! of their squares, each kept in two floats (Dekker 1971, "A floating-point technique for extending
//! the available precision"), have no such memory down to about 1e-15 of the largest value.

use super::accumulator::{Accumulator, NOT_OF_THESE_ROWS, Rounded};
use super::snapshot::{Damage, FloatPairs};

/// Values whose squares are beyond a float count as infinite.
const VALUE_MAX: f64 = 1e150;

/// `stddev` (of a sample, or of the population when `POPULATION`).
#[derive(Debug, Default)]
pub(crate) struct Deviation<const POPULATION: bool>(Vec<Moments>);

#[derive(Debug, Default, Clone, Copy)]
struct Moments {
    n: u32,
    n_out_of_range: u32,
    sum: Wide,
    squares: Wide,
}

/// A number as the sum of a float and of what was rounded off.
#[derive(Debug, Default, Clone, Copy)]
struct Wide {
    high: f64,
    low: f64,
}

impl Wide {
    fn add(&mut self, term: f64) {
        let total = self.high + term;
        let back = total - self.high;
        let error = (self.high - (total - back)) + (term - back);
        let low = self.low + error;
        self.high = total + low;
        self.low = low - (self.high - total);
    }
}

impl Moments {
    fn change(&mut self, value: f64, sign: f64) {
        let square = value * value;
        let rounded_off = value.mul_add(value, -square);
        self.sum.add(sign * value);
        self.squares.add(sign * square);
        self.squares.add(sign * rounded_off);
    }

    /// The sum of squared distances from the mean: squares less the square of the sum by `n`.
    fn squared_distances(&self) -> f64 {
        let n = f64::from(self.n);
        let square = self.sum.high * self.sum.high;
        let rounded_off = self.sum.high.mul_add(self.sum.high, -square)
            + 2.0 * self.sum.high * self.sum.low
            + self.sum.low * self.sum.low;
        let share = square / n;
        let rest = ((-share).mul_add(n, square) + rounded_off) / n;
        ((self.squares.high - share) + (self.squares.low - rest)).max(0.0)
    }
}

impl<const POPULATION: bool> Accumulator for Deviation<POPULATION> {
    fn grow(&mut self, n: usize) {
        self.0.resize(n.max(self.0.len()), Moments::default());
    }
    fn enter(&mut self, slot: usize, value: u64, _: u64, _: u64) {
        let (state, value) = (&mut self.0[slot], f64::from_bits(value));
        if value.abs() <= VALUE_MAX {
            state.n += 1;
            state.change(value, 1.0);
        } else {
            state.n_out_of_range += 1;
        }
    }
    fn leave(&mut self, slot: usize, value: u64, _: u64) {
        let (state, value) = (&mut self.0[slot], f64::from_bits(value));
        if value.abs() > VALUE_MAX || value.is_nan() {
            state.n_out_of_range -= 1;
            return;
        }
        state.n -= 1;
        if state.n > 0 {
            state.change(value, -1.0);
        } else {
            (state.sum, state.squares) = (Wide::default(), Wide::default());
        }
    }
    fn read(&self, slot: usize) -> Option<u64> {
        let state = &self.0[slot];
        let total = state.n + state.n_out_of_range;
        let divisor = if POPULATION { total } else { total.saturating_sub(1) };
        if divisor == 0 {
            return None;
        }
        let distances = if state.n_out_of_range > 0 { f64::NAN } else { state.squared_distances() };
        Some((distances / f64::from(divisor)).sqrt().to_bits())
    }
    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Moments>()
    }
}

impl<const POPULATION: bool> Rounded for Deviation<POPULATION> {
    /// Two pairs for each key: the sum, then the squares.
    fn rounded(&self) -> FloatPairs {
        let mut pairs = FloatPairs::default();
        for (slot, moments) in self.0.iter().enumerate().filter(|(_, moments)| moments.n > 0) {
            pairs.push(slot, moments.sum.high, moments.sum.low);
            pairs.push(slot, moments.squares.high, moments.squares.low);
        }
        pairs
    }

    fn set_rounded(&mut self, pairs: &FloatPairs) -> Result<(), Damage> {
        if !pairs.fits(self.0.len(), 2, |slot| self.0[slot].n > 0) {
            return Err(NOT_OF_THESE_ROWS);
        }
        for (place, (slot, high, low)) in pairs.iter().enumerate() {
            let moments = &mut self.0[slot];
            let sum = if place % 2 == 0 { &mut moments.sum } else { &mut moments.squares };
            *sum = Wide { high, low };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(deviation: &Deviation<false>) -> Option<f64> {
        deviation.read(0).map(f64::from_bits)
    }

    fn of(values: &[f64], first: usize) -> Option<f64> {
        let mut deviation = Deviation::<false>::default();
        deviation.grow(1);
        values.iter().for_each(|value| deviation.enter(0, value.to_bits(), 0, 0));
        values[..first].iter().for_each(|value| deviation.leave(0, value.to_bits(), 0));
        read(&deviation)
    }

    #[test]
    fn what_left_is_forgotten() {
        assert_eq!(of(&[1.0, 2.0, 3.0, 4.0], 0), Some((5.0f64 / 3.0).sqrt()));
        let after_large = of(&[1e9, -3e8, 7.1, 0.1, 0.1, 0.1], 3).unwrap();
        assert!(after_large < 1e-6, "{after_large}");
        let small = of(&[1.25e6, 1e-3, 2e-3], 1).unwrap();
        assert!((small - 0.5f64.sqrt() * 1e-3).abs() < 1e-9, "{small}");
    }

    #[test]
    fn far_from_zero() {
        let spread = of(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0], 0).unwrap();
        assert!((spread - 30f64.sqrt()).abs() < 1e-12, "{spread}");
    }

    #[test]
    fn one_row_has_none_and_infinity_passes() {
        assert_eq!(of(&[7.0], 0), None);
        assert_eq!(of(&[7.0], 1), None);
        assert!(of(&[f64::INFINITY, 1.0, 2.0], 0).unwrap().is_nan());
        assert!(of(&[1e200, 1.0, 2.0], 0).unwrap().is_nan());
        assert_eq!(of(&[f64::NAN, 1e200, 1.0, 3.0], 2), Some(2f64.sqrt()));
    }
}
