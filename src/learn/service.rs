//! How many logins fail in the whole service: in the last minutes, and usually in this hour of the week.

use super::codec::coded_struct;
use crate::event::TimeMicros;

/// The window moves in so many steps.
const N_BUCKETS: usize = 60;
const HOUR_MICROS: TimeMicros = 3_600_000_000;
const WEEK_HOURS: i64 = 168;
/// What an hour of the week weighs when the next one of its kind is over.
const FADE: f64 = 0.75;
/// Fewer logins say nothing.
const LOGINS_MIN: f64 = 20.0;

/// Logins, by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Logins {
    failures: f64,
    all: f64,
}

coded_struct!(Logins { failures, all });

impl Logins {
    fn add(&mut self, other: Self) {
        self.failures += other.failures;
        self.all += other.all;
    }

    fn less(self, other: Self) -> Self {
        Self { failures: self.failures - other.failures, all: self.all - other.all }
    }

    fn ratio(self) -> Option<f64> {
        (self.all >= LOGINS_MIN).then(|| self.failures / self.all)
    }
}

/// The service's failure ratios.
#[derive(Debug)]
pub(super) struct Service {
    step_micros: TimeMicros,
    buckets: Vec<Logins>,
    /// Of all buckets; whole numbers, so that it never drifts.
    sum: Logins,
    /// Number of the newest step since 1970.
    step: i64,
    /// Logins of whole hours gone by, by hour of the week, older weeks for less.
    hours: Vec<Logins>,
    hour: i64,
    this_hour: Logins,
    usual: Option<f64>,
}

coded_struct!(Service { step_micros, buckets, sum, step, hours, hour, this_hour, usual });

impl Service {
    pub(super) fn new(window_micros: TimeMicros) -> Self {
        Self {
            step_micros: (window_micros / N_BUCKETS as TimeMicros).max(1),
            buckets: vec![Logins::default(); N_BUCKETS],
            sum: Logins::default(),
            step: 0,
            hours: vec![Logins::default(); WEEK_HOURS as usize],
            hour: 0,
            this_hour: Logins::default(),
            usual: None,
        }
    }

    /// Whether what was read back has the right shape; a changed window starts afresh.
    pub(super) fn is_sound(&mut self, window_micros: TimeMicros) -> bool {
        let fresh = Self::new(window_micros);
        if self.step_micros != fresh.step_micros {
            (self.step_micros, self.step) = (fresh.step_micros, fresh.step);
            self.buckets.fill(Logins::default());
            self.sum = Logins::default();
        }
        self.buckets.len() == N_BUCKETS && self.hours.len() == WEEK_HOURS as usize
    }

    /// Moves on to a time.
    pub(super) fn advance(&mut self, time: TimeMicros) {
        let step = time.div_euclid(self.step_micros);
        for _ in 0..step.saturating_sub(self.step).clamp(0, N_BUCKETS as i64) {
            self.buckets.rotate_right(1);
            let gone = std::mem::take(&mut self.buckets[0]);
            self.sum = self.sum.less(gone);
        }
        self.step = self.step.max(step);
        let hour = time.div_euclid(HOUR_MICROS);
        if hour > self.hour {
            self.end_hour();
            self.hour = hour;
            self.usual = self.usual_in(hour.rem_euclid(WEEK_HOURS) as usize);
        }
    }

    fn end_hour(&mut self) {
        if self.this_hour.all > 0.0 {
            let cell = &mut self.hours[self.hour.rem_euclid(WEEK_HOURS) as usize];
            cell.failures = cell.failures * FADE + self.this_hour.failures;
            cell.all = cell.all * FADE + self.this_hour.all;
        }
        self.this_hour = Logins::default();
    }

    /// Of this hour of the week; without enough logins of this hour on any day, then of all hours.
    fn usual_in(&self, hour: usize) -> Option<f64> {
        let of_day = |step: usize| {
            let mut sum = Logins::default();
            self.hours.iter().skip(hour % step).step_by(step).for_each(|logins| sum.add(*logins));
            sum.ratio()
        };
        self.hours[hour].ratio().or_else(|| of_day(24)).or_else(|| of_day(1))
    }

    pub(super) fn add(&mut self, is_success: bool) {
        let login = Logins { failures: if is_success { 0.0 } else { 1.0 }, all: 1.0 };
        self.buckets[0].add(login);
        self.sum.add(login);
        self.this_hour.add(login);
    }

    /// Share of the logins of the last minutes that failed.
    pub(super) fn now(&self) -> Option<f64> {
        self.sum.ratio()
    }

    /// Share that usually fails in this hour of the week.
    pub(super) fn usual(&self) -> Option<f64> {
        self.usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: TimeMicros = 60_000_000;
    const DAY: TimeMicros = 24 * HOUR_MICROS;

    fn hour_of(service: &mut Service, start: TimeMicros, n_failures: usize) {
        for n in 0..60 {
            service.advance(start + n as TimeMicros * MINUTE);
            service.add(n >= n_failures);
        }
    }

    #[test]
    fn now_is_the_last_minutes_and_needs_enough_logins() {
        let mut service = Service::new(5 * MINUTE);
        service.advance(DAY);
        for n in 0..20 {
            assert_eq!(service.now(), None);
            service.add(n % 4 > 0);
        }
        assert_eq!(service.now(), Some(0.25));
        service.advance(DAY + 5 * MINUTE - 1);
        assert_eq!(service.now(), Some(0.25));
        service.advance(DAY + 5 * MINUTE);
        assert_eq!(service.now(), None);
    }

    #[test]
    fn usual_is_of_the_hour_of_the_week_and_older_weeks_fade() {
        let mut service = Service::new(5 * MINUTE);
        let start = 1000 * 7 * DAY;
        hour_of(&mut service, start, 30);
        assert_eq!(service.usual(), None);
        // Another hour knows the service's ratio only.
        service.advance(start + 3 * HOUR_MICROS);
        assert_eq!(service.usual(), Some(0.5));
        hour_of(&mut service, start + 3 * HOUR_MICROS, 6);
        service.advance(start + 7 * DAY);
        assert_eq!(service.usual(), Some(0.5));
        hour_of(&mut service, start + 7 * DAY, 0);
        service.advance(start + 7 * DAY + 3 * HOUR_MICROS);
        assert_eq!(service.usual(), Some(0.1));
        service.advance(start + 14 * DAY);
        assert_eq!(service.usual(), Some(22.5 / 105.0));
        service.advance(TimeMicros::MAX);
    }
}
