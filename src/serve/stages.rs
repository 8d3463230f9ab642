//! Metrics that belong to one stage each, whose code holds them.

use super::metrics::{Maker, Outcome};
use crate::delivery::DeliveryMetrics;
use crate::enrich::EnrichMetrics;
use crate::history::HistoryMetrics;
use crate::learn::{LearnMetrics, LearnStats};
use crate::source::kafka::KafkaMetrics;

pub(super) fn kafka(make: &Maker) -> Outcome<KafkaMetrics> {
    Ok(KafkaMetrics {
        lag_messages: make.gauges(
            "kafka_lag_messages",
            &["topic", "partition"],
            "Messages between the position in a partition and its end.",
        )?,
        errors: make.counters(
            "kafka_errors_total",
            &["kind"],
            "Errors that the Kafka consumer met.",
        )?,
        connected: make.gauge("kafka_connected", "1 while a broker answers.")?,
        tombstones_dropped: make.counter(
            "kafka_tombstones_dropped_total",
            "Messages without a value, which hold no event.",
        )?,
        lost: make.counter(
            "kafka_messages_lost_total",
            "Messages that retention deleted before they were read.",
        )?,
        topics_vanished: make
            .counter("kafka_topics_vanished_total", "Topics that were read and are no more.")?,
        paused: make.gauge(
            "kafka_paused",
            "1 while nothing is fetched because the pipeline takes nothing.",
        )?,
        active: make.gauge("active", "1 while this instance delivers, 0 while it stands by.")?,
        rebalances: make.counters(
            "rebalances_total",
            &["kind"],
            "Changes of the lease that makes an instance the active one.",
        )?,
        commits_fenced: make.counter(
            "kafka_commits_fenced_total",
            "Commits dropped because the lease was no longer held.",
        )?,
    })
}

pub(super) fn delivery(make: &Maker) -> Outcome<DeliveryMetrics> {
    let by_destination = &["destination"];
    Ok(DeliveryMetrics {
        outbox_entries: make
            .gauge("outbox_entries", "Alert revisions that some destination has not got yet.")?,
        outbox_bytes: make.gauge("outbox_bytes", "Bytes of the outbox on disk.")?,
        outbox_oldest_seconds: make.seconds(
            "outbox_oldest_timestamp_seconds",
            "When the oldest revision that waits was found; 0 when none waits.",
        )?,
        outbox_full: make
            .gauge("outbox_full", "1 while the pipeline waits for room in the outbox.")?,
        outbox_dropped: make.counter(
            "outbox_dropped_total",
            "Revisions given up because of outbox.bytes_max and when_full = drop_oldest.",
        )?,
        outbox_damaged: make
            .counter("outbox_damaged_total", "Damaged places in the outbox, which were skipped.")?,
        deliveries: make.counters(
            "deliveries_total",
            &["destination", "outcome"],
            "Alert revisions by outcome; each attempt that failed counts.",
        )?,
        duration: make.durations(
            "delivery_duration_seconds",
            by_destination,
            "How long an attempt to deliver took.",
        )?,
        retries: make.counters(
            "delivery_retries_total",
            by_destination,
            "Attempts to deliver after the first one.",
        )?,
        untracked: make.counters(
            "delivery_untracked_total",
            by_destination,
            "Revisions told to an Alertmanager and not repeated because of its open_max.",
        )?,
        disabled: make.gauges(
            "destination_disabled",
            by_destination,
            "1 for a destination that answered 410 and gets nothing more.",
        )?,
        silenced: make.counters(
            "silenced_total",
            &["silence"],
            "Alert revisions that a silence hid.",
        )?,
    })
}

/// Requests to the API: a page takes milliseconds.
const API_BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0];

pub(super) fn history(make: &Maker) -> Outcome<HistoryMetrics> {
    Ok(HistoryMetrics {
        findings: make.gauges(
            "history_findings",
            &["kind"],
            "Alerts and incidents in the history; history.rows_max is the limit of both together.",
        )?,
        bytes: make.gauge("history_bytes", "Bytes of the history and of its log.")?,
        oldest_seconds: make.seconds(
            "history_oldest_timestamp_seconds",
            "When the newest revision came of what is deleted next; 0 when there is nothing.",
        )?,
        deleted: make.counters(
            "history_deleted_total",
            &["limit"],
            "Alerts and incidents deleted from the history, by the limit that says so.",
        )?,
        failed: make
            .gauge("history_failed", "1 when the history could not be looked after just now.")?,
        verdicts: make.counters(
            "verdicts_total",
            &["rule", "verdict"],
            "Verdicts on alerts and incidents, each one that was given.",
        )?,
        precision: make.seconds_by(
            "rule_precision_ratio",
            &["rule"],
            "True positives among true and false positives, by the newest verdicts in the history.",
        )?,
        requests: make.counters(
            "api_requests_total",
            &["status"],
            "Requests to the API, by the status of the answer.",
        )?,
        duration: make.durations_in(
            "api_request_duration_seconds",
            &[],
            "How long requests to the API took.",
            &API_BUCKETS,
        )?,
        judged: std::sync::Arc::default(),
    })
}

pub(super) fn enrich(make: &Maker) -> Outcome<EnrichMetrics> {
    Ok(EnrichMetrics {
        built_seconds: make.gauges(
            "enrichment_build_timestamp_seconds",
            &["file"],
            "When the data of a file was built; of a file that does not say it, when it was changed.",
        )?,
        failures: make.counter(
            "enrichment_failures_total",
            "Records of data files that could not be read.",
        )?,
    })
}

pub(super) fn learn(make: &Maker) -> Outcome<LearnMetrics> {
    let metrics = LearnMetrics {
        bytes: make.gauge("learn_bytes", "Bytes of what was learned; learn.memory_max is the limit.")?,
        entries: make.gauges(
            "learn_entries",
            &["kind"],
            "What is remembered: accounts, their logins, their addresses, and places without a success.",
        )?,
        dropped: make.counters(
            "learn_dropped_total",
            &["limit"],
            "What was forgotten or not taken in, by the limit that says so.",
        )?,
    };
    metrics.set(&LearnStats::default());
    Ok(metrics)
}
