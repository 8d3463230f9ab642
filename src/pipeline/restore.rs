//! From a manifest back to stages that go on where it was made.

use super::checkpoint::Restored;
use super::resume::Resume;
use super::{Alerting, Annotator, RestoredState};
use crate::Result;
use crate::order::{KnownInput, Order, OrderConfig};
use crate::source::InputId;
use crate::store::{BlockReader, InputPosition, Manifest};

/// Puts the state of a manifest into the stages. `input_of` says by which id the source will call an
/// input, and gives `None` for one that is not read any more: its position is forgotten.
///
/// # Errors
/// When a block that cannot be had from Kafka again is damaged. `alerting` is as it was then, and the
/// manifest is worth no more than a damaged one.
pub fn restore(
    manifest: &Manifest,
    blocks: &BlockReader,
    config: OrderConfig,
    alerting: &mut Alerting,
    annotator: &mut Annotator,
    input_of: &dyn Fn(&InputPosition) -> Option<InputId>,
) -> Result<(Restored, RestoredState)> {
    let mut resume = Resume::default();
    let known = manifest.inputs.iter().filter_map(|position| {
        let input = input_of(position)?;
        Some(resume.know(input, position))
    });
    let known: Vec<KnownInput> = known.collect();
    let order =
        Order::restore(config, manifest.watermark, &manifest.order, blocks, known.iter().copied())?;
    let state = alerting.restore(manifest, blocks)?;
    let is_learned = annotator.restore(manifest.learner.as_ref(), blocks)?;
    if state.rebuild_from.is_none() {
        return Ok((Restored { order, resume }, state));
    }
    // Events are read again from far before the manifest's position: the order stage begins anew, and
    // knows only which records were set aside before.
    // A memory that was lost learns from what comes again.
    let learned_until = manifest.watermark.filter(|_| is_learned);
    learned_until.iter().for_each(|time| annotator.learned_until(*time));
    let mut order = Order::new(config);
    order.know(known.into_iter().map(|known| KnownInput { newest_before: None, ..known }));
    Ok((Restored { order, resume }, state))
}
