//! What is known about an event before it is taken in.

use super::DAY_MICROS;
use super::account::{Account, Use, first_with};
use super::columns::Known;
use super::memory::{Memory, SHARED};
use super::risk::{self, Features, History};
use super::row::Row;
use super::side::{AGENT, ASN, COUNTRY, DEVICE_TYPE, IP, Ids, N_LEVELS, PREFIX, USER_AGENT};
use super::values::{Key, UNKNOWN, Values};
use crate::event::TimeMicros;

/// What was looked up for an event, to be used again when it is taken in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) network: Ids,
    pub(super) risk: Option<f64>,
    /// Whether the account has known the network for long enough to count on it.
    pub(super) is_settled: bool,
}

fn find_all(levels: &[Values; N_LEVELS], keys: &[Key<'_>; N_LEVELS]) -> Ids {
    let mut ids = [UNKNOWN; N_LEVELS];
    for ((id, values), key) in ids.iter_mut().zip(levels).zip(keys) {
        *id = values.find(*key);
    }
    ids
}

fn days_since(time: TimeMicros, now: TimeMicros) -> f64 {
    now.saturating_sub(time) as f64 / DAY_MICROS as f64
}

/// Days since the account's first login with a value: 0 if it never had one, `None` if there is no
/// value or nothing to compare with.
fn known_days(uses: &[Use], level: usize, key: Key<'_>, id: u32, now: TimeMicros) -> Option<f64> {
    if key.is_null() || uses.is_empty() {
        return None;
    }
    Some(first_with(uses, level, id).map_or(0.0, |first| days_since(first, now)))
}

impl Memory {
    /// What the columns of an event say.
    pub(super) fn tell(&self, row: &Row<'_>) -> (Known, Found) {
        let mut known = Known::default();
        let network = find_all(&self.network.levels, &row.network);
        let mut found = Found { network, risk: None, is_settled: self.settings.settle_micros == 0 };
        self.tell_sharing(row, network, &mut known);
        if row.is_staff() {
            known.peer_accounts_usual = self.staff.peers_usual(row.actor_type).map(i64::from);
        }
        known.service_failure_ratio = self.service.now();
        known.service_failure_ratio_usual = self.service.usual();
        let name = self.names.find(Key::Text(row.actor));
        let slot = self.account_named(name);
        if let Some(account) = slot.and_then(|slot| self.accounts.get(slot)) {
            self.tell_account(row, account, network, &mut known);
            found.is_settled |= self.is_settled(row, account, network);
            found.risk = known.risk;
        }
        (known, found)
    }

    fn tell_sharing(&self, row: &Row<'_>, network: Ids, known: &mut Known) {
        let [ip, prefix, asn] = [0, 1, 2].map(|index| {
            let level = SHARED[index];
            let (key, id) = (row.network[level], network[level]);
            if key.is_null() {
                return (None, None);
            }
            let tries = match self.network.levels[level].get(id) {
                Some(value) => Some(value.tries),
                None => self.failing[index].get(key),
            };
            let ratio = tries.and_then(|tries| tries.ratio(self.day));
            (Some(i64::from(self.sharing[index].count(id))), ratio)
        });
        (known.ip_accounts, known.ip_success_ratio) = ip;
        (known.prefix_accounts, known.prefix_success_ratio) = prefix;
        (known.asn_accounts, known.asn_success_ratio) = asn;
        let has_ip = !row.network[IP].is_null();
        known.ip_devices = has_ip.then(|| i64::from(self.ip_devices.count(network[IP])));
    }

    fn tell_account(&self, row: &Row<'_>, account: &Account, network: Ids, known: &mut Known) {
        let now = row.time;
        known.account_age_days = Some(days_since(account.first_seen, now));
        known.days_since_last_login = account.last_login.map(|login| days_since(login, now));
        known.hour_usual = account.hour_usual(now, self.day);
        if row.is_staff() {
            let usual = account.staff.first().and_then(|own| own.usual());
            known.staff_accounts_usual = usual.map(i64::from);
        }
        let of_network = |level: usize| {
            known_days(&account.networks, level, row.network[level], network[level], now)
        };
        known.ip_known_days = of_network(IP);
        known.prefix_known_days = of_network(PREFIX);
        known.asn_known_days = of_network(ASN);
        known.country_known_days = of_network(COUNTRY);
        let mut client = [UNKNOWN; N_LEVELS];
        client[AGENT] = self.client.levels[AGENT].find(row.client[AGENT]);
        known.agent_known_days =
            known_days(&account.clients, AGENT, row.client[AGENT], client[AGENT], now);
        if !row.device.is_null() && account.last_login.is_some() {
            let first = first_with(&account.devices, 0, self.devices.find(row.device));
            known.device_known_days = Some(first.map_or(0.0, |first| days_since(first, now)));
        }
        if row.is_login {
            for level in (USER_AGENT..=DEVICE_TYPE).filter(|level| *level != AGENT) {
                client[level] = self.client.levels[level].find(row.client[level]);
            }
            known.risk = self.risk(account, network, client);
            known.risk_usual = account.risk_usual();
        }
    }

    fn risk(&self, account: &Account, network: Ids, client: Ids) -> Option<f64> {
        let history =
            History { own: account.n_logins, all: self.n_logins, accounts: self.n_accounts };
        let [network_weights, client_weights] = self.settings.weights;
        let network = Features {
            side: &self.network,
            ids: network,
            uses: &account.networks,
            weights: network_weights,
            described_by: ASN..=COUNTRY,
        };
        let client = Features {
            side: &self.client,
            ids: client,
            uses: &account.clients,
            weights: client_weights,
            described_by: AGENT..=DEVICE_TYPE,
        };
        risk::score(history, &[network, client])
    }

    /// Whether the account has known the network of a login for long enough: its ASN, or what is known
    /// of it.
    fn is_settled(&self, row: &Row<'_>, account: &Account, network: Ids) -> bool {
        let level = [ASN, PREFIX, IP].into_iter().find(|level| !row.network[*level].is_null());
        let first = level.and_then(|level| first_with(&account.networks, level, network[level]));
        first.is_some_and(|first| row.time.saturating_sub(first) >= self.settings.settle_micros)
    }
}
