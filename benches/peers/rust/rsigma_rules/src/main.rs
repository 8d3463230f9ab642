//! Correlation rules by rsigma's engine over a log: events a second.
//!
//! `rsigma_rules --read FILE --rules FILE --case NAME [--threads N]`
//!
//! With one thread it does what `rsigma engine eval` does: reads a line, parses it by serde_json, gives it
//! to `CorrelationEngine::process_event`. With more, lines are parsed and matched by rayon in batches
//! (`process_batch`); counting over time stays in one thread, as rsigma has it.
//!
//! A finding is a rule and a group key that reached the rule's threshold at any time. rsigma tells that at
//! each event beyond the threshold; it is set to tell it once in the rules' ten minutes. The findings are
//! printed, sorted; the checksum is their number and the CRC-32 of those lines.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::time::Instant;

use mimalloc::MiMalloc;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSlice as _;
use rsigma_eval::correlation_engine::{CorrelationConfig, CorrelationEngine, TimestampFallback};
use rsigma_eval::{JsonEvent, ProcessResultExt as _};
use serde_json::Value;

/// Faster than the system's here, with two threads by far.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// About 8,192 events.
const BATCH_BYTES: u64 = 2_500_000;
const SUPPRESS_SECONDS: u64 = 600;

struct Options {
    read: String,
    rules: String,
    case: String,
    threads: usize,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options =
        Options { read: String::new(), rules: String::new(), case: "all".to_owned(), threads: 1 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--read" => options.read = value,
            "--rules" => options.rules = value,
            "--case" => options.case = value,
            "--threads" => options.threads = value.parse()?,
            _ => return Err(format!("no option {name}").into()),
        }
    }
    Ok(options)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let started = Instant::now();
    let mut log = Log { engine: engine(&options.rules)?, events: 0, findings: BTreeSet::new() };
    let lines = BufReader::with_capacity(1 << 20, File::open(&options.read)?);
    match options.threads {
        1 => log.one_by_one(lines)?,
        threads => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            pool.install(|| log.in_batches(lines)).map_err(|error| error as Box<dyn Error>)?;
        }
    }
    log.tell(&options, started.elapsed().as_secs_f64());
    Ok(())
}

fn engine(rules: &str) -> Result<CorrelationEngine, Box<dyn Error>> {
    let mut engine = CorrelationEngine::new(CorrelationConfig {
        timestamp_fields: vec!["time".to_owned()],
        timestamp_fallback: TimestampFallback::Skip,
        suppress: Some(SUPPRESS_SECONDS),
        emit_detections: false,
        ..CorrelationConfig::default()
    });
    engine.add_collection(&rsigma_parser::parse_sigma_file(Path::new(rules))?)?;
    Ok(engine)
}

struct Log {
    engine: CorrelationEngine,
    events: usize,
    findings: BTreeSet<String>,
}

impl Log {
    fn one_by_one(&mut self, mut lines: impl BufRead) -> Result<(), Box<dyn Error>> {
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let value: Value = serde_json::from_slice(&line)?;
            let results = self.engine.process_event(&JsonEvent::borrow(&value));
            self.note(&results);
            self.events += 1;
            line.clear();
        }
        Ok(())
    }

    fn in_batches(&mut self, mut lines: impl BufRead) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut batch = Vec::new();
        loop {
            batch.clear();
            lines.by_ref().take(BATCH_BYTES).read_to_end(&mut batch)?;
            lines.read_until(b'\n', &mut batch)?;
            if batch.is_empty() {
                return Ok(());
            }
            let records = batch.par_split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let parse = |record| serde_json::from_slice(record).map(JsonEvent::owned);
            let events: Vec<JsonEvent<'_>> = records.map(parse).collect::<Result<_, _>>()?;
            for results in self.engine.process_batch(&events.iter().collect::<Vec<_>>()) {
                self.note(&results);
            }
            self.events += events.len();
            events.into_par_iter().for_each(drop);
        }
    }

    fn note(&mut self, results: &[rsigma_eval::EvaluationResult]) {
        for result in results.correlations() {
            let Some(correlation) = result.as_correlation() else { continue };
            let rule = result.header.rule_id.as_deref().unwrap_or_default();
            let group = correlation.group_key.iter().map(|(_, value)| value.as_str());
            self.findings.insert(format!("{rule}\t{}", group.collect::<Vec<_>>().join(" ")));
        }
    }

    fn tell(&self, options: &Options, seconds: f64) {
        let findings: String = self.findings.iter().map(|finding| format!("{finding}\n")).collect();
        let (case, threads) = (&options.case, options.threads);
        let engine = match threads {
            1 => "rsigma".to_owned(),
            _ => format!("rsigma-{threads}-threads"),
        };
        let events_per_second = self.events as f64 / seconds;
        let (n_findings, sum) = (self.findings.len(), crc32fast::hash(findings.as_bytes()));
        print!("{findings}");
        println!("b8\t{case}\t{engine}\tevents_per_second\t{events_per_second:.0}");
        println!("b8\t{case}\t{engine}\tchecksum\t{n_findings},{sum:08x}");
    }
}
