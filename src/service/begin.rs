//! How a pipeline begins: where a manifest says, else by the time up to which alerts were delivered,
//! else at the beginning.

use std::time::Duration;

use tracing::{info, warn};

use super::{Service, sources};
use crate::Result;
use crate::cli::setup;
use crate::event::{Origins, TimeMicros};
use crate::pipeline::{Alerting, Annotator, Restored, restore};
use crate::source::InputId;
use crate::source::kafka::{Kafka, KafkaOptions, Position, Start};
use crate::store::{InputPosition, Loaded, Manifest, StateFolder};

/// What a pipeline begins with.
pub(super) struct Beginning {
    pub(super) source: Kafka,
    pub(super) origins: Origins,
    /// The stages before the rules, as the manifest had them.
    pub(super) restored: Option<Restored>,
    /// No checkpoint before the watermark is here.
    pub(super) not_before: Option<TimeMicros>,
}

impl Beginning {
    /// Restores what there is, and connects the source accordingly.
    ///
    /// # Errors
    /// When no broker answers, or a topic is not there.
    pub(super) fn find(
        service: &Service,
        folder: &StateFolder,
        loaded: &Loaded,
        alerting: &mut Alerting,
        annotator: &mut Annotator,
    ) -> Result<Self> {
        let mut options = sources::options(&service.config)?;
        let mut origins = Origins::default();
        let (mut restored, mut not_before) = (None, None);
        match restore_manifest(service, folder, loaded, alerting, annotator) {
            Some((manifest, stages, rebuild_from)) => {
                service.outbox.resume(manifest.outbox)?;
                origins = manifest.origins();
                let positions = manifest.inputs.iter().map(position).collect();
                options.start = match rebuild_from {
                    None => Start::Positions(positions),
                    Some(time) => {
                        not_before = manifest.watermark;
                        Start::Since(time.saturating_sub(slack(service)), positions)
                    }
                };
                restored = Some(stages);
            }
            None => {
                service.outbox.resume(0)?;
                not_before = start_without_manifest(service, &mut options, alerting)?;
            }
        }
        let kafka = service.metrics.kafka.clone();
        let source = Kafka::connect(&options, &mut origins, kafka, &service.stop.flag)?;
        source.warn_of_short_retention(reach(alerting));
        Ok(Self { source, origins, restored, not_before })
    }
}

/// How far the time at which a broker took an event in may be from the event's own.
fn slack(service: &Service) -> TimeMicros {
    let order = &service.config.order;
    crate::config::micros(order.lateness) + crate::config::micros(order.clock_skew)
}

/// How far back windows look, lateness not counted.
fn reach(alerting: &Alerting) -> Duration {
    Duration::from_micros(u64::try_from(alerting.reach_micros()).unwrap_or(0))
}

fn position(input: &InputPosition) -> Position {
    Position {
        topic: input.topic.clone(),
        partition: input.partition,
        next_offset: input.next_offset,
    }
}

/// The manifest with what it gave back; `None` when there is none that can be used.
fn restore_manifest<'a>(
    service: &Service,
    folder: &StateFolder,
    loaded: &'a Loaded,
    alerting: &mut Alerting,
    annotator: &mut Annotator,
) -> Option<(&'a Manifest, Restored, Option<TimeMicros>)> {
    let manifest = match loaded {
        Loaded::Good(manifest) => manifest,
        Loaded::Nothing => {
            info!(folder = %folder.path().display(), "no state yet");
            return None;
        }
        Loaded::Damaged(why) => {
            warn!(
                why,
                "the manifest of the state folder is damaged; windows are rebuilt from Kafka"
            );
            return None;
        }
        Loaded::Foreign(version) => {
            warn!(
                version,
                "the state folder is of another version; windows are rebuilt from Kafka"
            );
            return None;
        }
    };
    let started = std::time::Instant::now();
    // The source numbers the inputs of a checkpoint in its order.
    let input_of = |input: &InputPosition| {
        let index = manifest.inputs.iter().position(|other| other == input)?;
        u32::try_from(index).ok().map(InputId)
    };
    let order = setup::order(&service.config);
    match restore(manifest, &folder.reader(), order, alerting, annotator, &input_of) {
        Ok((restored, state)) => {
            info!(
                elapsed = ?started.elapsed(),
                episodes = state.episodes.kept,
                dropped_episodes = state.episodes.dropped,
                "state restored"
            );
            Some((manifest, restored, state.rebuild_from))
        }
        Err(error) => {
            warn!("the state cannot be restored; windows are rebuilt from Kafka: {error}");
            None
        }
    }
}

/// Reads again what the windows need, when the group has delivered alerts before. Gives the time
/// before which a checkpoint would know less than the group.
fn start_without_manifest(
    service: &Service,
    options: &mut KafkaOptions,
    alerting: &mut Alerting,
) -> Result<Option<TimeMicros>> {
    let kafka = service.metrics.kafka.clone();
    let Some(progress) = Kafka::committed(options, kafka, &service.stop.flag)? else {
        return Ok(None);
    };
    let Some(delivered_until) = progress.delivered_until else {
        info!("reading on at the offsets of the group, with empty windows");
        options.start = Start::Positions(progress.offsets);
        return Ok(None);
    };
    let since =
        delivered_until.saturating_sub(alerting.reach_micros()).saturating_sub(slack(service));
    info!(
        since = crate::alert::rfc3339(since),
        delivered_until = crate::alert::rfc3339(delivered_until),
        "windows are rebuilt from Kafka; alerts due before were delivered"
    );
    options.start = Start::Since(since, Vec::new());
    alerting.suppress_before(Some(delivered_until));
    Ok(Some(delivered_until))
}
