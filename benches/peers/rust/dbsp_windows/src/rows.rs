//! Rows of B1: a file of 24 bytes each, little-endian: `i64 time_micros`, `u32 key`, `u32 value`,
//! `u32 failed` (0 or 1), `u32` zero; in order of time.

use std::fs::File;
use std::io::{Read as _, Take};

use anyhow::{Context as _, Result, ensure};

const ROW_BYTES: usize = 24;

pub(crate) struct Row {
    pub(crate) time_micros: u64,
    pub(crate) key: u32,
    pub(crate) value: u32,
    pub(crate) failed: u32,
}

/// The first rows of a file, a batch at a time: memory holds what the engine keeps, and little else.
pub(crate) struct Rows {
    file: Take<File>,
    bytes: Vec<u8>,
}

impl Rows {
    pub(crate) fn open(path: &str, rows_max: u64) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("{path} does not open"))?;
        Ok(Self { file: file.take(rows_max.saturating_mul(ROW_BYTES as u64)), bytes: Vec::new() })
    }

    /// The next rows, none at the end.
    pub(crate) fn batch(&mut self, rows_max: usize) -> Result<impl ExactSizeIterator<Item = Row>> {
        self.bytes.clear();
        let bytes_max = (rows_max * ROW_BYTES) as u64;
        self.file.by_ref().take(bytes_max).read_to_end(&mut self.bytes)?;
        let (rows, rest) = self.bytes.as_chunks::<ROW_BYTES>();
        ensure!(rest.is_empty(), "the file ends within a row");
        Ok(rows.iter().map(row))
    }
}

fn row(bytes: &[u8; ROW_BYTES]) -> Row {
    let number =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let time_micros = u64::from(number(4)) << 32 | u64::from(number(0));
    Row { time_micros, key: number(8), value: number(12), failed: number(16) }
}
