//! What is written where: data to standard output, words to standard error.

use std::io::{self, IsTerminal, Write};

use crate::{Error, Result};

/// Whether people look at standard output.
pub(super) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether people look at standard error.
pub(super) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard output may be coloured.
pub(super) fn stdout_is_coloured() -> bool {
    stdout_is_terminal() && colour_is_welcome()
}

/// Whether standard error may be coloured.
pub(super) fn stderr_is_coloured() -> bool {
    stderr_is_terminal() && colour_is_welcome()
}

fn colour_is_welcome() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !refused && !dumb
}

/// Writes words to standard error; there is nobody to tell when that fails.
pub(super) fn say(words: &str) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Tells of something that does not stop the command.
pub(super) fn complain(error: &Error) {
    say(&format!("warning: {error}"));
}

/// Writes data to standard output; a reader that has gone away is no failure.
pub(super) fn print(data: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(data.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::unavailable("cannot write").at("standard output").detail(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// Rows as aligned columns; the last one is not padded.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    painted_columns(rows, |_, _, cell| cell)
}

/// The same, with a colour for some cells: `paint` gets row, column and the padded cell.
pub(super) fn painted_columns<const N: usize>(
    rows: &[[String; N]],
    paint: impl Fn(usize, usize, String) -> String,
) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate();
        let line: String = cells
            .map(|(column, (cell, width))| paint(number, column, format!("{cell:<width$}  ")))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a".into(), "bcd".into()], ["länge".into(), "e".into()]];
        assert_eq!(columns(&rows), "a      bcd\nlänge  e\n");
    }
}
