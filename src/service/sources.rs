//! From configuration to the parts around the pipeline.

use std::sync::Arc;

use crate::cli::{Stop, setup};
use crate::config::Config;
use crate::delivery::outbox::{Outbox, OutboxLimits};
use crate::delivery::{Dispatcher, DispatcherOptions, Silences, Surroundings};
use crate::kafka::Cluster;
use crate::serve::Metrics;
use crate::source::kafka::{KafkaOptions, Lease, Start};
use crate::{Error, Result};

/// How to reach the brokers.
///
/// # Errors
/// When a file of `[kafka.tls]` or `[kafka.sasl]` cannot be used.
pub(super) fn cluster(config: &Config) -> Result<Cluster> {
    Cluster::new(&config.kafka)
}

/// What to read; where to begin is decided later.
///
/// # Errors
/// As [`cluster`].
pub(super) fn options(config: &Config) -> Result<KafkaOptions> {
    Ok(KafkaOptions {
        cluster: cluster(config)?,
        group: config.kafka.group.clone(),
        lease_topic: config.kafka.lease_topic(),
        topics: config.kafka.topics.clone(),
        never: config.written_topics(),
        start: Start::Beginning,
        discover_every: config.kafka.discover_every,
        idle_after: config.order.idle_after,
        record_bytes_max: setup::bytes(config.input.record_bytes_max),
        batch_events: config.order.batch_events,
    })
}

/// How large the outbox may grow.
pub(super) fn limits(config: &Config, stop: &Stop) -> OutboxLimits {
    OutboxLimits {
        bytes_max: config.outbox.bytes_max,
        when_full: config.outbox.when_full,
        stop: stop.flag.clone(),
    }
}

/// The silences of a configuration.
///
/// # Errors
/// Every problem of the file.
pub(super) fn silences(config: &Config) -> Result<Silences, Vec<Error>> {
    config.alerts.silences.as_deref().map_or_else(|| Ok(Silences::default()), Silences::load)
}

/// Starts to deliver what the outbox holds, whenever the lease is held.
///
/// # Errors
/// When a file that a destination names cannot be used.
pub(super) fn dispatcher(
    config: &Config,
    outbox: &Outbox,
    lease: &Lease,
    metrics: &Arc<Metrics>,
    silences: Silences,
) -> Result<Dispatcher> {
    let options = DispatcherOptions {
        active: lease.flag(),
        drain: config.outbox.drain,
        metrics: metrics.delivery.clone(),
        around: Surroundings { cluster: cluster(config)?, group: config.kafka.group.clone() },
    };
    Dispatcher::start(outbox.clone(), options, &config.destinations(), silences)
}
