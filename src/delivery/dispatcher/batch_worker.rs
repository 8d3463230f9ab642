//! Delivers many revisions at once, in order, to one destination that may block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::super::backoff::Backoff;
use super::super::batch::{BatchDestination, Item};
use super::intake::Intake;
use super::{Ending, TICK};
use crate::config::CommonConfig;
use crate::{Error, Result};

const BATCH_ITEMS: usize = 500;
const BATCH_BYTES: usize = 1 << 20;

pub(super) struct BatchWorker {
    intake: Intake,
    /// `None` while it is at work in another thread.
    target: Option<Box<dyn BatchDestination>>,
    backoff: Backoff,
    failures: u32,
    wait_until: Option<Instant>,
    reader_gone: Arc<AtomicBool>,
}

impl BatchWorker {
    pub(super) fn new(
        intake: Intake,
        target: Box<dyn BatchDestination>,
        config: &CommonConfig,
        reader_gone: Arc<AtomicBool>,
    ) -> Self {
        Self {
            intake,
            target: Some(target),
            backoff: Backoff { first: config.retry_first, max: config.retry_max },
            failures: 0,
            wait_until: None,
            reader_gone,
        }
    }

    pub(super) async fn run(mut self, mut ending: watch::Receiver<Ending>) {
        let mut synced = self.intake.synced();
        loop {
            synced.mark_unchanged();
            let now = *ending.borrow_and_update();
            let may_begin = match now {
                Ending::No => true,
                Ending::Handover(_) => false,
                Ending::Drain(deadline) => Instant::now() < deadline,
            };
            let has_delivered = may_begin && self.deliver().await;
            self.save(false).await;
            if has_delivered {
                continue;
            }
            if now != Ending::No {
                break;
            }
            let tick = Instant::now() + TICK;
            tokio::select! {
                _ = synced.changed() => {}
                _ = ending.changed() => {}
                () = sleep_until(self.wait_until.map_or(tick, |until| until.min(tick))) => {}
            }
        }
        self.save(true).await;
    }

    /// Delivers the next batch; false when there is none, or when it is not the time.
    async fn deliver(&mut self) -> bool {
        if !self.intake.is_active() {
            if let Some(target) = &mut self.target {
                target.pause();
            }
            // What another instance has delivered is dropped all the same.
            let taken = self.intake.next(&mut |_| {});
            debug_assert!(taken.is_none(), "a standby takes nothing");
            return false;
        }
        if self.wait_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        self.wait_until = None;
        if let Err(error) = self.connect().await {
            self.failed(0, &error);
            return false;
        }
        let items = self.batch();
        if items.is_empty() {
            return false;
        }
        self.deliver_items(items).await
    }

    async fn deliver_items(&mut self, items: Vec<Item>) -> bool {
        if self.failures > 0 {
            let retries = self.intake.metrics.retries.with_label_values(&[&*self.intake.name]);
            retries.inc_by(items.len() as u64);
        }
        let started = std::time::Instant::now();
        let (items, outcome) = self
            .with_target(move |target| {
                let outcome = target.deliver(&items);
                (items, outcome)
            })
            .await
            .unwrap_or_else(|error| (Vec::new(), Err(error)));
        let duration = self.intake.metrics.duration.with_label_values(&[&*self.intake.name]);
        duration.observe(started.elapsed().as_secs_f64());
        let refusals = match outcome {
            Ok(refusals) => refusals,
            Err(error) => {
                self.failed(items.len(), &error);
                return false;
            }
        };
        self.failures = 0;
        self.intake.recovered();
        for refusal in &refusals {
            if let Some(item) = items.get(refusal.index) {
                self.intake.refuse(&item.entry, &refusal.reason);
            }
        }
        for (index, item) in items.iter().enumerate() {
            if !refusals.iter().any(|refusal| refusal.index == index) {
                self.intake.delivered(item.entry.sequence);
            }
        }
        true
    }

    async fn connect(&mut self) -> Result<()> {
        if self.target.as_ref().is_some_and(|target| target.is_ready()) {
            return Ok(());
        }
        let outbox = self.intake.outbox();
        // What the receiver remembers is looked for in all that there is.
        let position = self
            .with_target(move |target| {
                outbox.sync()?;
                target.begin()
            })
            .await??;
        if let Some(position) = position {
            self.intake.resume(position);
        }
        Ok(())
    }

    fn batch(&mut self) -> Vec<Item> {
        let (mut items, mut n_bytes) = (Vec::new(), 0);
        while items.len() < BATCH_ITEMS && n_bytes < BATCH_BYTES {
            let Some(item) = self.intake.next(&mut |_| {}) else { break };
            n_bytes += item.entry.native.len();
            items.push(item);
        }
        items
    }

    fn failed(&mut self, n_items: usize, error: &Error) {
        if self.target.as_ref().is_some_and(|target| target.reader_gone()) {
            self.reader_gone.store(true, Ordering::Relaxed);
        }
        self.failures = self.failures.saturating_add(1);
        self.intake.complain(n_items, &error.to_string());
        self.wait_until = Some(Instant::now() + self.backoff.wait(self.failures));
        self.intake.rewind();
    }

    /// Only what is durable at the destination is passed in the outbox.
    async fn save(&mut self, now: bool) {
        if !(now || self.intake.is_time_to_save()) {
            return;
        }
        match self.with_target(|target| target.settle()).await.and_then(|settled| settled) {
            Ok(()) => self.intake.save(true, || None),
            Err(error) => {
                self.intake.complain(0, &error.to_string());
                self.intake.forget_unsaved();
            }
        }
    }

    /// Calls the destination in a thread that may block.
    async fn with_target<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&mut Box<dyn BatchDestination>) -> T + Send + 'static,
    ) -> Result<T> {
        let lost = || Error::unexpected("the destination is lost after a failure of its own");
        let mut target = self.target.take().ok_or_else(lost)?;
        let called = tokio::task::spawn_blocking(move || {
            let answer = call(&mut target);
            (target, answer)
        });
        let (target, answer) = called.await.map_err(|_| lost())?;
        self.target = Some(target);
        Ok(answer)
    }
}
