//! The rules that run: how much they say, how often they are right, and their SQL.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::Path;
use maud::{Markup, html};

use super::page::{Page, Place};
use super::{Asked, Console, links, parts, prose};
use crate::event::TimeMicros;
use crate::history::{DayCount, RuleCounts};
use crate::markup::charts::sparkline;
use crate::markup::{grouped, shown};
use crate::rules::Rule;
use crate::serve::api::handlers::Id;
use crate::serve::api::problem::Problem;

const DAY: TimeMicros = 86_400_000_000;
/// Days of the small columns, today among them.
const DAYS: usize = 14;
/// Rows of the table.
const RULES_MAX: usize = 500;

/// What the history says of a rule.
#[derive(Default)]
struct Volume {
    /// Alerts of each day, the newest last.
    days: [u64; DAYS],
    alerts: u64,
    verdicts: [u64; 3],
    precision: Option<f64>,
}

impl Volume {
    fn last(&self, days: usize) -> u64 {
        self.days.iter().rev().take(days).sum()
    }
}

/// What the history says of all rules, by id.
async fn volumes(console: &Console) -> Asked<BTreeMap<String, Volume>> {
    let today = console.now().div_euclid(DAY) * DAY;
    let from = today.saturating_sub((DAYS as TimeMicros - 1) * DAY);
    let asked = console.ask(move |history| Ok((history.rules()?, history.days(from)?)));
    let (counts, days) = asked.await?;
    let mut volumes: BTreeMap<String, Volume> = BTreeMap::new();
    for one in counts {
        let precision = one.precision();
        let RuleCounts { rule, alerts, verdicts } = one;
        volumes.insert(rule, Volume { days: [0; DAYS], alerts, verdicts, precision });
    }
    for DayCount { rule, day, alerts } in days {
        let number = usize::try_from((day - from) / DAY).unwrap_or(usize::MAX);
        if let Some(count) = volumes.entry(rule).or_default().days.get_mut(number) {
            *count = alerts;
        }
    }
    Ok(volumes)
}

/// `GET /rules`
pub(super) async fn list(console: &Console) -> Asked<Page> {
    let volumes = volumes(console).await?;
    let rules = console.shared.api.shared.catalog.rules();
    let gone = volumes.iter().filter(|(id, _)| !rules.iter().any(|rule| rule.id == **id));
    let none = Volume::default();
    let volume = |rule: &Rule| volumes.get(&rule.id).unwrap_or(&none);
    let mut running: Vec<&Rule> = rules.iter().collect();
    running.sort_by_key(|rule| Reverse((volume(rule).last(7), rule.front.severity)));
    let body = html! {
        h1 { "Rules" }
        p.soft {
            (rules.len()) " run, the loudest of the last 7 days first. Alerts are counted by the day (UTC) on which they "
            "began; precision is true positives among true and false positives."
        }
        table.cards {
            thead { tr {
                th scope="col" { "Rule" } th scope="col" { "Severity" } th scope="col" { "ATT&CK" } th.number scope="col" { "Today" }
                th.number scope="col" { "7 days" } th.number scope="col" { "All" } th scope="col" { (DAYS) " days" }
                th scope="col" { "Verdicts" } th.number scope="col" { "Precision" }
            } }
            tbody {
                @for rule in running.iter().take(RULES_MAX) { (row(&rule.id, Some(rule), volume(rule))) }
                @for (id, volume) in gone.take(RULES_MAX) { (row(id, None, volume)) }
            }
        }
    };
    Ok(Page { title: "Rules".to_owned(), place: Place::Rules, body, refresh: None })
}

fn row(id: &str, rule: Option<&Rule>, volume: &Volume) -> Markup {
    html! {
        tr {
            td.what data-label="Rule" {
                a.title href=(links::rule(id)) { (shown(rule.map_or(id, |rule| &rule.front.title))) }
                br; span.soft { (shown(id)) @if rule.is_none() { ", does not run any more" } }
            }
            td.flat.plain data-label="Severity" { @if let Some(rule) = rule { (parts::badge(rule.front.severity)) } }
            td.flat.plain data-label="ATT&CK" { @if let Some(rule) = rule { (parts::attack(&rule.front.attack)) } }
            td.number.flat data-label="Today" { (grouped(volume.last(1))) }
            td.number.flat data-label="7 days" { (grouped(volume.last(7))) }
            td.number.flat data-label="All" { (grouped(volume.alerts)) }
            td.flat.plain data-label="14 days" { (spark(volume)) }
            td.flat data-label="Verdicts" { (verdicts(volume)) }
            td.number.flat data-label="Precision" { (precision(volume)) }
        }
    }
}

fn spark(volume: &Volume) -> Markup {
    let told = format!("{} alerts in {DAYS} days", volume.last(DAYS));
    sparkline(&told, &volume.days)
}

fn verdicts(volume: &Volume) -> Markup {
    let [good, benign, bad] = volume.verdicts;
    html! {
        @if good + benign + bad == 0 { span.soft { "none" } }
        @else { (good) " true, " (benign) " benign, " (bad) " false" }
    }
}

fn precision(volume: &Volume) -> Markup {
    html! {
        @match volume.precision {
            Some(ratio) => { (format!("{:.0} %", ratio * 100.0)) }
            None => { span.soft { "unknown" } }
        }
    }
}

/// `GET /rules/{id}`
pub(super) async fn one(console: &Console, id: Id) -> Asked<Page> {
    let unknown = || Problem::not_found("there is no rule with this id");
    let Ok(Path(id)) = id else { return Err(unknown()) };
    let mut volumes = volumes(console).await?;
    let rules = console.shared.api.shared.catalog.rules();
    let rule = rules.iter().find(|rule| rule.id == id);
    let volume = volumes.remove(&id);
    if rule.is_none() && volume.is_none() {
        return Err(unknown());
    }
    let volume = volume.unwrap_or_default();
    let title = rule.map_or(id.as_str(), |rule| &rule.front.title);
    let body = html! {
        header.head {
            p.marks {
                @match rule {
                    Some(rule) => { (parts::badge(rule.front.severity)) }
                    None => { span.pill { "does not run any more" } }
                }
            }
            h1 { (shown(title)) }
            p.facts {
                span { b { "Rule " } code { (shown(&id)) } }
                @if let Some(rule) = rule {
                    span { b { "Version " } code { (rule.version) } }
                    span { b { "ATT&CK " } (parts::attack(&rule.front.attack)) }
                }
                span {
                    b { "Alerts " } (grouped(volume.last(1))) " today, " (grouped(volume.last(7)))
                    " in 7 days, " (grouped(volume.alerts)) " in all"
                }
                span { b { "Verdicts " } (verdicts(&volume)) }
                span { b { "Precision " } (precision(&volume)) }
            }
            p { (spark(&volume)) " " a href=(format!("/alerts?rule={}", links::encoded(&id))) { "Its alerts" } }
        }
        @if let Some(rule) = rule { (told(rule)) (sql(rule)) }
    };
    Ok(Page { title: title.to_owned(), place: Place::Rules, body, refresh: None })
}

/// What its author says.
fn told(rule: &Rule) -> Markup {
    let front = &rule.front;
    let texts = [
        ("Why it matters", &front.why),
        ("What to do", &front.runbook),
        ("Known false alarms", &front.false_positives),
        ("What it cannot see", &front.blind_spots),
        ("How to make it fire", &front.validation),
    ];
    html! {
        section.texts {
            @for (title, text) in texts { @if let Some(text) = text { div { h2 { (title) } (prose::prose(text)) } } }
            @if !front.references.is_empty() {
                div {
                    h2 { "Further reading" }
                    ul { @for one in front.references.iter().take(20) { li { code { (shown(one)) } } } }
                }
            }
        }
    }
}

/// The query without the comment at its head.
fn sql(rule: &Rule) -> Markup {
    let query = rule.sql.split_once("*/").map_or(rule.sql.as_str(), |(_, query)| query);
    let lines = query.trim().lines().map(crate::alert::escape);
    html! {
        section aria-labelledby="sql" {
            h2 #sql { "SQL" }
            pre.scroll tabindex="0" aria-label="The rule's query" { code { @for line in lines { (line) "\n" } } }
        }
    }
}
