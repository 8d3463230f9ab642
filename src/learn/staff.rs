//! How many accounts a member of staff touches on a day, and their peers.

use std::collections::VecDeque;

use super::codec::coded_struct;

/// So many days are looked back on.
const N_DAYS: usize = 28;
/// Fewer days of one's own say nothing.
const OWN_DAYS_MIN: usize = 3;
/// Fewer days of all peers together say nothing.
const PEER_DAYS_MIN: usize = 10;
/// Kinds of staff.
const N_TYPES_MAX: usize = 64;

/// The value that nine of ten are not above (nearest rank).
pub(super) fn upper_decile<T: Copy>(
    values: &mut [T],
    order: impl FnMut(&T, &T) -> std::cmp::Ordering,
) -> Option<T> {
    let rank = (values.len() * 9).div_ceil(10).checked_sub(1)?;
    Some(*values.select_nth_unstable_by(rank, order).1)
}

/// Accounts on each of the last days on which somebody touched any.
#[derive(Debug, Default)]
pub(super) struct Own {
    days: Vec<u32>,
    next: usize,
    usual: Option<u32>,
}

coded_struct!(Own { days, next, usual });

/// The most that one member of staff takes.
pub(super) const OWN_BYTES: usize = 48 + 4 * N_DAYS;

impl Own {
    /// A day is over.
    pub(super) fn add(&mut self, n_accounts: u32) {
        match self.days.get_mut(self.next) {
            Some(day) => *day = n_accounts,
            None => self.days.push(n_accounts),
        }
        self.next = (self.next + 1) % N_DAYS;
        if self.days.len() >= OWN_DAYS_MIN {
            self.usual = upper_decile(&mut self.days.clone(), u32::cmp);
        }
    }

    pub(super) fn usual(&self) -> Option<u32> {
        self.usual
    }
}

/// What all staff of a type did on the last days.
#[derive(Debug)]
struct Peers {
    actor_type: Box<[u8]>,
    days: Vec<Day>,
    usual: Option<u32>,
}

#[derive(Debug)]
struct Day {
    day: i32,
    accounts: Vec<u32>,
}

coded_struct!(Peers { actor_type, days, usual });
coded_struct!(Day { day, accounts });

/// Staff by type, and who was active today.
#[derive(Debug, Default)]
pub(super) struct Staff {
    types: Vec<Peers>,
    /// Number of an account, index of its type; in order of their first touch of the day.
    pub(super) active: VecDeque<(u32, usize)>,
}

impl super::codec::Coded for Staff {
    fn encode(&self, out: &mut Vec<u8>) {
        self.types.encode(out);
        self.active.iter().copied().collect::<Vec<_>>().encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let types = Vec::<Peers>::decode(bytes)?;
        let active = Vec::<(u32, usize)>::decode(bytes)?.into();
        Some(Self { types, active })
    }
}

impl Staff {
    fn find(&self, actor_type: &str) -> Option<usize> {
        self.types.iter().position(|peers| *peers.actor_type == *actor_type.as_bytes())
    }

    /// The index of a type, if there is room for it.
    pub(super) fn find_or_add(&mut self, actor_type: &str) -> Option<usize> {
        if let Some(index) = self.find(actor_type) {
            return Some(index);
        }
        if self.types.len() >= N_TYPES_MAX {
            return None;
        }
        let actor_type = actor_type.as_bytes().into();
        self.types.push(Peers { actor_type, days: Vec::new(), usual: None });
        Some(self.types.len() - 1)
    }

    /// What peers of a type usually touch.
    pub(super) fn peers_usual(&self, actor_type: &str) -> Option<u32> {
        self.types[self.find(actor_type)?].usual
    }

    /// A day of one of them is over.
    pub(super) fn add(&mut self, index: usize, day: i32, n_accounts: u32) {
        let Some(peers) = self.types.get_mut(index) else { return };
        match peers.days.last_mut().filter(|last| last.day == day) {
            Some(last) => last.accounts.push(n_accounts),
            None => peers.days.push(Day { day, accounts: vec![n_accounts] }),
        }
    }

    /// Looks back from a new day.
    pub(super) fn look_back(&mut self, today: i32) {
        for peers in &mut self.types {
            peers.days.retain(|day| day.day >= today.saturating_sub(N_DAYS as i32));
            let days = peers.days.iter();
            let mut all: Vec<u32> = days.flat_map(|day| day.accounts.iter().copied()).collect();
            peers.usual = match all.len() >= PEER_DAYS_MIN {
                true => upper_decile(&mut all, u32::cmp),
                false => None,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_decile_is_by_nearest_rank() {
        let of = |n: u32| upper_decile(&mut (1..=n).rev().collect::<Vec<_>>(), u32::cmp);
        assert_eq!(
            [of(0), of(1), of(9), of(10), of(11), of(20)],
            [None, Some(1), Some(9), Some(9), Some(10), Some(18)]
        );
    }

    #[test]
    fn own_days_and_those_of_peers() {
        let (mut own, mut staff) = (Own::default(), Staff::default());
        let index = staff.find_or_add("employee").unwrap();
        for day in 0..40 {
            assert_eq!(own.usual().is_some(), day >= 3);
            assert_eq!(staff.peers_usual("employee").is_some(), day >= 10);
            own.add(if day < 12 { 100 } else { 5 });
            staff.add(index, day, if day < 12 { 100 } else { 5 });
            staff.look_back(day + 1);
        }
        assert_eq!((own.usual(), staff.peers_usual("employee")), (Some(5), Some(5)));
        assert_eq!(staff.peers_usual("contractor"), None);
        staff.look_back(1000);
        assert_eq!(staff.peers_usual("employee"), None);
    }
}
