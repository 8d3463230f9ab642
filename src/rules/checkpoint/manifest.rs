//! What a checkpoint says of the engine: small, as text, referring to blocks.

use serde::{Deserialize, Serialize};

use crate::event::TimeMicros;
use crate::store::BlockRef;

/// Raised when blocks change their meaning.
const FORMAT: u32 = 1;

/// Where the engine's state is: a part of a checkpoint's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineManifest {
    format: u32,
    /// CRC-32 of `state` as JSON.
    crc32: u32,
    pub(super) state: EngineState,
}

impl EngineManifest {
    pub(super) fn new(state: EngineState) -> Self {
        Self { format: FORMAT, crc32: state.crc32(), state }
    }

    /// Whether the engine of this program wrote it, and nobody has changed it since.
    pub(super) fn is_sound(&self) -> bool {
        self.format == FORMAT && self.crc32 == self.state.crc32()
    }

    /// The blocks it refers to.
    pub fn blocks(&self) -> impl Iterator<Item = BlockRef> {
        let EngineState { lanes, texts, history, .. } = &self.state;
        let of_lane = |lane: &LaneEntry| {
            let one_each = lane.floats.iter().chain(&lane.newest).chain(&lane.lags).copied();
            let rows = lane.rows.iter().map(|rows| rows.block);
            rows.chain([lane.keys]).chain(one_each).collect::<Vec<_>>()
        };
        let of_texts = |texts: &TextsEntry| {
            let parts = texts.parts.iter().map(|part| part.block);
            parts.chain([texts.uses]).collect::<Vec<_>>()
        };
        let lanes = lanes.iter().flat_map(of_lane);
        let witnesses = history.parts.iter().map(|part| part.block);
        lanes.chain(texts.iter().flat_map(of_texts)).chain(witnesses)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EngineState {
    pub(super) refused_texts: u64,
    pub(super) lanes: Vec<LaneEntry>,
    pub(super) texts: Vec<TextsEntry>,
    pub(super) history: HistoryEntry,
}

impl EngineState {
    fn crc32(&self) -> u32 {
        crc32fast::hash(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A lane: see [`crate::window::LaneState`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LaneEntry {
    pub(super) name: String,
    pub(super) fingerprint: String,
    pub(super) time: TimeMicros,
    pub(super) head: u64,
    pub(super) end: u64,
    pub(super) dropped_rows: u64,
    pub(super) n_slots: usize,
    pub(super) rows: Vec<PartEntry>,
    pub(super) keys: BlockRef,
    pub(super) floats: Vec<BlockRef>,
    pub(super) newest: Vec<BlockRef>,
    pub(super) lags: Vec<BlockRef>,
}

/// Successive rows, of a lane's log or of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::rules) struct PartEntry {
    pub(in crate::rules) first: u64,
    /// One behind the last.
    pub(in crate::rules) end: u64,
    pub(in crate::rules) block: BlockRef,
}

/// The texts of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TextsEntry {
    /// Fingerprint of the node.
    pub(super) fingerprint: String,
    pub(super) n_ids: usize,
    pub(super) generation_micros: i64,
    pub(super) generation: i64,
    /// Texts as they were added; later ones replace those of the same id.
    pub(super) parts: Vec<TextPart>,
    pub(super) uses: BlockRef,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::rules) struct TextPart {
    pub(in crate::rules) n_texts: usize,
    pub(in crate::rules) block: BlockRef,
}

/// The columns kept for evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::rules) struct HistoryEntry {
    pub(in crate::rules) next_row: u64,
    pub(in crate::rules) reread_from: u64,
    pub(in crate::rules) parts: Vec<PartEntry>,
}
