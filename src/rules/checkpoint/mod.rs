//! Checkpoints of the engine: what changed goes into blocks, what did not is referred to again.

mod lanes;
mod manifest;
mod restore;
mod table;
mod texts;

pub(super) use lanes::{SEAL_ROWS, unsealed};
pub use manifest::EngineManifest;
pub(super) use manifest::{HistoryEntry, PartEntry, TextPart};
pub use restore::Restored;
pub(super) use table::{Table, encode, not_as_written, numbers, write};

use arrow::datatypes::DataType;

use super::cells::cell_type;
use super::engine::Engine;
use super::fingerprint::Fingerprints;
use super::program::NodeId;
use crate::Result;
use crate::event::TimeMicros;
use crate::store::BlockWriter;
use manifest::{EngineState, LaneEntry, TextsEntry};

impl Engine {
    /// Writes what changed since the last checkpoint and refers to what did not, between two batches.
    ///
    /// Lanes that are being rebuilt are left out: they will be rebuilt again.
    ///
    /// # Errors
    /// When rows do not come back from the disk: see [`Engine::spill_to`].
    pub fn checkpoint(&mut self, blocks: &mut BlockWriter) -> Result<EngineManifest> {
        self.check()?;
        let manifest = self.write_state(blocks);
        self.failure = manifest.as_ref().err().cloned();
        manifest
    }

    /// Writes one piece of rows that will not change again, ahead of the next checkpoint; false when none
    /// is long enough.
    ///
    /// # Errors
    /// As [`Engine::checkpoint`].
    pub fn seal(&mut self, blocks: &mut BlockWriter) -> Result<bool> {
        self.check()?;
        let sealed = self.seal_one(blocks);
        self.failure = sealed.as_ref().err().cloned();
        sealed
    }

    fn seal_one(&mut self, blocks: &mut BlockWriter) -> Result<bool> {
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].is_rebuilding || !self.lanes[lane].is_sealable() {
                continue;
            }
            let fingerprint = self.fingerprints().lanes[lane].clone();
            let running = &mut self.lanes[lane];
            lanes::seal_rows(&mut running.lane, &mut running.sealed, &fingerprint, blocks)?;
            return Ok(true);
        }
        Ok(self.history.seal_ahead(blocks))
    }

    fn write_state(&mut self, blocks: &mut BlockWriter) -> Result<EngineManifest> {
        let kept: Vec<usize> =
            (0..self.lanes.len()).filter(|lane| !self.lanes[*lane].is_rebuilding).collect();
        let mut nodes: Vec<NodeId> = kept.iter().flat_map(|lane| self.text_nodes(*lane)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let lanes = kept.iter().map(|lane| self.write_lane(*lane, blocks));
        let lanes = lanes.collect::<Result<_>>()?;
        Ok(EngineManifest::new(EngineState {
            refused_texts: self.refused_texts,
            lanes,
            texts: nodes.iter().map(|node| self.write_texts(*node, blocks)).collect(),
            history: self.history.checkpoint(blocks)?,
        }))
    }

    fn write_lane(&mut self, lane: usize, blocks: &mut BlockWriter) -> Result<LaneEntry> {
        let names = (self.lane_name(lane), self.fingerprints().lanes[lane].clone());
        let running = &mut self.lanes[lane];
        lanes::write_lane(&mut running.lane, &mut running.sealed, names, blocks)
    }

    fn write_texts(&mut self, node: NodeId, blocks: &mut BlockWriter) -> TextsEntry {
        let fingerprint = self.fingerprints().nodes[node].clone();
        let parts = &mut self.text_parts[node];
        texts::write_texts(&mut self.texts[node], parts, &fingerprint, blocks)
    }

    fn fingerprints(&self) -> &Fingerprints {
        self.fingerprints.get_or_init(|| Fingerprints::of(&self.program))
    }

    /// The nodes whose texts a lane holds.
    fn text_nodes(&self, lane: usize) -> Vec<NodeId> {
        let draft = &self.program.lanes[lane];
        let is_text = |node: &NodeId| {
            cell_type(&self.program.nodes[*node].data_type) == Some(DataType::Utf8View)
        };
        draft.keys.iter().chain(&draft.values).copied().filter(is_text).collect()
    }

    /// How far back the results at a row can depend on earlier rows.
    pub fn reach_micros(&self) -> TimeMicros {
        let lanes = 0..self.program.lanes.len();
        lanes.map(|lane| self.program.reach_micros(lane)).max().unwrap_or(0)
    }

    /// The same of the lanes that are being rebuilt; `None` when none is.
    pub fn rebuilding_reach_micros(&self) -> Option<TimeMicros> {
        let lanes = (0..self.lanes.len()).filter(|lane| self.lanes[*lane].is_rebuilding);
        lanes.map(|lane| self.program.reach_micros(lane)).max()
    }

    /// Whether lanes wait for events before the `known_until` of [`Engine::restore`]. A checkpoint taken
    /// meanwhile holds the other lanes only, and must go with that time, not with that of the events
    /// read again.
    pub fn is_rebuilding(&self) -> bool {
        self.lanes.iter().any(|running| running.is_rebuilding)
    }
}
