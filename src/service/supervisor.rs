//! Looks after signals while the pipeline works: stop within a deadline, and read again what changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Work;
use super::manager::ServiceManager;
use crate::cli::Stop;

/// How often signals are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Exit code of a stop that took too long: what is on disk is good, what was in flight comes again.
const TOO_SLOW: i32 = 2;

/// What the supervisor and the pipeline's thread tell each other.
#[derive(Clone, Default)]
pub(super) struct Orders {
    /// Ends the present pipeline.
    pub(super) stop_pipeline: Arc<AtomicBool>,
    /// What is to run after it; nothing: the end.
    next: Arc<Mutex<Option<Work>>>,
    /// The service has ended.
    over: Arc<AtomicBool>,
}

impl Orders {
    /// The next pipeline is to work with this.
    fn change(&self, next: Work) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        self.stop_pipeline.store(true, Ordering::Relaxed);
    }

    /// Takes what is to run next, when the pipeline was stopped for that.
    pub(super) fn take_next(&self) -> Option<Work> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        if next.is_some() {
            self.stop_pipeline.store(false, Ordering::Relaxed);
        }
        next
    }

    /// The supervisor may go.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Runs in a thread of its own until the service has ended.
pub(super) fn supervise(
    stop: &Stop,
    orders: &Orders,
    stop_within: Duration,
    manager: &mut ServiceManager,
    mut on_stop: impl FnMut(),
    mut reload: impl FnMut() -> Option<Work>,
) {
    let mut asked_at: Option<Instant> = None;
    while !orders.over.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY);
        if stop.was_asked() {
            let since = *asked_at.get_or_insert_with(|| {
                on_stop();
                manager.stopping();
                orders.stop_pipeline.store(true, Ordering::Relaxed);
                Instant::now()
            });
            if since.elapsed() > stop_within {
                tracing::error!(?stop_within, "the stop takes too long; ending without the rest");
                std::process::exit(TOO_SLOW);
            }
            continue;
        }
        if stop.take_reload()
            && let Some(next) = manager.reloading(&mut reload)
        {
            orders.change(next);
        }
        manager.tend();
    }
    manager.stopping();
}
