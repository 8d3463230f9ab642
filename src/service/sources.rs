//! From configuration to the parts around the pipeline.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::Result;
use crate::cli::{Stop, setup};
use crate::config::Config;
use crate::delivery::outbox::{Outbox, OutboxLimits};
use crate::delivery::{Dispatcher, DispatcherOptions, Silences, Surroundings};
use crate::serve::Metrics;
use crate::source::kafka::{KafkaOptions, Lease, Start};

/// What to read; where to begin is decided later.
///
/// # Errors
/// When a file of `[kafka.tls]` or `[kafka.sasl]` cannot be used.
pub(super) fn options(config: &Config) -> Result<KafkaOptions> {
    Ok(KafkaOptions {
        cluster: setup::cluster(config)?,
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
pub(super) fn limits(config: &Config, stop: &Stop, alive: &Arc<AtomicU64>) -> OutboxLimits {
    OutboxLimits {
        bytes_max: config.outbox.bytes_max,
        when_full: config.outbox.when_full,
        stop: stop.flag.clone(),
        alive: alive.clone(),
    }
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
    around: Surroundings,
    silences: Silences,
) -> Result<Dispatcher> {
    let options = DispatcherOptions {
        active: lease.flag(),
        drain: config.outbox.drain,
        metrics: metrics.delivery.clone(),
        around,
    };
    Dispatcher::start(outbox.clone(), options, &config.destinations(), silences)
}
