//! The report of a replay: one page that says what happened, made to be read, kept and printed. It loads
//! nothing, runs no script, and depends on events, rules and the command alone: two runs give the same
//! bytes.
//!
//! ```text
//! events in order ──> Observed (rates, positions) ─┐
//! alerts, incidents ──> Collector (newest of each) ├──> Report ──> page
//! counts of the pipeline, rules, command ──────────┘
//! ```

mod charts;
mod collector;
mod document;
mod map;
mod observed;
mod page;
mod sections;
mod stories;

use std::collections::BTreeMap;

pub use collector::Collector;
pub use document::Document;
pub use observed::{Observed, Observing};

use crate::event::TimeMicros;
use crate::pipeline::Counts;
use crate::rules::Rule;

/// What the page is made from.
pub struct Report<'a> {
    /// The newest revision of each alert and incident.
    pub documents: Vec<Document>,
    /// Documents beyond what is kept.
    pub unkept: u64,
    /// What the events themselves looked like.
    pub observed: &'a Observed,
    /// What the pipeline counted.
    pub counts: &'a Counts,
    /// The rules that ran.
    pub rules: &'a [Rule],
    /// Versions of the data files of enrichment, by kind.
    pub data: &'a BTreeMap<&'static str, String>,
    /// Names of the logs, as the user wrote them.
    pub logs: Vec<String>,
    /// The command that makes the report again, as a shell takes it.
    pub command: String,
}

impl Report<'_> {
    /// The page as HTML.
    pub fn page(&self) -> String {
        page::page(self).into_string()
    }

    /// The incidents but for those that another one took over.
    fn incidents(&self) -> impl Iterator<Item = &Document> {
        let incidents = self.documents.iter().filter(|document| document.is_incident());
        incidents.filter(|incident| incident.merged_into.is_none())
    }

    fn alerts(&self) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(|document| !document.is_incident())
    }

    /// The first and the last event time, of the events or else of what was found.
    fn span(&self) -> Option<(TimeMicros, TimeMicros)> {
        self.observed.span()
    }
}

/// Text from events for the page, which escapes what HTML obeys: what deceives a reader is visible.
fn shown(text: &str) -> String {
    let safe = crate::alert::escape(text);
    // Code points that are no characters are no HTML either.
    let is_none =
        |c: char| u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    crate::alert::shorten(&safe, TEXT_CHARS_MAX).replace(is_none, "\u{fffd}")
}

/// Longer texts are cut on the page.
const TEXT_CHARS_MAX: usize = 400;

/// A time as people read it, to the second: `2019-11-08 00:50:50`.
fn moment(time: TimeMicros) -> String {
    let text = crate::alert::rfc3339(time.div_euclid(1_000_000) * 1_000_000);
    text.trim_end_matches('Z').replace('T', " ")
}

/// A count with a mark between thousands: `1,234,567`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 account`, `2 accounts`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "account", "accounts"), "1 account");
        assert_eq!(moment(1_772_366_400_123_456), "2026-03-01 12:00:00");
    }

    #[test]
    fn what_deceives_is_visible() {
        assert_eq!(shown("a\u{202e}b\u{fffe}"), "a\\u{202e}b\u{fffd}");
        assert_eq!(shown(&"x".repeat(5000)).chars().count(), TEXT_CHARS_MAX);
    }
}
