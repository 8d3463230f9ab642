//! What can be switched on and off: benign traps and attacks, by name.

use crate::{Error, Result};

/// Benign behaviour that looks like an attack to a simple rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trap {
    Cgnat,
    Campus,
    AppUpdate,
    Outage,
    PartnerPolling,
    Monitoring,
    Travellers,
    VpnUsers,
    PhoneHopping,
    Family,
    NewPhone,
    StaffCases,
    ViralClip,
    LateBatches,
    ForgottenPassword,
    ShiftWorkers,
    CredentialRotation,
}

/// Names of the traps, in the order of [`Trap`].
pub const TRAPS: [&str; 17] = [
    "cgnat",
    "campus",
    "app_update",
    "outage",
    "partner_polling",
    "monitoring",
    "travellers",
    "vpn_users",
    "phone_hopping",
    "family",
    "new_phone",
    "staff_cases",
    "viral_clip",
    "late_batches",
    "forgotten_password",
    "shift_workers",
    "credential_rotation",
];

/// Names of the attacks that can be planted.
pub const ATTACKS: [&str; 31] = [
    "credential_stuffing",
    "password_spraying",
    "targeted_guessing",
    "mfa_guessing",
    "mfa_fatigue",
    "user_enumeration",
    "session_theft",
    "known_password",
    "other_clean_address",
    "hidden_in_outage",
    "shuffled_fingerprints",
    "behind_victims_cgnat",
    "dormant_account",
    "intruder_stays",
    "mass_viewing",
    "same_victim",
    "no_ticket",
    "closed_ticket",
    "foreign_ticket",
    "private_labels",
    "odd_hours",
    "far_above_peers",
    "one_a_day",
    "service_account",
    "bulk_download",
    "recording_after_deletion",
    "recording_after_retention",
    "account_after_deletion",
    "share_after_revocation",
    "deleted_data_training",
    "late_deletion",
];

/// A set of switches, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traps(u32);

impl Traps {
    /// Reads `all`, `none` or a list with commas.
    pub(super) fn parse(list: &str) -> Result<Self> {
        parse(list, "trap", "--traps", &TRAPS).map(Self)
    }

    /// Whether a trap is on.
    pub(super) fn has(self, trap: Trap) -> bool {
        self.0 & 1 << trap as u32 != 0
    }
}

/// The attacks to plant, by their index in [`ATTACKS`].
pub(super) fn attacks(list: &str) -> Result<Vec<usize>> {
    let bits = parse(list, "attack", "--attacks", &ATTACKS)?;
    Ok((0..ATTACKS.len()).filter(|index| bits & 1 << index != 0).collect())
}

fn parse(list: &str, what: &str, option: &str, names: &[&str]) -> Result<u32> {
    match list.trim() {
        "all" => return Ok(u32::MAX >> (32 - names.len())),
        "none" => return Ok(0),
        _ => {}
    }
    let mut bits = 0;
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let Some(index) = names.iter().position(|known| *known == name) else {
            return Err(unknown(name, what, option, names));
        };
        bits |= 1 << index;
    }
    if bits == 0 {
        let error = Error::usage(format!("{option} names no {what}"));
        return Err(error.hint(format!("write `all`, `none`, or names: {}", names.join(", "))));
    }
    Ok(bits)
}

fn unknown(name: &str, what: &str, option: &str, names: &[&str]) -> Error {
    let error = Error::usage(format!("no {what} named \"{name}\"")).at(option);
    match crate::suggest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
        None => error.hint(format!("there are: all, none, {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let traps = Traps::parse("campus, outage").unwrap();
        assert!(traps.has(Trap::Campus) && traps.has(Trap::Outage) && !traps.has(Trap::Cgnat));
        assert_eq!(attacks("all").unwrap().len(), ATTACKS.len());
        assert!(attacks("none").unwrap().is_empty());
        assert!(Traps::parse("all").unwrap().has(Trap::CredentialRotation));
        assert_eq!(TRAPS[Trap::CredentialRotation as usize], "credential_rotation");
        assert_eq!(TRAPS[Trap::ViralClip as usize], "viral_clip");
    }

    #[test]
    fn a_wrong_name_gets_a_hint() {
        let error = Traps::parse("capmus").err().unwrap();
        assert_eq!(error.hint.as_deref(), Some("did you mean \"campus\"?"));
        assert_eq!(error.exit_code(), 64);
        assert!(attacks(",").is_err());
    }
}
