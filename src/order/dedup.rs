//! Event ids seen lately: a second event of one source with the same id is dropped.

use std::hash::{BuildHasher, Hasher};

use arrow::array::{Array, AsArray, RecordBatch};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::event::{TimeMicros, schema};
use crate::store::{BlockReader, BlockRef, BlockWriter, KeyedHash};

/// Hash of (source, event id) under two secret keys. 128 bits: the text itself need not be kept.
type IdHash = (u64, u64);

/// The hash is the key already.
#[derive(Clone, Copy, Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(32) ^ word;
    }
}

#[derive(Clone, Copy, Default)]
struct ReadyState;

impl BuildHasher for ReadyState {
    type Hasher = Ready;

    fn build_hasher(&self) -> Ready {
        Ready::default()
    }
}

type Seen = HashMap<IdHash, TimeMicros, ReadyState>;

/// Blocks of ids that a manifest lists; more are written again as one.
const BLOCKS_MAX: usize = 64;
/// Bytes of one id in a block: its hash and its time.
const ENTRY_BYTES: usize = 24;

/// What a manifest holds of the event ids seen lately.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrderManifest {
    /// The key of the hashes.
    pub(crate) key: KeyedHash,
    blocks: Vec<IdBlock>,
}

impl Default for OrderManifest {
    /// No ids, and a key of its own.
    fn default() -> Self {
        Self { key: KeyedHash::random(), blocks: Vec::new() }
    }
}

/// Ids that were accepted between two checkpoints.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct IdBlock {
    block: BlockRef,
    /// The newest of their times.
    newest: TimeMicros,
}

/// What was accepted since the last checkpoint.
#[derive(Default)]
struct Journal {
    accepted: Vec<(IdHash, TimeMicros)>,
    /// The blocks that hold what was accepted before; `None`: all is to be written again.
    blocks: Option<Vec<IdBlock>>,
}

/// Two generations, each as long as the window: what is older than both is forgotten at once.
pub(super) struct Dedup {
    window: TimeMicros,
    key: KeyedHash,
    current: Seen,
    previous: Seen,
    current_since: TimeMicros,
    /// Kept only where checkpoints are made.
    journal: Option<Journal>,
}

impl Dedup {
    pub(super) fn new(window: TimeMicros) -> Self {
        Self {
            window,
            key: KeyedHash::random(),
            current: Seen::default(),
            previous: Seen::default(),
            current_since: TimeMicros::MIN,
            journal: None,
        }
    }

    /// The ids of a manifest; all rows still to come are at `watermark` or later.
    pub(super) fn restore(
        window: TimeMicros,
        saved: &OrderManifest,
        blocks: &BlockReader,
        watermark: TimeMicros,
    ) -> Result<Self> {
        let mut dedup = Self { key: saved.key.clone(), ..Self::new(window) };
        // A generation is no longer than the window, see `turn`.
        dedup.current_since = watermark.saturating_sub(window);
        for one in &saved.blocks {
            for entry in blocks.read(one.block)?.chunks_exact(ENTRY_BYTES) {
                let (id, time) = read_entry(entry);
                if time >= dedup.current_since {
                    let known = dedup.current.entry(id).or_insert(time);
                    *known = time.max(*known);
                }
            }
        }
        let blocks = Some(saved.blocks.clone());
        dedup.journal = Some(Journal { blocks, ..Journal::default() });
        Ok(dedup)
    }

    /// From now on what is accepted is kept for the next checkpoint.
    pub(super) fn keep_journal(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// Writes what was accepted since the last checkpoint; all rows still to come are at `watermark`
    /// or later.
    pub(super) fn checkpoint(
        &mut self,
        blocks: &mut BlockWriter,
        watermark: TimeMicros,
    ) -> OrderManifest {
        let Journal { accepted, blocks: listed } = self.journal.take().unwrap_or_default();
        let oldest = watermark.saturating_sub(self.window);
        let kept = listed.map(|listed| {
            listed.into_iter().filter(|one| one.newest >= oldest).collect::<Vec<_>>()
        });
        let kept = kept.filter(|kept| {
            kept.len() < BLOCKS_MAX && kept.iter().all(|one| blocks.can_keep(one.block))
        });
        let mut listed = match kept {
            Some(mut kept) => {
                kept.extend(add_block(blocks, accepted.into_iter()));
                kept
            }
            None => {
                let all = self.previous.iter().chain(&self.current).map(|(id, time)| (*id, *time));
                add_block(blocks, all.filter(|(_, time)| *time >= oldest)).into_iter().collect()
            }
        };
        listed.shrink_to_fit();
        let manifest = OrderManifest { key: self.key.clone(), blocks: listed.clone() };
        self.journal = Some(Journal { accepted: Vec::new(), blocks: Some(listed) });
        manifest
    }

    /// Whether the row's event id was not accepted within the window before; rows come in time order.
    pub(super) fn is_first(&mut self, batch: &RecordBatch, row: usize, time: TimeMicros) -> bool {
        let ids = batch.column(schema::EVENT_ID);
        if self.window <= 0 || ids.is_null(row) {
            return true;
        }
        self.turn(time);
        let sources = batch.column(schema::SOURCE).as_string_view();
        let source = sources.is_valid(row).then(|| sources.value(row));
        let id = self.key.pair((source, ids.as_string_view().value(row)));
        let earlier = self.current.get(&id).or_else(|| self.previous.get(&id));
        if earlier.is_some_and(|earlier| time.saturating_sub(*earlier) <= self.window) {
            return false;
        }
        self.current.insert(id, time);
        self.note(id, time);
        true
    }

    fn note(&mut self, id: IdHash, time: TimeMicros) {
        let Some(journal) = &mut self.journal else { return };
        // While a backlog is read, more may be accepted between two checkpoints than is remembered.
        if journal.accepted.len() > self.current.len() + self.previous.len() {
            *journal = Journal::default();
        }
        if journal.blocks.is_some() {
            journal.accepted.push((id, time));
        }
    }

    /// Forgets the older generation once no id in it can matter.
    fn turn(&mut self, time: TimeMicros) {
        let age = time.saturating_sub(self.current_since);
        if age <= self.window {
            return;
        }
        self.previous = std::mem::take(&mut self.current);
        if age > self.window.saturating_mul(2) {
            self.previous = Seen::default();
        }
        self.current_since = time;
    }

    pub(super) fn bytes(&self) -> usize {
        let journal = self.journal.as_ref().map_or(0, |journal| journal.accepted.capacity());
        let journal = journal * size_of::<(IdHash, TimeMicros)>();
        self.current.allocation_size() + self.previous.allocation_size() + journal
    }
}

/// Writes a block of ids; `None` when there are none.
fn add_block(
    blocks: &mut BlockWriter,
    ids: impl Iterator<Item = (IdHash, TimeMicros)>,
) -> Option<IdBlock> {
    let (mut bytes, mut newest) = (Vec::new(), TimeMicros::MIN);
    for ((first, second), time) in ids {
        bytes.extend_from_slice(&first.to_le_bytes());
        bytes.extend_from_slice(&second.to_le_bytes());
        bytes.extend_from_slice(&time.to_le_bytes());
        newest = newest.max(time);
    }
    (!bytes.is_empty()).then(|| IdBlock { block: blocks.add(&bytes), newest })
}

fn read_entry(entry: &[u8]) -> (IdHash, TimeMicros) {
    let word = |index: usize| {
        let bytes = entry.get(index * 8..index * 8 + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    };
    ((word(0), word(1)), word(2).cast_signed())
}
