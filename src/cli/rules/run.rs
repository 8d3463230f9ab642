//! `nightlatch rules run`: the rows of a query itself.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use clap::{Args, ValueEnum};

use super::output::{RowFormat, Rows};
use crate::cli::input::InputArgs;
use crate::cli::replay::first_rejections;
use crate::cli::signals::Stop;
use crate::cli::{Exit, Outcome, RuleSource, pick, references, setup, state_limits, terminal};
use crate::config::Config;
use crate::event::Origins;
use crate::pipeline::{Consumer, Counts, Pipeline};
use crate::rules::{Engine, Reference, Rule, run_batch};
use crate::serve::Metrics;
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch rules run credential_stuffing log.jsonl
  nightlatch rules run brute_force log.jsonl --output rows.parquet --output-format parquet

The two engines must agree on every row:
  diff <(nightlatch rules run R log.jsonl --engine live) \\
       <(nightlatch rules run R log.jsonl --engine batch)";

/// What computes the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineKind {
    /// Nightlatch's incremental core, as `run` and `replay` use it.
    Live,
    /// Plain DataFusion over the whole table, in memory.
    Batch,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct RunArgs {
    /// Name of the rule
    rule: String,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    rules: RuleSource,
    /// What computes the rows
    #[arg(long, value_enum, default_value = "live")]
    engine: EngineKind,
    /// Where the rows go; `-` is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// How rows are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "jsonl")]
    output_format: RowFormat,
    /// Do not show rejected records, nor the count of rows
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: &RunArgs) -> Outcome {
    let (mut config, pack) = args.rules.load()?;
    args.input.apply(&mut config)?;
    let rule = pick(pack, &args.rule)?;
    // Both engines refuse the same rules, and the live one knows the columns.
    let tables = references(&config);
    let (mut engine, refused) = Engine::new(vec![rule.clone()], &tables, state_limits(&config))?;
    if !refused.is_empty() {
        return Err(refused.into());
    }
    let stop = Stop::on_signals()?;
    let Some((files, origins)) = setup::files(&args.input, &config, &stop)? else {
        return Ok(Exit::Interrupted);
    };
    let source = Box::new(files);
    let rows = Rows::create(&args.output, args.output_format, &engine.schema(0))?;
    let (counts, found) = match args.engine {
        EngineKind::Live => {
            engine.spill_to(setup::temporary_spill(&config));
            let mut live = Live { engine, rows, found: 0 };
            let counts =
                pipeline(args, &config, source, origins, &stop)?.run(&mut live, &mut |_, _| {})?;
            (counts, live.found)
        }
        EngineKind::Batch => {
            let mut batch = Whole { rule, tables, rows, events: Vec::new(), found: 0 };
            let counts =
                pipeline(args, &config, source, origins, &stop)?.run(&mut batch, &mut |_, _| {})?;
            (counts, batch.found)
        }
    };
    if !args.quiet {
        tell(&counts, found);
    }
    Ok(if stop.was_asked() { Exit::Interrupted } else { Exit::Good })
}

fn pipeline(
    args: &RunArgs,
    config: &Config,
    source: Box<crate::source::Files>,
    origins: Origins,
    stop: &Stop,
) -> Result<Pipeline> {
    let mut aside = setup::aside(config)?;
    if !args.quiet {
        aside.tell = Some(Box::new(first_rejections()));
    }
    Ok(Pipeline {
        source,
        origins,
        decoder: setup::decoder(config)?,
        reading: setup::reading(&args.input),
        order: setup::order(config),
        annotator: setup::annotator(config)?,
        aside,
        store: None,
        stop: stop.flag.clone(),
        release_on_stop: true,
        metrics: Arc::new(Metrics::new()?),
    })
}

fn tell(counts: &Counts, found: u64) {
    let rejected: u64 = counts.rejected.values().sum();
    let events = counts.events;
    let late = counts.late + counts.future;
    terminal::say(&format!(
        "{found} rows of {events} events; {rejected} records rejected, {late} late or future"
    ));
}

/// The incremental core, batch by batch.
struct Live {
    engine: Engine,
    rows: Rows,
    found: u64,
}

impl Consumer for Live {
    fn take(&mut self, batch: &RecordBatch, _: &Origins) -> Result<()> {
        for matches in self.engine.process(batch)? {
            self.found += matches.columns.num_rows() as u64;
            self.rows.write(&matches.columns)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.rows.finish()
    }

    fn found(&self) -> u64 {
        self.found
    }

    fn reader_gone(&self) -> bool {
        self.rows.reader_gone
    }
}

/// Plain DataFusion, once all events are there.
struct Whole {
    rule: Rule,
    tables: Vec<Reference>,
    rows: Rows,
    events: Vec<RecordBatch>,
    found: u64,
}

impl Consumer for Whole {
    fn take(&mut self, batch: &RecordBatch, _: &Origins) -> Result<()> {
        self.events.push(batch.clone());
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            Error::unexpected("cannot start a runtime").detail(error.to_string())
        })?;
        let found = runtime.block_on(run_batch(&self.rule, &self.tables, &self.events))?;
        self.found = found.num_rows() as u64;
        self.rows.write(&found)?;
        self.rows.finish()
    }

    fn found(&self) -> u64 {
        self.found
    }

    fn reader_gone(&self) -> bool {
        self.rows.reader_gone
    }
}
