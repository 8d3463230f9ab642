//! The file of `replay --report`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::delivery::Destination;
use crate::pipeline::Counts;
use crate::report::{Collector, Observed, Report};
use crate::rules::Rule;
use crate::{Error, Result};

/// Options that do not change what the page says, and take a value.
const ELSEWHERE: [&str; 2] = ["--report", "--alerts"];
/// The same without a value.
const MANNERS: [&str; 3] = ["--json", "--quiet", "-q"];

/// A page that is to be written at the end of a replay.
pub(super) struct Page {
    path: PathBuf,
    file: File,
    collector: Collector,
}

impl Page {
    /// Opens the file now: one that cannot be written is told before the work, not after it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_owned(), file, collector: Collector::default() })
    }

    /// The destination that hears of what is found.
    pub(super) fn collector(&self) -> Box<dyn Destination> {
        Box::new(self.collector.clone())
    }

    /// Writes the page.
    ///
    /// # Errors
    /// When the file does not take it.
    pub(super) fn write(
        mut self,
        observed: &Observed,
        counts: &Counts,
        rules: &[Rule],
        data: &BTreeMap<&'static str, String>,
        logs: Vec<String>,
    ) -> Result<()> {
        let (documents, unkept) = self.collector.documents();
        let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        let command = command(words);
        let report = Report { documents, unkept, observed, counts, rules, data, logs, command };
        let written = self.file.write_all(report.page().as_bytes());
        written.map_err(|error| unwritable(&self.path, &error))
    }
}

/// The command again, without what says only where its output goes.
fn command(words: impl Iterator<Item = String>) -> String {
    let mut command = "nightlatch".to_owned();
    let mut words = words;
    while let Some(word) = words.next() {
        let option = word.split('=').next().unwrap_or_default();
        if ELSEWHERE.contains(&option) {
            if !word.contains('=') {
                words.next();
            }
        } else if !MANNERS.contains(&word.as_str()) {
            command.push(' ');
            command.push_str(&quoted(&word));
        }
    }
    command + " --report report.html"
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable("cannot write the report")
        .at(path.display().to_string())
        .detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_what_decides() {
        let words = "replay a.jsonl --report x.html --quiet --alerts=y.jsonl --since 2026-03-01";
        let told = command(words.split(' ').map(str::to_owned));
        assert_eq!(told, "nightlatch replay a.jsonl --since 2026-03-01 --report report.html");
        assert_eq!(
            command(["it's".to_owned()].into_iter()),
            "nightlatch 'it'\\''s' --report report.html"
        );
    }
}
