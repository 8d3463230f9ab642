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
use super::values::{GONE, Key, UNKNOWN};
use crate::event::TimeMicros;

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
    /// Takes an event in. What was found must be true still.
    pub(super) fn take(&mut self, row: &Row<'_>, found: &Found) {
        let mut ids = found.ids;
        let succeeded = row.login_succeeded();
        if let Some(is_success) = succeeded {
            self.service.add(is_success);
        }
        if succeeded == Some(true)
            && let Some((name, slot)) = self.admit(row, ids.actor)
        {
            ids.actor = name;
            if let Some(held) = self.learn_login(slot, row, found) {
                ids.network = held.network;
                if found.is_settled {
                    let name = if row.account == row.actor { name } else { ids.account };
                    self.count_sharing(row, held, name);
                }
            }
        }
        if let Some(is_success) = succeeded {
            self.count_tries(row, ids.network, is_success);
        }
        if row.outcome != Outcome::Failure {
            self.note_activity(row, ids.actor);
        }
    }

    /// Number of the name and of the account that acts, a new one if there is room.
    fn admit(&mut self, row: &Row<'_>, actor: u32) -> Option<(u32, u32)> {
        if let Some(slot) = self.account_named(actor) {
            return Some((actor, slot));
        }
        let name = self.names.hold(Key::Text(row.actor), actor, &mut self.budget);
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
        Some((name, slot))
    }

    /// A successful login joins the account's history, whole or not at all.
    fn learn_login(&mut self, slot: u32, row: &Row<'_>, found: &Found) -> Option<Held> {
        let Self { budget, network, client, .. } = self;
        let account = self.accounts.get_mut(slot)?;
        account.last_login = Some(row.time);
        let ids = &found.ids;
        let of_network =
            Joining::find(network, &account.networks, &row.network, ids.network, budget);
        let of_client = Joining::find(client, &account.clients, &row.client, ids.client, budget);
        let (Some(of_network), Some(of_client)) = (of_network, of_client) else {
            of_network.iter().for_each(|joining| joining.give_up(network, budget));
            of_client.iter().for_each(|joining| joining.give_up(client, budget));
            self.counters.refused += 1;
            return None;
        };
        let join = Join { max: self.settings.values_max, time: row.time, day: self.day };
        self.counters.values_dropped +=
            join.join(of_network, network, &mut account.networks, NETWORK_LEFT, budget)
                + join.join(of_client, client, &mut account.clients, CLIENT_LEFT, budget);
        self.n_accounts += u64::from(account.n_logins == 0);
        account.n_logins += 1;
        self.n_logins += 1;
        if let Some(risk) = found.risk {
            account.add_risk(risk);
        }
        let device = self.learn_device(slot, row, ids.device);
        Some(Held { network: of_network.ids(), device })
    }

    /// The device of a login joins the account's devices; its number, or [`UNKNOWN`].
    fn learn_device(&mut self, slot: u32, row: &Row<'_>, found: u32) -> u32 {
        let Self { budget, devices, .. } = self;
        let Some(account) = self.accounts.get_mut(slot).filter(|_| !row.device.is_null()) else {
            return UNKNOWN;
        };
        let uses = &mut account.devices;
        if let Some(used) = uses.iter_mut().find(|used| used.id == found) {
            used.n_logins += 1;
            used.last_day = self.day;
            return found;
        }
        let Some(id) = devices.hold(row.device, found, budget) else {
            self.counters.refused += 1;
            return UNKNOWN;
        };
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
        uses.reserve_exact(1);
        uses.push(Use { id, ids, n_logins: 1, first: row.time, last_day: self.day });
        id
    }

    /// Counts the account on the network of a login.
    fn count_sharing(&mut self, row: &Row<'_>, held: Held, name: u32) {
        let Self { budget, names, network, devices, .. } = self;
        let Some(name) = names.hold(Key::Text(row.account), name, budget) else {
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

    /// Counts how a login ended, on its address, prefix and network.
    fn count_tries(&mut self, row: &Row<'_>, ids: Ids, is_success: bool) {
        for (failing, level) in self.failing.iter_mut().zip(SHARED) {
            let key = row.network[level];
            if key.is_null() {
                continue;
            }
            match self.network.levels[level].get_mut(ids[level]) {
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

    fn note_activity(&mut self, row: &Row<'_>, actor: u32) {
        let is_at_work = row.is_staff() && row.actor != row.account;
        let slot = match self.account_named(actor) {
            None if is_at_work => self.admit(row, actor).map(|(_, slot)| slot),
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
        let name = names.hold(Key::Text(row.account), UNKNOWN, budget);
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

/// How the values of one side of a login join an account's uses.
#[derive(Debug, Clone, Copy)]
enum Joining {
    /// They are those of the use with this index.
    Again(usize, Ids),
    /// They are new to the account: the combination and its values, held, and memory for a use is taken.
    New(u32, Ids),
}

impl Joining {
    /// `None` when there is no memory.
    fn find(
        side: &mut Side,
        uses: &[Use],
        keys: &[Key<'_>; N_LEVELS],
        found: Ids,
        budget: &mut Budget,
    ) -> Option<Self> {
        // What nobody holds is in no use.
        if let Some(index) = uses.iter().position(|used| used.ids == found) {
            return Some(Self::Again(index, found));
        }
        let (id, ids) = side.hold(keys, found, budget)?;
        if !budget.take(USE_BYTES) {
            side.release(id, budget);
            return None;
        }
        Some(Self::New(id, ids))
    }

    fn ids(self) -> Ids {
        match self {
            Self::Again(_, ids) | Self::New(_, ids) => ids,
        }
    }

    fn give_up(self, side: &mut Side, budget: &mut Budget) {
        if let Self::New(id, _) = self {
            side.release(id, budget);
            budget.give(USE_BYTES);
        }
    }
}

/// A login that joins an account's uses.
struct Join {
    max: usize,
    time: TimeMicros,
    day: i32,
}

impl Join {
    /// How many values were lost for it.
    fn join(
        &self,
        joining: Joining,
        side: &mut Side,
        uses: &mut Vec<Use>,
        left: [bool; N_LEVELS],
        budget: &mut Budget,
    ) -> u64 {
        match joining {
            Joining::Again(index, _) => {
                let used = &mut uses[index];
                used.n_logins += 1;
                used.last_day = self.day;
                side.add(used.ids, 1);
                0
            }
            Joining::New(id, ids) => {
                side.add(ids, 1);
                let n_lost = make_room(uses, self.max, side, left, budget);
                // Most accounts have few; twice the room would cost more than it saves.
                uses.reserve_exact(1);
                uses.push(Use { id, ids, n_logins: 1, first: self.time, last_day: self.day });
                n_lost
            }
        }
    }
}

/// Makes room for one more use. First the values that lead are forgotten, where they were used least:
/// what they say of network or client stays, in one use for all that say the same. Only if that makes
/// no room, the least of such uses goes. How many values were lost.
fn make_room(
    uses: &mut Vec<Use>,
    max: usize,
    side: &mut Side,
    left: [bool; N_LEVELS],
    budget: &mut Budget,
) -> u64 {
    let mut n_lost = 0;
    // The second may join what is left of the first.
    for _ in 0..2 {
        if uses.len() < max {
            return n_lost;
        }
        let Some(index) = least(uses, |used| used.ids[0] != GONE) else { break };
        n_lost += forget_lead(uses, index, side, left, budget);
    }
    if uses.len() >= max
        && let Some(index) = least(uses, |used| used.ids[0] == GONE).or(least(uses, |_| true))
    {
        forget_use(side, &uses.swap_remove(index), budget);
        budget.give(USE_BYTES);
        n_lost += 1;
    }
    n_lost
}

/// Forgets the value that leads a use: 1, or 0 when there is no memory for what is left.
fn forget_lead(
    uses: &mut Vec<Use>,
    index: usize,
    side: &mut Side,
    left: [bool; N_LEVELS],
    budget: &mut Budget,
) -> u64 {
    let old = uses[index];
    let Some((id, ids)) = side.hold_rest(old.ids, left, budget) else { return 0 };
    side.add(ids, old.n_logins);
    forget_use(side, &old, budget);
    let Some(used) = uses.iter_mut().find(|used| used.id == id) else {
        uses[index] = Use { id, ids, ..old };
        return 1;
    };
    used.n_logins += old.n_logins;
    used.first = used.first.min(old.first);
    used.last_day = used.last_day.max(old.last_day);
    side.release(id, budget);
    uses.swap_remove(index);
    budget.give(USE_BYTES);
    1
}
