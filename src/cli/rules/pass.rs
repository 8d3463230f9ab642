//! One pass over log files for the commands that tune rules: the only place where they meet the
//! pipeline.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use crate::alert::AlertConfig;
use crate::cli::input::InputArgs;
use crate::cli::progress::ProgressLine;
use crate::cli::replay::first_rejections;
use crate::cli::signals::Stop;
use crate::cli::{Failure, setup};
use crate::config::Config;
use crate::delivery::Destination;
use crate::event::{Origins, TimeMicros, schema};
use crate::pipeline::{Alerting, Aside, Consumer, Counts, Pipeline};
use crate::rules::Engine;
use crate::serve::Metrics;
use crate::{Error, Result};

/// What a pass over the logs has seen.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) events: u64,
    /// Time of the first event and of the last.
    pub(super) span: (TimeMicros, TimeMicros),
    /// Somebody asked to stop before the end.
    pub(super) interrupted: bool,
}

/// Rules that make alerts of what a pass reads.
pub(super) fn alerting(
    engine: Engine,
    limits: AlertConfig,
    destination: impl Destination + 'static,
) -> Result<Alerting> {
    Alerting::new(engine, limits, vec![Box::new(destination)], &Metrics::new()?)
}

/// Reads the logs once; each of `parts` sees every event. `None` when somebody asked to stop before
/// there was anything.
///
/// Records set aside are told, and written nowhere: this is not the process that answers for them.
///
/// # Errors
/// When the logs cannot be read or hold no event.
pub(super) fn pass(
    input: &InputArgs,
    config: &Config,
    quiet: bool,
    parts: &mut [Alerting],
) -> Result<Option<Passed>, Failure> {
    let stop = Stop::on_signals()?;
    let Some((files, origins)) = setup::files(input, config, &stop)? else { return Ok(None) };
    let mut line = ProgressLine::new(files.progress(), !quiet);
    let mut aside = Aside::default();
    if !quiet {
        aside.tell = Some(Box::new(first_rejections()));
    }
    let pipeline = Pipeline {
        source: Box::new(files),
        origins,
        decoder: setup::decoder(config)?,
        reading: setup::reading(input),
        order: setup::order(config),
        annotator: setup::annotator(config)?,
        aside,
        store: None,
        stop: stop.flag.clone(),
        release_on_stop: true,
        metrics: Arc::new(Metrics::new()?),
    };
    let mut together = Together { parts, span: None };
    let outcome = pipeline.run(&mut together, &mut |counts, alerts| {
        if let Some(line) = &mut line {
            line.show(counts, alerts);
        }
    });
    if let Some(line) = &line {
        line.clear();
    }
    let counts = outcome?;
    match together.span {
        Some(span) => {
            Ok(Some(Passed { events: counts.events, span, interrupted: stop.was_asked() }))
        }
        None if stop.was_asked() => Ok(None),
        None => Err(empty(input, &counts).into()),
    }
}

/// A log without an event that rules would see.
fn empty(input: &InputArgs, counts: &Counts) -> Error {
    let rejected: u64 = counts.rejected.values().sum();
    let reasons = [
        (rejected, "rejected"),
        (counts.outside, "outside of --since and --until"),
        (counts.late, "late"),
        (counts.future, "ahead of the clock"),
        (counts.ignored, "of no interest"),
    ];
    let told: Vec<String> = reasons
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let error = Error::usage("the log holds no event").at(input.names().join(", "));
    if told.is_empty() {
        return error.hint("name a log that is not empty");
    }
    error
        .detail(format!("Records: {}.", told.join(", ")))
        .hint("look at --format, --since, --until and --now")
}

/// Several sets of rules that see the same events.
struct Together<'a> {
    parts: &'a mut [Alerting],
    span: Option<(TimeMicros, TimeMicros)>,
}

impl Consumer for Together<'_> {
    fn take(&mut self, batch: &RecordBatch, origins: &Origins) -> Result<()> {
        let times = batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>().values();
        if let (Some(first), Some(last)) = (times.first(), times.last()) {
            self.span = Some((self.span.map_or(*first, |(first, _)| first), *last));
        }
        self.parts.iter_mut().try_for_each(|part| part.take(batch, origins))
    }

    fn advance(&mut self, stream_time: TimeMicros) -> Result<()> {
        self.parts.iter_mut().try_for_each(|part| part.advance(stream_time))
    }

    fn settle(&mut self) -> Result<()> {
        self.parts.iter_mut().try_for_each(Consumer::settle)
    }

    fn finish(&mut self) -> Result<()> {
        self.parts.iter_mut().try_for_each(Consumer::finish)
    }

    fn found(&self) -> u64 {
        self.parts.iter().map(Consumer::found).sum()
    }
}
