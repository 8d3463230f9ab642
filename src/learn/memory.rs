//! All that is remembered, and how it ends.

use std::mem;

use super::account::{ACCOUNT_BYTES, Account, Use};
use super::budget::Budget;
use super::pairs::Pairs;
use super::service::Service;
use super::side::{self, Side};
use super::slab::Slab;
use super::staff::Staff;
use super::tries::Failing;
use super::values::{UNKNOWN, Values};
use super::wheel::Wheel;
use super::{DAY_MICROS, LearnStats, Settings};
use crate::event::TimeMicros;

/// Levels of the network on which it is counted who shares them.
pub(super) const SHARED: [usize; 3] = [side::IP, side::PREFIX, side::ASN];

/// Everything that was learned.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) settings: Settings,
    pub(super) budget: Budget,
    /// Names of accounts and actors.
    pub(super) names: Values,
    pub(super) accounts: Slab<Account>,
    /// The account of a name, or [`UNKNOWN`].
    pub(super) account_of: Vec<u32>,
    pub(super) wheel: Wheel,
    pub(super) network: Side,
    pub(super) client: Side,
    pub(super) devices: Values,
    /// Accounts of each level of [`SHARED`].
    pub(super) sharing: [Pairs; 3],
    /// Devices of an address.
    pub(super) ip_devices: Pairs,
    /// Accounts that a member of staff has touched today.
    pub(super) touched: Pairs,
    /// Places of each level of [`SHARED`] without a remembered success.
    pub(super) failing: [Failing; 3],
    pub(super) service: Service,
    pub(super) staff: Staff,
    /// Logins that `risk` looks back on, and the accounts that have any.
    pub(super) n_logins: u64,
    pub(super) n_accounts: u64,
    /// Days since 1970.
    pub(super) day: i32,
    pub(super) counters: Counters,
}

/// What was lost since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) accounts_forgotten: u64,
    pub(super) values_dropped: u64,
    pub(super) refused: u64,
}

pub(super) fn day_of(time: TimeMicros) -> i32 {
    i32::try_from(time.div_euclid(DAY_MICROS)).unwrap_or(i32::MAX)
}

impl Memory {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            budget: Budget::new(settings.memory_max),
            names: Values::default(),
            accounts: Slab::default(),
            account_of: Vec::new(),
            wheel: Wheel::default(),
            network: Side::default(),
            client: Side::default(),
            devices: Values::default(),
            sharing: [(); 3].map(|()| Pairs::new(settings.shared_days)),
            ip_devices: Pairs::new(settings.shared_days),
            touched: Pairs::new(1),
            failing: [(); 3].map(|()| Failing::new(settings.failing_max)),
            service: Service::new(settings.service_micros),
            staff: Staff::default(),
            n_logins: 0,
            n_accounts: 0,
            day: i32::MIN,
            counters: Counters::default(),
            settings,
        }
    }

    pub(super) fn stats(&self) -> LearnStats {
        LearnStats {
            bytes: self.budget.used(),
            accounts: self.accounts.len() as u64,
            logins: self.n_logins,
            addresses: self.network.levels[side::IP].len() as u64,
            failing: self.failing.iter().map(|failing| failing.len() as u64).sum(),
            accounts_forgotten: self.counters.accounts_forgotten,
            values_dropped: self.counters.values_dropped,
            refused: self.counters.refused,
            failing_dropped: self.failing.iter().map(|failing| failing.n_forgotten).sum(),
        }
    }

    /// The number of the account that acts under a name.
    pub(super) fn account_named(&self, name: u32) -> Option<u32> {
        self.account_of.get(name as usize).copied().filter(|slot| *slot != UNKNOWN)
    }

    /// Moves on to a time; at the first of a day, ends what is over.
    pub(super) fn advance(&mut self, time: TimeMicros) {
        self.service.advance(time);
        let today = day_of(time);
        if today <= self.day {
            return;
        }
        let yesterday = mem::replace(&mut self.day, today);
        self.end_day(yesterday, today);
        self.expire_pairs(today);
        self.forget_silent(today.saturating_sub(self.settings.forget_days));
    }

    fn end_day(&mut self, yesterday: i32, today: i32) {
        while let Some((slot, actor_type)) = self.staff.active.pop_front() {
            let n_accounts = self.touched.count(slot);
            let own = self.accounts.get_mut(slot).and_then(|account| account.staff.first_mut());
            if let Some(own) = own {
                own.add(n_accounts);
                self.staff.add(actor_type, yesterday, n_accounts);
            }
        }
        self.staff.look_back(today);
    }

    fn expire_pairs(&mut self, today: i32) {
        let Self { budget, names, network, devices, sharing, ip_devices, touched, .. } = self;
        for (pairs, level) in sharing.iter_mut().zip(SHARED) {
            pairs.expire(today, budget, |pair, budget| {
                network.levels[level].release(pair.group, budget);
                names.release(pair.member, budget);
            });
        }
        ip_devices.expire(today, budget, |pair, budget| {
            network.levels[side::IP].release(pair.group, budget);
            devices.release(pair.member, budget);
        });
        touched.expire(today, budget, |pair, budget| names.release(pair.member, budget));
    }

    /// Forgets the accounts whose last deed was on this day or before.
    fn forget_silent(&mut self, last: i32) {
        while let Some((day, slots)) = self.wheel.take_until(last) {
            for slot in slots {
                let Some(account) = self.accounts.get(slot).filter(|a| a.list_day == day) else {
                    continue;
                };
                let last_day = account.last_day;
                if last_day <= last {
                    self.forget(slot);
                    self.counters.accounts_forgotten += 1;
                } else if let Some(account) = self.accounts.get_mut(slot) {
                    account.list_day = last_day;
                    self.wheel.put(last_day, slot);
                }
            }
        }
    }

    fn forget(&mut self, slot: u32) {
        let Some(account) = self.accounts.remove(slot) else { return };
        let budget = &mut self.budget;
        budget.give(ACCOUNT_BYTES + account.list_bytes());
        for (side, uses) in
            [(&mut self.network, &account.networks), (&mut self.client, &account.clients)]
        {
            uses.iter().for_each(|used| forget_use(side, used, budget));
        }
        account.devices.iter().for_each(|used| self.devices.release(used.id, budget));
        self.names.release(account.name, budget);
        if let Some(of) = self.account_of.get_mut(account.name as usize) {
            *of = UNKNOWN;
        }
        self.n_logins -= u64::from(account.n_logins);
        self.n_accounts -= u64::from(account.n_logins > 0);
    }
}

/// An account's part of the history of a side goes.
pub(super) fn forget_use(side: &mut Side, used: &Use, budget: &mut Budget) {
    side.subtract(used.ids, used.n_logins);
    side.release(used.id, budget);
}
