//! What the form above a list asks for.

use std::net::IpAddr;

use maud::{Markup, html};

use super::{Asked, links};
use crate::history::{Filter, FindingKind, StatusFilter};
use crate::rules::Rule;
use crate::serve::api::parameters::Parameters;
use crate::serve::api::problem::Problem;

/// What a list takes, in the order of the form.
const KNOWN: [&str; 8] = ["q", "severity", "status", "rule", "from", "to", "cursor", "refresh"];
const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];
const STATUSES: [&str; 4] = ["open", "opened", "updated", "closed"];
/// How often a page may come anew, in seconds.
const REFRESHES: [u32; 3] = [10, 30, 60];

/// A search as it was asked for; what is empty excludes nothing.
pub(super) struct Search(Parameters);

impl Search {
    /// Reads the query of a list.
    pub(super) fn parse(query: Option<&str>) -> Asked<Self> {
        let mut given = Parameters::parse(query, &KNOWN)?;
        given.0.retain_mut(|(_, value)| {
            *value = value.trim().to_owned();
            !value.is_empty()
        });
        Ok(Self(given))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_default()
    }

    /// Whether it asks for anything in particular.
    pub(super) fn is_narrow(&self) -> bool {
        self.0.0.iter().any(|(name, _)| !matches!(name.as_str(), "cursor" | "refresh"))
    }

    /// Whether it asks for alerts of one rule; incidents have none.
    pub(super) fn has_rule(&self) -> bool {
        self.0.get("rule").is_some()
    }

    /// The filter of the history.
    pub(super) fn filter(&self, kind: FindingKind) -> Asked<Filter> {
        let named = |(name, value): &(String, String)| match name.as_str() {
            "refresh" => None,
            "q" if value.parse::<IpAddr>().is_ok() => Some(("ip".to_owned(), value.clone())),
            "q" => Some(("account".to_owned(), value.clone())),
            "from" | "to" => Some((name.clone(), as_rfc3339(value))),
            _ => Some((name.clone(), value.clone())),
        };
        Parameters(self.0.0.iter().filter_map(named).collect()).filter(kind)
    }

    /// The same, and of open ones where no state is asked for.
    pub(super) fn open_filter(&self, kind: FindingKind) -> Asked<Filter> {
        let filter = self.filter(kind)?;
        let status = filter.status.or(Some(StatusFilter::Open));
        Ok(Filter { status, ..filter })
    }

    /// After how many seconds the page is to come anew.
    pub(super) fn refresh(&self) -> Asked<Option<u32>> {
        let Some(text) = self.0.get("refresh") else { return Ok(None) };
        let found = REFRESHES.into_iter().find(|seconds| seconds.to_string() == text);
        found.map(Some).ok_or_else(|| Problem::bad_request("`refresh` must be 10, 30 or 60"))
    }

    /// The address of a list with this search, and `more` in place of what it says of these.
    pub(super) fn href(&self, path: &str, more: &[(&str, &str)]) -> String {
        let kept = self.0.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let kept = kept
            .filter(|(name, _)| *name != "cursor" && !more.iter().any(|(other, _)| other == name));
        let pairs = kept.chain(more.iter().copied()).filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> =
            pairs.map(|(name, value)| format!("{name}={}", links::encoded(value))).collect();
        if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
    }

    /// The form.
    pub(super) fn form(&self, path: &str, rules: &[Rule]) -> Markup {
        let is = |name: &str, value: &str| self.get(name) == value;
        html! {
            form.search method="get" action=(path) role="search" {
                label { "Account or address"
                    input type="search" name="q" value=(self.get("q")) placeholder="exact name or IP"
                        autocomplete="off" spellcheck="false"; }
                label { "Severity"
                    select name="severity" {
                        option value="" { "any" }
                        @for one in SEVERITIES {
                            option value=(one) selected[is("severity", one)] {
                                (one) @if one != "critical" { " or above" }
                            }
                        }
                    } }
                label { "Status"
                    select name="status" {
                        option value="" { "any" }
                        @for one in STATUSES { option value=(one) selected[is("status", one)] { (one) } }
                    } }
                label { "Rule"
                    select name="rule" {
                        option value="" { "any" }
                        @for rule in rules { option value=(rule.id) selected[is("rule", &rule.id)] { (rule.id) } }
                        @if self.has_rule() && !rules.iter().any(|rule| is("rule", &rule.id)) {
                            option value=(self.get("rule")) selected { (self.get("rule")) }
                        }
                    } }
                label { "Started from, UTC" input type="datetime-local" name="from" value=(self.local("from")); }
                label { "to, UTC" input type="datetime-local" name="to" value=(self.local("to")); }
                span.buttons {
                    button.primary type="submit" { "Search" }
                    @if self.is_narrow() { a href=(path) { "Clear" } }
                }
            }
        }
    }

    /// A time as the form's field takes it.
    fn local(&self, name: &str) -> &str {
        self.get(name).trim_end_matches('Z')
    }

    /// Links that make the page come anew by itself, or no more.
    pub(super) fn refreshes(&self, path: &str) -> Markup {
        let now = self.get("refresh");
        html! {
            p.refresh.soft { "Refresh: "
                @if now.is_empty() { strong { "off" } }
                @else { a href=(self.href(path, &[("refresh", "")])) { "off" } }
                @for seconds in REFRESHES {
                    " · "
                    @if now == seconds.to_string() { strong { (seconds) " s" } }
                    @else { a href=(self.href(path, &[("refresh", &seconds.to_string())])) { (seconds) " s" } }
                }
            }
        }
    }
}

/// A form's field gives a time without zone, and often without seconds.
fn as_rfc3339(text: &str) -> String {
    match text.len() {
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_becomes_a_filter() {
        let query = "q=&severity=high&status=&rule=&from=2026-03-01T00%3A00&to=&refresh=30";
        let search = Search::parse(Some(query)).unwrap();
        let filter = search.filter(FindingKind::Alert).unwrap();
        assert_eq!(filter.from, Some(1_772_323_200_000_000));
        assert_eq!((filter.account, filter.ip, filter.status), (None, None, None));
        assert_eq!(search.refresh().unwrap(), Some(30));
        assert_eq!(
            search.href("/alerts", &[("cursor", "ab"), ("refresh", "")]),
            "/alerts?severity=high&from=2026-03-01T00%3A00&cursor=ab"
        );
        let of = |q: &str| {
            let search = Search::parse(Some(&format!("q={q}"))).unwrap();
            search.filter(FindingKind::Incident).unwrap()
        };
        assert_eq!(of("+ann%40example.org+").account.as_deref(), Some("ann@example.org"));
        assert_eq!(of("2001:db8::1").ip.as_deref(), Some("2001:db8::1"));
        for bad in ["x=1", "refresh=1", "from=soon", "severity=grave", "q=1&q=2"] {
            let search = Search::parse(Some(bad));
            let read = search.and_then(|search| {
                search.refresh()?;
                search.filter(FindingKind::Alert)
            });
            assert!(read.is_err(), "{bad}");
        }
    }
}
