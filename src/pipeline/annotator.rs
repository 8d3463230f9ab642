//! The stages between order and rules, which fill columns: from data files, then from what was learned.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use crate::Result;
use crate::config::LearnConfig;
use crate::enrich::Enricher;
use crate::event::TimeMicros;
use crate::learn::{Learner, LearnerManifest};
use crate::serve::Metrics;
use crate::store::{BlockReader, BlockWriter};

/// Fills the columns that the sender leaves out.
pub struct Annotator {
    enricher: Enricher,
    learner: Learner,
    config: LearnConfig,
}

impl Annotator {
    /// With data files, and a memory that holds nothing yet.
    ///
    /// # Errors
    /// When the configuration of learning contradicts itself.
    pub fn new(enricher: Enricher, config: &LearnConfig) -> Result<Self> {
        Ok(Self { enricher, learner: Learner::new(config)?, config: config.clone() })
    }

    /// The versions of the data files by kind, as alerts carry them.
    pub fn versions(&self) -> BTreeMap<&'static str, String> {
        self.enricher.version_map()
    }

    /// A batch in event-time order, each group of equal times whole, with its columns filled.
    ///
    /// # Errors
    /// Only when it is no event batch.
    pub(super) fn annotate(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let batch = self.enrich(batch)?;
        self.learner.learn(&batch)
    }

    /// A batch with the columns filled that its own rows decide.
    ///
    /// # Errors
    /// Only when it is no event batch.
    pub(super) fn enrich(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        self.enricher.enrich(batch)
    }

    pub(super) fn checkpoint(&mut self, blocks: &mut BlockWriter) -> LearnerManifest {
        self.learner.checkpoint(blocks)
    }

    /// Takes back what was learned, and says whether it could. What is damaged is not used: then
    /// learning begins anew.
    pub(super) fn restore(
        &mut self,
        manifest: Option<&LearnerManifest>,
        blocks: &BlockReader,
    ) -> Result<bool> {
        let Some(manifest) = manifest else { return Ok(false) };
        let (learner, damage) = Learner::restore(&self.config, manifest, blocks)?;
        if let Some(error) = &damage {
            tracing::warn!("what was learned cannot be read: {error}");
        }
        self.learner = learner;
        Ok(damage.is_none())
    }

    /// Events before this time were learned from already, and come again.
    pub(super) fn learned_until(&mut self, time: TimeMicros) {
        self.learner.learned_until(time);
    }

    pub(super) fn measure(&self, metrics: &Metrics) {
        metrics.enrich.set(&self.enricher);
        metrics.learn.set(&self.learner.stats());
    }
}
