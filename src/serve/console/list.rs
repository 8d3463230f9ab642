//! The overview, and lists of incidents and alerts.

use std::cmp::Reverse;
use std::collections::HashSet;

use maud::{Markup, html};

use super::page::{Page, Place};
use super::parts::{self, Item};
use super::search::Search;
use super::{Asked, Console, item};
use crate::Result;
use crate::event::TimeMicros;
use crate::history::{Cursor, Filter, FindingKind, History};
use crate::markup::grouped;

/// Incidents on the overview; alerts there; findings of a page of a list.
const INCIDENTS_MAX: usize = 20;
const ALERTS_MAX: usize = 30;
const PAGE_MAX: usize = 50;
/// Alerts that are looked at to find those of no incident.
const LOOKED_AT_MAX: usize = 150;

/// Findings, and where more of them begin.
struct Found {
    items: Vec<Item>,
    next: Option<Cursor>,
}

fn find(history: &History, filter: &Filter, limit: usize) -> Result<Found> {
    let page = history.page(filter, limit)?;
    let items = page.items.iter().map(item).collect::<Result<Vec<_>>>()?;
    Ok(Found { items, next: page.next })
}

/// `GET /`: what is open; of the newest incidents those that go on and the gravest first.
pub(super) async fn overview(console: &Console, query: Option<&str>) -> Asked<Page> {
    let search = Search::parse(query)?;
    let refresh = search.refresh()?;
    let of_incidents = search.open_filter(FindingKind::Incident)?;
    let of_alerts = if search.is_narrow() {
        search.filter(FindingKind::Alert)?
    } else {
        search.open_filter(FindingKind::Alert)?
    };
    let is_of_rule = search.has_rule();
    let (mut incidents, alerts) = console
        .ask(move |history| {
            let none = Found { items: Vec::new(), next: None };
            let incidents =
                if is_of_rule { Ok(none) } else { find(history, &of_incidents, INCIDENTS_MAX) };
            Ok((incidents?, find(history, &of_alerts, LOOKED_AT_MAX)?))
        })
        .await?;
    let now = console.now();
    incidents.items.sort_by_key(|one| {
        let goes_on = parts::standing(&one.record, now) == parts::Standing::GoingOn;
        Reverse((goes_on, one.record.severity))
    });
    let rules = console.shared.api.shared.catalog.rules();
    let body = html! {
        h1.quiet { "Overview" }
        (state(console, &incidents))
        (search_box(&search, "/", &rules))
        (open_incidents(&search, &incidents, now))
        (loose_alerts(&search, &incidents, &alerts, now))
        (search.refreshes("/"))
    };
    Ok(Page { title: "Overview".to_owned(), place: Place::Overview, body, refresh })
}

/// The form; folded away until it is used.
fn search_box(search: &Search, path: &str, rules: &[crate::rules::Rule]) -> Markup {
    html! {
        details.filters open[search.is_narrow()] {
            summary { "Search and filter" }
            (search.form(path, rules))
        }
    }
}

/// One line that says how things are.
fn state(console: &Console, incidents: &Found) -> Markup {
    let now = console.now();
    let going = incidents.items.iter();
    let going = going.filter(|one| parts::standing(&one.record, now) == parts::Standing::GoingOn);
    let more = if incidents.next.is_some() { "+" } else { "" };
    let ready = if console.shared.health.is_ready() { "ready" } else { "not ready" };
    html! {
        p.state {
            span.figure { b { (incidents.items.len()) (more) } " open incidents" }
            span.figure { b { (going.count()) } " going on" }
            span.figure { a href="/pipeline" { "Pipeline" } " " b { (ready) } }
        }
    }
}

fn open_incidents(search: &Search, found: &Found, now: TimeMicros) -> Markup {
    let cursor = found.next.map(Cursor::text).unwrap_or_default();
    let older = [("status", "open"), ("cursor", cursor.as_str()), ("refresh", "")];
    let older = search.href("/incidents", &older);
    html! {
        section aria-labelledby="incidents" {
            h2 #incidents { "Open incidents" }
            @if search.has_rule() { p.soft { "Incidents are of no single rule." } }
            @else if found.items.is_empty() {
                p.soft {
                    "None is open" @if search.is_narrow() { " that fits the search" } ". "
                    a href="/incidents" { "All incidents" }
                }
            }
            @else {
                @for one in &found.items { (parts::incident(one, now)) }
                p.pages {
                    @if !cursor.is_empty() { a href=(older) { "Older open incidents" } }
                    a href=(search.href("/incidents", &[("refresh", "")])) { "All incidents" }
                }
            }
        }
    }
}

/// Alerts that none of the incidents above lists.
fn loose_alerts(search: &Search, incidents: &Found, found: &Found, now: TimeMicros) -> Markup {
    let members = incidents.items.iter().filter_map(|one| one.record.incident.as_deref());
    let members: HashSet<&str> =
        members.flat_map(|part| &part.alerts).map(|member| member.id.as_str()).collect();
    let loose: Vec<&Item> = found
        .items
        .iter()
        .filter(|one| search.is_narrow() || !members.contains(one.record.id.as_str()))
        .collect();
    let heading = if search.is_narrow() {
        "Alerts that fit"
    } else {
        "Open alerts outside of these incidents"
    };
    let hidden = loose.len().saturating_sub(ALERTS_MAX) as u64;
    html! {
        section aria-labelledby="alerts" {
            h2 #alerts { (heading) }
            @if loose.is_empty() { p.soft { "None." } }
            @else { (parts::alerts(loose.iter().take(ALERTS_MAX).copied(), now)) }
            p.pages {
                @if hidden > 0 { span.soft { "and " (grouped(hidden)) @if found.next.is_some() { " or" } " more" } }
                a href=(search.href("/alerts", &[("refresh", "")])) { "All alerts" }
            }
        }
    }
}

/// `GET /incidents` and `GET /alerts`: all of them, page by page.
pub(super) async fn list(console: &Console, kind: FindingKind, query: Option<&str>) -> Asked<Page> {
    let search = Search::parse(query)?;
    let refresh = search.refresh()?;
    let filter = search.filter(kind)?;
    let found = console.ask(move |history| find(history, &filter, PAGE_MAX)).await?;
    let rules = console.shared.api.shared.catalog.rules();
    let now = console.now();
    let (path, title, place) = match kind {
        FindingKind::Alert => ("/alerts", "Alerts", Place::Alerts),
        FindingKind::Incident => ("/incidents", "Incidents", Place::Incidents),
    };
    let body = html! {
        h1 { (title) }
        (search_box(&search, path, &rules))
        @if found.items.is_empty() { p.soft { "None" @if search.is_narrow() { " that fits the search" } "." } }
        @else if kind == FindingKind::Incident { @for one in &found.items { (parts::incident(one, now)) } }
        @else { (parts::alerts(found.items.iter(), now)) }
        nav.pages aria-label="Pages of the list" {
            a href=(search.href(path, &[])) { "Newest" }
            @if let Some(next) = found.next {
                a href=(search.href(path, &[("cursor", &next.text())])) rel="next" { "Older" }
            }
        }
    };
    Ok(Page { title: title.to_owned(), place, body, refresh })
}
