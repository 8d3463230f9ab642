//! How far a replay has come, on a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal;
use crate::Result;
use crate::alert::{Alert, rfc3339};
use crate::delivery::Destination;
use crate::pipeline::Counts;
use crate::source::Progress;

/// A redraw costs a system call.
const EVERY: Duration = Duration::from_millis(100);

/// A line on standard error that is rewritten as reading goes on.
pub(super) struct ProgressLine {
    bar: ProgressBar,
    files: Progress,
    started: Instant,
    drawn: Option<Instant>,
}

impl ProgressLine {
    /// The line, or nothing where nobody looks.
    pub(super) fn new(files: Progress, wanted: bool) -> Option<Self> {
        if !wanted || !terminal::stderr_is_terminal() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(files.total, ProgressDrawTarget::stderr());
        let template = match files.total {
            Some(_) => "{wide_msg} {percent}% eta {eta}",
            None => "{wide_msg} {bytes} read",
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Some(Self { bar, files, started: Instant::now(), drawn: None })
    }

    /// Shows the counts, not too often.
    pub(super) fn show(&mut self, counts: &Counts, alerts: u64) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        let rate = rate(counts.events, self.started.elapsed());
        let time = counts.watermark.map(|time| rfc3339(time - time.rem_euclid(1_000_000)));
        let time = time.unwrap_or_else(|| "-".to_owned());
        let events = counts.events;
        self.bar.set_message(format!("{events} events, {rate}/s, at {time}, {alerts} alerts"));
        self.bar.set_position(self.files.read());
    }

    /// A destination on the same terminal: the line makes room for what it prints.
    pub(super) fn above(&self, inner: Box<dyn Destination>) -> Box<dyn Destination> {
        Box::new(Above { bar: self.bar.clone(), inner })
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

struct Above {
    bar: ProgressBar,
    inner: Box<dyn Destination>,
}

impl Destination for Above {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        self.bar.suspend(|| self.inner.deliver(alerts))
    }

    fn flush(&mut self) -> Result<()> {
        self.bar.suspend(|| self.inner.flush())
    }

    fn reader_gone(&self) -> bool {
        self.inner.reader_gone()
    }
}

/// Events a second, rounded down.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(super) fn rate(events: u64, elapsed: Duration) -> u64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { (events as f64 / seconds) as u64 } else { events }
}
