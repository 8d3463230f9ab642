//! The lease: who of several instances is the active one.
//!
//! A consumer of its own, on a thread of its own, is a member of the group and subscribed to a topic
//! of one partition. Who owns that partition holds the lease. The group's protocol sees to it that
//! nobody else does, and gives the lease away when nothing is heard of its owner for
//! `session.timeout.ms`. All commits go through this member, so that brokers turn them away once it
//! is one no more; each also carries the number of the lease under which it was asked for.

mod member;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{KafkaMetrics, KafkaOptions};
use crate::event::TimeMicros;
use crate::{Error, Result};
use member::Member;
use state::State;

/// How soon a standby may take over from an instance that is not heard any more.
pub(super) const SESSION_TIMEOUT: (&str, &str) = ("session.timeout.ms", "10000");
/// Leaving the group may take so long.
const LEAVE: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(10);

/// A view of the lease; clones see the same.
#[derive(Debug, Clone)]
pub struct Lease(Arc<State>);

impl Lease {
    /// The number of the lease that this instance holds, a new one each time that it is gained;
    /// `None`: it stands by.
    pub fn generation(&self) -> Option<u64> {
        self.0.generation()
    }

    /// Whether this instance holds the lease.
    pub fn is_active(&self) -> bool {
        self.generation().is_some()
    }

    /// Whether this instance holds the lease, kept up to date.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.active.clone()
    }

    /// Event time before which every alert revision is delivered, as the group has it. On a standby
    /// it is about a second old; it is read anew before a lease is gained.
    pub fn delivered_until(&self) -> Option<TimeMicros> {
        self.0.delivered_until()
    }

    /// Commits next offsets, and how far alerts are delivered, in the name of the lease
    /// `generation`. Returns at once. When that lease is gone, nothing is committed, and counted.
    pub fn commit(
        &self,
        generation: u64,
        offsets: Vec<(Arc<str>, i32, i64)>,
        delivered_until: Option<TimeMicros>,
    ) {
        self.0.ask(generation, offsets, delivered_until);
    }
}

/// Membership in the group, until this is dropped: then the group is left, and a standby takes over.
pub struct Membership {
    lease: Lease,
    thread: JoinHandle<()>,
}

impl Membership {
    /// Joins the group, once the brokers answer and the lease topic is there; it is made if need be.
    ///
    /// `alive` must grow all the time while the pipeline makes progress. Until it is above 0 the
    /// pipeline is not expected to; when it stands still for `max.poll.interval.ms` after that, the
    /// lease is given up until it grows again.
    ///
    /// # Errors
    /// When no broker answers within the patience, when the topic cannot be made, or when `stop` is
    /// set meanwhile.
    pub fn join(
        options: &KafkaOptions,
        metrics: KafkaMetrics,
        alive: Arc<AtomicU64>,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let state = Arc::new(State::new(metrics));
        let member = Member::connect(options, state.clone(), alive, stop)?;
        let thread = std::thread::Builder::new()
            .name("nightlatch-lease".to_owned())
            .spawn(move || member.run())
            .map_err(|error| {
                Error::unexpected("cannot start a thread").detail(error.to_string())
            })?;
        Ok(Self { lease: Lease(state), thread })
    }

    /// A view of the lease.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }
}

impl Drop for Membership {
    /// Commits what was asked for and leaves the group. A broker that does not answer is not waited
    /// for: the session times out then.
    fn drop(&mut self) {
        self.lease.0.close();
        let started = Instant::now();
        while !self.thread.is_finished() && started.elapsed() < LEAVE {
            std::thread::sleep(PAUSE);
        }
    }
}
