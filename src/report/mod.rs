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
use crate::markup::{counted, grouped, listed, moment, more, shown};
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
