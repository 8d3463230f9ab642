//! Open incidents in a checkpoint: their alerts, their victims, and what was done lately.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::acts::{Acts, Chunk, hash};
use super::incidents::{Deadline, Due, Incidents, Open};
use super::member::Member;
use super::victim::{Deed, Victim};
use crate::event::TimeMicros;
use crate::store::{BlockReader, BlockRef, BlockWriter, KeyedHash};
use crate::{Error, Result};

/// What a manifest holds of incidents.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IncidentsManifest {
    /// The key under which names are hashed.
    key: KeyedHash,
    /// Incidents, alerts and victims.
    open: BlockRef,
    /// What was done lately, the oldest first.
    acts: Vec<BlockRef>,
    next_seq: u64,
}

#[derive(Serialize, Deserialize)]
struct SavedState {
    reached: TimeMicros,
    next_number: u64,
    incidents: Vec<SavedIncident>,
    members: Vec<Member>,
    victims: Vec<SavedVictim>,
}

#[derive(Serialize, Deserialize)]
struct SavedIncident {
    number: u64,
    id: String,
    members: Vec<(TimeMicros, String)>,
    uncounted: u64,
    revision: u64,
    emitted_at: TimeMicros,
    active_at: TimeMicros,
    close_due: TimeMicros,
    update_due: Option<TimeMicros>,
}

#[derive(Serialize, Deserialize)]
struct SavedVictim {
    account: String,
    members: Vec<String>,
    acts: Vec<Deed>,
}

impl Incidents {
    /// Writes the open incidents, and the acts that are not in a block yet.
    pub fn checkpoint(&mut self, blocks: &mut BlockWriter) -> IncidentsManifest {
        let mut members: Vec<Member> = self.members.values().cloned().collect();
        members.sort_by(|one, other| one.id.cmp(&other.id));
        let victims = self.victims.values().map(|victim| SavedVictim {
            account: victim.account.clone(),
            members: victim.members.iter().map(ToString::to_string).collect(),
            acts: victim.acts.clone(),
        });
        let state = SavedState {
            reached: self.reached,
            next_number: self.next_number,
            incidents: self.open.iter().map(|(number, open)| saved(*number, open)).collect(),
            members,
            victims: victims.collect(),
        };
        // A structure of texts and numbers has a form in JSON.
        let open = blocks.add(&serde_json::to_vec(&state).unwrap_or_default());
        let acts = self.acts.chunks.iter_mut().map(|chunk| chunk.save(blocks)).collect();
        IncidentsManifest { key: self.key.clone(), open, acts, next_seq: self.acts.next_seq }
    }

    /// Opens the incidents of a manifest again. Rows before `rows_from` were taken before.
    ///
    /// # Errors
    /// When a block cannot be read; nothing has changed then.
    pub fn restore(
        &mut self,
        manifest: &IncidentsManifest,
        blocks: &BlockReader,
        rows_from: TimeMicros,
    ) -> Result<()> {
        let state: SavedState = serde_json::from_slice(&blocks.read(manifest.open)?)
            .map_err(|error| unreadable().detail(error.to_string()))?;
        let chunks: Result<VecDeque<Chunk>> =
            manifest.acts.iter().map(|block| Chunk::read(blocks, *block)).collect();
        let acts = Acts { chunks: chunks?, next_seq: manifest.next_seq };
        let mut restored = Self::new(self.config.clone(), self.limits.clone());
        restored.key = manifest.key.clone();
        restored.acts = acts;
        restored.next_number = state.next_number;
        restored.reached = state.reached;
        restored.rows_from = rows_from;
        for incident in state.incidents {
            restored.reopen(incident);
        }
        for member in state.members {
            let id: Arc<str> = member.id.as_str().into();
            restored.index(&id, &member);
            restored.members.insert(id, member);
        }
        for victim in state.victims {
            let place = hash(&restored.key, &victim.account);
            restored.victims.insert(place, victim.restore());
        }
        *self = restored;
        Ok(())
    }

    fn reopen(&mut self, saved: SavedIncident) {
        let number = saved.number;
        let members: BTreeSet<(TimeMicros, Arc<str>)> =
            saved.members.into_iter().map(|(time, id)| (time, id.into())).collect();
        for (_, id) in &members {
            self.incident_of.insert(id.clone(), number);
        }
        self.deadlines.insert(Deadline { time: saved.close_due, due: Due::Close, number });
        let update = saved.update_due.map(|time| Deadline { time, due: Due::Update, number });
        self.deadlines.extend(update);
        let open = Open {
            id: saved.id.into(),
            members,
            uncounted: saved.uncounted,
            revision: saved.revision,
            emitted_at: saved.emitted_at,
            active_at: saved.active_at,
            close_due: saved.close_due,
            update_due: saved.update_due,
        };
        self.open.insert(number, open);
    }
}

fn saved(number: u64, open: &Open) -> SavedIncident {
    SavedIncident {
        number,
        id: open.id.to_string(),
        members: open.members.iter().map(|(time, id)| (*time, id.to_string())).collect(),
        uncounted: open.uncounted,
        revision: open.revision,
        emitted_at: open.emitted_at,
        active_at: open.active_at,
        close_due: open.close_due,
        update_due: open.update_due,
    }
}

impl SavedVictim {
    fn restore(self) -> Victim {
        Victim {
            account: self.account,
            members: self.members.into_iter().map(Into::into).collect(),
            acts: self.acts,
        }
    }
}

impl Chunk {
    /// The block of a full chunk that has one already, else a new one.
    fn save(&mut self, blocks: &mut BlockWriter) -> BlockRef {
        if let Some(block) = self.saved.filter(|block| blocks.can_keep(*block)) {
            return block;
        }
        let block = blocks.add(&self.encode());
        self.saved = self.is_full().then_some(block);
        block
    }

    fn encode(&self) -> Vec<u8> {
        let n_acts = self.times.len();
        let mut bytes = Vec::with_capacity(16 + n_acts * 36 + self.texts.len());
        bytes.extend((n_acts as u64).to_le_bytes());
        bytes.extend(self.first_seq.to_le_bytes());
        self.times.iter().for_each(|time| bytes.extend(time.to_le_bytes()));
        for column in [&self.accounts, &self.devices, &self.fingerprints] {
            column.iter().for_each(|hash| bytes.extend(hash.to_le_bytes()));
        }
        self.ends.iter().for_each(|end| bytes.extend(end.to_le_bytes()));
        bytes.extend(&self.texts);
        bytes
    }

    fn read(blocks: &BlockReader, block: BlockRef) -> Result<Self> {
        let bytes = blocks.read(block)?;
        let mut chunk = Self::decode(&bytes).ok_or_else(unreadable)?;
        chunk.saved = chunk.is_full().then_some(block);
        Ok(chunk)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_first_chunk::<8>()?;
        let n_acts = usize::try_from(u64::from_le_bytes(*head)).ok()?;
        let mut words = |n: usize| -> Option<Vec<u64>> {
            let (part, tail) = rest.split_at_checked(n.checked_mul(8)?)?;
            rest = tail;
            let words = part.as_chunks::<8>().0.iter();
            Some(words.map(|word| u64::from_le_bytes(*word)).collect())
        };
        let first_seq = *words(1)?.first()?;
        let times = words(n_acts)?.into_iter().map(u64::cast_signed).collect();
        let (accounts, devices, fingerprints) = (words(n_acts)?, words(n_acts)?, words(n_acts)?);
        let (ends, texts) = rest.split_at_checked(n_acts.checked_mul(4)?)?;
        let ends = ends.as_chunks::<4>().0.iter().map(|end| u32::from_le_bytes(*end)).collect();
        let texts = texts.to_vec();
        Some(Self { first_seq, times, accounts, devices, fingerprints, ends, texts, saved: None })
    }
}

fn unreadable() -> Error {
    Error::unavailable("the incidents of the state cannot be read")
}
