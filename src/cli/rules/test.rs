//! `nightlatch rules test`.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde_json::Value;

use super::cases::{self, Case, Cases, KINDS};
use super::{expect, memory::Lines};
use crate::alert::Alert;
use crate::cli::{
    Exit, Failure, Outcome, RuleSource, references, setup, state_limits, terminal, unknown_rule,
};
use crate::config::Config;
use crate::delivery::Destination;
use crate::event::{Origins, TimeMicros};
use crate::pipeline::{Alerting, Aside, Pipeline, Reading, place_text};
use crate::rules::{Engine, Pack, Rule};
use crate::serve::Metrics;
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch rules test                              the pack inside the binary
  nightlatch rules test --rules queries              a folder and its tests/
  nightlatch rules test credential_stuffing          one rule

A case is tests/<rule>/<case>.jsonl (events) with <case>.expected.jsonl: one JSON object for each
alert, whose fields must fit the alert's last revision (scalars equal, every listed element of an
array found, objects in part). An empty file: no alert. A case's name begins with attack_,
lookalike_ or evasion_. Exit code 1 when a case fails or a rule lacks a kind.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct TestArgs {
    /// Names of rules [default: all]
    names: Vec<String>,
    #[command(flatten)]
    rules: RuleSource,
}

/// How many cases there were of each outcome.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    lacking: usize,
}

pub(super) fn test(args: &TestArgs) -> Outcome {
    let (config, pack) = args.rules.load()?;
    let cases = match args.rules.folder(&config) {
        Some(folder) => cases::read(folder)?,
        None => cases::embedded(),
    };
    if let Some(name) = args.names.iter().find(|name| pack.rules.iter().all(|r| r.id != **name)) {
        return Err(unknown_rule(&pack, name).into());
    }
    let tally = run_all(&args.names, &pack, &cases, &config)?;
    terminal::print(&format!("{} passed, {} failed\n", tally.passed, tally.failed))?;
    let good = tally.failed == 0 && tally.lacking == 0;
    Ok(if good { Exit::Good } else { Exit::No })
}

fn run_all(
    names: &[String],
    pack: &Pack,
    cases: &Cases,
    config: &Config,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    if names.is_empty() {
        tally.failed += pack.refused.len();
        for error in &pack.refused {
            terminal::print(&format!("FAILED {error}\n"))?;
        }
        let strays = cases.keys().filter(|name| pack.rules.iter().all(|rule| rule.id != **name));
        for stray in strays {
            terminal::say(&format!(
                "warning: tests of `{stray}`, which is no rule that can be read"
            ));
        }
    }
    for rule in pack.rules.iter().filter(|rule| names.is_empty() || names.contains(&rule.id)) {
        let own = cases.get(&rule.id).map(Vec::as_slice).unwrap_or_default();
        for case in own {
            run_one(rule, case, config, &mut tally)?;
        }
        lacking(rule, own, &mut tally)?;
    }
    Ok(tally)
}

fn run_one(rule: &Rule, case: &Case, config: &Config, tally: &mut Tally) -> Result<()> {
    let differences = judge(rule, case, config).unwrap_or_else(|error| vec![error.to_string()]);
    let name = format!("{}/{}", rule.id, case.name);
    if differences.is_empty() {
        tally.passed += 1;
        return terminal::print(&format!("ok     {name}\n"));
    }
    tally.failed += 1;
    let lines: String = differences.iter().map(|line| format!("       {line}\n")).collect();
    terminal::print(&format!("FAILED {name}\n{lines}"))
}

/// A rule that is tested from one side only is not tested.
fn lacking(rule: &Rule, cases: &[Case], tally: &mut Tally) -> Result<()> {
    for kind in KINDS.iter().filter(|kind| !cases.iter().any(|case| case.name.starts_with(**kind)))
    {
        tally.lacking += 1;
        terminal::print(&format!("LACKS  {}/{kind}*: no such case\n", rule.id))?;
    }
    Ok(())
}

/// What differs between the alerts of a case and what it expects.
fn judge(rule: &Rule, case: &Case, config: &Config) -> Result<Vec<String>> {
    if !KINDS.iter().any(|kind| case.name.starts_with(kind)) {
        return Err(Error::usage("a case's name begins with attack_, lookalike_ or evasion_")
            .at(&case.path));
    }
    let Some(expected) = &case.expected else {
        return Err(Error::usage(format!("{}.expected.jsonl is missing", case.name))
            .at(&case.path)
            .hint("an empty file says that there must be no alert"));
    };
    let lines = expected.lines().filter(|line| !line.trim().is_empty());
    let patterns: Vec<Value> =
        lines.map(serde_json::from_str).collect::<Result<_, _>>().map_err(|error| {
            Error::usage("the expected alerts are no JSON").at(&case.path).detail(error.to_string())
        })?;
    let (alerts, rejected) = alerts_of(rule, case, config)?;
    let mut differences = rejected;
    differences.extend(expect::differences(&patterns, &alerts));
    Ok(differences)
}

/// The last revision of each alert, by start, and the records that are no events.
fn alerts_of(rule: &Rule, case: &Case, config: &Config) -> Result<(Vec<Value>, Vec<String>)> {
    let (engine, refused) =
        Engine::new(vec![rule.clone()], &references(config), state_limits(config))?;
    if let Some(error) = refused.into_iter().next() {
        return Err(error);
    }
    let kept = Kept::default();
    let metrics = Arc::new(Metrics::new()?);
    let kept_there: Vec<Box<dyn Destination>> = vec![Box::new(kept.clone())];
    let annotator = setup::annotator(config)?;
    let mut alerting =
        Alerting::new(engine, setup::alerts(config, &annotator), kept_there, &metrics)?;
    let rejected = Arc::new(Mutex::new(Vec::new()));
    let mut origins = Origins::default();
    let pipeline = Pipeline {
        source: Box::new(Lines::new(&case.path, &case.events, &mut origins)),
        origins,
        decoder: setup::decoder(config)?,
        reading: Reading::default(),
        order: setup::order(config),
        annotator,
        aside: telling(rejected.clone()),
        store: None,
        stop: Arc::new(AtomicBool::new(false)),
        release_on_stop: true,
        metrics,
    };
    pipeline.run(&mut alerting, &mut |_, _| {})?;
    let rejected = std::mem::take(&mut *rejected.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((kept.take(), rejected))
}

fn telling(rejected: Arc<Mutex<Vec<String>>>) -> Aside {
    Aside {
        tell: Some(Box::new(move |origins, rejection| {
            let late = matches!(rejection.reason.label(), "late" | "future");
            if !late {
                let place = place_text(origins, rejection.place);
                let mut rejected = rejected.lock().unwrap_or_else(PoisonError::into_inner);
                rejected.push(format!("{place}: no event: {}", rejection.message));
            }
        })),
        ..Aside::default()
    }
}

/// Alerts by start and id.
type ByStart = BTreeMap<(TimeMicros, Arc<str>), Alert>;

/// Keeps the last revision of each alert, in the order in which they opened.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<ByStart>>);

impl Kept {
    fn take(&self) -> Vec<Value> {
        let alerts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let json = alerts.values().map(|alert| serde_json::from_slice(&alert.to_json()));
        json.map(|value| value.unwrap_or(Value::Null)).collect()
    }
}

impl Destination for Kept {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for alert in alerts {
            kept.insert((alert.started_at, alert.id.clone()), alert.clone());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
