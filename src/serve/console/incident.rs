//! One incident: what happened, to whom, does it go on, what to do, and the events that prove it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::page::{Page, Place};
use super::parts::{self, micros, rank};
use super::session::Viewer;
use super::{Asked, Console, links, prose, record, verdict};
use crate::delivery::record::AlertRecord;
use crate::event::TimeMicros;
use crate::history::{Details, FindingKind};
use crate::incident::{FallPart, IncidentPart, MemberPart};
use crate::markup::charts::{Dot, timeline};
use crate::markup::{counted, more, shown};
use crate::rules::Rule;
use crate::serve::api::handlers::{Id, known_id, unknown};
use crate::serve::api::problem::Problem;

/// Accounts that are told with their steps: at once, and folded away; rows of accounts on the timeline.
const ACCOUNTS_OPEN: usize = 8;
const ACCOUNTS_MAX: usize = 100;
const ROWS_MAX: usize = 30;
/// Names of a kind of source, and member alerts.
const SOURCES_MAX: usize = 30;
const ALERTS_MAX: usize = 200;

/// The page.
pub(super) async fn page(console: &Console, viewer: &Viewer, id: Id) -> Asked<Page> {
    let id = known_id(FindingKind::Incident, id)?;
    let details = console.ask(move |history| history.details(FindingKind::Incident, &id)).await?;
    let details = details.ok_or_else(|| unknown(FindingKind::Incident))?;
    let record = read(&details)?;
    let part = record.incident.as_deref().ok_or_else(|| unknown(FindingKind::Incident))?;
    let rules = console.shared.api.shared.catalog.rules();
    let body = html! {
        (head(&record, part, console.now()))
        div.columns {
            div { (told(part)) }
            aside {
                (response(part, &rules))
                (verdict::section(FindingKind::Incident, &record.id, &details.verdicts, viewer))
            }
            div {
                (times(part))
                (members(part, &rules))
                (sources(&record, part))
                section aria-labelledby="evidence" {
                    h2 #evidence { "Evidence" }
                    (parts::evidence(&record.evidence, record.evidence_total))
                }
            }
        }
        (about(&record, &details))
    };
    Ok(Page { title: record.title.clone(), place: Place::Incidents, body, refresh: None })
}

/// The document of a finding.
pub(super) fn read(details: &Details) -> Asked<AlertRecord> {
    record(details.document.get()).map_err(|error| {
        tracing::warn!("the console: {error}");
        Problem::unavailable(error.message)
    })
}

fn head(record: &AlertRecord, part: &IncidentPart, now: TimeMicros) -> Markup {
    html! {
        header.head {
            p.marks { (parts::badge(record.severity)) " " (parts::pill(record, now)) }
            h1 { (shown(&record.title)) }
            p.lead { (shown(&record.summary)) }
            @if let Some(other) = &part.merged_into {
                p {
                    "It became a part of "
                    a href=(format!("/incidents/{}", links::encoded(other))) { "another incident" } "."
                }
            }
            p.facts {
                span { b { "Started " } (parts::when(&record.started_at)) }
                span { b { "Last seen " } (parts::when(&record.updated_at)) }
                span { b { "Fell " } (part.fallen_total) " of " (counted(record.accounts_total, "account", "accounts")) }
                span { b { "From " } (counted(record.ips_total, "address", "addresses")) }
                span { (counted(part.alerts_total, "alert", "alerts")) }
                @if !record.attack.is_empty() { span { b { "ATT&CK " } (parts::attack(&record.attack)) } }
            }
        }
    }
}

/// The accounts, and what was done with each in order.
fn told(part: &IncidentPart) -> Markup {
    html! {
        @if part.fallen.is_empty() && part.viewed.is_empty() {
            section {
                h2 { "Accounts that fell" }
                p.soft { "No account is known to have let the intruder in." }
            }
        }
        (falls("Accounts that fell, and what was done", "fell", &part.fallen, part.fallen_total))
        (falls("Accounts that were looked at from inside", "looked at", &part.viewed, part.viewed_total))
    }
}

fn falls(title: &str, word: &str, falls: &[FallPart], total: u64) -> Markup {
    let (first, rest) = falls.split_at(falls.len().min(ACCOUNTS_OPEN));
    let rest = &rest[..rest.len().min(ACCOUNTS_MAX)];
    html! {
        @if !falls.is_empty() {
            section {
                h2 { (title) }
                @for fall in first { (parts::story(fall, word)) }
                @if !rest.is_empty() {
                    details {
                        summary { (counted(rest.len() as u64, "further account", "further accounts")) }
                        @for fall in rest { (parts::story(fall, word)) }
                    }
                }
                (more(total, first.len() + rest.len(), "accounts"))
            }
        }
    }
}

/// What the authors of its rules say is to be done, the rule with the gravest alerts first.
fn response(part: &IncidentPart, rules: &[Rule]) -> Markup {
    let mut found: Vec<&Rule> =
        rules.iter().filter(|rule| part.alerts.iter().any(|alert| alert.rule == rule.id)).collect();
    found.sort_by_key(|rule| std::cmp::Reverse(rule.front.severity));
    html! {
        section.panel aria-labelledby="response" {
            h2 #response { "What to do" }
            @for (number, rule) in found.iter().enumerate() {
                @if let Some(text) = &rule.front.runbook {
                    details open[number == 0] {
                        summary { (shown(&rule.front.title)) }
                        (prose::prose(text))
                        p.soft { a href=(links::rule(&rule.id)) { "About the rule" } }
                    }
                }
            }
            @if !found.iter().any(|rule| rule.front.runbook.is_some()) {
                p.soft { "Its rules do not say, or do not run any more." }
            }
        }
    }
}

/// Alerts by rule, and below them the steps in each account that fell.
fn times(part: &IncidentPart) -> Markup {
    let mut rows: Vec<&str> = Vec::new();
    for alert in &part.alerts {
        if !rows.contains(&alert.rule.as_str()) && rows.len() < ROWS_MAX {
            rows.push(&alert.rule);
        }
    }
    let n_rules = rows.len();
    let falls: Vec<&FallPart> = part.fallen.iter().chain(&part.viewed).take(ROWS_MAX).collect();
    rows.extend(falls.iter().map(|fall| fall.account.as_str()));
    let alerts = part.alerts.iter().filter_map(|alert| {
        let row = rows[..n_rules].iter().position(|rule| **rule == alert.rule)?;
        Some(Dot { row, time: micros(&alert.started_at), rank: rank(alert.severity) })
    });
    let steps = falls.iter().enumerate().flat_map(|(number, fall)| {
        let times = fall.steps.iter().flat_map(|step| [&step.from, &step.to]);
        let times = std::iter::once(&fall.fell_at).chain(times);
        times.map(move |time| Dot { row: n_rules + number, time: micros(time), rank: 0 })
    });
    let dots: Vec<Dot> = alerts.chain(steps).collect();
    let from = dots.iter().map(|dot| dot.time).min();
    let to = dots.iter().map(|dot| dot.time).max();
    let (Some(from), Some(to)) = (from, to) else { return html! {} };
    html! {
        section aria-labelledby="timeline" {
            h2 #timeline { "Timeline" }
            div.scroll.chart tabindex="0" role="group" aria-label="Timeline" {
                (timeline("Alerts by rule, and steps by account, over time", &rows, dots.into_iter(), (from, to)))
            }
            p.soft { "Alerts in the colour of their severity; in grey, what was done in each account." }
        }
    }
}

fn members(part: &IncidentPart, rules: &[Rule]) -> Markup {
    let title = |alert: &MemberPart| {
        let rule = rules.iter().find(|rule| rule.id == alert.rule);
        rule.map_or_else(|| alert.rule.clone(), |rule| rule.front.title.clone())
    };
    html! {
        section aria-labelledby="alerts" {
            h2 #alerts { "Its alerts" }
            table.cards {
                (parts::columns(&["Started", "Severity", "Alert", "Whom"]))
                tbody { @for alert in part.alerts.iter().take(ALERTS_MAX) {
                    tr {
                        td.time.flat.plain data-label="Started" { (parts::when(&alert.started_at)) }
                        td.flat.plain data-label="Severity" { (parts::badge(alert.severity)) }
                        td.what data-label="Alert" {
                            a.title href=(format!("/alerts/{}", links::encoded(&alert.id))) { (shown(&title(alert))) }
                            br; a.soft href=(links::rule(&alert.rule)) { (shown(&alert.rule)) }
                        }
                        td.whom data-label="Whom" { (parts::entity(&alert.entity_type, &alert.entity)) }
                    }
                } }
            }
            (more(part.alerts_total, ALERTS_MAX.min(part.alerts.len()), "alerts"))
        }
    }
}

fn sources(record: &AlertRecord, part: &IncidentPart) -> Markup {
    let from = &part.sources;
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for step in part.fallen.iter().chain(&part.viewed).flat_map(|fall| &fall.steps) {
        *used.entry(&step.ip).or_default() += step.count;
    }
    let asns: Vec<String> = from.asns.iter().map(|asn| format!("AS{asn}")).collect();
    let plain = [
        ("Networks", &asns),
        ("Devices", &from.devices),
        ("TLS fingerprints", &from.fingerprints),
        ("Sessions", &from.sessions),
    ];
    html! {
        section aria-labelledby="sources" {
            h2 #sources { "Where it came from" }
            dl.pairs {
                dt { "Addresses" }
                dd {
                    @for (number, ip) in record.ips.iter().take(SOURCES_MAX).enumerate() {
                        @if number > 0 { ", " }
                        a.name href=(links::ip(ip)) { (shown(ip)) }
                        @if let Some(count) = used.get(ip.as_str()) {
                            span.soft { " (" (counted(*count, "act", "acts")) " inside)" }
                        }
                    }
                    @if record.ips.is_empty() { span.soft { "none is known" } }
                    (more(record.ips_total, SOURCES_MAX.min(record.ips.len()), "addresses"))
                }
                @for (name, values) in plain {
                    @if !values.is_empty() {
                        dt { (name) }
                        dd {
                            @for value in values.iter().take(SOURCES_MAX) { code { (shown(value)) } " " }
                            (more(values.len() as u64, SOURCES_MAX, "more"))
                        }
                    }
                }
            }
        }
    }
}

/// What is needed to find it again, and when it came here.
pub(super) fn about(record: &AlertRecord, details: &Details) -> Markup {
    const REVISIONS_MAX: usize = 50;
    let revisions = &details.revisions;
    let first = revisions.len().saturating_sub(REVISIONS_MAX);
    html! {
        section {
            details {
                summary { "Revisions and ids" }
                p {
                    code { (record.id) } ", revision " (record.revision) ", first received "
                    (parts::when(&details.received_at)) ", last " (parts::when(&details.revised_at))
                }
                div.scroll tabindex="0" role="group" aria-label="Revisions" { table {
                    (parts::columns(&["Revision", "Status", "Up to event time", "Received"]))
                    tbody { @for one in &revisions[first..] {
                        tr {
                            td { (one.revision) }
                            td { (shown(&one.status)) }
                            td.time { (parts::when(&one.updated_at)) }
                            td.time { (parts::when(&one.received_at)) }
                        }
                    } }
                } }
            }
        }
    }
}
