//! One account's story: everything in incidents and alerts that names it, in order of time.

use axum::extract::Path;
use maud::{Markup, html};

use super::page::{Page, Place};
use super::parts::{self, Item, Standing, micros};
use super::{Asked, Console, item, links};
use crate::event::TimeMicros;
use crate::history::{Filter, FindingKind};
use crate::incident::{FallPart, StepPart};
use crate::markup::{counted, more, shown};
use crate::serve::api::handlers::Id;
use crate::serve::api::problem::Problem;

/// What is looked at of the account, the newest.
const INCIDENTS_MAX: usize = 50;
const ALERTS_MAX: usize = 200;
/// Lines of the story.
const LINES_MAX: usize = 500;
/// Longer names are in no alert.
const NAME_CHARS_MAX: usize = 4096;

/// Something that happened to the account.
enum Moment<'a> {
    /// An alert names it.
    Alert(&'a Item),
    /// The intruder got in, as an incident tells it.
    Fell(&'a FallPart, &'a Item),
    /// The intruder did something.
    Step(&'a StepPart),
}

/// The page.
pub(super) async fn page(console: &Console, account: Id) -> Asked<Page> {
    let Ok(Path(account)) = account else {
        return Err(Problem::not_found("there is no account with such a name"));
    };
    if !(1..=NAME_CHARS_MAX).contains(&account.chars().count()) {
        return Err(Problem::not_found("there is no account with such a name"));
    }
    let name = account.clone();
    let asked = console.ask(move |history| {
        let of = |kind, limit| {
            let filter = Filter { account: Some(name.clone()), ..Filter::all(kind) };
            let page = history.page(&filter, limit)?;
            let items = page.items.iter().map(item).collect::<crate::Result<Vec<Item>>>()?;
            Ok::<_, crate::Error>((items, page.next.is_some()))
        };
        Ok((of(FindingKind::Incident, INCIDENTS_MAX)?, of(FindingKind::Alert, ALERTS_MAX)?))
    });
    let ((incidents, cut_incidents), (alerts, cut_alerts)) = asked.await?;
    // One that another took over tells nothing that the other does not.
    let incidents: Vec<Item> = incidents.into_iter().filter(|one| !is_merged(one)).collect();
    let now = console.now();
    let body = html! {
        (head(&account, &incidents, alerts.len(), now))
        (story(&account, &incidents, &alerts, cut_incidents || cut_alerts))
        @if !incidents.is_empty() {
            section { h2 { "Incidents that name it" } @for one in &incidents { (parts::incident(one, now)) } }
        }
        p.pages { a href=(format!("/alerts?q={}", links::encoded(&account))) { "All alerts that name it" } }
    };
    Ok(Page { title: format!("Account {account}"), place: Place::Elsewhere, body, refresh: None })
}

fn is_merged(item: &Item) -> bool {
    item.record.incident.as_ref().is_some_and(|part| part.merged_into.is_some())
}

/// What an incident tells of this account.
fn falls<'a>(account: &'a str, item: &'a Item) -> impl Iterator<Item = &'a FallPart> {
    let part = item.record.incident.as_deref();
    let falls = part.into_iter().flat_map(|part| part.fallen.iter().chain(&part.viewed));
    falls.filter(move |fall| fall.account == account)
}

fn head(account: &str, incidents: &[Item], n_alerts: usize, now: TimeMicros) -> Markup {
    let fell: Vec<&Item> =
        incidents.iter().filter(|one| falls(account, one).next().is_some()).collect();
    let goes_on = fell.iter().find(|one| parts::standing(&one.record, now) == Standing::GoingOn);
    html! {
        header.head {
            p.marks { span.badge { "account" }
                @if let Some(one) = goes_on { " " (parts::pill(&one.record, now)) } }
            h1 { (shown(account)) }
            p.lead {
                @if fell.is_empty() { "No incident knows of an intruder inside. " }
                @else { "An intruder got in: " (counted(fell.len() as u64, "incident tells", "incidents tell")) " of it. " }
                (counted(n_alerts as u64, "alert names", "alerts name")) " this account, "
                (counted(incidents.len() as u64, "incident", "incidents")) " too."
            }
        }
    }
}

fn story(account: &str, incidents: &[Item], alerts: &[Item], is_cut: bool) -> Markup {
    let mut moments: Vec<(TimeMicros, Moment<'_>)> =
        alerts.iter().map(|one| (micros(&one.record.started_at), Moment::Alert(one))).collect();
    for one in incidents {
        for fall in falls(account, one) {
            moments.push((micros(&fall.fell_at), Moment::Fell(fall, one)));
            moments.extend(fall.steps.iter().map(|step| (micros(&step.from), Moment::Step(step))));
        }
    }
    moments.sort_by_key(|(time, _)| *time);
    let first = moments.len().saturating_sub(LINES_MAX);
    html! {
        section aria-labelledby="story" {
            h2 #story { "What happened, in order" }
            @if moments.is_empty() { p.soft { "Nothing in the history names this account." } }
            @if is_cut || first > 0 { p.soft { "What is older is left out." } }
            ol.story { @for (_, moment) in &moments[first..] { (line(moment)) } }
            (more(first as u64, 0, "older lines"))
        }
    }
}

fn line(moment: &Moment<'_>) -> Markup {
    match moment {
        Moment::Alert(one) => {
            let alert = &one.record;
            html! { li.alert {
                (parts::when(&alert.started_at)) " " (parts::badge(alert.severity)) " "
                a.title href=(format!("/alerts/{}", alert.id)) { (shown(&alert.title)) }
                p.sentence { (shown(&alert.summary)) }
            } }
        }
        Moment::Fell(fall, one) => html! { li.fell {
            (parts::when(&fall.fell_at)) " " strong { "The intruder was in" } ": "
            a href=(format!("/incidents/{}", one.record.id)) { (shown(&fall.how)) }
        } },
        Moment::Step(step) => html! { li.step { (parts::step(step)) } },
    }
}
