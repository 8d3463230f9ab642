//! Alerts as JSON Lines on any writer.

use std::io::Write;

use super::{Destination, outcome};
use crate::Result;
use crate::alert::Alert;

/// One revision a line.
#[derive(Debug)]
pub struct JsonLines<W: Write> {
    writer: W,
    name: String,
    gone: bool,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `writer`, which errors call `name`.
    pub fn new(writer: W, name: impl Into<String>) -> Self {
        Self { writer, name: name.into(), gone: false }
    }

    /// The writer, with everything delivered so far.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

impl<W: Write> Destination for JsonLines<W> {
    /// Writes the lines and flushes them, so that a reader sees an alert at once and whole.
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()> {
        if alerts.is_empty() || self.gone {
            return Ok(());
        }
        let written = alerts.iter().try_for_each(|alert| {
            let mut line = alert.to_json();
            line.push(b'\n');
            self.writer.write_all(&line)
        });
        outcome(written.and_then(|()| self.writer.flush()), &self.name, &mut self.gone)
    }

    fn flush(&mut self) -> Result<()> {
        if self.gone {
            return Ok(());
        }
        outcome(self.writer.flush(), &self.name, &mut self.gone)
    }

    fn reader_gone(&self) -> bool {
        self.gone
    }
}
