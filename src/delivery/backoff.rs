//! How long to wait after a failure: twice as long each time, and never all at the same moment.

use std::time::Duration;

/// The waits of one destination.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    /// The wait after the `failures`-th failure in a row: half of it is chance.
    pub(crate) fn wait(self, failures: u32) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        let whole = self.first.saturating_mul(doubled).min(self.max);
        // Without chance there is only less spread.
        let chance = getrandom::u32().unwrap_or(u32::MAX);
        whole.mul_f64(0.5 + 0.5 * f64::from(chance) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_vary() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(300) };
        for (failures, longest) in [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (u32::MAX, 300)] {
            let longest = Duration::from_secs(longest);
            let waits: Vec<Duration> = (0..50).map(|_| backoff.wait(failures)).collect();
            assert!(waits.iter().all(|wait| *wait <= longest && *wait >= longest / 2));
            assert!(waits.iter().any(|wait| *wait != waits[0]), "no chance in {waits:?}");
        }
    }
}
