//! The numbers of a row's values. Many rows are looked up in one go, so that the processor waits for
//! the memory of several at a time; what changes meanwhile is looked up again.

use std::hint::black_box;

use super::account::Account;
use super::memory::{Memory, SHARED};
use super::row::Row;
use super::side::{AGENT, IP, Ids, N_LEVELS};
use super::values::{Key, UNKNOWN, Values};

/// Numbers of the values of one event; [`UNKNOWN`] where nobody holds one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RowIds {
    pub(super) actor: u32,
    pub(super) account: u32,
    pub(super) network: Ids,
    pub(super) client: Ids,
    pub(super) device: u32,
}

/// The state of the tables when numbers were found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Versions {
    names: u64,
    network: [u64; N_LEVELS],
    client: [u64; N_LEVELS],
    devices: u64,
}

impl Memory {
    /// Finds the numbers for some rows.
    pub(super) fn find_rows(&self, rows: &[Row<'_>], found: &mut Vec<RowIds>) -> Versions {
        found.clear();
        found.resize(rows.len(), RowIds::default());
        let n = rows.len();
        self.names.find_many(n, |row| Key::Text(rows[row].actor), |row, id| found[row].actor = id);
        for (row, ids) in rows.iter().zip(found.iter_mut()) {
            ids.account = match row.account == row.actor {
                true => ids.actor,
                false => self.names.find(Key::Text(row.account)),
            };
        }
        for (level, values) in self.network.levels.iter().enumerate() {
            let key = |row: usize| rows[row].network[level];
            values.find_many(n, key, |row, id| found[row].network[level] = id);
        }
        let is_asked = |row: usize, level: usize| rows[row].is_login || level == AGENT;
        for (level, values) in self.client.levels.iter().enumerate() {
            // Only logins are asked for the rest of the client.
            let key = |row: usize| match is_asked(row, level) {
                true => rows[row].client[level],
                false => Key::Null,
            };
            values.find_many(n, key, |row, id| {
                found[row].client[level] = if is_asked(row, level) { id } else { UNKNOWN };
            });
        }
        self.devices.find_many(n, |row| rows[row].device, |row, id| found[row].device = id);
        self.warm(rows, found);
        self.versions()
    }

    /// Reads what the rows will need, for the processor's cache alone.
    fn warm(&self, rows: &[Row<'_>], found: &[RowIds]) {
        let account =
            |ids: &RowIds| self.account_named(ids.actor).and_then(|slot| self.accounts.get(slot));
        for ids in found {
            black_box(account(ids).map(Account::warm));
        }
        for ids in found {
            let Some(account) = account(ids) else { continue };
            let lists = [&account.networks, &account.clients, &account.devices];
            black_box(lists.map(|uses| uses.first().map(|used| used.n_logins)));
        }
        let is_success = |row: &Row<'_>| row.login_succeeded() == Some(true);
        for (_, ids) in rows.iter().zip(found).filter(|(row, _)| is_success(row)) {
            for (pairs, level) in self.sharing.iter().zip(SHARED) {
                black_box(pairs.find(ids.network[level], ids.account));
            }
            black_box(self.ip_devices.find(ids.network[IP], ids.device));
        }
    }

    fn versions(&self) -> Versions {
        let of = |levels: &[Values; N_LEVELS]| [0, 1, 2, 3].map(|level| levels[level].version);
        Versions {
            names: self.names.version,
            network: of(&self.network.levels),
            client: of(&self.client.levels),
            devices: self.devices.version,
        }
    }

    /// The numbers as they are now.
    pub(super) fn find_again(&self, row: &Row<'_>, ids: &RowIds, since: &Versions) -> RowIds {
        let name = |name, id| self.names.find_again(Key::Text(name), id, since.names);
        let mut now = RowIds {
            actor: name(row.actor, ids.actor),
            account: name(row.account, ids.account),
            device: self.devices.find_again(row.device, ids.device, since.devices),
            ..*ids
        };
        for level in 0..N_LEVELS {
            let (key, id) = (row.network[level], ids.network[level]);
            now.network[level] =
                self.network.levels[level].find_again(key, id, since.network[level]);
            if row.is_login || level == AGENT {
                let (key, id) = (row.client[level], ids.client[level]);
                now.client[level] =
                    self.client.levels[level].find_again(key, id, since.client[level]);
            }
        }
        now
    }
}
