//! Taking an event in.

use super::account::{ACCOUNT_BYTES, Account, USE_BYTES, Use, least};
use super::budget::Budget;
use super::memory::{Memory, SHARED, forget_use};
use super::pairs::Seen;
use super::row::{Outcome, Row};
use super::side::{ASN, COUNTRY, IP, Ids, N_LEVELS, Side, USER_AGENT};
use super::staff::{self, Own};
use super::telling::Found;
use super::tries::Tries;
use super::values::{GONE, Key, UNKNOWN, Values};

/// What is left of a network when its address is forgotten.
const NETWORK_LEFT: [bool; N_LEVELS] = {
    let mut left = [false; N_LEVELS];
    (left[ASN], left[COUNTRY]) = (true, true);
    left
};

/// What is left of a client when its user agent is forgotten.
const CLIENT_LEFT: [bool; N_LEVELS] = {
    let mut left = [true; N_LEVELS];
    left[USER_AGENT] = false;
    left
};

/// Values of a login, as held.
#[derive(Clone, Copy)]
struct Held {
    network: Ids,
    device: u32,
}

impl Memory {
    /// Takes an event in. One that is not alone at its time is looked up again: those before it may
    /// have changed what was found.
    pub(super) fn take(&mut self, row: &Row<'_>, found: &Found, is_alone: bool) {
        let succeeded = row.login_succeeded();
        let mut network = is_alone.then_some(found.network);
        if let Some(is_success) = succeeded {
            self.service.add(is_success);
        }
        if succeeded == Some(true)
            && let Some(slot) = self.admit(row)
        {
            let held = self.learn_login(slot, row, found.risk);
            network = held.map(|held| held.network);
            if let Some(held) = held.filter(|_| found.is_settled) {
                self.count_sharing(row, held);
            }
        }
        if let Some(is_success) = succeeded {
            self.count_tries(row, network, is_success);
        }
        if row.outcome != Outcome::Failure {
            self.note_activity(row);
        }
    }

    /// The account that acts, a new one if there is room.
    fn admit(&mut self, row: &Row<'_>) -> Option<u32> {
        let name = self.names.find(Key::Text(row.actor));
        if let Some(slot) = self.account_named(name) {
            return Some(slot);
        }
        let name = self.names.hold(Key::Text(row.actor), &mut self.budget);
        let Some(name) = name.filter(|_| self.budget.take(ACCOUNT_BYTES)) else {
            if let Some(name) = name {
                self.names.release(name, &mut self.budget);
            }
            self.counters.refused += 1;
            return None;
        };
        let slot = self.accounts.insert(Account::new(name, row.time, self.day));
        if self.account_of.len() <= name as usize {
            self.account_of.resize(name as usize + 1, UNKNOWN);
        }
        self.account_of[name as usize] = slot;
        self.wheel.put(self.day, slot);
        Some(slot)
    }

    /// A successful login joins the account's history, whole or not at all.
    fn learn_login(&mut self, slot: u32, row: &Row<'_>, risk: Option<f64>) -> Option<Held> {
        let Self { budget, network, client, .. } = self;
        let Some(account) = self.accounts.get_mut(slot) else { return None };
        account.last_login = Some(row.time);
        let Some(of_network) = network.hold(&row.network, budget) else {
            self.counters.refused += 1;
            return None;
        };
        let of_client = client.hold(&row.client, budget);
        let n_new = [(&account.networks, Some(of_network)), (&account.clients, of_client)];
        let is_new = |(uses, held): &(&Vec<Use>, Option<(u32, Ids)>)| {
            held.is_some_and(|(id, _)| uses.iter().all(|used| used.id != id))
        };
        let n_bytes = n_new.iter().filter(|pair| is_new(pair)).count() * USE_BYTES;
        let Some(of_client) = of_client.filter(|_| budget.take(n_bytes)) else {
            network.release(of_network.0, budget);
            if let Some((id, _)) = of_client {
                client.release(id, budget);
            }
            self.counters.refused += 1;
            return None;
        };
        let max = self.settings.values_max;
        for (side, uses, (id, ids), left) in [
            (network, &mut account.networks, of_network, NETWORK_LEFT),
            (client, &mut account.clients, of_client, CLIENT_LEFT),
        ] {
            side.add(id, 1);
            if again(uses, id, self.day) {
                side.release(id, budget);
                continue;
            }
            self.counters.values_dropped += make_room(uses, max, side, left, budget);
            uses.push(Use { id, ids, n_logins: 1, first: row.time, last_day: self.day });
        }
        self.n_accounts += u64::from(account.n_logins == 0);
        account.n_logins += 1;
        self.n_logins += 1;
        if let Some(risk) = risk {
            account.add_risk(risk);
        }
        let device = self.learn_device(slot, row);
        Some(Held { network: of_network.1, device })
    }

    /// The device of a login joins the account's devices; its number, or [`UNKNOWN`].
    fn learn_device(&mut self, slot: u32, row: &Row<'_>) -> u32 {
        let Self { budget, devices, .. } = self;
        let Some(account) = self.accounts.get_mut(slot).filter(|_| !row.device.is_null()) else {
            return UNKNOWN;
        };
        let Some(id) = devices.hold(row.device, budget) else {
            self.counters.refused += 1;
            return UNKNOWN;
        };
        let uses = &mut account.devices;
        if again(uses, id, self.day) {
            devices.release(id, budget);
            return id;
        }
        if uses.len() >= self.settings.values_max
            && let Some(index) = least(uses, |_| true)
        {
            devices.release(uses.swap_remove(index).id, budget);
            budget.give(USE_BYTES);
            self.counters.values_dropped += 1;
        }
        if !budget.take(USE_BYTES) {
            devices.release(id, budget);
            self.counters.refused += 1;
            return UNKNOWN;
        }
        let ids = [id, GONE, GONE, GONE];
        uses.push(Use { id, ids, n_logins: 1, first: row.time, last_day: self.day });
        id
    }

    /// Counts the account on the network of a login.
    fn count_sharing(&mut self, row: &Row<'_>, held: Held) {
        let Self { budget, names, network, devices, .. } = self;
        let Some(name) = names.hold(Key::Text(row.account), budget) else {
            self.counters.refused += 1;
            return;
        };
        for (pairs, level) in self.sharing.iter_mut().zip(SHARED) {
            let group = held.network[level];
            if row.network[level].is_null() {
                continue;
            }
            match pairs.see(group, name, self.day, budget) {
                Seen::New => {
                    network.levels[level].hold_id(group);
                    names.hold_id(name);
                }
                Seen::Again => {}
                Seen::Refused => self.counters.refused += 1,
            }
        }
        names.release(name, budget);
        if held.device == UNKNOWN || row.network[IP].is_null() {
            return;
        }
        match self.ip_devices.see(held.network[IP], held.device, self.day, budget) {
            Seen::New => {
                network.levels[IP].hold_id(held.network[IP]);
                devices.hold_id(held.device);
            }
            Seen::Again => {}
            Seen::Refused => self.counters.refused += 1,
        }
    }

    /// Counts how a login ended, on its address, prefix and network. `ids` are their numbers, if they are known.
    fn count_tries(&mut self, row: &Row<'_>, ids: Option<Ids>, is_success: bool) {
        for (failing, level) in self.failing.iter_mut().zip(SHARED) {
            let key = row.network[level];
            if key.is_null() {
                continue;
            }
            let values: &mut Values = &mut self.network.levels[level];
            let id = ids.map_or_else(|| values.find(key), |ids| ids[level]);
            match values.get_mut(id) {
                Some(value) => {
                    if value.tries == Tries::default() {
                        value.tries = failing.take(key);
                    }
                    value.tries.add(self.day, is_success);
                }
                None => failing.add(key, self.day, is_success),
            }
        }
    }

    fn note_activity(&mut self, row: &Row<'_>) {
        let name = self.names.find(Key::Text(row.actor));
        let is_at_work = row.is_staff() && row.actor != row.account;
        let slot = match self.account_named(name) {
            None if is_at_work => self.admit(row),
            slot => slot,
        };
        let Some(slot) = slot else { return };
        let day = self.day;
        if let Some(account) = self.accounts.get_mut(slot) {
            account.act(row.time, day);
        }
        if is_at_work {
            self.touch(slot, row);
        }
    }

    /// A member of staff touches an account.
    fn touch(&mut self, slot: u32, row: &Row<'_>) {
        let Self { budget, names, touched, staff, .. } = self;
        let Some(account) = self.accounts.get_mut(slot) else { return };
        if account.staff.is_empty() {
            if !budget.take(staff::OWN_BYTES) {
                self.counters.refused += 1;
                return;
            }
            account.staff.push(Own::default());
        }
        let name = names.hold(Key::Text(row.account), budget);
        let seen = match name {
            Some(name) => touched.see(slot, name, self.day, budget),
            None => Seen::Refused,
        };
        match (seen, name) {
            // Its pair holds the name.
            (Seen::New, _) => {
                if touched.count(slot) == 1
                    && let Some(index) = staff.find_or_add(row.actor_type)
                {
                    staff.active.push_back((slot, index));
                }
            }
            (seen, name) => {
                self.counters.refused += u64::from(seen == Seen::Refused);
                if let Some(name) = name {
                    names.release(name, budget);
                }
            }
        }
    }
}

/// Counts one more login of a use, if it is there.
fn again(uses: &mut [Use], id: u32, day: i32) -> bool {
    let used = uses.iter_mut().find(|used| used.id == id);
    if let Some(used) = used {
        used.n_logins += 1;
        used.last_day = day;
        return true;
    }
    false
}

/// Makes room for one more use. First the values that lead are forgotten, where they were used least:
/// what they say of network or client stays. Then the least use goes. How many values were lost.
fn make_room(
    uses: &mut Vec<Use>,
    max: usize,
    side: &mut Side,
    left: [bool; N_LEVELS],
    budget: &mut Budget,
) -> u64 {
    if uses.len() < max {
        return 0;
    }
    if let Some(index) = least(uses, |used| used.ids[0] != GONE) {
        let old = uses[index];
        let rest = side.hold_rest(old.ids, left, budget);
        if let Some((id, ids)) = rest {
            side.add(id, old.n_logins);
            forget_use(side, &old, budget);
            match uses.iter_mut().find(|used| used.id == id) {
                Some(used) => {
                    used.n_logins += old.n_logins;
                    used.first = used.first.min(old.first);
                    used.last_day = used.last_day.max(old.last_day);
                    side.release(id, budget);
                    uses.swap_remove(index);
                    budget.give(USE_BYTES);
                }
                None => uses[index] = Use { id, ids, ..old },
            }
        }
    }
    if uses.len() >= max
        && let Some(index) = least(uses, |_| true)
    {
        forget_use(side, &uses.swap_remove(index), budget);
        budget.give(USE_BYTES);
    }
    1
}
