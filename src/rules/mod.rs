//! Rules: front matter, planning on DataFusion, diagnosis, and running on the window core.

mod batch;
mod cells;
mod checkpoint;
mod context;
mod deviation;
mod diagnosis;
mod distance;
mod early;
mod engine;
mod evaluation;
mod evidence;
mod explain;
mod expressions;
mod fingerprint;
mod front_matter;
mod history;
mod lane_input;
mod lookup;
mod pack;
mod plan;
mod positional;
mod program;
mod qualify;
mod rule_plan;
mod statement;
mod utc;
mod window_plan;

use std::path::PathBuf;

use arrow::array::RecordBatch;

use crate::event::TimeMicros;
use crate::{Error, Result};

pub use batch::run_batch;
pub use checkpoint::{EngineManifest, Restored};
pub use early::EarlyEngine;
pub(crate) use early::SLACK_MICROS;
pub use engine::Engine;
pub use pack::{embedded_tests, rule as parse_rule};

/// How loud a rule is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a note.
    Info,
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Wake somebody.
    Critical,
}

impl Severity {
    /// `info` to `critical`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One rule: a file of SQL with a front-matter comment.
#[derive(Debug, Clone)]
pub struct Rule {
    /// File name without `.sql`.
    pub id: String,
    /// First 12 hexadecimal digits of the SHA-256 of the file's bytes.
    pub version: String,
    /// The file as a message names it.
    pub path: String,
    /// The front matter.
    pub front: FrontMatter,
    /// The whole file; the front matter is an SQL comment in it.
    pub sql: String,
}

/// The TOML comment at the head of a rule file.
#[derive(Debug, Clone)]
pub struct FrontMatter {
    /// One line that names what was seen.
    pub title: String,
    /// How loud.
    pub severity: Severity,
    /// The output column whose value names the episode.
    pub entity: String,
    /// An episode closes after so long without a match, in event time.
    pub quiet_micros: TimeMicros,
    /// How long `lag` and other frames without a bound may look back.
    pub horizon_micros: Option<TimeMicros>,
    /// MITRE ATT&CK technique ids.
    pub attack: Vec<String>,
    /// Sentence with `{column}` placeholders.
    pub summary: String,
    /// Why it matters.
    pub why: Option<String>,
    /// Known benign causes.
    pub false_positives: Option<String>,
    /// What it cannot see.
    pub blind_spots: Option<String>,
    /// How to make it fire.
    pub validation: Option<String>,
    /// What to do.
    pub runbook: Option<String>,
    /// Further reading.
    pub references: Vec<String>,
}

/// The rules of a folder (or of the binary), and the files that are no rules.
#[derive(Debug, Default)]
pub struct Pack {
    /// In the order of their ids.
    pub rules: Vec<Rule>,
    /// What is wrong with the others; one rule never stops another.
    pub refused: Vec<Error>,
}

impl Pack {
    /// Reads `DIR/*.sql`, or the default pack inside the binary for `None`.
    ///
    /// # Errors
    /// When the folder cannot be read. A bad file is not an error: it lands in `refused`.
    pub fn load(directory: Option<&std::path::Path>) -> Result<Self> {
        pack::load(directory)
    }

    /// Reads a folder of rules, or one rule file.
    ///
    /// # Errors
    /// As [`Pack::load`]; also when the file cannot be read.
    pub fn open(path: &std::path::Path) -> Result<Self> {
        pack::open(path)
    }
}

/// A reference table: a CSV file with a header row, a plain table in the SQL.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Name of the table.
    pub name: String,
    /// The CSV file.
    pub file: PathBuf,
}

/// Limits of the window state.
#[derive(Debug, Clone, Copy)]
pub struct StateLimits {
    /// Rows in one lane's log.
    pub rows_max: usize,
    /// Keys in one lane.
    pub keys_max: usize,
}

/// Rows of one rule that its query lets through, for one batch.
#[derive(Debug, Clone)]
pub struct Matches {
    /// Index of the rule in [`Engine::rules`].
    pub rule: usize,
    /// Row of the batch that each match stands on, ascending.
    pub rows: Vec<u32>,
    /// The query's own columns, one row a match.
    pub columns: RecordBatch,
}

/// State and size of one lane, for metrics.
#[derive(Debug, Clone)]
pub struct LaneStats {
    /// Stage and partition key, e.g. `1:ip`.
    pub name: String,
    /// Keys that have rows.
    pub keys: usize,
    /// Rows in the log.
    pub rows: usize,
    /// Bytes of the state in memory.
    pub bytes: usize,
    /// Rows that are on disk alone.
    pub rows_on_disk: usize,
    /// Rows that a limit kept out of the state, since the start.
    pub dropped_rows: u64,
}

/// Counters of one rule since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleStats {
    /// Batches in which it ran.
    pub evaluations: u64,
    /// Rows its query let through.
    pub matches: u64,
    /// Rows on which an expression of it failed (their value is NULL).
    pub errors: u64,
}

/// Waits for a future that needs no reactor: DataFusion's planner is asynchronous for catalogues that
/// do I/O, which ours do not.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}
