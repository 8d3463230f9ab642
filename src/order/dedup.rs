//! Event ids seen lately: a second event of one source with the same id is dropped.

use std::hash::{BuildHasher, Hash, Hasher};

use arrow::array::{Array, AsArray, RecordBatch};
use foldhash::quality::RandomState;
use hashbrown::HashMap;

use crate::event::{TimeMicros, schema};

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

/// Two generations, each as long as the window: what is older than both is forgotten at once.
pub(super) struct Dedup {
    window: TimeMicros,
    keys: (RandomState, RandomState),
    current: Seen,
    previous: Seen,
    current_since: TimeMicros,
}

impl Dedup {
    pub(super) fn new(window: TimeMicros) -> Self {
        Self {
            window,
            keys: (RandomState::default(), RandomState::default()),
            current: Seen::default(),
            previous: Seen::default(),
            current_since: TimeMicros::MIN,
        }
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
        let key = self.hash(source, ids.as_string_view().value(row));
        let earlier = self.current.get(&key).or_else(|| self.previous.get(&key));
        if earlier.is_some_and(|earlier| time.saturating_sub(*earlier) <= self.window) {
            return false;
        }
        self.current.insert(key, time);
        true
    }

    fn hash(&self, source: Option<&str>, id: &str) -> IdHash {
        let one = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            source.hash(&mut hasher);
            id.hash(&mut hasher);
            hasher.finish()
        };
        (one(&self.keys.0), one(&self.keys.1))
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
        self.current.allocation_size() + self.previous.allocation_size()
    }
}
