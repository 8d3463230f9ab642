//! What the service manager is told, where there is one (systemd, `Type=notify`): ready, reloading,
//! stopping, and that the pipeline makes progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::serve::Health;

/// Signs of life in the time after which the manager takes the process for dead: one may get lost.
const SIGNS_IN_TIME: u32 = 4;

const WAITING: &str = "waiting for partitions to read";
const ACTIVE: &str = "active: reading events, delivering alerts";
const STANDBY: &str = "standby: reading events, another instance delivers";
const RELOADING: &str = "reading rules and destinations again";
const STOPPING: &str = "stopping: writing state, delivering what can be";

/// The one that started the process, and what it knows. Without `NOTIFY_SOCKET` nobody is told.
pub(super) struct ServiceManager {
    health: Arc<Health>,
    /// Whether this instance holds the lease.
    active: Arc<AtomicBool>,
    /// Grows while the pipeline makes progress.
    alive: Arc<AtomicU64>,
    /// How often a sign of life is due; `None`: nobody watches.
    sign_every: Option<Duration>,
    signed_at: Instant,
    /// Progress at the last sign of life.
    signed: u64,
    /// Start-up was said to be finished: once and for all.
    told_ready: bool,
    told_stopping: bool,
    told_status: &'static str,
    /// The socket did not take a message; one warning is enough.
    is_deaf: bool,
}

impl ServiceManager {
    /// The manager that the environment names.
    pub(super) fn new(health: Arc<Health>, active: Arc<AtomicBool>, alive: Arc<AtomicU64>) -> Self {
        Self {
            health,
            active,
            alive,
            sign_every: sd_notify::watchdog_enabled().map(|within| within / SIGNS_IN_TIME),
            signed_at: Instant::now(),
            signed: 0,
            told_ready: false,
            told_stopping: false,
            told_status: "",
            is_deaf: false,
        }
    }

    /// Called all the time: tells what is new.
    pub(super) fn tend(&mut self) {
        let is_ready = self.health.is_ready();
        if is_ready && !self.told_ready {
            self.told_ready = true;
            self.tell(&[NotifyState::Ready]);
        }
        self.tell_status(match (is_ready, self.active.load(Ordering::Relaxed)) {
            (false, _) => WAITING,
            (true, true) => ACTIVE,
            (true, false) => STANDBY,
        });
        self.give_sign();
    }

    /// Tells of a reload before and after it. A process that was never ready does not become so by it.
    pub(super) fn reloading<T>(&mut self, reload: impl FnOnce() -> T) -> T {
        if self.told_ready {
            // Managers from systemd 253 on want the time with it.
            let now = NotifyState::monotonic_usec_now().ok();
            let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(now).collect();
            self.tell(&states);
        }
        self.tell_status(RELOADING);
        let reloaded = reload();
        if self.told_ready {
            self.tell(&[NotifyState::Ready]);
        }
        reloaded
    }

    /// The end has begun.
    pub(super) fn stopping(&mut self) {
        if !self.told_stopping {
            self.told_stopping = true;
            self.tell(&[NotifyState::Stopping]);
            self.tell_status(STOPPING);
        }
    }

    /// A process whose pipeline stands still gives no sign, and is restarted.
    fn give_sign(&mut self) {
        let Some(every) = self.sign_every else { return };
        let alive = self.alive.load(Ordering::Relaxed);
        if alive != self.signed && self.signed_at.elapsed() >= every {
            (self.signed, self.signed_at) = (alive, Instant::now());
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell_status(&mut self, status: &'static str) {
        if status != self.told_status {
            self.told_status = status;
            self.tell(&[NotifyState::Status(status)]);
        }
    }

    fn tell(&mut self, states: &[NotifyState]) {
        if let Err(error) = sd_notify::notify(states)
            && !std::mem::replace(&mut self.is_deaf, true)
        {
            tracing::warn!(%error, "the service manager cannot be told how the service is");
        }
    }
}
