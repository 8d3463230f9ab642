//! The revisions that one destination behind HTTP has taken and not delivered: few enough to be held,
//! in order for each alert, and the next one to be tried.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::super::batch::Item;

/// So many may wait or be under way.
const ITEMS_MAX: usize = 1024;
const BYTES_MAX: usize = 16 << 20;

/// One revision, and when it is due.
pub(super) struct Waiting {
    pub(super) item: Item,
    pub(super) attempts: u32,
    pub(super) due: Instant,
    pub(super) in_flight: bool,
}

#[derive(Default)]
pub(super) struct Window {
    waiting: BTreeMap<u64, Waiting>,
    n_bytes: usize,
}

impl Window {
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < ITEMS_MAX && self.n_bytes < BYTES_MAX
    }

    pub(super) fn add(&mut self, item: Item) {
        self.n_bytes += item.entry.native.len();
        let waiting = Waiting { attempts: 0, due: Instant::now(), in_flight: false, item };
        self.waiting.insert(waiting.item.entry.sequence, waiting);
    }

    pub(super) fn get(&mut self, sequence: u64) -> Option<&mut Waiting> {
        self.waiting.get_mut(&sequence)
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Item> {
        let item = self.waiting.remove(&sequence)?.item;
        self.n_bytes -= item.entry.native.len();
        Some(item)
    }

    /// Those that nobody tries at the moment.
    pub(super) fn at_rest(&self) -> impl Iterator<Item = &Item> {
        self.waiting.values().filter(|waiting| !waiting.in_flight).map(|waiting| &waiting.item)
    }

    /// The next one to try: due, and no earlier revision of its alert is left. The least tried first,
    /// so that one that always fails holds nobody back.
    pub(super) fn ready(&self, now: Instant) -> Option<u64> {
        self.heads()
            .filter(|waiting| waiting.due <= now)
            .map(|waiting| (waiting.attempts, waiting.item.entry.sequence))
            .min()
            .map(|(_, sequence)| sequence)
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.heads().map(|waiting| waiting.due).min()
    }

    /// The receiver is back: nobody waits any longer for what was its own failure.
    pub(super) fn hurry(&mut self) {
        let now = Instant::now();
        for waiting in self.waiting.values_mut() {
            waiting.due = waiting.due.min(now);
        }
    }

    pub(super) fn put_off(&mut self, sequence: u64, wait: Duration) {
        if let Some(waiting) = self.waiting.get_mut(&sequence) {
            waiting.in_flight = false;
            waiting.due = Instant::now() + wait;
        }
    }

    /// The first revision of each alert, if it is not under way.
    fn heads(&self) -> impl Iterator<Item = &Waiting> {
        let mut alerts = HashSet::new();
        self.waiting.values().filter(move |waiting| {
            alerts.insert(waiting.item.entry.id.as_str()) && !waiting.in_flight
        })
    }
}
