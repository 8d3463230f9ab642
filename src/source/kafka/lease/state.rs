//! What the lease's thread shares with everybody else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::TimeMicros;
use crate::source::kafka::metrics::{KafkaMetrics, LeaseChange};

const STANDBY: u64 = 0;
const NEVER: TimeMicros = TimeMicros::MIN;

/// What is to be committed.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) generation: u64,
    pub(super) offsets: BTreeMap<(Arc<str>, i32), i64>,
    pub(super) delivered_until: Option<TimeMicros>,
}

impl Asked {
    /// Adds what was asked for later.
    fn add(&mut self, later: Self) {
        self.offsets.extend(later.offsets);
        self.delivered_until = self.delivered_until.max(later.delivered_until);
    }
}

#[derive(Debug)]
pub(super) struct State {
    generation: AtomicU64,
    /// Whether there is a generation: for those who ask nothing else.
    pub(super) active: Arc<AtomicBool>,
    /// Leases so far: the number of the newest.
    leases: AtomicU64,
    delivered_until: AtomicI64,
    asked: Mutex<Option<Asked>>,
    closing: AtomicBool,
    pub(super) metrics: KafkaMetrics,
}

impl State {
    pub(super) fn new(metrics: KafkaMetrics) -> Self {
        metrics.active.set(0);
        Self {
            generation: AtomicU64::new(STANDBY),
            active: Arc::default(),
            leases: AtomicU64::new(0),
            delivered_until: AtomicI64::new(NEVER),
            asked: Mutex::default(),
            closing: AtomicBool::new(false),
            metrics,
        }
    }

    pub(super) fn generation(&self) -> Option<u64> {
        Some(self.generation.load(Ordering::Acquire)).filter(|generation| *generation != STANDBY)
    }

    pub(super) fn delivered_until(&self) -> Option<TimeMicros> {
        Some(self.delivered_until.load(Ordering::Acquire)).filter(|time| *time != NEVER)
    }

    pub(super) fn learn(&self, delivered_until: Option<TimeMicros>) {
        self.delivered_until.fetch_max(delivered_until.unwrap_or(NEVER), Ordering::AcqRel);
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(super) fn closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    // ---- Coming and going of the lease

    pub(super) fn gain(&self) {
        let generation = self.leases.fetch_add(1, Ordering::AcqRel) + 1;
        self.generation.store(generation, Ordering::Release);
        self.active.store(true, Ordering::Release);
        self.metrics.lease(LeaseChange::Gained);
        tracing::info!(generation, "this instance is active: it holds the lease");
    }

    /// Stands by from now on; false when it did before.
    pub(super) fn give_up(&self, change: LeaseChange, why: &str) -> bool {
        let was_active = self.generation.swap(STANDBY, Ordering::AcqRel) != STANDBY;
        self.active.store(false, Ordering::Release);
        if was_active {
            self.metrics.lease(change);
            tracing::warn!(why, "this instance stands by: the lease is {}", change.label());
        }
        was_active
    }

    // ---- Commits

    pub(super) fn ask(
        &self,
        generation: u64,
        offsets: Vec<(Arc<str>, i32, i64)>,
        delivered_until: Option<TimeMicros>,
    ) {
        if self.generation() != Some(generation) {
            return self.metrics.commits_fenced.inc();
        }
        let offsets =
            offsets.into_iter().map(|(topic, number, next)| ((topic, number), next)).collect();
        self.put(Asked { generation, offsets, delivered_until });
    }

    fn put(&self, later: Asked) {
        let mut asked = self.asked();
        match asked.as_mut() {
            Some(earlier) if earlier.generation == later.generation => earlier.add(later),
            Some(_) => {
                self.metrics.commits_fenced.inc();
                *asked = Some(later);
            }
            None => *asked = Some(later),
        }
    }

    /// What could not be committed is asked for again, below what came in the meantime.
    pub(super) fn put_back(&self, mut earlier: Asked) {
        if let Some(later) = self.asked().take_if(|later| later.generation == earlier.generation) {
            earlier.add(later);
        }
        self.put(earlier);
    }

    /// What is to be committed now. What was asked for under an older lease is dropped.
    pub(super) fn take(&self) -> Option<Asked> {
        let asked = self.asked().take()?;
        if self.generation() == Some(asked.generation) {
            return Some(asked);
        }
        self.metrics.commits_fenced.inc();
        None
    }

    fn asked(&self) -> MutexGuard<'_, Option<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Metrics;

    fn state() -> State {
        State::new(Metrics::new().unwrap().kafka)
    }

    fn offsets(next: i64) -> Vec<(Arc<str>, i32, i64)> {
        vec![("t".into(), 0, next)]
    }

    #[test]
    fn commits_of_one_lease_are_gathered_and_those_of_another_dropped() {
        let state = state();
        state.ask(1, offsets(1), None);
        assert_eq!(state.metrics.commits_fenced.get(), 1);
        state.gain();
        state.ask(1, offsets(5), Some(50));
        state.ask(1, offsets(7), None);
        let asked = state.take().unwrap();
        assert_eq!(asked.offsets[&("t".into(), 0)], 7);
        assert_eq!(asked.delivered_until, Some(50));
        state.ask(1, offsets(9), None);
        state.put_back(asked);
        assert_eq!(state.take().unwrap().offsets[&("t".into(), 0)], 9);
        state.ask(1, offsets(9), None);
        assert!(state.give_up(LeaseChange::Lost, "test"));
        assert!(!state.give_up(LeaseChange::Lost, "test"));
        state.gain();
        assert_eq!(state.generation(), Some(2));
        assert!(state.take().is_none());
        state.ask(1, offsets(10), None);
        assert_eq!(state.metrics.commits_fenced.get(), 3);
        state.ask(2, offsets(11), None);
        assert_eq!(state.take().unwrap().offsets[&("t".into(), 0)], 11);
    }

    #[test]
    fn what_is_delivered_never_goes_back() {
        let state = state();
        assert_eq!(state.delivered_until(), None);
        for (time, expected) in [(Some(5), 5), (None, 5), (Some(3), 5), (Some(9), 9)] {
            state.learn(time);
            assert_eq!(state.delivered_until(), Some(expected));
        }
    }
}
