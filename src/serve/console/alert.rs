//! One alert: the sentence, observed against threshold, evidence, and what the rule's author says.

use maud::{Markup, html};
use serde_json::Value;

use super::incident::{about, read};
use super::page::{Page, Place};
use super::parts::{self, Item};
use super::session::Viewer;
use super::{Asked, Console, links, prose, record, verdict};
use crate::delivery::record::AlertRecord;
use crate::event::TimeMicros;
use crate::history::FindingKind;
use crate::markup::{counted, shown};
use crate::rules::Rule;
use crate::serve::api::handlers::{Id, known_id, unknown};
use crate::tuning::filter::{Filter, Leaf, Tree};

/// Columns of the rule's query, and names in one line.
const VALUES_MAX: usize = 60;
const NAMES_MAX: usize = 30;

/// The page.
pub(super) async fn page(console: &Console, viewer: &Viewer, id: Id) -> Asked<Page> {
    let id = known_id(FindingKind::Alert, id)?;
    let asked = console.ask(move |history| {
        let incident = history.incident_of(&id)?;
        Ok((history.details(FindingKind::Alert, &id)?, incident))
    });
    let (details, incident) = asked.await?;
    let details = details.ok_or_else(|| unknown(FindingKind::Alert))?;
    let alert = read(&details)?;
    let incident = incident.and_then(|document| record(document.get()).ok());
    let rules = console.shared.api.shared.catalog.rules();
    let rule = rules.iter().find(|rule| rule.id == alert.rule);
    let now = console.now();
    let body = html! {
        (head(&alert, now))
        div.columns {
            div { (observed(&alert, rule)) }
            aside {
                (advice(rule))
                (verdict::section(FindingKind::Alert, &alert.id, &details.verdicts, viewer))
            }
            div {
                @if let Some(incident) = incident {
                    section aria-labelledby="incident" {
                        h2 #incident { "Its incident" }
                        (parts::incident(&Item { record: incident, verdict: None }, now))
                    }
                }
                section aria-labelledby="evidence" {
                    h2 #evidence { "Evidence" }
                    (parts::evidence(&details.evidence, alert.evidence_total))
                }
            }
        }
        (about(&alert, &details))
    };
    Ok(Page { title: alert.title.clone(), place: Place::Alerts, body, refresh: None })
}

fn head(alert: &AlertRecord, now: TimeMicros) -> Markup {
    html! {
        header.head {
            p.marks { (parts::badge(alert.severity)) " " (parts::pill(alert, now)) }
            h1 { (shown(&alert.title)) }
            p.lead { (shown(&alert.summary)) }
            p.facts {
                span { b { "About " } (parts::entity(&alert.entity_type, &alert.entity)) }
                span { b { "Started " } (parts::when(&alert.started_at)) }
                span { b { "Last seen " } (parts::when(&alert.updated_at)) }
                span {
                    (counted(alert.matches, "match", "matches")) " of rule "
                    a href=(links::rule(&alert.rule)) { (shown(&alert.rule)) }
                }
                @if !alert.attack.is_empty() { span { b { "ATT&CK " } (parts::attack(&alert.attack)) } }
            }
            p { b { "Accounts " } (parts::names(&alert.accounts, alert.accounts_total, NAMES_MAX, links::account)) }
            p { b { "Addresses " } (parts::names(&alert.ips, alert.ips_total, NAMES_MAX, links::ip)) }
        }
    }
}

/// What the newest match had, and the conditions of the rule that speak of it.
fn observed(alert: &AlertRecord, rule: Option<&Rule>) -> Markup {
    let conditions = rule.map(conditions).unwrap_or_default();
    let is_same = rule.is_none_or(|rule| rule.version == alert.rule_version);
    html! {
        section aria-labelledby="observed" {
            h2 #observed { "Observed against threshold" }
            @if alert.values.is_empty() { p.soft { "The rule's query has no further columns." } }
            @else {
                div.scroll tabindex="0" role="group" aria-label="Observed values" { table {
                    (parts::columns(&["Column", "Observed", "The rule asks for"]))
                    tbody { @for (name, value) in alert.values.iter().take(VALUES_MAX) {
                        tr {
                            th scope="row" { (shown(name)) }
                            td.value { (shown(&text(value))) }
                            td { (asked_for(&conditions, name)) }
                        }
                    } }
                } }
            }
            @if !is_same { p.soft { "The rule has changed since: conditions are those of today." } }
        }
    }
}

/// A condition as SQL, and whether another one may stand in for it.
struct Condition {
    sql: String,
    is_one_of_several: bool,
}

/// The last conditions of a rule.
fn conditions(rule: &Rule) -> Vec<Condition> {
    let Ok(filter) = Filter::of(rule) else { return Vec::new() };
    let mut alternatives = Vec::new();
    find_alternatives(&filter.tree, false, &mut alternatives);
    let leaves = filter.leaves.iter().enumerate();
    let condition = |(number, leaf): (usize, &Leaf)| Condition {
        sql: leaf.sql(),
        is_one_of_several: alternatives.contains(&number),
    };
    leaves.map(condition).collect()
}

/// The leaves below an OR.
fn find_alternatives(tree: &Tree, is_below_or: bool, found: &mut Vec<usize>) {
    match tree {
        Tree::All(parts) => {
            parts.iter().for_each(|part| find_alternatives(part, is_below_or, found));
        }
        Tree::Any(parts) => parts.iter().for_each(|part| find_alternatives(part, true, found)),
        Tree::Leaf(number) if is_below_or => found.push(*number),
        Tree::Leaf(_) => {}
    }
}

/// The conditions that name a column.
fn asked_for(conditions: &[Condition], column: &str) -> Markup {
    html! {
        @for one in conditions.iter().filter(|one| names(&one.sql, column)) {
            p { code { (shown(&one.sql)) } @if one.is_one_of_several { span.soft { " or another" } } }
        }
    }
}

/// Whether a condition names a column.
fn names(condition: &str, column: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    condition.split(|c| !is_part(c)).any(|word| word.eq_ignore_ascii_case(column))
}

/// A value as people read it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    }
}

/// What the author of the rule says.
fn advice(rule: Option<&Rule>) -> Markup {
    let Some(rule) = rule else {
        return html! { section.panel { h2 { "What to do" } p.soft { "The rule does not run any more." } } };
    };
    let front = &rule.front;
    html! {
        section.panel aria-labelledby="response" {
            h2 #response { "What to do" }
            @match &front.runbook {
                Some(text) => { (prose::prose(text)) }
                None => { p.soft { "The rule does not say." } }
            }
            @if let Some(text) = &front.false_positives { h3 { "Known false alarms" } (prose::prose(text)) }
            @if let Some(text) = &front.why { details { summary { "Why it matters" } (prose::prose(text)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_names_whole_words() {
        assert!(names("failures >= 20", "failures"));
        assert!(names("sum(x) OVER w > Failures", "failures"));
        assert!(!names("failures_total >= 20", "failures"));
    }
}
