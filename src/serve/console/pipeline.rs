//! Health of the pipeline: the numbers of `/metrics` that say whether detection works, in words.

use std::collections::BTreeMap;

use maud::{Markup, html};
use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::page::{Page, Place};
use super::parts::duration;
use super::search::Search;
use super::{Asked, Console};
use crate::delivery::OUTCOMES;
use crate::event::TimeMicros;
use crate::markup::{grouped, moment, shown};

/// How a number is shown, and what it is counted in.
#[derive(Clone, Copy)]
enum Unit {
    Count(&'static str),
    Bytes,
    Seconds,
    /// Seconds since 1970, as a time.
    Moment,
    /// Seconds since 1970, as how long that is ago.
    Age,
    /// 1 is bad.
    Fault,
}

type Row = (&'static str, &'static str, Unit);

/// Name on the page, metric, unit. What each means is the help of the metric.
const GROUPS: [(&str, &[Row]); 4] = [
    (
        "Input",
        &[
            ("Events", "events_total", Unit::Count("events")),
            ("Read", "event_bytes_total", Unit::Bytes),
            ("Behind in Kafka", "kafka_lag_messages", Unit::Count("messages")),
            ("Late", "events_late_total", Unit::Count("events")),
            ("From the future", "events_future_total", Unit::Count("events")),
            ("Duplicates", "events_duplicate_dropped_total", Unit::Count("events")),
            ("Rejected", "events_rejected_total", Unit::Count("records")),
            ("Dead letters", "dead_letters_total", Unit::Count("records")),
        ],
    ),
    (
        "Time",
        &[
            ("Watermark", "watermark_timestamp_seconds", Unit::Moment),
            ("Lag", "event_time_lag_seconds", Unit::Seconds),
            ("Waiting for the watermark", "order_buffered_events", Unit::Count("events")),
        ],
    ),
    (
        "State",
        &[
            ("Rows in windows", "lane_rows", Unit::Count("rows")),
            ("Bytes of windows", "lane_bytes", Unit::Bytes),
            ("Rows kept out", "state_dropped_rows_total", Unit::Count("rows")),
            ("Checkpoint, age", "checkpoint_timestamp_seconds", Unit::Age),
            ("Checkpoint failed", "checkpoint_failed", Unit::Fault),
            ("State folder", "state_folder_bytes", Unit::Bytes),
            ("Open incidents", "incidents_open", Unit::Count("incidents")),
            ("Open alerts", "alerts_open", Unit::Count("alerts")),
        ],
    ),
    (
        "Delivery",
        &[
            ("Waiting in the outbox", "outbox_entries", Unit::Count("revisions")),
            ("Oldest that waits", "outbox_oldest_timestamp_seconds", Unit::Age),
            ("Outbox", "outbox_bytes", Unit::Bytes),
            ("Outbox full", "outbox_full", Unit::Fault),
            ("History", "history_bytes", Unit::Bytes),
            ("History failed", "history_failed", Unit::Fault),
        ],
    ),
];

/// A metric with all its series.
struct Reading<'a> {
    family: &'a MetricFamily,
}

impl Reading<'_> {
    fn total(&self) -> f64 {
        self.family.get_metric().iter().map(|metric| self.value(metric)).sum()
    }

    fn value(&self, metric: &Metric) -> f64 {
        match self.family.get_field_type() {
            MetricType::COUNTER => metric.get_counter().get_value(),
            MetricType::GAUGE => metric.get_gauge().get_value(),
            _ => 0.0,
        }
    }
}

/// `GET /pipeline`
pub(super) fn page(console: &Console, query: Option<&str>) -> Asked<Page> {
    let search = Search::parse(query)?;
    let refresh = search.refresh()?;
    let families = console.shared.metrics.families();
    let readings: BTreeMap<&str, Reading<'_>> = families
        .iter()
        .filter_map(|family| Some((family.name().strip_prefix("nightlatch_")?, Reading { family })))
        .collect();
    let is_ready = console.shared.health.is_ready();
    let body = html! {
        header.head {
            p.marks { @if is_ready { span.pill.over { "ready" } } @else { span.pill.going { "not ready" } } }
            h1 { "Pipeline" }
            p.lead {
                @if is_ready { "Events can be read. " } @else { "No partition is read now. " }
                (rate(console, &readings)) " events/s on average since the start "
                (duration(micros(console.shared.started.elapsed().as_secs_f64()))) " ago."
            }
        }
        @for (title, rows) in GROUPS { (group(title, rows, &readings)) }
        (deliveries(&readings))
        (search.refreshes("/pipeline"))
        p.soft { "All numbers are in " a href="/metrics" { "/metrics" } "; counters begin with the process." }
    };
    Ok(Page { title: "Pipeline".to_owned(), place: Place::Pipeline, body, refresh })
}

/// Events a second, since the start.
fn rate(console: &Console, readings: &BTreeMap<&str, Reading<'_>>) -> String {
    let events = readings.get("events_total").map_or(0.0, Reading::total);
    let rate = events / console.shared.started.elapsed().as_secs_f64().max(1.0);
    if rate < 10.0 { format!("{rate:.1}") } else { whole(rate) }
}

#[allow(clippy::cast_possible_truncation)] // a float becomes at most the largest time
fn micros(seconds: f64) -> TimeMicros {
    (seconds * 1e6) as TimeMicros
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most the largest number
fn whole(number: f64) -> String {
    grouped(number.max(0.0).round() as u64)
}

fn group(title: &str, rows: &[Row], readings: &BTreeMap<&str, Reading<'_>>) -> Markup {
    html! {
        section { h2 { (title) }
            table.cards.readings {
                thead { tr {
                    th scope="col" { "What" } th.number scope="col" { "Now" } th scope="col" { "Unit" }
                    th scope="col" { "Meaning" }
                } }
                tbody { @for (name, metric, unit) in rows { (row(name, *unit, readings.get(metric))) } }
            }
        }
    }
}

/// One number. A metric without series, such as one by lane before a rule runs, says nothing yet.
fn row(name: &str, unit: Unit, reading: Option<&Reading<'_>>) -> Markup {
    html! {
        tr {
            th scope="row" { (name) }
            @match reading {
                Some(reading) => {
                    (shown_as(unit, reading.total()))
                    td.soft.plain { (shown(reading.family.help())) }
                }
                None => { td.number.flat.plain { "none yet" } td {} td {} }
            }
        }
    }
}

/// Number and unit as two cells.
fn shown_as(unit: Unit, value: f64) -> Markup {
    let now = chrono::Utc::now().timestamp_micros();
    let (text, unit) = match unit {
        Unit::Count(unit) => (whole(value), unit),
        Unit::Bytes => bytes(value),
        Unit::Seconds => (format!("{value:.1}"), "seconds"),
        _ if value <= 0.0 && !matches!(unit, Unit::Fault) => ("none yet".to_owned(), ""),
        Unit::Moment => (moment(micros(value)), "UTC"),
        Unit::Age => (duration(now.saturating_sub(micros(value))), ""),
        Unit::Fault if value > 0.0 => {
            return html! { td.number.flat.plain { span.pill.going { "yes" } } td.flat.plain {} };
        }
        Unit::Fault => ("no".to_owned(), ""),
    };
    html! { td.number.flat.plain { (text) } td.flat.plain { (unit) } }
}

fn bytes(value: f64) -> (String, &'static str) {
    let units = ["bytes", "KiB", "MiB", "GiB"];
    let (mut value, mut unit) = (value, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = if unit == 0 { whole(value) } else { format!("{value:.1}") };
    (text, units[unit])
}

/// How deliveries ended, by destination.
fn deliveries(readings: &BTreeMap<&str, Reading<'_>>) -> Markup {
    let Some(reading) = readings.get("deliveries_total") else { return html! {} };
    let mut destinations: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
    for metric in reading.family.get_metric() {
        let label = |name: &str| {
            metric.get_label().iter().find(|one| one.name() == name).map_or("", |one| one.value())
        };
        let outcomes = destinations.entry(label("destination")).or_default();
        outcomes.insert(label("outcome"), reading.value(metric));
    }
    html! {
        section { h2 { "Deliveries by destination" }
            @if destinations.is_empty() { p.soft { "There is no destination." } }
            @else {
                div.scroll tabindex="0" role="group" aria-label="Deliveries" { table {
                    thead { tr {
                        th scope="col" { "Destination" }
                        @for outcome in OUTCOMES { th.number scope="col" { (outcome) } }
                    } }
                    tbody { @for (name, outcomes) in &destinations {
                        tr {
                            th scope="row" { (shown(name)) }
                            @for outcome in OUTCOMES {
                                td.number { (whole(outcomes.get(outcome).copied().unwrap_or_default())) }
                            }
                        }
                    } }
                } }
                p.soft { "Revisions since the start; failed ones are tried again, refused ones never." }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(bytes(12.0), ("12".to_owned(), "bytes"));
        assert_eq!(bytes(1536.0), ("1.5".to_owned(), "KiB"));
        assert_eq!(bytes(5e12), ("4656.6".to_owned(), "GiB"));
    }

    #[test]
    fn every_metric_is_one_of_ours() {
        let documented = include_str!("../../../docs/metrics.md");
        for (_, metric, _) in GROUPS.iter().flat_map(|(_, rows)| rows.iter()) {
            let row = format!("| `nightlatch_{metric}");
            let ends = |rest: &str| rest.starts_with(['`', '{']);
            assert!(documented.split(&row).skip(1).any(ends), "{metric}");
        }
    }
}
