//! A checkpoint's state back into the engine.

use std::collections::HashMap;

use super::lanes::{SEAL_ROWS, read_lane};
use super::manifest::{EngineManifest, EngineState, LaneEntry};
use super::texts::read_texts;
use crate::event::TimeMicros;
use crate::rules::engine::Engine;
use crate::rules::history::History;
use crate::rules::program::NodeId;
use crate::store::BlockReader;
use crate::window::Lane;

/// What came of [`Engine::restore`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Lanes that have their state back.
    pub kept: Vec<String>,
    /// Lanes that are empty, and why: they want the events of the time before again.
    pub rebuilding: Vec<(String, String)>,
}

/// What is known while lanes are taken back.
struct Restore<'a> {
    state: &'a EngineState,
    blocks: &'a BlockReader,
    known_until: TimeMicros,
    /// What came of the texts of each node.
    texts: HashMap<NodeId, Result<(), String>>,
    /// Rows with a lower number may have lost their witnesses, and why.
    history_damage: Option<(u64, String)>,
}

impl Engine {
    /// Takes state back into an engine that has seen nothing. `known_until` is the event time before
    /// which every event was processed when the checkpoint was taken, and at or after which none was.
    ///
    /// A lane that does not fit the rules, or whose blocks are damaged, starts empty and is rebuilt, and
    /// with it the lanes whose results it takes in. Events before `known_until` that are fed to
    /// [`Engine::process`] from now on run through these lanes only, and match nothing.
    pub fn restore(
        &mut self,
        manifest: &EngineManifest,
        blocks: &BlockReader,
        known_until: TimeMicros,
    ) -> Restored {
        self.known_until = known_until;
        let why = match manifest.is_sound() {
            true => self.restore_lanes(&manifest.state, blocks),
            false => vec![Some("the manifest is damaged".to_owned()); self.lanes.len()],
        };
        let mut restored = Restored::default();
        for (lane, why) in why.into_iter().enumerate() {
            self.lanes[lane].is_rebuilding = why.is_some();
            let name = self.lane_name(lane);
            match why {
                Some(why) => restored.rebuilding.push((name, why)),
                None => restored.kept.push(name),
            }
        }
        if restored.kept.is_empty() {
            self.history = self.empty_history();
        }
        if !restored.rebuilding.is_empty() {
            self.history.begin_reread();
        }
        restored
    }

    /// For each lane why it must be rebuilt, if it must.
    fn restore_lanes(&mut self, state: &EngineState, blocks: &BlockReader) -> Vec<Option<String>> {
        self.history = self.empty_history();
        let history_bytes_max = self.bytes_each();
        let history_damage = self.history.restore(&state.history, blocks, history_bytes_max);
        self.refused_texts = state.refused_texts;
        let known_until = self.known_until;
        let texts = HashMap::new();
        let mut restore = Restore { state, blocks, known_until, texts, history_damage };
        let mut all: Vec<Option<String>> = vec![None; self.lanes.len()];
        // From the highest stage down: a lane that is rebuilt takes along those that it reads.
        for lane in self.order.clone().into_iter().rev() {
            if all[lane].is_none() {
                all[lane] = self.restore_lane(lane, &mut restore).err();
            }
            if all[lane].is_some() {
                let why = format!("`{}`, which reads it, is rebuilt", self.lane_name(lane));
                for below in self.program.lanes_below(lane) {
                    all[below].get_or_insert_with(|| why.clone());
                }
            }
        }
        all
    }

    fn restore_lane(&mut self, index: usize, restore: &mut Restore<'_>) -> Result<(), String> {
        let entry = self.entry_of(index, restore.state)?;
        if entry.time != TimeMicros::MIN && entry.time >= restore.known_until {
            return Err("it has seen events that will come again".to_owned());
        }
        for node in self.text_nodes(index) {
            self.restore_texts(node, restore)?;
        }
        let spec = self.program.lane_spec(index);
        let spill = self.spill.as_ref().map(|spill| (spill.stream(), self.bytes_each()));
        let (limits, texts) = (self.lane_limits, &self.texts);
        let lane = read_lane(entry, &spec, limits, texts, restore.blocks, spill)?;
        self.check_witnesses(&lane, restore)?;
        let running = &mut self.lanes[index];
        running.lane = lane;
        running.sealed = entry.rows.clone();
        running.sealed.pop_if(|part| part.end - part.first < SEAL_ROWS);
        Ok(())
    }

    fn empty_history(&self) -> History {
        let mut history = History::default();
        if let Some(spill) = &self.spill {
            history.spill_to(spill.stream());
        }
        history
    }

    /// Bytes of rows that each lane, and the evidence, may hold in memory while it is taken back.
    fn bytes_each(&self) -> usize {
        let n = self.lanes.len() as u64 + 1;
        let bytes_max = self.spill.as_ref().map(|spill| spill.limits().in_memory_bytes_max / n);
        bytes_max.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX)
    }

    fn entry_of<'s>(&self, lane: usize, state: &'s EngineState) -> Result<&'s LaneEntry, String> {
        let fingerprint = &self.fingerprints().lanes[lane];
        let found = state.lanes.iter().find(|entry| entry.fingerprint == *fingerprint);
        found.ok_or_else(|| {
            let name = self.lane_name(lane);
            let is_known = state.lanes.iter().any(|entry| entry.name == name);
            let why = if is_known { "its rules have changed" } else { "no checkpoint has it" };
            why.to_owned()
        })
    }

    fn restore_texts(&mut self, node: NodeId, restore: &mut Restore<'_>) -> Result<(), String> {
        if let Some(known) = restore.texts.get(&node) {
            return known.clone();
        }
        let fingerprint = self.fingerprints().nodes[node].clone();
        let entry = restore.state.texts.iter().find(|entry| entry.fingerprint == fingerprint);
        let outcome = match entry {
            None => Err("its texts are missing".to_owned()),
            Some(entry) => {
                let texts = &mut self.texts[node];
                let read = read_texts(entry, texts, restore.known_until, restore.blocks);
                read.inspect(|()| self.text_parts[node].clone_from(&entry.parts))
            }
        };
        restore.texts.insert(node, outcome.clone());
        outcome
    }

    /// Evidence must not lack events: a lane is only kept with all witnesses that it may name.
    fn check_witnesses(&self, lane: &Lane, restore: &Restore<'_>) -> Result<(), String> {
        let Some((damaged_before, why)) = &restore.history_damage else { return Ok(()) };
        let oldest = lane.oldest_witness().map(|low| self.history.row_number(low));
        match oldest {
            Some(oldest) if oldest < *damaged_before => Err(format!("evidence is lost: {why}")),
            _ => Ok(()),
        }
    }
}
