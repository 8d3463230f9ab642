//! A file of JSON Lines that never grows beyond its bound: when half is full, it becomes the older
//! half, and what was older is gone.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file, opened when the first line comes.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    bytes_max: u64,
    file: Option<(File, u64)>,
}

impl Journal {
    pub(crate) fn new(path: PathBuf, bytes_max: u64) -> Self {
        Self { path, bytes_max, file: None }
    }

    /// Appends a line. A failure is logged: there is nobody else to tell.
    pub(crate) fn append(&mut self, line: &serde_json::Value) {
        if let Err(error) = self.write(format!("{line}\n").as_bytes()) {
            tracing::error!(file = %self.path.display(), %error, "a line is lost");
            self.file = None;
        }
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.file.is_none() {
            let options = || OpenOptions::new().append(true).create(true).mode(0o600).clone();
            let file = options().open(&self.path)?;
            let n_bytes = file.metadata()?.len();
            self.file = Some((file, n_bytes));
        }
        let Some((file, n_bytes)) = &mut self.file else { return Ok(()) };
        file.write_all(line)?;
        *n_bytes += line.len() as u64;
        if *n_bytes >= self.bytes_max / 2 {
            std::fs::rename(&self.path, older(&self.path))?;
            self.file = None;
        }
        Ok(())
    }
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("older.jsonl")
}

/// All lines that are there, oldest first; one that a crash cut short is left out.
pub(crate) fn read(path: &Path) -> std::io::Result<Vec<serde_json::Value>> {
    let mut lines = Vec::new();
    for path in [&older(path), path] {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                lines.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_within_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.jsonl");
        let mut journal = Journal::new(path.clone(), 1000);
        for number in 0..500 {
            journal.append(&serde_json::json!({ "number": number }));
        }
        let kept = read(&path).unwrap();
        assert!(kept.len() > 30 && kept.len() < 80, "{}", kept.len());
        let numbers: Vec<_> = kept.iter().map(|line| line["number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (500 - kept.len() as u64..500).collect::<Vec<_>>());
        drop(journal);
        Journal::new(path.clone(), 1000).append(&serde_json::json!({ "number": 500 }));
        assert_eq!(read(&path).unwrap().last().unwrap()["number"], 500);
    }
}
