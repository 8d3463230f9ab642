//! A source of lines that are in memory already.

use crate::Result;
use crate::event::time::LATEST;
use crate::event::{OriginKind, Origins};
use crate::source::{Delivery, InputId, RawBatch, Source};

const INPUT: InputId = InputId(0);

/// The lines of one text, read at the end of time: none is from the future.
pub(super) struct Lines {
    batch: Option<RawBatch>,
    finished: bool,
}

impl Lines {
    /// The lines of `text`; `name` is the file that they came from.
    pub(super) fn new(name: &str, text: &str, origins: &mut Origins) -> Self {
        let origin = origins.intern(OriginKind::File, name);
        let mut batch = RawBatch::new(INPUT, origin, 0, LATEST);
        for (position, line) in (1..).zip(text.lines()) {
            if !line.is_empty() {
                batch.push(position, line.as_bytes());
            }
        }
        Self { batch: Some(batch), finished: false }
    }
}

impl Source for Lines {
    fn inputs(&self) -> Vec<InputId> {
        vec![INPUT]
    }

    fn next(&mut self, _wanted: Option<InputId>) -> Result<Option<Delivery>> {
        if let Some(batch) = self.batch.take() {
            return Ok(Some(Delivery::Batch(batch)));
        }
        let finished = std::mem::replace(&mut self.finished, true);
        Ok((!finished).then_some(Delivery::Finished(INPUT)))
    }
}
