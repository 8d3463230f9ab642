//! The parts of the page: incidents, alerts, sources, rules, input, and how to make it again.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::document::{Sources, micros};
use super::{Document, Report, charts, counted, grouped, listed, moment, more, shown};
use crate::markup::charts::{DOTS_MAX, Dot, bars, timeline as timeline_of};

/// Lines of the tables; the rest is counted.
const INCIDENTS_MAX: usize = 100;
const ALERTS_MAX: usize = 500;
const SOURCES_MAX: usize = 100;
const RULES_MAX: usize = 60;
/// Names in one cell.
const NAMES_MAX: usize = 6;

/// The incidents, the gravest first.
pub(super) fn incidents(report: &Report) -> Markup {
    let mut incidents: Vec<&Document> = report.incidents().collect();
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.rank()));
    html! {
        @if !incidents.is_empty() {
            h2 { "Incidents" }
            @for one in incidents.iter().take(INCIDENTS_MAX) {
                article {
                    h3 { (severity(one)) " " (shown(&one.title)) }
                    p { (shown(&one.summary)) }
                    p.soft {
                        (moment(one.started())) " to " (moment(micros(&one.updated_at))) ", "
                        (counted(one.alerts_total, "alert", "alerts")) ", "
                        (counted(one.accounts_total, "account", "accounts")) ", "
                        (counted(one.ips_total, "address", "addresses")) ", "
                        (shown(&one.status)) ", " code { (shown(&one.id)) }
                    }
                    (marks(&one.sources))
                }
            }
            (more(incidents.len() as u64, INCIDENTS_MAX, "incidents"))
        }
    }
}

/// Networks, devices and fingerprints from which an incident came, where the events have them.
fn marks(sources: &Sources) -> Markup {
    let networks: Vec<String> = sources.asns.iter().map(|asn| format!("AS{asn}")).collect();
    let kinds = [
        ("networks", &networks),
        ("devices", &sources.devices),
        ("TLS fingerprints", &sources.fingerprints),
    ];
    html! {
        @for (kind, all) in kinds.into_iter().filter(|(_, all)| !all.is_empty()) {
            p.soft { "From " (kind) " " (listed(all, all.len() as u64, NAMES_MAX)) }
        }
    }
}

/// The picture of all alerts, and a line for each.
pub(super) fn timeline(report: &Report) -> Markup {
    let Some(span) = report.span() else { return html! {} };
    let alerts: Vec<&Document> = report.alerts().collect();
    let mut rules: Vec<&str> = Vec::new();
    for alert in &alerts {
        if !rules.contains(&alert.rule.as_str()) && rules.len() < RULES_MAX {
            rules.push(&alert.rule);
        }
    }
    // The gravest are drawn whatever the limit, and kept where the table is cut.
    let mut gravest = alerts.clone();
    gravest.sort_by_key(|alert| std::cmp::Reverse(alert.rank()));
    let mut listed = gravest.iter().copied().take(ALERTS_MAX).collect::<Vec<_>>();
    listed.sort_by_key(|alert| alert.started());
    gravest.truncate(DOTS_MAX);
    gravest.reverse();
    let dots = gravest.iter().filter_map(|alert| {
        let row = rules.iter().position(|rule| **rule == alert.rule)?;
        Some(Dot { row, time: alert.started(), rank: alert.rank() })
    });
    html! {
        h2 { "Timeline" }
        @if alerts.is_empty() { p { "No alert." } } @else {
            (timeline_of("Alerts over time, by rule", &rules, dots, span))
            (legend())
            div.scroll { table {
                tr { th { "Time, UTC" } th { "Severity" } th { "What" } th { "Whom" } th { "Evidence" } }
                @for alert in &listed { (line(alert)) }
            } }
            (more(alerts.len() as u64 + report.unkept, listed.len(), "alerts, less grave or beyond what is kept"))
        }
    }
}

fn line(alert: &Document) -> Markup {
    let places = alert.evidence.iter().map(super::document::Evidence::place);
    let places: Vec<String> = places.take(2).collect();
    html! {
        tr {
            td.time { (moment(alert.started())) }
            td { (severity(alert)) }
            td { strong { (shown(&alert.title)) } br; (shown(&alert.summary)) }
            td { (shown(&alert.entity_type)) " " (shown(&alert.entity)) }
            td { (listed(&places, alert.evidence_total, 2)) }
        }
    }
}

fn legend() -> Markup {
    html! {
        p.soft { @for (rank, name) in ["info", "low", "medium", "high", "critical"].iter().enumerate() {
            span class=(format!("badge s{}", rank + 1)) { (name) } " "
        } }
    }
}

/// A coloured word: the word carries it, too.
fn severity(document: &Document) -> Markup {
    html! { span class=(format!("badge s{}", document.rank())) { (shown(&document.severity)) } }
}

/// What is known of an address.
#[derive(Default)]
struct Source<'a> {
    rank: usize,
    alerts: u64,
    accounts: Vec<&'a str>,
    first: i64,
    last: i64,
}

/// The addresses in alerts, those of the gravest first.
pub(super) fn sources(report: &Report) -> Markup {
    let mut sources: BTreeMap<&str, Source> = BTreeMap::new();
    for alert in report.alerts() {
        for ip in &alert.ips {
            let source = sources.entry(ip).or_insert_with(|| Source {
                first: i64::MAX,
                last: i64::MIN,
                ..Source::default()
            });
            source.rank = source.rank.max(alert.rank());
            source.alerts += 1;
            source.first = source.first.min(alert.started());
            source.last = source.last.max(micros(&alert.updated_at));
            for account in &alert.accounts {
                if source.accounts.len() < 100 && !source.accounts.contains(&account.as_str()) {
                    source.accounts.push(account);
                }
            }
        }
    }
    let mut sources: Vec<_> = sources.into_iter().collect();
    sources.sort_by_key(|(_, source)| std::cmp::Reverse((source.rank, source.alerts)));
    html! {
        h2 { "Sources" }
        @if sources.is_empty() { p { "No alert names an address." } } @else {
            div.scroll { table {
                tr { th { "Address" } th.number { "Alerts" } th { "First" } th { "Last" } th { "Accounts" } }
                @for (ip, source) in sources.iter().take(SOURCES_MAX) {
                    tr {
                        td { (shown(ip)) }
                        td.number { (source.alerts) }
                        td.time { (moment(source.first)) }
                        td.time { (moment(source.last)) }
                        td { (names(&source.accounts)) }
                    }
                }
            } }
            (more(sources.len() as u64, SOURCES_MAX, "addresses"))
        }
    }
}

fn names(accounts: &[&str]) -> String {
    let owned: Vec<String> = accounts.iter().map(|account| (*account).to_owned()).collect();
    listed(&owned, owned.len() as u64, NAMES_MAX)
}

/// Alerts by rule, and the version of each rule.
pub(super) fn rules(report: &Report) -> Markup {
    let mut alerts: BTreeMap<&str, u64> = BTreeMap::new();
    for alert in report.alerts() {
        *alerts.entry(&alert.rule).or_default() += 1;
    }
    let mut rows: Vec<(&str, u64)> = alerts.iter().map(|(rule, count)| (*rule, *count)).collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    html! {
        h2 { "Alerts by rule" }
        @if !rows.is_empty() { (bars("Alerts by rule", &rows[..rows.len().min(RULES_MAX)])) }
        details {
            summary { (counted(report.rules.len() as u64, "rule", "rules")) " ran" }
            div.scroll { table {
                tr { th { "Rule" } th { "Version" } th { "Severity" } th.number { "Alerts" } th { "Title" } }
                @for rule in report.rules {
                    tr {
                        td { (shown(&rule.id)) }
                        td { code { (rule.version) } }
                        td { (rule.front.severity.label()) }
                        td.number { (alerts.get(rule.id.as_str()).copied().unwrap_or_default()) }
                        td { (shown(&rule.front.title)) }
                    }
                }
            } }
        }
    }
}

/// How the input looked.
pub(super) fn input(report: &Report) -> Markup {
    let counts = report.counts;
    let (width, bins) = report.observed.bins();
    let bins: Vec<_> = bins.collect();
    let minutes = width / 60_000_000;
    let rows = [
        ("Events", counts.events),
        ("Bytes", counts.bytes),
        ("Late: set aside", counts.late),
        ("From the future: set aside", counts.future),
        ("Duplicates: dropped", counts.duplicates),
        ("Records that are no events", counts.ignored),
        ("Outside of the time asked for", counts.outside),
    ];
    html! {
        h2 { "The input" }
        (charts::rates(width, &bins))
        p.soft { "Events in " (counted(minutes.unsigned_abs(), "minute", "minutes")) "; of these, failures in the second colour." }
        div.scroll { table {
            @for (name, count) in rows { tr { td { (name) } td.number { (grouped(count)) } } }
            @for (reason, count) in &counts.rejected {
                tr { td { "Rejected: " code { (reason) } } td.number { (grouped(*count)) } }
            }
        } }
        @for (field, column) in &counts.unknown_fields.near_misses {
            p { "Field " code { (shown(field)) } " is ignored: was " code { (column) } " meant?" }
        }
    }
}

/// How to make the page again.
pub(super) fn again(report: &Report) -> Markup {
    html! {
        h2 { "How to make this page again" }
        pre { (shown(&report.command)) }
        table {
            tr { td { "Nightlatch" } td { (env!("CARGO_PKG_VERSION")) } }
            @for log in report.logs.iter().take(SOURCES_MAX) { tr { td { "Log" } td { (shown(log)) } } }
            @for (kind, version) in report.data {
                tr { td { "Data: " (kind) } td { (shown(version)) } }
            }
        }
        (more(report.logs.len() as u64, SOURCES_MAX, "logs"))
        p.soft { "The same events, rules and data files give the same page, byte for byte." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_devices_and_fingerprints_are_told_where_there_are_some() {
        let sources = Sources {
            asns: vec![64500, 64501],
            devices: Vec::new(),
            fingerprints: vec!["<b>".to_owned(); NAMES_MAX + 1],
        };
        let told = marks(&sources).into_string();
        assert!(told.contains("From networks AS64500, AS64501<"), "{told}");
        assert!(told.contains("From TLS fingerprints &lt;b&gt;, ") && told.contains("and 1 more"));
        assert!(!told.contains("devices"), "{told}");
    }
}
