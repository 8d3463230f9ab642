//! The title and the paragraph of an incident: English that can be read aloud.
//!
//! Whatever came from events is escaped and shortened, as in the summary of an alert.

use std::collections::BTreeSet;

use super::telling::{Facts, Fall, Total};
use super::victim::Deed;
use super::words::{clock, counted, date, duration, grouped, joined, later, name};
use crate::alert::Status;

/// Accounts of which the paragraph tells what was done; the others are counted.
const TOLD_MAX: usize = 3;

/// A few words.
pub(super) fn title(facts: &Facts<'_>) -> String {
    let (fallen, total) = (facts.fallen.len() as u64, facts.accounts_total);
    let insiders = insiders(facts);
    match (&facts.fallen[..], insiders.len()) {
        ([one], _) if total.number == 1 => format!("Account {} fell", name(one.account)),
        ([_, ..], _) if total.number as u64 == fallen => {
            format!("{} fell", counted(fallen, "account", "accounts"))
        }
        ([_, ..], _) => format!(
            "{} fell to an attack on {}{}",
            counted(fallen, "account", "accounts"),
            at_least(total),
            grouped(total.number as u64),
        ),
        ([], 1..) => format!("{} used the data of {}", who(&insiders), accounts(total)),
        ([], 0) if total.number == 0 => {
            counted(facts.members_total, "alert without an account", "alerts without an account")
        }
        ([], 0) => format!("{} attacked, none known to have fallen", accounts(total)),
    }
}

/// What happened, to whom, and whether it goes on.
pub(super) fn paragraph(facts: &Facts<'_>) -> String {
    let mut sentences = vec![opening(facts)];
    sentences.extend(facts.fallen.iter().take(TOLD_MAX).map(|fall| story(fall, facts)));
    if let Some(more @ 1..) = facts.fallen.len().checked_sub(TOLD_MAX) {
        let more = counted(more as u64, "more account", "more accounts");
        sentences.push(format!("{more} fell."));
    }
    sentences.push(ending(facts));
    sentences.join(" ")
}

fn opening(facts: &Facts<'_>) -> String {
    let since = format!("From {} (UTC)", date(facts.seen_from));
    let (fallen, total) = (facts.fallen.len() as u64, facts.accounts_total);
    let insiders = insiders(facts);
    if fallen == 0 && !insiders.is_empty() {
        let (who, accounts) = (who(&insiders), accounts(total));
        return format!("{since}, {who} used the data of {accounts}{}.", inside_acts(facts));
    }
    let sources = sources(facts);
    if total.number == 0 {
        let alerts = counted(facts.members_total, "alert", "alerts");
        return format!("{since}, {alerts} named no account{sources}.");
    }
    if fallen == total.number as u64 {
        return format!("{since}, {} fell to an intruder{sources}.", accounts(total));
    }
    let were = if total.number == 1 { "was" } else { "were" };
    let outcome = match fallen {
        0 => "none is known to have fallen".to_owned(),
        _ => format!("{} fell", grouped(fallen)),
    };
    format!("{since}, {} {were} tried{sources}; {outcome}.", accounts(total))
}

/// What was done with all accounts that were looked at: `: 12 recordings were watched`.
fn inside_acts(facts: &Facts<'_>) -> String {
    let steps: Vec<Deed> = facts.viewed.iter().flat_map(|fall| fall.steps.clone()).collect();
    let acts: Vec<String> = by_action(&steps).iter().map(|deed| act(deed, false)).collect();
    if acts.is_empty() { String::new() } else { format!(": {}", joined(&acts)) }
}

fn accounts(total: Total) -> String {
    format!("{}{}", at_least(total), counted(total.number as u64, "account", "accounts"))
}

fn at_least(total: Total) -> &'static str {
    if total.exact { "" } else { "at least " }
}

/// ` from 37 addresses of AS64500 with one TLS fingerprint`.
fn sources(facts: &Facts<'_>) -> String {
    let total = facts.ips_total;
    if total.number == 0 {
        return String::new();
    }
    let addresses = match &facts.ips[..] {
        [one] if total.number == 1 => format!("the address {}", name(one)),
        _ => counted(total.number as u64, "address", "addresses"),
    };
    let networks = match facts.asns.len() {
        0 => String::new(),
        1 => facts.asns.iter().map(|asn| format!(" of AS{asn}")).collect(),
        several => format!(" of {several} networks"),
    };
    let client = match (facts.fingerprints.len(), facts.devices.len()) {
        (1, _) => " with one TLS fingerprint",
        (0, 1) => " with one device",
        _ => "",
    };
    format!(" from {}{addresses}{networks}{client}", at_least(total))
}

/// People or services inside the company that the alerts name.
fn insiders<'a>(facts: &Facts<'a>) -> BTreeSet<&'a str> {
    facts.members.iter().filter_map(|one| one.marks.insider.as_deref()).collect()
}

fn who(insiders: &BTreeSet<&str>) -> String {
    match insiders.len() {
        1 => insiders.iter().map(|one| name(one)).collect(),
        several => format!("{several} people inside"),
    }
}

/// What was done with one account, in order.
fn story(fall: &Fall<'_>, facts: &Facts<'_>) -> String {
    let account = name(fall.account);
    let entered = later(fall.at, facts.seen_from);
    let acts = by_action(&fall.steps);
    if acts.is_empty() {
        return format!("{account} let the intruder in at {entered}; nothing more is known of it.");
    }
    let acts: Vec<String> = acts.iter().map(|deed| act(deed, true)).collect();
    format!("In {account}, entered at {entered}, {}.", joined(&acts))
}

/// Steps of one action together, in the order of their first.
fn by_action(steps: &[Deed]) -> Vec<Deed> {
    let mut acts: Vec<Deed> = Vec::new();
    for step in steps {
        match acts.iter_mut().find(|one| one.action == step.action) {
            Some(one) => {
                one.to = step.to;
                one.count += step.count;
                let new =
                    step.resources.iter().filter(|resource| !one.resources.contains(resource));
                let new: Vec<String> = new.cloned().collect();
                one.resources.extend(new);
            }
            None => acts.push(step.clone()),
        }
    }
    acts
}

/// What was done, and for how long where that was in one place.
fn act(deed: &Deed, with_duration: bool) -> String {
    let things = |one: &str, many: &str, done: &str| {
        let number =
            if deed.resources.is_empty() { deed.count } else { deed.resources.len() as u64 };
        let were = if number == 1 { "was" } else { "were" };
        format!("{} {were} {done}", counted(number, one, many))
    };
    let at = clock(deed.from);
    match deed.action.as_str() {
        "live_view" => {
            let watched = match deed.resources.len() {
                0 => "live video was watched".to_owned(),
                _ => things("camera", "cameras", "watched"),
            };
            match duration(deed.to.saturating_sub(deed.from)) {
                Some(duration) if with_duration => format!("{watched} for {duration}"),
                _ => watched,
            }
        }
        "recording_view" => things("recording", "recordings", "watched"),
        "recording_download" => things("recording", "recordings", "downloaded"),
        "recording_delete" => things("recording", "recordings", "deleted"),
        "two_way_talk" => format!("two-way talk was used{}", times(deed.count)),
        "siren" => format!("the siren was sounded{}", times(deed.count)),
        "password_change" | "password_reset" => format!("the password was changed at {at}"),
        "email_change" => format!("the e-mail address was changed at {at}"),
        "mfa_change" => format!("the second factor was changed at {at}"),
        "device_register" => "a device was registered".to_owned(),
        "share_grant" => "access was given to somebody".to_owned(),
        "share_revoke" => "access was taken from somebody".to_owned(),
        "settings_change" => "settings were changed".to_owned(),
        "account_delete" => format!("the account was deleted at {at}"),
        other => format!("{} was done{}", name(other), times(deed.count)),
    }
}

fn times(number: u64) -> String {
    match number {
        0 | 1 => String::new(),
        2 => " twice".to_owned(),
        many => format!(" {} times", grouped(many)),
    }
}

fn ending(facts: &Facts<'_>) -> String {
    match (facts.merged_into, facts.status) {
        (Some(id), _) => format!("It is part of incident {id} from here on."),
        (None, Status::Closed) => {
            format!("It is over since {}.", later(facts.updated_at, facts.seen_from))
        }
        (None, _) => "It is still going on.".to_owned(),
    }
}
