//! The risk of a login after Freeman et al. (NDSS 2016), as Wiefling et al. made it work.
//!
//! For each side of the login, network and client: how likely are its values among all logins, against
//! how likely they are among those of this account. The first value of a side (the address, the user
//! agent) is smoothed among all logins, so that one that nobody ever had is no division by nothing.
//! The product of both sides is weighed by how often this account logs in: an attacker takes any
//! account as likely as any other.

use super::account::{Use, n_logins_with};
use super::side::{Ids, N_LEVELS, Side};
use crate::config::RiskConfig;

/// Weights of the levels of a side; a level without one plays no part.
pub(super) type Weights = [f64; N_LEVELS];

/// Weights of network and client, in the order of the levels.
pub(super) fn weights(config: &RiskConfig) -> [Weights; 2] {
    [
        [config.ip, config.asn, config.country, 0.0],
        [config.user_agent, config.agent, config.os, config.device_type],
    ]
}

/// How the values of one side count.
pub(super) struct Features<'a> {
    pub(super) side: &'a Side,
    /// Of the login.
    pub(super) ids: Ids,
    /// Of the account.
    pub(super) uses: &'a [Use],
    pub(super) weights: Weights,
    /// Levels that describe the first one.
    pub(super) described_by: std::ops::RangeInclusive<usize>,
}

/// Remembered logins: of the account, of all, and of how many accounts.
#[derive(Debug, Clone, Copy)]
pub(super) struct History {
    pub(super) own: u32,
    pub(super) all: u64,
    pub(super) accounts: u64,
}

/// The score; `None` without a login to compare with.
pub(super) fn score(history: History, sides: &[Features<'_>]) -> Option<f64> {
    if history.own == 0 {
        return None;
    }
    let product: f64 = sides.iter().map(|side| side.ratio(history)).product();
    let attack = 1.0 / history.accounts as f64;
    let login = f64::from(history.own) / history.all as f64;
    Some(product * (attack / login))
}

impl Features<'_> {
    /// Likelihood among all logins over that among the account's own.
    fn ratio(&self, history: History) -> f64 {
        let (all, own) = (history.all as f64, f64::from(history.own));
        let (first, id) = (&self.side.levels[0], self.ids[0]);
        let mut global = self.weights[0] * self.smoothed(f64::from(first.n_logins(id)), all);
        let mut local = self.weights[0] * f64::from(n_logins_with(self.uses, 0, id)) / own;
        for level in self.levels() {
            let (weight, id) = (self.weights[level], self.ids[level]);
            global += weight * f64::from(self.side.levels[level].n_logins(id)) / all;
            local += weight * f64::from(n_logins_with(self.uses, level, id)) / own;
        }
        // None of it was ever the account's: as if it were rarer there than anywhere.
        if local == 0.0 { 4.0 } else { global / local }
    }

    /// The levels that take part: those of which a remembered login had a value.
    fn levels(&self) -> impl Iterator<Item = usize> {
        self.described_by.clone().filter(|level| self.side.levels[*level].is_in_use())
    }

    /// Likelihood of the first value among all logins, with room for what was not seen yet.
    fn smoothed(&self, n_logins: f64, all: f64) -> f64 {
        let unseen: u32 = self.levels().map(|level| self.side.levels[level].n_used()).sum();
        let unseen = f64::from(unseen + 1);
        if n_logins == 0.0 {
            return 1.0 / (all + unseen);
        }
        let together: u32 = self.levels().map(|l| self.side.n_together(self.ids[0], l)).sum();
        let together = f64::from(together + 1);
        let given = 1.0 - together / (n_logins + together);
        given * (n_logins / all * (1.0 - unseen / (all + unseen)))
    }
}
