//! Alerts for people: the last revision of each, as text that fits a terminal, incidents first.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Destination, outcome};
use crate::Result;
use crate::alert::{Alert, Status, escape, rfc3339, shorten};
use crate::event::TimeMicros;
use crate::rules::Severity;

/// Columns of the terminal that a line may fill.
const WIDTH: usize = 80;

/// Columns left free before everything but the severity.
const INDENT: usize = 10;

/// Alerts that are kept and printed; a person reads no more, and JSON Lines have no such limit.
const ALERTS_MAX: usize = 10_000;

/// Accounts that are named; the others are counted.
const ACCOUNTS_SHOWN: usize = 8;

/// Characters of one name that are shown.
const NAME_CHARS_MAX: usize = 120;

/// Places of evidence that are named; the others are counted.
const PLACES_SHOWN: usize = 3;

/// Keeps the last revision of each alert and prints all of them, by their start, at the flush.
#[derive(Debug)]
pub struct Table<W: Write> {
    writer: W,
    name: String,
    coloured: bool,
    alerts: HashMap<Arc<str>, Alert>,
    unshown: u64,
    gone: bool,
}

impl<W: Write> Table<W> {
    /// Prints to `writer`, which errors call `name`; severities in colour if asked.
    pub fn new(writer: W, name: impl Into<String>, coloured: bool) -> Self {
        let name = name.into();
        Self { writer, name, coloured, alerts: HashMap::new(), unshown: 0, gone: false }
    }

    /// The writer, with everything that was flushed.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn keep(&mut self, alert: &Alert) {
        if let Some(known) = self.alerts.get_mut(&alert.id) {
            if known.revision < alert.revision {
                *known = alert.clone();
            }
        } else if self.alerts.len() < ALERTS_MAX {
            self.alerts.insert(alert.id.clone(), alert.clone());
        } else if alert.status == Status::Opened {
            self.unshown += 1;
        }
    }

    fn print(&mut self) -> std::io::Result<()> {
        let mut alerts: Vec<Alert> = self.alerts.drain().map(|(_, alert)| alert).collect();
        // An incident that another one took over is told there.
        alerts.retain(|alert| !was_merged(alert));
        let order = |a: &Alert| (a.incident.is_none(), a.started_at);
        alerts.sort_by(|a, b| (order(a), &a.rule, &a.id).cmp(&(order(b), &b.rule, &b.id)));
        for alert in &alerts {
            self.writer.write_all(render(alert, self.coloured).as_bytes())?;
        }
        if self.unshown > 0 {
            let unshown = std::mem::take(&mut self.unshown);
            writeln!(self.writer, "... and {unshown} more alerts; --json prints all")?;
        }
        self.writer.flush()
    }
}

impl<W: Write> Destination for Table<W> {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        alerts.iter().for_each(|alert| self.keep(alert));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.gone {
            return Ok(());
        }
        let printed = self.print();
        outcome(printed, &self.name, &mut self.gone)
    }

    fn reader_gone(&self) -> bool {
        self.gone
    }
}

fn was_merged(alert: &Alert) -> bool {
    alert.incident.as_ref().is_some_and(|incident| incident.merged_into.is_some())
}

/// One alert as a paragraph with an empty line after it, no line wider than 80 columns.
///
/// Whatever came from events is escaped: it cannot move the cursor nor forge a line.
pub fn render(alert: &Alert, coloured: bool) -> String {
    let mut text = String::new();
    if alert.incident.is_some() {
        return render_incident(alert, coloured);
    }
    paragraph(&mut text, &format!("{}  ", seconds(alert.started_at)), &escape(&alert.rule));
    text.replace_range(..INDENT, &severity_cell(alert.severity, coloured));
    let who = format!("{} {}", alert.entity_type, name(&alert.entity));
    paragraph(&mut text, "", &who);
    paragraph(&mut text, "", &counts(alert));
    paragraph(&mut text, "", &escape(&alert.summary));
    paragraph(&mut text, "accounts  ", &accounts(alert));
    paragraph(&mut text, "evidence  ", &places(alert));
    text.push('\n');
    text
}

/// An incident: its title and its paragraph; the alerts that follow have the details.
fn render_incident(alert: &Alert, coloured: bool) -> String {
    let mut text = String::new();
    paragraph(&mut text, &format!("{}  ", seconds(alert.started_at)), &escape(&alert.title));
    text.replace_range(..INDENT, &severity_cell(alert.severity, coloured));
    paragraph(
        &mut text,
        "",
        &format!("incident {}, {}", alert.entity, counted(alert.matches, "alert", "alerts")),
    );
    paragraph(&mut text, "", &escape(&alert.summary));
    text.push('\n');
    text
}

/// A name from events, safe and of bearable length.
fn name(text: &str) -> String {
    shorten(&escape(text), NAME_CHARS_MAX).into_owned()
}

fn seconds(time: TimeMicros) -> String {
    rfc3339(time.div_euclid(1_000_000).saturating_mul(1_000_000))
}

/// The severity and the spaces up to the indent.
fn severity_cell(severity: Severity, coloured: bool) -> String {
    let name = severity.label().to_uppercase();
    let gap = " ".repeat(INDENT - name.len());
    if coloured { painted(severity, &name) + &gap } else { name + &gap }
}

/// A word in the colour of a severity.
pub(crate) fn painted(severity: Severity, word: &str) -> String {
    let colour = match severity {
        Severity::Info => "2",
        Severity::Low => "36",
        Severity::Medium => "33",
        Severity::High => "31",
        Severity::Critical => "1;31",
    };
    format!("\x1b[{colour}m{word}\x1b[0m")
}

fn counts(alert: &Alert) -> String {
    let state = if alert.status == Status::Closed { "closed" } else { "open" };
    format!(
        "{}, {}, newest at {}, {state}",
        counted(alert.matches, "match", "matches"),
        counted(alert.accounts_total as u64, "account", "accounts"),
        seconds(alert.updated_at),
    )
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn accounts(alert: &Alert) -> String {
    let names = alert.accounts.iter().map(|account| name(account));
    first_few(names, ACCOUNTS_SHOWN, alert.accounts_total)
}

fn places(alert: &Alert) -> String {
    let places = alert.evidence.iter().map(|one| escape(&one.place.to_string()).into_owned());
    first_few(places, PLACES_SHOWN, alert.evidence_total)
}

/// `a, b, ... and 37 more`.
fn first_few(items: impl Iterator<Item = String>, shown_max: usize, total: usize) -> String {
    let mut shown: Vec<String> = items.take(shown_max).collect();
    let more = total.saturating_sub(shown.len());
    if more > 0 {
        shown.push(format!("... and {more} more"));
    }
    shown.join(", ")
}

fn paragraph(text: &mut String, label: &str, body: &str) {
    for (number, line) in wrap(body, WIDTH - INDENT - label.len()).iter().enumerate() {
        let label = if number == 0 { label.to_owned() } else { " ".repeat(label.len()) };
        indented(text, &format!("{label}{line}"));
    }
}

fn indented(text: &mut String, line: &str) {
    text.push_str(&" ".repeat(INDENT));
    text.push_str(line);
    text.push('\n');
}

/// Breaks text between words, and within a word that is wider than a line.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if line.width() + c.width().unwrap_or(0) > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}
