//! What several pages show: severity, standing, names, steps, evidence.

use maud::{Markup, html};

use super::links;
use crate::alert::Status;
use crate::delivery::record::{AlertRecord, EvidenceRecord};
use crate::event::TimeMicros;
use crate::event::time::parse_rfc3339;
use crate::history::VerdictLabel;
use crate::incident::{FallPart, StepPart};
use crate::markup::{counted, grouped, listed, moment, more, shown};
use crate::rules::Severity;

/// What is open, and was seen within this time, goes on.
const GOING_ON: TimeMicros = 3_600_000_000;
/// Resources of one step.
const RESOURCES_MAX: usize = 8;
/// Steps of one account that stand there at once.
const STEPS_MAX: usize = 100;
/// Lines of evidence; more than so many are folded away at first.
const EVIDENCE_MAX: usize = 200;
const EVIDENCE_OPEN: usize = 20;

/// A finding, and the newest verdict on it.
pub(super) struct Item {
    pub(super) record: AlertRecord,
    pub(super) verdict: Option<VerdictLabel>,
}

/// A time of a document; one that is none is the beginning of 1970.
pub(super) fn micros(time: &str) -> TimeMicros {
    parse_rfc3339(time).unwrap_or_default()
}

/// A time of a document, for people.
pub(super) fn when(time: &str) -> Markup {
    html! { time datetime=(time) { (moment(micros(time))) } }
}

/// 1 for `info` to 5 for `critical`.
pub(super) fn rank(severity: Severity) -> usize {
    severity as usize + 1
}

/// A coloured word: the word carries it, too.
pub(super) fn badge(severity: Severity) -> Markup {
    html! { span class=(format!("badge s{}", rank(severity))) { (severity.label()) } }
}

/// Whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    GoingOn,
    /// Open, and nothing new for so long.
    Quiet(TimeMicros),
    Over,
}

/// Whether a finding goes on at a time.
pub(super) fn standing(record: &AlertRecord, now: TimeMicros) -> Standing {
    let silent = now.saturating_sub(micros(&record.updated_at));
    match record.status {
        Status::Closed => Standing::Over,
        _ if silent <= GOING_ON => Standing::GoingOn,
        _ => Standing::Quiet(silent),
    }
}

/// The same as a pill.
pub(super) fn pill(record: &AlertRecord, now: TimeMicros) -> Markup {
    let is_merged = record.incident.as_ref().is_some_and(|one| one.merged_into.is_some());
    html! {
        @match standing(record, now) {
            _ if is_merged => { span.pill { "joined another" } }
            Standing::GoingOn => { span.pill.going { "going on" } }
            Standing::Quiet(silent) => { span.pill { "open, quiet for " (duration(silent)) } }
            Standing::Over => { span.pill.over { "over" } }
        }
    }
}

/// A length of time as people say it.
pub(super) fn duration(micros: TimeMicros) -> String {
    let seconds = (micros / 1_000_000).max(0).unsigned_abs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", grouped(seconds / 86_400)),
    }
}

/// A verdict as a word.
pub(super) fn verdict(verdict: VerdictLabel) -> Markup {
    let words = verdict.label().replace('_', " ");
    html! { span class=(format!("verdict {}", verdict.label())) { (words) } }
}

/// The names of a table's columns.
pub(super) fn columns(names: &[&str]) -> Markup {
    html! { thead { tr { @for name in names { th scope="col" { (name) } } } } }
}

/// A link to an account's page.
pub(super) fn account(name: &str) -> Markup {
    html! { a.name href=(links::account(name)) { (shown(name)) } }
}

/// Names as links, and how many are left out.
pub(super) fn names(
    all: &[String],
    total: u64,
    max: usize,
    href: impl Fn(&str) -> String,
) -> Markup {
    let left_out = total.max(all.len() as u64).saturating_sub(all.len().min(max) as u64);
    html! {
        @for (number, name) in all.iter().take(max).enumerate() {
            @if number > 0 { ", " }
            a.name href=(href(name)) { (shown(name)) }
        }
        @if left_out > 0 { " and " (grouped(left_out)) " more" }
        @if all.is_empty() && total == 0 { "none" }
    }
}

/// What an alert is about: an account is a link.
pub(super) fn entity(entity_type: &str, entity: &str) -> Markup {
    html! {
        span.soft { (shown(entity_type)) } " "
        @match entity_type {
            "account" => { (account(entity)) }
            "ip" => { a.name href=(links::ip(entity)) { (shown(entity)) } }
            _ => { span.name { (shown(entity)) } }
        }
    }
}

/// One account, and what was done with it in order.
pub(super) fn story(fall: &FallPart, word: &str) -> Markup {
    html! {
        article.story {
            h3 { (account(&fall.account)) span.soft { " " (word) " " (when(&fall.fell_at)) } }
            p.soft { (shown(&fall.how)) }
            (steps(&fall.steps))
        }
    }
}

/// Steps of an intruder.
pub(super) fn steps(steps: &[StepPart]) -> Markup {
    html! {
        @if steps.is_empty() { p.soft { "Got in; no step after that is known." } }
        @else { ol.steps { @for step in steps.iter().take(STEPS_MAX) { li { (self::step(step)) } } } }
        (more(steps.len() as u64, STEPS_MAX, "steps"))
    }
}

/// One step: when, and what.
pub(super) fn step(step: &StepPart) -> Markup {
    let length = micros(&step.to).saturating_sub(micros(&step.from));
    html! {
        (when(&step.from))
        span {
            strong { (shown(&step.action)) }
            @if step.count > 1 { " × " (grouped(step.count)) " in " (duration(length)) }
            @if !step.resources.is_empty() {
                ": " (listed(&step.resources, step.resources.len() as u64, RESOURCES_MAX))
            }
            @if !step.ip.is_empty() {
                span.soft { " from " a href=(links::ip(&step.ip)) { (shown(&step.ip)) } }
            }
        }
    }
}

/// Where an event stands.
pub(super) fn place(event: &EvidenceRecord) -> String {
    match (&event.topic, &event.file) {
        (Some(topic), _) => format!(
            "{topic}/{}@{}",
            event.partition.unwrap_or_default(),
            event.offset.unwrap_or_default()
        ),
        (None, Some(file)) => format!("{file}:{}", event.line.unwrap_or_default()),
        (None, None) => String::new(),
    }
}

/// The events that prove it, in order of time.
pub(super) fn evidence(events: &[EvidenceRecord], total: u64) -> Markup {
    let mut events: Vec<&EvidenceRecord> = events.iter().collect();
    events.sort_by_key(|event| micros(&event.time));
    let n_shown = events.len().min(EVIDENCE_MAX);
    html! {
        details open[n_shown <= EVIDENCE_OPEN] {
            summary { (counted(total.max(events.len() as u64), "event", "events")) }
            (evidence_table(&events[..n_shown]))
            (more(total.max(events.len() as u64), n_shown, "events"))
        }
    }
}

fn evidence_table(events: &[&EvidenceRecord]) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label="Evidence" { table {
            (columns(&["Time", "Source", "Event", "Place"]))
            tbody { @for event in events {
                tr {
                    td.time { (when(&event.time)) }
                    td { (shown(event.source.as_deref().unwrap_or_default())) }
                    td { code { (shown(event.event_id.as_deref().unwrap_or_default())) } }
                    td { code { (shown(&place(event))) } }
                }
            } }
        } }
    }
}

/// ATT&CK techniques.
pub(super) fn attack(ids: &[String]) -> Markup {
    html! { @for id in ids.iter().take(20) { code { (shown(id)) } " " } }
}

/// A table of alerts, a line each.
pub(super) fn alerts<'a>(items: impl Iterator<Item = &'a Item>, now: TimeMicros) -> Markup {
    html! {
        table.cards {
            (columns(&["Started", "Severity", "What", "Whom", "Standing", "Verdict"]))
            tbody { @for item in items {
                @let alert = &item.record;
                tr {
                    td.time.flat.plain data-label="Started" { (when(&alert.started_at)) }
                    td.flat.plain data-label="Severity" { (badge(alert.severity)) }
                    td.what data-label="What" {
                        a.title href=(format!("/alerts/{}", alert.id)) { (shown(&alert.title)) }
                        p.sentence { (shown(&alert.summary)) }
                    }
                    td.whom data-label="Whom" { (entity(&alert.entity_type, &alert.entity)) }
                    td.flat.plain data-label="Standing" { (pill(alert, now)) }
                    td.flat data-label="Verdict" {
                        @match item.verdict {
                            Some(given) => { (verdict(given)) }
                            None => { span.soft { "none" } }
                        }
                    }
                }
            } }
        }
    }
}

/// An incident in a list: what happened, to whom, does it go on.
pub(super) fn incident(item: &Item, now: TimeMicros) -> Markup {
    let record = &item.record;
    let part = record.incident.as_deref();
    let fallen: Vec<String> =
        part.into_iter().flat_map(|part| &part.fallen).map(|fall| fall.account.clone()).collect();
    let fallen_total = part.map_or(0, |part| part.fallen_total);
    html! {
        article class=(format!("card edge{}", rank(record.severity))) {
            header {
                (badge(record.severity))
                h3 { a href=(format!("/incidents/{}", record.id)) { (shown(&record.title)) } }
                (pill(record, now))
                @if let Some(given) = item.verdict { (verdict(given)) }
            }
            p { (shown(&record.summary)) }
            p.facts {
                span { b { "Fell " } (names(&fallen, fallen_total, 6, links::account)) }
                span { b { "Started " } (when(&record.started_at)) }
                span { b { "Last seen " } (when(&record.updated_at)) }
                span { (counted(part.map_or(0, |part| part.alerts_total), "alert", "alerts")) ", "
                    (counted(record.accounts_total, "account", "accounts")) ", "
                    (counted(record.ips_total, "address", "addresses")) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_short() {
        let of = |seconds: i64| duration(seconds * 1_000_000);
        assert_eq!((of(-5), of(59)), ("0 s".to_owned(), "59 s".to_owned()));
        assert_eq!((of(600), of(7200)), ("10 min".to_owned(), "2 h".to_owned()));
        assert_eq!(of(86_400 * 2500), "2,500 days");
    }

    #[test]
    fn names_are_links_and_harmless() {
        let all = ["<b>\u{202e}x".to_owned(), "y".to_owned()];
        let text = names(&all, 9, 1, links::account).into_string();
        assert_eq!(
            text,
            "<a class=\"name\" href=\"/accounts/%3Cb%3E%E2%80%AEx\">&lt;b&gt;\\u{202e}x</a> and 8 more"
        );
    }
}
