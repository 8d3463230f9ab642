//! Who fell, and what the intruder did, in order: from incidents, or else from alerts of high severity.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::document::{Fallen, micros};
use super::{Document, Report, counted, listed, moment, more, shown};

/// Accounts that are told, steps of one, resources of a step.
const ACCOUNTS_MAX: usize = 100;
const STEPS_MAX: usize = 30;
const RESOURCES_MAX: usize = 8;
/// The rank of `high`: what is below tells of no account that fell.
const HIGH: usize = 4;

/// One story an account.
pub(super) fn stories(report: &Report) -> Markup {
    let fallen: Vec<&Fallen> = report.incidents().flat_map(|incident| &incident.fallen).collect();
    let total: u64 = report.incidents().map(|incident| incident.fallen_total).sum();
    let viewed: Vec<&Fallen> = report.incidents().flat_map(|incident| &incident.viewed).collect();
    let viewed_total: u64 = report.incidents().map(|incident| incident.viewed_total).sum();
    let mut others = by_account(report);
    let told = fallen.iter().chain(&viewed).map(|one| one.account.as_str());
    let told: BTreeSet<&str> = told.collect();
    others.retain(|(account, _)| !told.contains(account));
    html! {
        @if !fallen.is_empty() { (from_incidents(&fallen, total.max(fallen.len() as u64))) }
        @if !viewed.is_empty() {
            p.soft { "Looked at by somebody inside the company:" }
            (from_incidents(&viewed, viewed_total.max(viewed.len() as u64)))
        }
        @if !fallen.is_empty() && !others.is_empty() {
            p.soft { "Not known to have fallen, and in alerts of high severity:" }
        }
        @if fallen.is_empty() || !others.is_empty() { (from_alerts(&others)) }
    }
}

/// The accounts about which there is an alert of high severity, in the order in which they fell.
pub(super) fn by_account<'a>(report: &'a Report) -> Vec<(&'a str, Vec<&'a Document>)> {
    let mut accounts: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
    let grave = report.alerts().filter(|alert| alert.rank() >= HIGH);
    for alert in grave.filter(|alert| alert.entity_type == "account") {
        accounts.entry(&alert.entity).or_default().push(alert);
    }
    let mut accounts: Vec<_> = accounts.into_iter().collect();
    accounts.sort_by_key(|(_, alerts)| alerts.first().map(|alert| alert.started()));
    accounts
}

fn from_incidents(fallen: &[&Fallen], total: u64) -> Markup {
    let mut fallen = fallen.to_vec();
    fallen.sort_by_cached_key(|one| (micros(&one.fell_at), one.account.clone()));
    html! {
        @for one in fallen.iter().take(ACCOUNTS_MAX) {
            article {
                h3 { (shown(&one.account)) }
                p { (moment(micros(&one.fell_at))) " " (shown(&one.how)) }
                ol {
                    @for step in one.steps.iter().take(STEPS_MAX) {
                        li {
                            time { (moment(micros(&step.from))) }
                            @if step.to != step.from { " to " time { (moment(micros(&step.to))) } }
                            " " strong { (shown(&step.action)) }
                            @if step.count > 1 { " × " (step.count) }
                            @if !step.ip.is_empty() { " from " (shown(&step.ip)) }
                            @if !step.resources.is_empty() {
                                ": " (listed(&step.resources, step.resources.len() as u64, RESOURCES_MAX))
                            }
                        }
                    }
                }
                (more(one.steps.len() as u64, STEPS_MAX, "steps"))
            }
        }
        (more(total, ACCOUNTS_MAX.min(fallen.len()), "accounts"))
    }
}

fn from_alerts(accounts: &[(&str, Vec<&Document>)]) -> Markup {
    html! {
        @if accounts.is_empty() { p { "No alert of high severity is about an account." } }
        @for (account, alerts) in accounts.iter().take(ACCOUNTS_MAX) {
            article {
                h3 { (shown(account)) }
                ol {
                    @for alert in alerts.iter().take(STEPS_MAX) {
                        li {
                            time { (moment(alert.started())) } " "
                            strong { (shown(&alert.title)) } ": " (shown(&alert.summary))
                        }
                    }
                }
                (more(alerts.len() as u64, STEPS_MAX, "alerts"))
            }
        }
        (more(accounts.len() as u64, ACCOUNTS_MAX, "accounts"))
    }
}

/// What happened, to be read aloud.
pub(super) fn paragraph(report: &Report) -> Markup {
    let alerts = report.alerts().count() as u64;
    let accounts = by_account(report).len() as u64;
    let fell: u64 = report.incidents().map(|incident| incident.fallen_total).sum();
    let viewed: u64 = report.incidents().map(|incident| incident.viewed_total).sum();
    let n_incidents = report.incidents().count() as u64;
    let critical = report.alerts().filter(|alert| alert.rank() > HIGH).count() as u64;
    html! {
        p.lead {
            @if let Some((from, to)) = report.span() {
                "From " (moment(from)) " to " (moment(to)) " UTC there were "
                (counted(report.counts.events, "event", "events")) ". "
            } @else { "There was no event to look at. " }
            @if alerts == 0 { "The rules found nothing." }
            @else {
                "The rules gave " (counted(alerts, "alert", "alerts"))
                @if critical > 0 { ", " (critical) " of them critical" }
                @if n_incidents > 0 {
                    ", in " (counted(n_incidents, "incident", "incidents")) "; "
                    (counted(fell, "account", "accounts")) " fell"
                    @if viewed > 0 {
                        ", " (counted(viewed, "was", "were")) " looked at from inside the company"
                    }
                    "."
                } @else {
                    ". Alerts of high severity are about " (counted(accounts, "account", "accounts")) "."
                }
            }
        }
    }
}
