//! Alerts on standard output.

use std::io::{BufWriter, Stdout, Write, stdout};

use super::batch::{BatchDestination, Item, Refusal};
use super::encoding::Encoding;
use super::file::json_lines as lines;
use super::{JsonLines, Table};
use crate::config::StdoutConfig;
use crate::{Error, Result};

const NAME: &str = "standard output";

/// One revision a line of JSON.
pub fn json_lines() -> JsonLines<BufWriter<Stdout>> {
    JsonLines::new(BufWriter::new(stdout()), NAME)
}

/// A table for people, printed at the end.
pub fn table(coloured: bool) -> Table<BufWriter<Stdout>> {
    Table::new(BufWriter::new(stdout()), NAME, coloured)
}

/// Standard output of `run`: one revision a line.
pub(crate) struct AlertStdout {
    encoding: Encoding,
    gone: bool,
}

impl AlertStdout {
    pub(crate) fn new(config: &StdoutConfig) -> Self {
        Self { encoding: config.encoding, gone: false }
    }
}

impl BatchDestination for AlertStdout {
    fn deliver(&mut self, items: &[Item]) -> Result<Vec<Refusal>> {
        let mut out = stdout().lock();
        let written = out.write_all(&lines(items, self.encoding)).and_then(|()| out.flush());
        written.map(|()| Vec::new()).map_err(|error| {
            self.gone |= error.kind() == std::io::ErrorKind::BrokenPipe;
            Error::unavailable("cannot write alerts").at(NAME).detail(error.to_string())
        })
    }

    fn reader_gone(&self) -> bool {
        self.gone
    }
}
