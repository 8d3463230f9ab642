//! Delivers to one destination behind HTTP: several requests at a time, revisions of one alert one
//! after the other, and again until each is taken.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::super::backoff::Backoff;
use super::super::http_destination::Request;
use super::super::record::AlertRecord;
use super::super::sender::{Answer, Verdict};
use super::super::target::HttpTarget;
use super::intake::Intake;
use super::window::Window;
use super::{Ending, TICK};
use crate::config::CommonConfig;

/// How often a destination is asked what it wants to send again.
const AGAIN_EVERY: Duration = Duration::from_secs(1);
/// So many failures in a row are the receiver's own.
const OUTAGE: u32 = 3;

/// What an attempt came to; without a sequence number it was something sent again.
struct Attempt {
    sequence: Option<u64>,
    answer: Answer,
    took: Duration,
}

pub(super) struct HttpWorker {
    intake: Intake,
    target: HttpTarget,
    backoff: Backoff,
    window: Window,
    in_flight: JoinSet<Attempt>,
    /// What the destination does not follow, as far as it is counted.
    untracked: u64,
    /// Failures since the last success.
    failures: u32,
    paused_until: Option<Instant>,
    disabled: bool,
    asked_again_at: Instant,
}

impl HttpWorker {
    pub(super) fn new(mut intake: Intake, mut target: HttpTarget, config: &CommonConfig) -> Self {
        if let Some(memory) = intake.memory() {
            target.destination.recall(memory);
        }
        Self {
            intake,
            target,
            backoff: Backoff { first: config.retry_first, max: config.retry_max },
            window: Window::default(),
            in_flight: JoinSet::new(),
            untracked: 0,
            failures: 0,
            paused_until: None,
            disabled: false,
            asked_again_at: Instant::now(),
        }
    }

    pub(super) async fn run(mut self, mut ending: watch::Receiver<Ending>) {
        let mut synced = self.intake.synced();
        loop {
            synced.mark_unchanged();
            let now = *ending.borrow_and_update();
            self.fill();
            if !matches!(now, Ending::Handover(_)) {
                self.start();
            }
            self.count_untracked();
            let destination = &self.target.destination;
            self.intake.save(false, || destination.memory());
            let deadline = match now {
                Ending::No => None,
                Ending::Handover(deadline) | Ending::Drain(deadline) => Some(deadline),
            };
            let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if is_over || (deadline.is_some() && self.in_flight.is_empty()) {
                break;
            }
            let wake = self.wake_at();
            tokio::select! {
                Some(attempt) = self.in_flight.join_next() => {
                    if let Ok(attempt) = attempt {
                        self.finish(attempt);
                    }
                }
                _ = synced.changed() => {}
                _ = ending.changed() => {}
                () = sleep_until(deadline.map_or(wake, |deadline| deadline.min(wake))) => {}
            }
        }
        self.count_untracked();
        let destination = &self.target.destination;
        self.intake.save(true, || destination.memory());
    }

    /// The counter goes on after a reload, the destination counts anew.
    fn count_untracked(&mut self) {
        let total = self.target.destination.untracked();
        if total > self.untracked {
            let counter = self.intake.metrics.untracked.with_label_values(&[&*self.intake.name]);
            counter.inc_by(total - self.untracked);
            self.untracked = total;
        }
    }

    /// Takes what there is room for; a standby lets go of what the active instance has delivered, and
    /// remembers it as its own: it may have to be sent again after a take-over.
    fn fill(&mut self) {
        let destination = &mut self.target.destination;
        if !self.intake.is_active() {
            let gone =
                self.window.at_rest().filter(|i| self.intake.is_delivered_elsewhere(&i.entry));
            let gone: Vec<u64> = gone.map(|item| item.entry.sequence).collect();
            for sequence in gone {
                if let Some(item) = self.window.remove(sequence) {
                    destination.delivered(&item.alert, now_seconds());
                }
                self.intake.done(sequence);
            }
        }
        let mut elsewhere = |alert: &AlertRecord| destination.delivered(alert, now_seconds());
        while self.window.has_room()
            && let Some(item) = self.intake.next(&mut elsewhere)
        {
            self.window.add(item);
        }
    }

    /// Begins as many requests as may be under way.
    fn start(&mut self) {
        let now = Instant::now();
        let is_paused = self.paused_until.is_some_and(|until| now < until);
        if self.disabled || is_paused || !self.intake.is_active() {
            return;
        }
        // While it fails, one request at a time finds out whether it is back.
        let at_once = if self.failures > 0 { 1 } else { self.target.concurrency };
        while self.in_flight.len() < at_once
            && let Some(sequence) = self.window.ready(now)
        {
            self.attempt(sequence);
        }
        if self.failures == 0 && self.asked_again_at.elapsed() >= AGAIN_EVERY {
            self.asked_again_at = now;
            while self.in_flight.len() < at_once
                && let Some(request) = self.target.destination.again(now_seconds())
            {
                self.send(None, request);
            }
        }
    }

    fn attempt(&mut self, sequence: u64) {
        let Some(waiting) = self.window.get(sequence) else { return };
        let (alert, native) = (&waiting.item.alert, &waiting.item.entry.native);
        let Some(request) = self.target.destination.request(alert, native, now_seconds()) else {
            self.intake.metrics.count(&self.intake.name, "skipped");
            self.window.remove(sequence);
            self.intake.done(sequence);
            return;
        };
        if self.window.begin(sequence) > 0 {
            self.intake.metrics.retries.with_label_values(&[&*self.intake.name]).inc();
        }
        self.send(Some(sequence), request);
    }

    fn send(&mut self, sequence: Option<u64>, request: Request) {
        let sender = self.target.sender.clone();
        self.in_flight.spawn(async move {
            let started = Instant::now();
            let answer = sender.send(request).await;
            Attempt { sequence, answer, took: started.elapsed() }
        });
    }

    fn finish(&mut self, attempt: Attempt) {
        let Attempt { sequence, answer, took } = attempt;
        let duration = self.intake.metrics.duration.with_label_values(&[&*self.intake.name]);
        duration.observe(took.as_secs_f64());
        match answer.verdict {
            Verdict::Delivered => self.delivered(sequence),
            Verdict::Refused => self.refused(sequence, &answer.said),
            Verdict::Later(wait) => self.later(sequence, wait, &answer.said),
            Verdict::Gone => self.gone(sequence, &answer.said),
        }
    }

    fn delivered(&mut self, sequence: Option<u64>) {
        self.answered();
        if let Some(sequence) = sequence
            && let Some(item) = self.window.remove(sequence)
        {
            self.target.destination.delivered(&item.alert, now_seconds());
            self.intake.delivered(sequence);
        }
    }

    fn refused(&mut self, sequence: Option<u64>, said: &str) {
        self.answered();
        match sequence.and_then(|sequence| self.window.remove(sequence)) {
            Some(item) => self.intake.refuse(&item.entry, said),
            None => self.intake.complain(0, said),
        }
    }

    /// The receiver is there.
    fn answered(&mut self) {
        if self.failures >= OUTAGE {
            self.window.hurry();
        }
        self.failures = 0;
        self.paused_until = None;
        self.intake.recovered();
    }

    fn later(&mut self, sequence: Option<u64>, wait: Option<Duration>, said: &str) {
        self.intake.complain(usize::from(sequence.is_some()), said);
        self.failures = self.failures.saturating_add(1);
        let wait = wait.unwrap_or_default();
        let pause = Instant::now() + self.backoff.wait(self.failures).max(wait);
        self.paused_until = self.paused_until.max(Some(pause));
        if let Some(sequence) = sequence {
            let attempts = self.window.get(sequence).map_or(1, |waiting| waiting.attempts);
            self.window.put_off(sequence, self.backoff.wait(attempts).max(wait));
        }
    }

    /// The receiver wants nothing more: what waits is kept until somebody has looked.
    fn gone(&mut self, sequence: Option<u64>, said: &str) {
        self.intake.complain(usize::from(sequence.is_some()), said);
        if let Some(sequence) = sequence {
            self.window.put_off(sequence, Duration::ZERO);
        }
        if !self.disabled {
            let destination = &self.intake.name;
            tracing::error!(
                destination,
                "it answered {said}: it gets nothing more until its \
                configuration is loaded again"
            );
            self.intake.metrics.disabled.with_label_values(&[destination.as_str()]).set(1);
        }
        self.disabled = true;
    }

    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let tick = now + TICK;
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            // What is due is not begun before that.
            return until.min(tick);
        }
        let is_held = self.disabled || !self.intake.is_active() || !self.in_flight.is_empty();
        let due = self.window.next_due().filter(|_| !is_held);
        due.map_or(tick, |due| due.min(tick))
    }
}

fn now_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
