//! Reads entries in order, each once, as far as they are on disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::entry::{Entry, Step, resume, step};
use super::segment::HEADER;
use super::{Outbox, State};

/// Bytes read at once; a longer entry takes several.
const CHUNK: u64 = 256 << 10;

/// A place in the log.
#[derive(Debug)]
pub(crate) struct Reader {
    outbox: Outbox,
    /// Entries before it are of no interest.
    next: u64,
    at: Option<Place>,
}

#[derive(Debug)]
struct Place {
    /// First sequence number of the segment.
    first: u64,
    file: Arc<File>,
    /// Bytes of the file that were read.
    n_read: u64,
    /// Bytes read and not used.
    bytes: Vec<u8>,
    used: usize,
}

impl Reader {
    pub(super) fn new(outbox: Outbox, from: u64) -> Self {
        Self { outbox, next: from, at: None }
    }

    /// The next entry that is on disk for good; `None` for now.
    pub(crate) fn next(&mut self) -> Option<Entry> {
        loop {
            if self.at.is_none() {
                self.at = Some(self.first_place()?);
            }
            let place = self.at.as_mut()?;
            match step(place.rest()) {
                Step::Entry(entry, length) => {
                    place.used += length;
                    if entry.sequence >= self.next {
                        self.next = entry.sequence + 1;
                        return Some(entry);
                    }
                }
                Step::Short if place.fill(&self.outbox) => {}
                Step::Damaged | Step::Short => {
                    if !self.skip_damage() {
                        return None;
                    }
                }
            }
        }
    }

    /// Goes on behind what cannot be read, or in the next segment; false when there is nothing.
    fn skip_damage(&mut self) -> bool {
        let Some(place) = &mut self.at else { return false };
        while place.fill(&self.outbox) {}
        // What came to disk since the last look is no damage.
        if matches!(step(place.rest()), Step::Entry(..)) {
            return true;
        }
        let behind = resume(place.rest());
        if !place.rest().is_empty() {
            self.outbox.state().damage(place.first, place.offset());
        }
        if let Some(behind) = behind {
            place.used += behind;
            return true;
        }
        // The rest is of no use, but more may come behind it.
        place.used = place.bytes.len();
        let next = place.next(&self.outbox.state());
        if let Some(next) = next {
            *place = next;
            return true;
        }
        false
    }

    /// The segment that holds the first entry of interest.
    fn first_place(&self) -> Option<Place> {
        let state = self.outbox.state();
        let holding = state.segments.iter().rev().find(|segment| segment.first <= self.next);
        holding.or(state.segments.front()).map(Place::new)
    }
}

impl Place {
    fn new(segment: &super::segment::Segment) -> Self {
        Self {
            first: segment.first,
            file: segment.file.clone(),
            n_read: HEADER as u64,
            bytes: Vec::new(),
            used: 0,
        }
    }

    /// The start of the next segment, once all of this one was read.
    fn next(&self, state: &State) -> Option<Self> {
        let own = state.segments.iter().find(|segment| segment.first == self.first);
        if own.is_some_and(|own| self.n_read < own.n_bytes) {
            return None;
        }
        state.segments.iter().find(|segment| segment.first > self.first).map(Self::new)
    }

    /// Where in the file the rest begins.
    fn offset(&self) -> u64 {
        self.n_read - self.rest().len() as u64
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    /// Reads on; false at the end of what is on disk for good.
    fn fill(&mut self, outbox: &Outbox) -> bool {
        let synced = {
            let state = outbox.state();
            let segment = state.segments.iter().find(|segment| segment.first == self.first);
            segment.map_or(self.n_read, |segment| segment.n_bytes_synced)
        };
        let n_bytes = synced.saturating_sub(self.n_read).min(CHUNK);
        let mut chunk = vec![0; usize::try_from(n_bytes).unwrap_or(0)];
        if chunk.is_empty() {
            return false;
        }
        let read = self.file.read_exact_at(&mut chunk, self.n_read);
        self.n_read += n_bytes;
        if let Err(error) = read {
            // What the disk does not give back is damaged, and the rest goes on.
            tracing::error!(%error, "the outbox cannot be read");
        }
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend(chunk);
        true
    }
}
