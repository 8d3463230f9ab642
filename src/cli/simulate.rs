//! `nightlatch simulate`: a believable log with attacks in it.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Outcome, terminal};
use crate::simulate::{SCENARIOS, SimulateArgs as Options};
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  nightlatch simulate --seed 1 --events 100000 -o log.jsonl --truth truth.jsonl
  nightlatch simulate --seed 7 --events 1000000 | nightlatch replay - --json

The same scenario, seed and number of events give the same bytes.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SimulateArgs {
    /// What happens in the log
    #[arg(long, default_value = SCENARIOS[0])]
    scenario: String,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of events
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// Benign behaviour that looks like an attack, for `city`: all, none, or names with commas
    #[arg(long, value_name = "NAMES")]
    traps: Option<String>,
    /// Attacks to plant, for `city`: all, none, or names with commas
    #[arg(long, value_name = "NAMES")]
    attacks: Option<String>,
    /// Write the list of planted attacks to this file
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Write the log to this file [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn simulate(args: SimulateArgs) -> Outcome {
    let SimulateArgs { scenario, seed, events, traps, attacks, truth, output } = args;
    let mut truth_file = truth.as_deref().map(create).transpose()?;
    let truth_writer = truth_file.as_mut().map(|file| file as &mut dyn Write);
    let file = output.as_deref().filter(|path| *path != Path::new("-"));
    let mut out: Output = match file {
        Some(path) => Output::new(Box::new(create(path)?)),
        None => Output::new(Box::new(BufWriter::new(io::stdout()))),
    };
    let (truth_path, log_path) = (truth.clone(), output.clone());
    let options =
        Options { scenario, seed, events, traps, attacks, truth: truth_path, output: log_path };
    let written = crate::simulate::simulate(&options, &mut out, truth_writer);
    if out.reader_gone {
        return Ok(Exit::Good);
    }
    written?;
    if let (Some(file), Some(path)) = (&mut truth_file, &truth) {
        file.flush().map_err(|error| unwritable(path, &error))?;
    }
    if file.is_some() {
        terminal::say(&format!("{events} events written"));
    }
    Ok(Exit::Good)
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::unavailable("cannot write the file")
        .at(path.display().to_string())
        .detail(error.to_string())
}

/// Remembers that the reader went away, which is no failure.
struct Output {
    inner: Box<dyn Write>,
    reader_gone: bool,
}

impl Output {
    fn new(inner: Box<dyn Write>) -> Self {
        Self { inner, reader_gone: false }
    }

    fn noticed<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        let broken = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        self.reader_gone |= broken;
        result
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        self.noticed(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        self.noticed(result)
    }
}
