//! Alerts on standard output.

use std::io::{BufWriter, Stdout, stdout};

use super::{JsonLines, Table};

/// One revision a line of JSON.
pub fn json_lines() -> JsonLines<BufWriter<Stdout>> {
    JsonLines::new(BufWriter::new(stdout()), "standard output")
}

/// A table for people, printed at the end.
pub fn table(coloured: bool) -> Table<BufWriter<Stdout>> {
    Table::new(BufWriter::new(stdout()), "standard output", coloured)
}
