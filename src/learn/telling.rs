//! What is known about an event before it is taken in.

use super::DAY_MICROS;
use super::account::{Account, Use, first_with};
use super::columns::Known;
use super::memory::{Memory, SHARED};
use super::risk::{self, Features, History};
use super::row::Row;
use super::row_ids::RowIds;
use super::side::{AGENT, ASN, COUNTRY, DEVICE_TYPE, IP, Ids, PREFIX};
use super::values::Key;
use crate::event::TimeMicros;

/// What was found for an event, to be used again when it is taken in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) ids: RowIds,
    pub(super) risk: Option<f64>,
    /// Whether the account has known the network for long enough to count on it.
    pub(super) is_settled: bool,
}

/// Not below 0: what was learned may be newer than an event that is read again.
fn days_since(time: TimeMicros, now: TimeMicros) -> f64 {
    now.saturating_sub(time).max(0) as f64 / DAY_MICROS as f64
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
    pub(super) fn tell(&self, row: &Row<'_>, ids: RowIds) -> (Known, Found) {
        let mut known = Known::default();
        let mut found = Found { ids, risk: None, is_settled: self.settings.settle_micros == 0 };
        self.tell_sharing(row, ids.network, &mut known);
        if row.is_staff() {
            known.peer_accounts_usual = self.staff.peers_usual(row.actor_type).map(i64::from);
        }
        known.service_failure_ratio = self.service.now();
        known.service_failure_ratio_usual = self.service.usual();
        let slot = self.account_named(ids.actor);
        if let Some(account) = slot.and_then(|slot| self.accounts.get(slot)) {
            self.tell_account(row, account, ids, &mut known);
            found.is_settled |= self.is_settled(row, account, ids.network);
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

    fn tell_account(&self, row: &Row<'_>, account: &Account, ids: RowIds, known: &mut Known) {
        let now = row.time;
        known.account_age_days = Some(days_since(account.first_seen, now));
        known.days_since_last_login = account.last_login.map(|login| days_since(login, now));
        known.hour_usual = account.hour_usual(now, self.day);
        if row.is_staff() {
            let usual = account.staff.first().and_then(|own| own.usual());
            known.staff_accounts_usual = usual.map(i64::from);
        }
        let of_network = |level: usize| {
            known_days(&account.networks, level, row.network[level], ids.network[level], now)
        };
        known.ip_known_days = of_network(IP);
        known.prefix_known_days = of_network(PREFIX);
        known.asn_known_days = of_network(ASN);
        known.country_known_days = of_network(COUNTRY);
        known.agent_known_days =
            known_days(&account.clients, AGENT, row.client[AGENT], ids.client[AGENT], now);
        if !row.device.is_null() && account.last_login.is_some() {
            let first = first_with(&account.devices, 0, ids.device);
            known.device_known_days = Some(first.map_or(0.0, |first| days_since(first, now)));
        }
        if row.is_login {
            known.risk = self.risk(account, ids);
            known.risk_usual = account.risk_usual();
        }
    }

    fn risk(&self, account: &Account, ids: RowIds) -> Option<f64> {
        let history =
            History { own: account.n_logins, all: self.n_logins, accounts: self.n_accounts };
        let [network_weights, client_weights] = self.settings.weights;
        let network = Features {
            side: &self.network,
            ids: ids.network,
            uses: &account.networks,
            weights: network_weights,
            described_by: ASN..=COUNTRY,
        };
        let client = Features {
            side: &self.client,
            ids: ids.client,
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
