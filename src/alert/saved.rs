//! Open episodes in a checkpoint: one block each, written again only when the episode has changed, and
//! an index of them.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::alert::{Evidence, EvidencePlace, Values};
use super::deadline::{Deadline, Due};
use super::distinct::Distinct;
use super::episode::{Episode, RuleFacts, episode_id};
use super::episodes::Episodes;
use crate::event::{Place, TimeMicros};
use crate::store::{BlockReader, BlockRef, BlockWriter, KeyedHash};
use crate::{Error, Result};

/// What a manifest holds of the open episodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EpisodesManifest {
    /// The key under which names are hashed.
    key: KeyedHash,
    /// Time that the stream had reached.
    reached: TimeMicros,
    /// Id and version of each rule, in the order in which the index numbers them.
    rules: Vec<(String, String)>,
    index: BlockRef,
}

/// What became of the episodes of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoredEpisodes {
    /// Episodes that are open again.
    pub kept: usize,
    /// Episodes whose rule is gone or has changed.
    pub dropped: usize,
}

impl Episodes {
    /// Writes the episodes that have changed since the last checkpoint, and the index of all.
    pub fn checkpoint(&mut self, blocks: &mut BlockWriter) -> EpisodesManifest {
        let mut index = Vec::new();
        for (rule, episodes) in self.open.iter_mut().enumerate() {
            for episode in episodes.values_mut() {
                let kept = episode.saved.filter(|block| blocks.can_keep(*block));
                let block = kept.unwrap_or_else(|| {
                    // A structure of texts and numbers has a form in JSON.
                    blocks.add(&serde_json::to_vec(&SavedEpisode::of(episode)).unwrap_or_default())
                });
                episode.saved = Some(block);
                index.extend(encode_entry(rule as u32, block));
            }
        }
        let rules = self.rules.iter().map(|rule| (rule.id.to_string(), rule.version.to_string()));
        EpisodesManifest {
            key: self.key.clone(),
            reached: self.reached,
            rules: rules.collect(),
            index: blocks.add(&index),
        }
    }

    /// Opens the episodes of a manifest again, as far as their rules are the same.
    ///
    /// # Errors
    /// When a block cannot be read; nothing has changed then.
    pub fn restore(
        &mut self,
        saved: &EpisodesManifest,
        blocks: &BlockReader,
    ) -> Result<RestoredEpisodes> {
        let rules = self.rules.iter().enumerate();
        let place_of: HashMap<(&str, &str), usize> =
            rules.map(|(place, rule)| ((&*rule.id, &*rule.version), place)).collect();
        let mut restored = RestoredEpisodes::default();
        let mut episodes = Vec::new();
        let mut names = Names::default();
        for entry in blocks.read(saved.index)?.chunks_exact(ENTRY_BYTES) {
            let (rule, block) = decode_entry(entry);
            let known = saved.rules.get(rule as usize);
            let Some(&rule) = known.and_then(|(id, version)| place_of.get(&(id, version))) else {
                restored.dropped += 1;
                continue;
            };
            let episode = SavedEpisode::read(blocks, block)?;
            episodes.push((rule, episode.restore(&self.rules[rule], block, &mut names)));
        }
        restored.kept = episodes.len();
        self.key = saved.key.clone();
        self.reached = self.reached.max(saved.reached);
        episodes.into_iter().for_each(|(rule, episode)| self.reopen(rule, episode));
        Ok(restored)
    }

    fn reopen(&mut self, rule: usize, episode: Episode) {
        let (rank, entity) = (self.rank_of[rule], episode.entity.clone());
        let mut at = |time, due| {
            self.deadlines.insert(Deadline { time, due, rank, entity: entity.clone() });
        };
        at(episode.updated_at.saturating_add(self.rules[rule].quiet_micros), Due::Close);
        if let Some(time) = episode.update_due {
            at(time, Due::Update);
        }
        if self.open[rule].insert(entity, episode).is_none() {
            self.stats.open += 1;
        }
    }
}

/// Bytes of one episode in the index.
const ENTRY_BYTES: usize = 32;

fn encode_entry(rule: u32, block: BlockRef) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..4].copy_from_slice(&rule.to_le_bytes());
    entry[4..8].copy_from_slice(&block.crc32.to_le_bytes());
    entry[8..16].copy_from_slice(&block.segment.to_le_bytes());
    entry[16..24].copy_from_slice(&block.offset.to_le_bytes());
    entry[24..].copy_from_slice(&block.n_bytes.to_le_bytes());
    entry
}

fn decode_entry(entry: &[u8]) -> (u32, BlockRef) {
    let short = |at: usize| u32::from_le_bytes(array(entry, at));
    let long = |at: usize| u64::from_le_bytes(array(entry, at));
    let block = BlockRef { segment: long(8), offset: long(16), n_bytes: long(24), crc32: short(4) };
    (short(0), block)
}

/// The bytes from `at` on; zeros where there are none.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

/// One text for all mentions of a topic or a source.
#[derive(Default)]
struct Names(HashMap<String, Arc<str>>);

impl Names {
    fn get(&mut self, name: String) -> Arc<str> {
        self.0.entry(name).or_insert_with_key(|name| name.as_str().into()).clone()
    }
}

/// An episode without what follows from its rule.
#[derive(Serialize, Deserialize)]
struct SavedEpisode {
    entity: String,
    revision: u64,
    started_at: TimeMicros,
    updated_at: TimeMicros,
    emitted_at: TimeMicros,
    update_due: Option<TimeMicros>,
    matches: u64,
    accounts: SavedDistinct,
    ips: SavedDistinct,
    evidence: Vec<SavedEvidence>,
    evidence_total: usize,
    newest_places: Vec<(u32, i32, i64)>,
    /// Names and values of the query's columns.
    newest: Vec<(String, SavedValue)>,
}

impl SavedEpisode {
    fn of(episode: &Episode) -> Self {
        let places = episode.newest_places.iter();
        let columns = episode.newest.columns();
        Self {
            entity: episode.entity.to_string(),
            revision: episode.revision,
            started_at: episode.started_at,
            updated_at: episode.updated_at,
            emitted_at: episode.emitted_at,
            update_due: episode.update_due,
            matches: episode.matches,
            accounts: SavedDistinct::of(&episode.accounts),
            ips: SavedDistinct::of(&episode.ips),
            evidence: episode.evidence.iter().map(SavedEvidence::of).collect(),
            evidence_total: episode.evidence_total,
            newest_places: places.map(|one| (one.origin, one.partition, one.position)).collect(),
            newest: columns.map(|(name, v)| (name.to_owned(), SavedValue::of(v))).collect(),
        }
    }

    fn read(blocks: &BlockReader, block: BlockRef) -> Result<Self> {
        serde_json::from_slice(&blocks.read(block)?).map_err(|error| {
            Error::unavailable("an episode of the state cannot be read").detail(error.to_string())
        })
    }

    fn restore(self, rule: &RuleFacts, block: BlockRef, names: &mut Names) -> Episode {
        let entity: Arc<str> = self.entity.into();
        let places = self.newest_places.into_iter();
        let (columns, row): (Vec<String>, Vec<Value>) =
            self.newest.into_iter().map(|(name, value)| (name, value.restore())).unzip();
        Episode {
            id: episode_id(rule, &entity, self.started_at),
            revision: self.revision,
            started_at: self.started_at,
            updated_at: self.updated_at,
            emitted_at: self.emitted_at,
            update_due: self.update_due,
            matches: self.matches,
            accounts: self.accounts.restore(),
            ips: self.ips.restore(),
            evidence: self.evidence.into_iter().map(|one| one.restore(names)).collect(),
            evidence_total: self.evidence_total,
            newest_places: places
                .map(|(origin, partition, position)| Place { origin, partition, position })
                .collect(),
            newest: Values::restore(columns.into_iter(), row.into(), rule.entity_type.clone()),
            saved: Some(block),
            entity,
        }
    }
}

/// Names, and the hashes of all in base64.
#[derive(Serialize, Deserialize)]
struct SavedDistinct {
    names: Vec<String>,
    hashes: String,
}

impl SavedDistinct {
    fn of(distinct: &Distinct) -> Self {
        let bytes: Vec<u8> = distinct.seen.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        Self {
            names: distinct.names.iter().map(ToString::to_string).collect(),
            hashes: BASE64_STANDARD.encode(bytes),
        }
    }

    fn restore(self) -> Distinct {
        // The checksum of the block holds: what is not base64 was never written.
        let bytes = BASE64_STANDARD.decode(self.hashes).unwrap_or_default();
        Distinct {
            names: self.names.into_iter().map(Into::into).collect(),
            seen: bytes.chunks_exact(8).map(|hash| u64::from_le_bytes(array(hash, 0))).collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct SavedEvidence {
    time: TimeMicros,
    event_id: Option<String>,
    source: Option<String>,
    /// File or topic.
    name: String,
    /// Partition of a topic; absent for a file.
    partition: Option<i32>,
    /// Line or offset.
    position: i64,
}

impl SavedEvidence {
    fn of(evidence: &Evidence) -> Self {
        let (name, partition, position) = match &evidence.place {
            EvidencePlace::File { file, line } => (file, None, *line),
            EvidencePlace::Topic { topic, partition, offset } => (topic, Some(*partition), *offset),
        };
        Self {
            time: evidence.time,
            event_id: evidence.event_id.as_deref().map(str::to_owned),
            source: evidence.source.as_deref().map(str::to_owned),
            name: name.to_string(),
            partition,
            position,
        }
    }

    fn restore(self, names: &mut Names) -> Evidence {
        let (name, position) = (names.get(self.name), self.position);
        let place = match self.partition {
            Some(partition) => EvidencePlace::Topic { topic: name, partition, offset: position },
            None => EvidencePlace::File { file: name, line: position },
        };
        Evidence {
            time: self.time,
            event_id: self.event_id.map(Into::into),
            source: self.source.map(|source| names.get(source)),
            place,
        }
    }
}

/// Lists of evidence as other stages keep them.
pub(crate) mod evidences {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Evidence, Names, SavedEvidence};

    pub(crate) fn serialize<S: Serializer>(
        evidence: &[Evidence],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(evidence.iter().map(SavedEvidence::of))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Evidence>, D::Error> {
        let mut names = Names::default();
        let saved = Vec::<SavedEvidence>::deserialize(deserializer)?;
        Ok(saved.into_iter().map(|one| one.restore(&mut names)).collect())
    }
}

/// A JSON value whose floats read back bit by bit, which JSON's own numbers do not promise.
#[derive(Serialize, Deserialize)]
enum SavedValue {
    Null,
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    /// The bits of a float.
    Float(u64),
    Text(String),
    List(Vec<SavedValue>),
    Object(Vec<(String, SavedValue)>),
}

impl SavedValue {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(number) => Self::of_number(number),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Object(map) => Self::Object(
                map.iter().map(|(key, value)| (key.clone(), Self::of(value))).collect(),
            ),
        }
    }

    fn of_number(number: &Number) -> Self {
        if let Some(integer) = number.as_i64() {
            return Self::Integer(integer);
        }
        match number.as_u64() {
            Some(unsigned) => Self::Unsigned(unsigned),
            None => number.as_f64().map_or(Self::Null, |float| Self::Float(float.to_bits())),
        }
    }

    fn restore(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => truth.into(),
            Self::Integer(integer) => integer.into(),
            Self::Unsigned(unsigned) => unsigned.into(),
            Self::Float(bits) => f64::from_bits(bits).into(),
            Self::Text(text) => text.into(),
            Self::List(items) => items.into_iter().map(Self::restore).collect(),
            Self::Object(map) => {
                Value::Object(map.into_iter().map(|(key, value)| (key, value.restore())).collect())
            }
        }
    }
}
