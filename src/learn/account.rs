//! What is remembered of one account: of whoever acts under a name.

use super::codec::coded_struct;
use super::side::Ids;
use super::staff;
use crate::event::TimeMicros;

/// Risks of the last logins that `risk_usual` looks at.
const RISKS_MAX: usize = 32;
const RISKS_MIN: usize = 5;
/// Hours of a working day, then those of a day of the weekend.
const N_HOURS: usize = 48;
/// Fewer active hours say nothing.
const ACTIVE_HOURS_MIN: u32 = 20;
const HOUR_MICROS: TimeMicros = 3_600_000_000;

/// A network, a client or a device that the account has logged in with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    /// The combination of a side, or the device.
    pub(super) id: u32,
    /// Values of the combination; kept here because they are looked through for every event.
    pub(super) ids: Ids,
    pub(super) n_logins: u32,
    pub(super) first: TimeMicros,
    pub(super) last_day: i32,
}

coded_struct!(Use { id, ids, n_logins, first, last_day });

/// What a use takes in an account's list.
pub(super) const USE_BYTES: usize = 48;

/// When the first login was of those whose value of a level is this one.
pub(super) fn first_with(uses: &[Use], level: usize, id: u32) -> Option<TimeMicros> {
    uses.iter().filter(|used| used.ids[level] == id).map(|used| used.first).min()
}

/// Logins whose value of a level is this one.
pub(super) fn n_logins_with(uses: &[Use], level: usize, id: u32) -> u32 {
    uses.iter().filter(|used| used.ids[level] == id).map(|used| used.n_logins).sum()
}

/// The use that says least: few logins, long ago.
pub(super) fn least(uses: &[Use], is_meant: impl Fn(&Use) -> bool) -> Option<usize> {
    let meant = uses.iter().enumerate().filter(|(_, used)| is_meant(used));
    let least =
        meant.min_by_key(|(index, used)| (used.n_logins, used.last_day, used.first, *index));
    least.map(|(index, _)| index)
}

/// An account.
#[derive(Debug)]
pub(super) struct Account {
    /// Number of its name.
    pub(super) name: u32,
    pub(super) first_seen: TimeMicros,
    pub(super) last_login: Option<TimeMicros>,
    pub(super) last_day: i32,
    /// In which list of the wheel it stands.
    pub(super) list_day: i32,
    /// Logins that `risk` looks back on.
    pub(super) n_logins: u32,
    pub(super) networks: Vec<Use>,
    pub(super) clients: Vec<Use>,
    pub(super) devices: Vec<Use>,
    hours: Hours,
    risks: Risks,
    pub(super) staff: Vec<staff::Own>,
}

coded_struct!(Account {
    name,
    first_seen,
    last_login,
    last_day,
    list_day,
    n_logins,
    networks,
    clients,
    devices,
    hours,
    risks,
    staff,
});

/// An account without its lists.
pub(super) const ACCOUNT_BYTES: usize = 280 + 4 * RISKS_MAX;

impl Account {
    pub(super) fn new(name: u32, time: TimeMicros, day: i32) -> Self {
        Self {
            name,
            first_seen: time,
            last_login: None,
            last_day: day,
            list_day: day,
            n_logins: 0,
            networks: Vec::new(),
            clients: Vec::new(),
            devices: Vec::new(),
            hours: Hours::default(),
            risks: Risks::default(),
            staff: Vec::new(),
        }
    }

    /// Something was done under the name.
    pub(super) fn act(&mut self, time: TimeMicros, day: i32) {
        self.last_day = self.last_day.max(day);
        self.hours.add(time, day);
    }

    /// Share of its active hours that lie about this hour of a day of this kind.
    pub(super) fn hour_usual(&self, time: TimeMicros, day: i32) -> Option<f64> {
        self.hours.share(time, day)
    }

    pub(super) fn add_risk(&mut self, risk: f64) {
        self.risks.add(risk);
    }

    pub(super) fn risk_usual(&self) -> Option<f64> {
        self.risks.usual.map(f64::from)
    }

    /// Reads of all its lines of the processor's cache, for no other use.
    pub(super) fn warm(&self) -> u64 {
        let lists = self.networks.len() ^ self.clients.len() ^ self.devices.len();
        let hours = self.hours.counts[0] ^ self.hours.counts[N_HOURS - 1];
        lists as u64 ^ u64::from(hours) ^ u64::from(self.name) ^ self.risks.next as u64
    }

    pub(super) fn list_bytes(&self) -> usize {
        let n_uses = self.networks.len() + self.clients.len() + self.devices.len();
        n_uses * USE_BYTES + self.staff.len() * staff::OWN_BYTES
    }
}

/// In how many clock hours the account was active, by hour of the day, weekends apart.
#[derive(Debug)]
struct Hours {
    counts: [u8; N_HOURS],
    /// Number since 1970 of the hour that was counted last.
    last: i64,
}

coded_struct!(Hours { counts, last });

impl Default for Hours {
    fn default() -> Self {
        Self { counts: [0; N_HOURS], last: i64::MIN }
    }
}

/// Index of the first hour of a day's kind. Day 0 was a Thursday.
fn kind_of(day: i32) -> usize {
    if (day.rem_euclid(7) + 3) % 7 >= 5 { N_HOURS / 2 } else { 0 }
}

impl Hours {
    fn add(&mut self, time: TimeMicros, day: i32) {
        let hour = time.div_euclid(HOUR_MICROS);
        if hour <= self.last {
            return;
        }
        self.last = hour;
        let index = kind_of(day) + hour.rem_euclid(24) as usize;
        if self.counts[index] == u8::MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
        }
        self.counts[index] += 1;
    }

    fn share(&self, time: TimeMicros, day: i32) -> Option<f64> {
        let day = &self.counts[kind_of(day)..][..24];
        let all: u32 = day.iter().map(|count| u32::from(*count)).sum();
        let hour = time.div_euclid(HOUR_MICROS).rem_euclid(24) as usize;
        let near = [(hour + 23) % 24, hour, (hour + 1) % 24];
        let near: u32 = near.into_iter().map(|hour| u32::from(day[hour])).sum();
        (all >= ACTIVE_HOURS_MIN).then(|| f64::from(near) / f64::from(all))
    }
}

/// Risks of the last logins, and the one that nine of ten are not above.
#[derive(Debug, Default)]
struct Risks {
    last: Vec<f32>,
    next: usize,
    usual: Option<f32>,
}

coded_struct!(Risks { last, next, usual });

impl Risks {
    fn add(&mut self, risk: f64) {
        match self.last.get_mut(self.next) {
            Some(place) => *place = risk as f32,
            None => self.last.push(risk as f32),
        }
        self.next = (self.next + 1) % RISKS_MAX;
        if self.last.len() >= RISKS_MIN {
            self.usual = Some(self.upper_decile());
        }
    }

    /// By nearest rank: as many are above as a tenth of all, rounded down. One pass keeps the largest.
    fn upper_decile(&self) -> f32 {
        let mut largest = [f32::NEG_INFINITY; RISKS_MAX / 10 + 1];
        let n_kept = self.last.len() / 10 + 1;
        let largest = &mut largest[..n_kept.min(RISKS_MAX / 10 + 1)];
        for &risk in &self.last {
            let mut risk = risk;
            for kept in largest.iter_mut() {
                if risk > *kept {
                    std::mem::swap(kept, &mut risk);
                }
            }
        }
        largest.last().copied().unwrap_or_default()
    }
}

/// Whether what was read back can be used: damage must not make us step outside a list.
pub(super) fn is_sound(account: &Account) -> bool {
    account.risks.last.len() <= RISKS_MAX
        && account.risks.next < RISKS_MAX
        && account.staff.len() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: TimeMicros = 24 * HOUR_MICROS;

    #[test]
    fn hours_are_counted_once_and_weekends_apart() {
        let mut hours = Hours::default();
        // 1970-01-05 was a Monday.
        for day in 4..32 {
            for minute in 0..60 {
                hours.add(day * DAY + 9 * HOUR_MICROS + minute * 60_000_000, day as i32);
            }
            let is_known = hours.share(day * DAY, day as i32).is_some();
            assert_eq!(is_known, day >= 4 + 25 && kind_of(day as i32) == 0, "{day}");
        }
        let monday = 32 * DAY;
        assert_eq!(kind_of(32), 0);
        assert_eq!(hours.share(monday + 8 * HOUR_MICROS, 32), Some(1.0));
        assert_eq!(hours.share(monday + 10 * HOUR_MICROS, 32), Some(1.0));
        assert_eq!(hours.share(monday + 3 * HOUR_MICROS, 32), Some(0.0));
        assert_eq!(kind_of(30), 24);
        assert_eq!(hours.share(30 * DAY + 9 * HOUR_MICROS, 30), None);
    }

    #[test]
    fn hours_do_not_overflow() {
        let mut hours = Hours::default();
        for day in 0..5000 {
            hours.add(day * 7 * DAY, day as i32 * 7);
        }
        assert!(hours.counts[0] > 100);
    }

    #[test]
    fn the_usual_risk_ignores_one_in_ten() {
        let mut risks = Risks::default();
        for n in 0..100 {
            assert_eq!(risks.usual.is_some(), n >= RISKS_MIN);
            risks.add(if n % 16 == 0 { 100.0 } else { 0.5 });
        }
        assert_eq!((risks.usual, risks.last.len()), (Some(0.5), RISKS_MAX));
        (0..8).for_each(|_| risks.add(3.0));
        assert_eq!(risks.usual, Some(3.0));
        let mut sorted = risks.last.clone();
        assert_eq!(staff::upper_decile(&mut sorted, f32::total_cmp), risks.usual);
    }
}
