//! `nightlatch rules test`.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use quick_junit::NonSuccessKind;
use serde_json::Value;

use super::cases::{self, Case, Cases, KINDS};
use super::junit::Junit;
use super::kept::Kept;
use super::{expect, memory::Lines};
use crate::cli::{
    Exit, Failure, Outcome, RuleSource, references, setup, state_limits, terminal, unknown_rule,
};
use crate::config::Config;
use crate::delivery::Destination;
use crate::event::Origins;
use crate::pipeline::{Alerting, Aside, Pipeline, Reading, place_text};
use crate::rules::{Engine, Pack, Rule};
use crate::serve::Metrics;
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch rules test                              the pack inside the binary
  nightlatch rules test --rules queries              a folder and its tests/
  nightlatch rules test credential_stuffing          one rule
  nightlatch rules test --junit rules.xml            a report for Jenkins, GitLab or GitHub

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
    /// Write the outcome to this file as well, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// How many cases there were of each outcome, and where they are told.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    lacking: usize,
    junit: Option<Junit>,
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
    let junit = args.junit.as_deref().map(Junit::create).transpose()?;
    let mut tally = Tally { junit, ..Tally::default() };
    run_all(&args.names, &pack, &cases, &config, &mut tally)?;
    terminal::print(&format!("{} passed, {} failed\n", tally.passed, tally.failed))?;
    tally.junit.take().map_or(Ok(()), Junit::finish)?;
    let good = tally.failed == 0 && tally.lacking == 0;
    Ok(if good { Exit::Good } else { Exit::No })
}

fn run_all(
    names: &[String],
    pack: &Pack,
    cases: &Cases,
    config: &Config,
    tally: &mut Tally,
) -> Result<(), Failure> {
    if names.is_empty() {
        for error in &pack.refused {
            tally.refused(error)?;
        }
        let strays = cases.keys().filter(|name| pack.rules.iter().all(|rule| rule.id != **name));
        for stray in strays {
            terminal::say(&format!(
                "warning: tests of `{stray}`, which is no rule that can be read"
            ));
        }
    }
    for rule in pack.rules.iter().filter(|rule| names.is_empty() || names.contains(&rule.id)) {
        tally.rule(rule);
        let own = cases.get(&rule.id).map(Vec::as_slice).unwrap_or_default();
        for case in own {
            run_one(rule, case, config, tally)?;
        }
        tally.lacking(rule, own)?;
    }
    Ok(())
}

fn run_one(rule: &Rule, case: &Case, config: &Config, tally: &mut Tally) -> Result<()> {
    let started = Instant::now();
    let judged = judge(rule, case, config);
    // Alerts that differ are a failure; a case that cannot be run is an error.
    let kind = if judged.is_ok() { NonSuccessKind::Failure } else { NonSuccessKind::Error };
    let differences = judged.unwrap_or_else(|error| vec![error.to_string()]);
    tally.case(rule, case, (started.elapsed(), kind, &differences))
}

impl Tally {
    fn rule(&mut self, rule: &Rule) {
        if let Some(junit) = &mut self.junit {
            junit.rule(&rule.id);
        }
    }

    fn case(
        &mut self,
        rule: &Rule,
        case: &Case,
        (took, kind, differences): (Duration, NonSuccessKind, &[String]),
    ) -> Result<()> {
        if let Some(junit) = &mut self.junit {
            junit.case(&case.name, &case.path, took, kind, differences);
        }
        let name = format!("{}/{}", rule.id, case.name);
        if differences.is_empty() {
            self.passed += 1;
            return terminal::print(&format!("ok     {name}\n"));
        }
        self.failed += 1;
        let lines: String = differences.iter().map(|line| format!("       {line}\n")).collect();
        terminal::print(&format!("FAILED {name}\n{lines}"))
    }

    /// A file that is no rule.
    fn refused(&mut self, error: &Error) -> Result<()> {
        self.failed += 1;
        if let Some(junit) = &mut self.junit {
            junit.rule("refused");
            let place = error.place.as_deref().unwrap_or("rule");
            junit.lacking(place, NonSuccessKind::Error, &error.to_string());
        }
        terminal::print(&format!("FAILED {error}\n"))
    }

    /// A rule that is tested from one side only is not tested.
    fn lacking(&mut self, rule: &Rule, cases: &[Case]) -> Result<()> {
        let has = |kind: &str| cases.iter().any(|case| case.name.starts_with(kind));
        for kind in KINDS.iter().filter(|kind| !has(kind)) {
            self.lacking += 1;
            if let Some(junit) = &mut self.junit {
                junit.lacking(&format!("{kind}*"), NonSuccessKind::Failure, "no such case");
            }
            terminal::print(&format!("LACKS  {}/{kind}*: no such case\n", rule.id))?;
        }
        Ok(())
    }
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
        Alerting::new(engine, setup::alerts_with(config, &annotator), kept_there, &metrics)?;
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
    Ok((kept.json(), rejected))
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
