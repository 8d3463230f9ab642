//! Every metric, created at the start with 0, so that a series that stands still is seen to exist.

use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use super::batch_duration::BatchDuration;
use super::checkpoint::CheckpointMetrics;
use super::spill::SpillMetrics;
use super::stages;
use crate::alert::{EarlyStats, Status};
use crate::delivery::DeliveryMetrics;
use crate::enrich::EnrichMetrics;
use crate::event::reject::RejectReason;
use crate::history::{FindingKind, HistoryMetrics};
use crate::incident::IncidentStats;
use crate::learn::LearnMetrics;
use crate::rules::{LaneStats, Rule, RuleStats};
use crate::source::kafka::{KafkaErrorKind, KafkaMetrics, LeaseChange};
use crate::{Error, Result};

/// Every metric of the program.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Events decoded, by origin (topic or file).
    pub events: IntCounterVec,
    /// Bytes of the records read.
    pub event_bytes: IntCounter,
    /// Records that are no events, by reason.
    pub rejected: IntCounterVec,
    /// Events behind the watermark.
    pub late: IntCounter,
    /// Events ahead of the clock.
    pub future: IntCounter,
    /// Events dropped because their `event_id` was seen.
    pub duplicates: IntCounter,
    /// Records written to a dead-letter or late sink.
    pub dead_letters: IntCounterVec,
    /// Events that wait for the watermark.
    pub buffered: IntGauge,
    /// Releases forced by a full buffer.
    pub forced_releases: IntCounter,
    /// The released watermark.
    pub watermark_seconds: Gauge,
    /// How far the watermark is behind the clock.
    pub lag_seconds: Gauge,
    /// What the Kafka consumer counts.
    pub kafka: KafkaMetrics,
    /// What is known of the data files.
    pub enrich: EnrichMetrics,
    /// What was learned.
    pub learn: LearnMetrics,
    lane_keys: IntGaugeVec,
    lane_rows: IntGaugeVec,
    lane_bytes: IntGaugeVec,
    lane_disk_rows: IntGaugeVec,
    dropped_rows: IntCounterVec,
    state_rows_max: IntGauge,
    state_keys_max: IntGauge,
    reloads: IntCounterVec,
    reload_failed: IntGauge,
    rule_evaluations: IntCounterVec,
    rule_matches: IntCounterVec,
    rule_errors: IntCounterVec,
    /// Alerts opened, by rule and severity.
    pub alerts: IntCounterVec,
    /// Revisions of alerts, by rule and status.
    pub alert_revisions: IntCounterVec,
    /// 1 while `/-/ready` says so.
    pub ready: IntGauge,
    /// Episodes that are open.
    pub alerts_open: IntGauge,
    /// Matches that became no alert, by reason.
    pub alerts_dropped: IntCounterVec,
    alerts_early: IntCounterVec,
    /// Alerts delivered once and not followed.
    pub alerts_untracked: IntCounter,
    /// Incidents that are open.
    pub incidents_open: IntGauge,
    /// Revisions of incidents, by status.
    pub incident_revisions: IntCounterVec,
    /// Incidents that another one took over.
    pub incidents_merged: IntCounter,
    /// How often a limit of incidents bit.
    pub incidents_limited: IntCounterVec,
    /// Revisions of alerts that were not delivered, by reason.
    pub alerts_suppressed: IntCounterVec,
    /// What delivery counts.
    pub delivery: DeliveryMetrics,
    /// What there is to know about the history and its API.
    pub history: HistoryMetrics,
    batch_duration: BatchDuration,
    /// Events in the newest batch.
    pub batch_events: IntGauge,
    /// Checkpoints and the state folder.
    pub checkpoint: CheckpointMetrics,
    /// Rows of windows on disk.
    pub spill: SpillMetrics,
}

impl Metrics {
    /// All metrics, at 0 for every label that is known from the start.
    ///
    /// # Errors
    /// When two metrics have one name, which no input can cause.
    pub fn new() -> Result<Self> {
        build().map_err(|error| {
            Error::unexpected("the metrics cannot be registered").detail(error.to_string())
        })
    }

    /// The text that Prometheus scrapes.
    pub fn text(&self) -> String {
        // A family that cannot be written would be a fault of the registry itself.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// All metrics as they are now.
    pub(super) fn families(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }

    /// Creates the series of the rules that run.
    pub fn know_rules(&self, rules: &[Rule]) {
        for rule in rules {
            let id = rule.id.as_str();
            for counters in [&self.rule_evaluations, &self.rule_matches, &self.rule_errors] {
                counters.with_label_values(&[id]);
            }
            self.alerts.with_label_values(&[id, rule.front.severity.label()]);
            for status in [Status::Opened, Status::Updated, Status::Closed] {
                self.alert_revisions.with_label_values(&[id, status.label()]);
            }
        }
    }

    /// The limits of the windows' state.
    pub fn know_limits(&self, rows_max: usize, keys_max: usize) {
        self.state_rows_max.set(gauge(rows_max));
        self.state_keys_max.set(gauge(keys_max));
    }

    /// Rules, tables, silences and destinations were read again.
    pub fn reloaded(&self, all_good: bool) {
        let outcome = if all_good { "done" } else { "failed" };
        self.reloads.with_label_values(&[outcome]).inc();
        self.reload_failed.set(i64::from(!all_good));
    }

    /// Takes over the sizes of all lanes.
    pub fn set_lanes(&self, lanes: &[LaneStats]) {
        for lane in lanes {
            let name = [lane.name.as_str()];
            self.lane_keys.with_label_values(&name).set(gauge(lane.keys));
            self.lane_rows.with_label_values(&name).set(gauge(lane.rows));
            self.lane_bytes.with_label_values(&name).set(gauge(lane.bytes));
            self.lane_disk_rows.with_label_values(&name).set(gauge(lane.rows_on_disk));
            raise(&self.dropped_rows.with_label_values(&name), lane.dropped_rows);
        }
    }

    /// Takes over what became of early alerts.
    pub fn set_early(&self, stats: EarlyStats) {
        let outcomes = [
            ("told", stats.told),
            ("confirmed", stats.confirmed),
            ("unconfirmed", stats.unconfirmed),
            ("undecided", stats.undecided),
        ];
        for (outcome, total) in outcomes {
            raise(&self.alerts_early.with_label_values(&[outcome]), total);
        }
    }

    /// Takes over the counters of incidents.
    pub fn set_incidents(&self, stats: &IncidentStats) {
        self.incidents_open.set(gauge(stats.open));
        raise(&self.incidents_merged, stats.merged);
        let revisions = [
            (Status::Opened, stats.opened),
            (Status::Updated, stats.updated),
            (Status::Closed, stats.closed),
        ];
        for (status, total) in revisions {
            raise(&self.incident_revisions.with_label_values(&[status.label()]), total);
        }
        let limits = [
            ("open_max", stats.open_max),
            ("members_max", stats.members_max),
            ("accounts_max", stats.accounts_max),
            ("steps_max", stats.steps_max),
            ("recent_max", stats.recent_max),
            ("crowded_key", stats.crowded),
        ];
        for (limit, total) in limits {
            raise(&self.incidents_limited.with_label_values(&[limit]), total);
        }
    }

    /// Takes over the counters of all rules, in the order of `rules`.
    pub fn set_rules(&self, rules: &[Rule], stats: &[RuleStats]) {
        for (rule, stats) in rules.iter().zip(stats) {
            let id = [rule.id.as_str()];
            raise(&self.rule_evaluations.with_label_values(&id), stats.evaluations);
            raise(&self.rule_matches.with_label_values(&id), stats.matches);
            raise(&self.rule_errors.with_label_values(&id), stats.errors);
        }
    }

    /// One batch took so long from its release to its last alert.
    pub fn observe_batch(&self, duration: Duration, n_events: usize) {
        self.batch_duration.observe(duration);
        self.batch_events.set(gauge(n_events));
    }
}

/// Lifts a counter to a total that was counted elsewhere.
pub fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// A size as a gauge takes it.
pub fn gauge(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

pub(super) type Outcome<T> = prometheus::Result<T>;

/// Creates metrics in one registry.
pub(super) struct Maker(Registry);

impl Maker {
    pub(super) fn counter(&self, name: &str, help: &str) -> Outcome<IntCounter> {
        let metric = IntCounter::with_opts(opts(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        labels: &[&str],
        help: &str,
    ) -> Outcome<IntCounterVec> {
        let metric = IntCounterVec::new(opts(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Outcome<IntGauge> {
        let metric = IntGauge::with_opts(opts(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn gauges(&self, name: &str, labels: &[&str], help: &str) -> Outcome<IntGaugeVec> {
        let metric = IntGaugeVec::new(opts(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn durations(
        &self,
        name: &str,
        labels: &[&str],
        help: &str,
    ) -> Outcome<HistogramVec> {
        self.durations_in(name, labels, help, &DURATION_BUCKETS)
    }

    pub(super) fn durations_in(
        &self,
        name: &str,
        labels: &[&str],
        help: &str,
        buckets: &[f64],
    ) -> Outcome<HistogramVec> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        let metric = HistogramVec::new(opts, labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn seconds(&self, name: &str, help: &str) -> Outcome<Gauge> {
        let metric = Gauge::with_opts(opts(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn seconds_by(&self, name: &str, labels: &[&str], help: &str) -> Outcome<GaugeVec> {
        let metric = GaugeVec::new(opts(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

/// Requests to receivers: from the same machine to one that hangs.
const DURATION_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("nightlatch_{name}"), help)
}

fn build() -> Outcome<Metrics> {
    let make = Maker(Registry::new());
    let build_info = make.gauges("build_info", &["version"], "Version that runs; always 1.")?;
    build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let batch_duration = BatchDuration::new()?;
    make.0.register(Box::new(batch_duration.clone()))?;
    let metrics = Metrics {
        events: make.counters("events_total", &["origin"], "Events decoded, by topic or file.")?,
        event_bytes: make.counter("event_bytes_total", "Bytes of the records read.")?,
        rejected: make.counters(
            "events_rejected_total",
            &["reason"],
            "Records that are no events and went to the dead-letter sink.",
        )?,
        late: make.counter("events_late_total", "Events behind the watermark of their input.")?,
        future: make.counter(
            "events_future_total",
            "Events further ahead of the clock than order.clock_skew.",
        )?,
        duplicates: make.counter(
            "events_duplicate_dropped_total",
            "Events dropped because their source and event_id were seen within order.dedup_window.",
        )?,
        dead_letters: make.counters(
            "dead_letters_total",
            &["sink"],
            "Records written to the dead_letter or late sink.",
        )?,
        buffered: make.gauge("order_buffered_events", "Events that wait for the watermark.")?,
        forced_releases: make.counter(
            "order_forced_release_total",
            "Releases ahead of the watermark because order.buffered_events_max was reached.",
        )?,
        watermark_seconds: make.seconds(
            "watermark_timestamp_seconds",
            "Event time up to which everything was released.",
        )?,
        lag_seconds: make.seconds(
            "event_time_lag_seconds",
            "How far the released event time is behind the clock.",
        )?,
        kafka: stages::kafka(&make)?,
        enrich: stages::enrich(&make)?,
        learn: stages::learn(&make)?,
        lane_keys: make.gauges("lane_keys", &["lane"], "Keys that have rows in a lane.")?,
        lane_rows: make.gauges("lane_rows", &["lane"], "Rows in a lane's log.")?,
        lane_bytes: make.gauges("lane_bytes", &["lane"], "Bytes of a lane's state in memory.")?,
        lane_disk_rows: make.gauges(
            "lane_disk_rows",
            &["lane"],
            "Rows of a lane's log that are on disk alone.",
        )?,
        state_rows_max: make.gauge("state_rows_max", "Rows that one lane may hold.")?,
        state_keys_max: make.gauge("state_keys_max", "Keys that one lane may hold.")?,
        reloads: make.counters("reloads_total", &["outcome"], "Reloads by SIGHUP, by outcome.")?,
        reload_failed: make.gauge(
            "reload_failed",
            "1 when the newest reload refused something; the old one of that runs on.",
        )?,
        dropped_rows: make.counters(
            "state_dropped_rows_total",
            &["lane"],
            "Rows that a limit in [state] kept out of a lane.",
        )?,
        rule_evaluations: make.counters(
            "rule_evaluations_total",
            &["rule"],
            "Batches in which a rule ran.",
        )?,
        rule_matches: make.counters("rule_matches_total", &["rule"], "Rows a rule let through.")?,
        rule_errors: make.counters(
            "rule_errors_total",
            &["rule"],
            "Rows on which an expression of a rule failed.",
        )?,
        alerts: make.counters("alerts_total", &["rule", "severity"], "Alerts opened.")?,
        alert_revisions: make.counters(
            "alert_revisions_total",
            &["rule", "status"],
            "Revisions of alerts, the opening one among them.",
        )?,
        ready: make.gauge("ready", "1 while it is ready: /-/ready answers 200.")?,
        alerts_open: make.gauge("alerts_open", "Episodes that are open.")?,
        alerts_early: make.counters(
            "alerts_early_total",
            &["outcome"],
            "Alerts told before the time of their events was over, and what became of them.",
        )?,
        alerts_dropped: make.counters(
            "alerts_dropped_total",
            &["reason"],
            "Matches that became no alert.",
        )?,
        alerts_untracked: make.counter(
            "alerts_untracked_total",
            "Alerts delivered once and not followed because of alerts.open_max.",
        )?,
        incidents_open: make.gauge("incidents_open", "Incidents that are open now.")?,
        incident_revisions: make.counters(
            "incident_revisions_total",
            &["status"],
            "Revisions of incidents.",
        )?,
        incidents_merged: make
            .counter("incidents_merged_total", "Incidents that another one took over.")?,
        incidents_limited: make.counters(
            "incidents_limited_total",
            &["limit"],
            "What incidents leave out because of a limit.",
        )?,
        alerts_suppressed: make.counters(
            "alerts_suppressed_total",
            &["reason"],
            "Revisions made again that were delivered before a restart, and are not delivered twice.",
        )?,
        delivery: stages::delivery(&make)?,
        history: stages::history(&make)?,
        batch_duration,
        batch_events: make.gauge("batch_events", "Events in the newest batch.")?,
        checkpoint: CheckpointMetrics::new(&make)?,
        spill: SpillMetrics::new(&make)?,
        registry: make.0,
    };
    start_at_zero(&metrics);
    Ok(metrics)
}

/// Creates the series whose labels never depend on configuration or rules.
fn start_at_zero(metrics: &Metrics) {
    for sink in ["dead_letter", "late"] {
        metrics.dead_letters.with_label_values(&[sink]);
    }
    for reason in RejectReason::ALL {
        // Late events and events from the future are no rejected ones: they have their own counters.
        if !matches!(reason, RejectReason::Late | RejectReason::Future) {
            metrics.rejected.with_label_values(&[reason.label()]);
        }
    }
    for kind in KafkaErrorKind::ALL {
        metrics.kafka.errors.with_label_values(&[kind.label()]);
    }
    for change in LeaseChange::ALL {
        metrics.kafka.rebalances.with_label_values(&[change.label()]);
    }
    for kind in FindingKind::ALL {
        metrics.history.findings.with_label_values(&[kind.label()]);
    }
    for limit in ["retention", "rows_max"] {
        metrics.history.deleted.with_label_values(&[limit]);
    }
    metrics.alerts_dropped.with_label_values(&["entity_null"]);
    metrics.set_early(EarlyStats::default());
    metrics.alerts_suppressed.with_label_values(&["delivered_before"]);
    for outcome in ["done", "failed"] {
        metrics.reloads.with_label_values(&[outcome]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_counted_elsewhere_only_rises() {
        let metrics = Metrics::new().unwrap();
        raise(&metrics.late, 5);
        raise(&metrics.late, 3);
        raise(&metrics.late, 9);
        assert_eq!(metrics.late.get(), 9);
    }
}
