//! What comes to one destination out of the log: each entry once, routed and silenced, and how far the
//! destination is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};

use super::super::batch::{Item, Position};
use super::super::journal::Journal;
use super::super::metrics::DeliveryMetrics;
use super::super::outbox::{Cursor, Entry, Open, Outbox, Reader};
use super::super::record::AlertRecord;
use super::super::routing::Route;
use super::super::silences::Silencer;
use super::DispatcherOptions;
use crate::Result;
use crate::config::CommonConfig;

/// How far a destination is comes to disk at most so often.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// What a destination refused; older lines go first.
const REFUSED_BYTES_MAX: u64 = 8 << 20;
const REMINDER: Duration = Duration::from_secs(30);

pub(super) struct Intake {
    pub(super) name: String,
    pub(super) metrics: DeliveryMetrics,
    outbox: Outbox,
    reader: Reader,
    cursor: Cursor,
    /// Read, and not taken: this instance is not active, or it is not clear yet.
    peeked: Option<Entry>,
    /// The receiver has everything up to here.
    resume_after: Option<Position>,
    route: Route,
    silencer: Arc<Silencer>,
    active: Arc<AtomicBool>,
    refused: Journal,
    changed: bool,
    saved_at: Instant,
    complained_at: Option<Instant>,
}

impl Intake {
    pub(super) fn new(
        config: &CommonConfig,
        outbox: Outbox,
        silencer: Arc<Silencer>,
        options: &DispatcherOptions,
    ) -> Result<Self> {
        let cursor = outbox.cursor(&config.name)?;
        let refused = outbox.folder().join(format!("refused-{}.jsonl", config.name));
        Ok(Self {
            name: config.name.clone(),
            metrics: options.metrics.clone(),
            reader: outbox.reader(cursor.first()),
            outbox,
            cursor,
            peeked: None,
            resume_after: None,
            route: Route::new(config),
            silencer,
            active: options.active.clone(),
            refused: Journal::new(refused, REFUSED_BYTES_MAX),
            changed: false,
            saved_at: Instant::now(),
            complained_at: None,
        })
    }

    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    pub(super) fn synced(&self) -> tokio::sync::watch::Receiver<u64> {
        self.outbox.synced()
    }

    pub(super) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// What the destination remembered at the last restart.
    pub(super) fn memory(&mut self) -> Option<Value> {
        self.cursor.memory.take()
    }

    /// The next revision for the destination; `None` for now. `elsewhere` is told of those that another
    /// instance has delivered to it.
    pub(super) fn next(&mut self, elsewhere: &mut dyn FnMut(&AlertRecord)) -> Option<Item> {
        loop {
            let entry = self.peeked.take().or_else(|| self.reader.next())?;
            if !self.cursor.wants(entry.sequence) {
                continue;
            }
            if self.is_delivered_elsewhere(&entry) {
                self.done(entry.sequence);
                let alert = serde_json::from_slice::<AlertRecord>(&entry.native);
                alert.iter().filter(|alert| self.would_take(alert)).for_each(&mut *elsewhere);
                continue;
            }
            match self.standing(&entry) {
                Standing::Delivered => self.done(entry.sequence),
                Standing::Unknown => {
                    self.peeked = Some(entry);
                    return None;
                }
                Standing::ToDeliver => {
                    if let Some(item) = self.take(entry) {
                        return Some(item);
                    }
                }
            }
        }
    }

    /// Whether the active instance sends such an alert to the destination.
    fn would_take(&self, alert: &AlertRecord) -> bool {
        let is_hidden =
            !self.route.ignores_silences() && self.silencer.would_hide(alert, Utc::now());
        self.route.takes(alert) && !is_hidden
    }

    /// Whether another instance has delivered it while this one stood by.
    pub(super) fn is_delivered_elsewhere(&self, entry: &Entry) -> bool {
        entry.at < self.outbox.delivered_elsewhere()
    }

    fn take(&mut self, entry: Entry) -> Option<Item> {
        let Ok(alert) = serde_json::from_slice::<AlertRecord>(&entry.native) else {
            self.refuse(&entry, "this is no alert that this program knows");
            return None;
        };
        if !self.route.takes(&alert) {
            self.metrics.count(&self.name, "skipped");
            self.done(entry.sequence);
            return None;
        }
        if !self.route.ignores_silences() && self.silencer.hides(&entry, &alert, Utc::now()) {
            self.metrics.count(&self.name, "silenced");
            self.done(entry.sequence);
            return None;
        }
        let open = Open { at: entry.at, appended_at: entry.appended_at };
        self.cursor.open.insert(entry.sequence, open);
        self.cursor.next = self.cursor.next.max(entry.sequence + 1);
        self.changed = true;
        Some(Item { entry, alert })
    }

    /// Nothing is left to be done for an entry.
    pub(super) fn done(&mut self, sequence: u64) {
        self.cursor.open.remove(&sequence);
        self.cursor.next = self.cursor.next.max(sequence + 1);
        self.changed = true;
    }

    /// The entry is delivered.
    pub(super) fn delivered(&mut self, sequence: u64) {
        self.metrics.count(&self.name, "delivered");
        self.done(sequence);
    }

    /// The receiver will never take it: it is set aside.
    pub(super) fn refuse(&mut self, entry: &Entry, said: &str) {
        let (destination, id, revision) = (&self.name, &entry.id, entry.revision);
        tracing::error!(destination, id, revision, "alert refused: {said}");
        self.metrics.count(&self.name, "refused");
        let native = String::from_utf8_lossy(&entry.native);
        let alert = serde_json::from_str::<Value>(&native).unwrap_or_else(|_| json!(native));
        let at = Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        self.refused.append(&json!({ "at": at, "answer": said, "alert": alert }));
        self.done(entry.sequence);
    }

    /// An attempt failed: counted, and told now and again.
    pub(super) fn complain(&mut self, n_entries: usize, said: &str) {
        let counter = self.metrics.deliveries.with_label_values(&[self.name.as_str(), "failed"]);
        counter.inc_by(n_entries as u64);
        if self.complained_at.is_none_or(|said| said.elapsed() >= REMINDER) {
            self.complained_at = Some(Instant::now());
            tracing::warn!(destination = self.name, "cannot deliver for now: {said}");
        }
    }

    /// Deliveries go through again.
    pub(super) fn recovered(&mut self) {
        if self.complained_at.take().is_some() {
            tracing::info!(destination = self.name, "delivers again");
        }
    }

    /// Reads again what was taken and is not delivered.
    pub(super) fn rewind(&mut self) {
        self.peeked = None;
        self.reader = self.outbox.reader(self.cursor.first());
    }

    /// What was delivered since the last save may be lost at the destination: again.
    pub(super) fn forget_unsaved(&mut self) {
        if let Ok(saved) = self.outbox.cursor(&self.name) {
            self.cursor = saved;
            self.changed = false;
            self.rewind();
        }
    }

    /// How far the destination is, to disk; `memory` is asked only when it is time.
    pub(super) fn save(&mut self, now: bool, memory: impl FnOnce() -> Option<Value>) {
        if !self.changed || !(now || self.is_time_to_save()) {
            return;
        }
        self.saved_at = Instant::now();
        self.changed = false;
        let cursor = Cursor { memory: memory(), ..self.cursor.clone() };
        if let Err(error) = self.outbox.move_cursor(&self.name, cursor) {
            tracing::error!("{error}");
            self.changed = true;
        }
    }

    pub(super) fn is_time_to_save(&self) -> bool {
        self.changed && self.saved_at.elapsed() >= SAVE_EVERY
    }

    /// What the receiver itself remembers counts for more than the cursor.
    pub(super) fn resume(&mut self, position: Position) {
        self.resume_after = Some(position);
        self.find(0);
        self.rewind();
    }

    /// Looks for the position in the log; everything up to it is delivered.
    fn find(&mut self, from: u64) {
        let Some(position) = &self.resume_after else { return };
        let mut reader = self.outbox.reader(from);
        let mut found = None;
        while let Some(entry) = reader.next() {
            if entry.id == position.id && entry.revision == position.revision {
                found = Some(entry.sequence);
            }
        }
        if let Some(found) = found {
            self.cursor.open.retain(|sequence, _| *sequence > found);
            self.cursor.next = self.cursor.next.max(found + 1);
            self.changed = true;
            self.resume_after = None;
        }
    }

    /// Whether an entry is to be delivered, by what the receiver remembers.
    fn standing(&mut self, entry: &Entry) -> Standing {
        if !self.is_active() {
            return Standing::Unknown;
        }
        let Some(position) = &self.resume_after else { return Standing::ToDeliver };
        let at = position.at;
        if entry.at < at {
            return Standing::Delivered;
        }
        // Revisions due at the same time: those up to the one that is remembered are delivered. It
        // may still have to be made.
        let all_are_here = self.outbox.stream_time().is_some_and(|time| time > at);
        self.find(entry.sequence);
        if !self.cursor.wants(entry.sequence) {
            return Standing::Delivered;
        }
        if entry.at == at && !all_are_here && self.resume_after.is_some() {
            return Standing::Unknown;
        }
        if all_are_here {
            self.resume_after = None;
        }
        Standing::ToDeliver
    }
}

enum Standing {
    Delivered,
    ToDeliver,
    Unknown,
}
