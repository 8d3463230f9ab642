//! `nightlatch replay`: alerts from log files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;

use super::input::InputArgs;
use super::page::Page;
use super::progress::ProgressLine;
use super::signals::Stop;
use super::{Exit, Outcome, RuleSource, plan_some, setup, summary, terminal};
use crate::Result;
use crate::delivery;
use crate::event::Origins;
use crate::event::reject::{RejectReason, Rejection};
use crate::pipeline::{Alerting, Pipeline, place_text};
use crate::report::{Observed, Observing};
use crate::serve::Metrics;

const EXAMPLES: &str = "Examples:
  nightlatch replay examples/ring-2019.jsonl
  nightlatch replay monday.jsonl.gz tuesday.jsonl.gz --json > alerts.jsonl
  nightlatch replay /var/log/auth.log --format sshd --time-zone Europe/Berlin
  nightlatch replay monday.jsonl --report monday.html
  zcat old.gz | nightlatch replay - --since 2026-03-01 --until 2026-03-02

Several files are merged by event time. On a terminal alerts are shown at the end; elsewhere each
is a line of JSON as soon as it is found.";

/// Rejected records that are shown; the others are counted.
const SHOWN_MAX: usize = 5;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    rules: RuleSource,
    /// Write alerts to this file as well, one JSON object a line
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,
    /// Write a page that says what happened to this file, HTML without anything outside of it
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// One JSON object a line [default: a table on a terminal, JSON Lines elsewhere]
    #[arg(long)]
    json: bool,
    /// No progress, no summary
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn replay(args: &ReplayArgs) -> Outcome {
    let (mut config, pack) = args.rules.load()?;
    args.input.apply(&mut config)?;
    let stop = Stop::on_signals()?;
    let Some((files, origins)) = setup::files(&args.input, &config, &stop)? else {
        return Ok(Exit::Interrupted);
    };
    let mut engine = plan_some(pack, &config)?;
    engine.spill_to(setup::temporary_spill(&config));
    let metrics = Arc::new(Metrics::new()?);
    let mut line = ProgressLine::new(files.progress(), !args.quiet);
    let mut destinations = destinations(args, &line)?;
    let page = args.report.as_deref().map(Page::create).transpose()?;
    destinations.extend(page.as_ref().map(Page::collector));
    let annotator = setup::annotator(&config)?;
    let (rules, data) = (engine.rules().to_vec(), annotator.versions());
    let alerts = setup::alerts_with(&config, &annotator);
    let incidents = setup::incidents(&config, &alerts);
    let mut alerting = Alerting::new(engine, alerts, destinations, &metrics)?;
    incidents.into_iter().for_each(|incidents| alerting.tell_incidents(incidents));
    let mut aside = setup::aside(&config)?;
    if !args.quiet {
        aside.tell = Some(Box::new(first_rejections()));
    }
    let pipeline = Pipeline {
        source: Box::new(files),
        origins,
        decoder: setup::decoder(&config)?,
        reading: setup::reading(&args.input),
        order: setup::order(&config),
        annotator,
        aside,
        store: None,
        stop: stop.flag.clone(),
        release_on_stop: true,
        metrics,
    };
    let started = Instant::now();
    let observed = page.is_some().then(Observed::default);
    let mut observing = Observing { consumer: &mut alerting, observed };
    let outcome = pipeline.run(&mut observing, &mut |counts, alerts| {
        if let Some(line) = &mut line {
            line.show(counts, alerts);
        }
    });
    if let Some(line) = &line {
        line.clear();
    }
    let observed = observing.observed.take();
    let counts = outcome?;
    if let (Some(page), Some(observed)) = (page, observed) {
        page.write(&observed, &counts, &rules, &data, args.input.names())?;
    }
    if !args.quiet {
        let by_rule = alerting.alerts_by_rule();
        terminal::say(&summary::text(&counts, &by_rule, started.elapsed()));
    }
    Ok(if stop.was_asked() { Exit::Interrupted } else { Exit::Good })
}

fn destinations(
    args: &ReplayArgs,
    line: &Option<ProgressLine>,
) -> Result<Vec<Box<dyn delivery::Destination>>> {
    let mut destinations: Vec<Box<dyn delivery::Destination>> = Vec::new();
    if let Some(path) = &args.alerts {
        destinations.push(Box::new(delivery::file::create(path)?));
    }
    let destination: Box<dyn delivery::Destination> =
        if args.json || !terminal::stdout_is_terminal() {
            Box::new(delivery::stdout::json_lines())
        } else {
            Box::new(delivery::stdout::table(terminal::stdout_is_coloured()))
        };
    destinations.push(match line {
        Some(line) if terminal::stdout_is_terminal() => line.above(destination),
        _ => destination,
    });
    Ok(destinations)
}

/// Shows the first records that are rejected: place, reason, hint.
pub(super) fn first_rejections() -> impl FnMut(&Origins, &Rejection) {
    let mut shown = 0;
    move |origins, rejection| {
        let counted_only = matches!(rejection.reason, RejectReason::Late | RejectReason::Future);
        if counted_only || shown > SHOWN_MAX {
            return;
        }
        shown += 1;
        if shown > SHOWN_MAX {
            terminal::say("rejected: more records; the summary counts them by reason");
            return;
        }
        let place = place_text(origins, rejection.place);
        let (first, rest) = rejection.message.split_once('\n').unwrap_or((&rejection.message, ""));
        let rest: String = rest.lines().map(|line| format!("\n  {line}")).collect();
        terminal::say(&format!("rejected: {place}: {first} ({}){rest}", rejection.reason.label()));
    }
}
