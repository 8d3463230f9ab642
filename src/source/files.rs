//! Files and standard input: JSON Lines or log lines, plain, gzip or zstd.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::lines::{LineLimits, Lines, stamp};
use super::{Delivery, InputId, RawBatch, Source};
use crate::event::{OriginKind, Origins, TimeMicros};
use crate::{Error, Result};

/// How files are read.
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    /// A longer record is set aside, and never held in memory whole.
    pub record_bytes_max: usize,
    /// A batch ends with the line that passes this size.
    pub batch_bytes: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { record_bytes_max: 1024 * 1024, batch_bytes: 1024 * 1024 }
    }
}

/// How far reading has come, in bytes as they lie on disk; it may be asked from another thread.
#[derive(Debug, Clone)]
pub struct Progress {
    read: Arc<AtomicU64>,
    /// Size of all files, `None` when one of them is a pipe.
    pub total: Option<u64>,
}

impl Progress {
    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// Counts the compressed bytes.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

struct Input {
    origin: u32,
    /// `None` once `Finished` was said.
    lines: Option<Lines>,
    written_at: Option<TimeMicros>,
}

/// Several files, each an input of its own.
pub struct Files {
    inputs: Vec<Input>,
    progress: Progress,
}

impl Files {
    /// Opens all files, so that a wrong name is known before the first event; `-` is standard input.
    ///
    /// # Errors
    /// A file that is not there, is a folder, may not be read, is named twice, or is compressed in
    /// a way that cannot be read.
    pub fn open<S: AsRef<str>>(
        names: &[S],
        options: FileOptions,
        origins: &mut Origins,
    ) -> Result<Self> {
        let mut files = Self {
            inputs: Vec::with_capacity(names.len()),
            progress: Progress { read: Arc::default(), total: Some(0) },
        };
        for (index, name) in names.iter().map(AsRef::as_ref).enumerate() {
            if names[..index].iter().any(|earlier| earlier.as_ref() == name) {
                return Err(Error::usage("file is named twice")
                    .at(name)
                    .hint("name each file once"));
            }
            files.add(name, options, origins)?;
        }
        Ok(files)
    }

    fn add(&mut self, name: &str, options: FileOptions, origins: &mut Origins) -> Result<()> {
        let opened = open(name)?;
        self.progress.total = self.progress.total.zip(opened.size).map(|(sum, size)| sum + size);
        let counted = Counted { inner: opened.reader, read: self.progress.read.clone() };
        let limits = LineLimits {
            record_bytes_max: options.record_bytes_max,
            batch_bytes: options.batch_bytes,
            eager: opened.size.is_none(),
        };
        let lines = Lines::new(unpack(name, counted)?, limits);
        let origin = origins.intern(OriginKind::File, name);
        self.inputs.push(Input { origin, lines: Some(lines), written_at: opened.written_at });
        Ok(())
    }

    /// How far reading has come.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn choose(&self, wanted: Option<InputId>) -> Option<usize> {
        let open =
            |index: &usize| self.inputs.get(*index).is_some_and(|input| input.lines.is_some());
        let wanted = wanted.map(|InputId(id)| id as usize).filter(open);
        wanted.or_else(|| (0..self.inputs.len()).find(open))
    }
}

impl Source for Files {
    fn inputs(&self) -> Vec<InputId> {
        (0..self.inputs.len()).map(input_id).collect()
    }

    fn next(&mut self, wanted: Option<InputId>) -> Result<Option<Delivery>> {
        let Some(index) = self.choose(wanted) else { return Ok(None) };
        let input = &mut self.inputs[index];
        let Some(lines) = input.lines.as_mut().filter(|lines| !lines.ended()) else {
            input.lines = None;
            return Ok(Some(Delivery::Finished(input_id(index))));
        };
        let mut batch = RawBatch::new(input_id(index), input.origin, 0, 0);
        lines.fill(&mut batch);
        // After reading: a record that came through a pipe just now is not from the future.
        batch.received_at = micros(SystemTime::now());
        stamp(&mut batch, input.written_at);
        Ok(Some(Delivery::Batch(batch)))
    }
}

fn input_id(index: usize) -> InputId {
    InputId(u32::try_from(index).unwrap_or(u32::MAX))
}

fn micros(time: SystemTime) -> TimeMicros {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

struct Opened {
    reader: Box<dyn Read + Send>,
    /// `None` for standard input and pipes.
    size: Option<u64>,
    written_at: Option<TimeMicros>,
}

fn open(name: &str) -> Result<Opened> {
    if name == "-" {
        return Ok(Opened { reader: Box::new(io::stdin()), size: None, written_at: None });
    }
    let failed = |error: io::Error| open_error(name, &error);
    let file = File::open(Path::new(name)).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        let hint = format!("name the files in it, for example {}/*", name.trim_end_matches('/'));
        return Err(Error::usage("is a directory, not a log file").at(name).hint(hint));
    }
    let regular = metadata.is_file();
    let written_at = metadata.modified().ok().filter(|_| regular).map(micros);
    Ok(Opened { reader: Box::new(file), size: regular.then_some(metadata.len()), written_at })
}

fn open_error(name: &str, error: &io::Error) -> Error {
    let (message, hint) = match error.kind() {
        io::ErrorKind::NotFound => ("no such file", "check the path; `-` reads standard input"),
        io::ErrorKind::PermissionDenied => {
            ("no permission to read the file", "run as a user who may read it")
        }
        io::ErrorKind::IsADirectory => ("is a directory, not a log file", "name the files in it"),
        _ => ("file cannot be opened", "check the file and the limit of open files (ulimit -n)"),
    };
    Error::usage(message).at(name).detail(error.to_string()).hint(hint)
}

/// Names of formats that cannot be read, by their first bytes.
const FOREIGN: [(&[u8], &str); 5] = [
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"PAR1", "Parquet"),
    (b"\x04\x22\x4d\x18", "lz4"),
];

/// Looks at the first bytes, not at the name, for how the file is packed.
fn unpack(name: &str, mut reader: Counted<Box<dyn Read + Send>>) -> Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(6);
    let taken = reader.by_ref().take(6).read_to_end(&mut head);
    taken
        .map_err(|error| Error::usage("file cannot be read").at(name).detail(error.to_string()))?;
    if let Some((_, format)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        let hint = "unpack it first; plain text, gzip and zstd can be read";
        return Err(Error::usage(format!("{format} files cannot be read")).at(name).hint(hint));
    }
    let is_gzip = head.starts_with(b"\x1f\x8b");
    let is_zstd = head.starts_with(b"\x28\xb5\x2f\xfd");
    let whole = Cursor::new(head).chain(reader);
    if is_gzip {
        return Ok(Box::new(flate2::read::MultiGzDecoder::new(whole)));
    }
    if !is_zstd {
        return Ok(Box::new(whole));
    }
    let decoder = zstd::stream::read::Decoder::new(whole);
    let failed =
        |error: io::Error| Error::usage("zstd cannot start").at(name).detail(error.to_string());
    Ok(Box::new(decoder.map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests may run as a user whom no permission stops, so the error is made by hand.
    #[test]
    fn no_permission_is_told() {
        let error = open_error("a.jsonl", &io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            error.to_string(),
            "a.jsonl: no permission to read the file\n  detail: permission denied\n  hint: run as a user who may read it"
        );
        assert_eq!(error.exit_code(), 64);
    }
}
