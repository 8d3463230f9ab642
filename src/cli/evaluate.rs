//! `nightlatch evaluate`: what the alerts are worth.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Outcome, terminal};
use crate::evaluate::{Goals, Options, evaluate as compare, markdown, page, text};
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch simulate --scenario city --events 1000000 -o log.jsonl --truth truth.jsonl
  nightlatch replay log.jsonl --json > alerts.jsonl
  nightlatch evaluate --alerts alerts.jsonl --truth truth.jsonl --html quality.html
  nightlatch evaluate --alerts alerts.jsonl --truth truth.jsonl --require recall=0.95,latency=60s,false=1

Several logs are counted together: give --alerts and --truth once for each, in the same order.
Exit code 1: a goal of --require is missed.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct EvaluateArgs {
    /// Alerts, one JSON object a line
    #[arg(long, value_name = "FILE", required = true)]
    alerts: Vec<PathBuf>,
    /// What `simulate --truth` wrote about the same log
    #[arg(long, value_name = "FILE", required = true)]
    truth: Vec<PathBuf>,
    /// The log, to count its events where the truth does not tell them
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    /// How long after the last event of an attack an alert is still about it
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    grace: i64,
    /// Goals to meet: recall=0.95,others=0.9,latency=60s,latency_p95=10m,false=1,false_a_day=0.1
    #[arg(long, value_name = "GOALS")]
    require: Option<String>,
    /// The report as one JSON object
    #[arg(long)]
    json: bool,
    /// Write a page with plots to this file as well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the tables as Markdown to this file as well
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub(super) fn evaluate(args: EvaluateArgs) -> Outcome {
    let goals = args.require.as_deref().map(Goals::parse).transpose()?.unwrap_or_default();
    let EvaluateArgs { alerts, truth, log, grace, json, html, markdown: markdown_file, .. } = args;
    let options = Options { alerts, truths: truth, logs: log, grace_seconds: grace };
    let report = compare(&options)?;
    if let Some(path) = &html {
        write(path, &page(&report))?;
    }
    if let Some(path) = &markdown_file {
        write(path, &markdown(&report))?;
    }
    if json {
        let line = serde_json::to_string(&report);
        let line = line.map_err(|error| Error::unexpected("no JSON").detail(error.to_string()))?;
        terminal::print(&format!("{line}\n"))?;
    } else {
        terminal::print(&text(&report))?;
    }
    let missed = goals.missed(&report);
    for goal in &missed {
        terminal::say(&format!("missed: {goal}"));
    }
    Ok(if missed.is_empty() { Exit::Good } else { Exit::No })
}

fn write(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content).map_err(|error| {
        let place = path.display().to_string();
        Error::unavailable("cannot write the file").at(place).detail(error.to_string())
    })
}

/// Seconds of a duration such as `24h`.
fn duration(text: &str) -> Result<i64, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    i64::try_from(duration.as_secs())
        .ok()
        .filter(|seconds| *seconds <= 366 * 86_400)
        .ok_or_else(|| "longer than a year".to_owned())
}
