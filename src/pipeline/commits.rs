//! What may be committed: everything of an input before its first event that still waits.

use std::collections::{HashMap, VecDeque};

use super::Commit;
use crate::event::TimeMicros;
use crate::source::{InputId, RawBatch};

/// One batch of an input that is not dealt with yet.
struct Waiting {
    /// The offset after its last record.
    next_offset: i64,
    /// Its newest event; `None` when it held none.
    newest: Option<TimeMicros>,
}

/// Batches of each input, in the order in which they were read.
pub(super) struct Commits {
    waiting: HashMap<InputId, VecDeque<Waiting>>,
    commit: Commit,
}

impl Commits {
    pub(super) fn new(commit: Commit) -> Self {
        Self { waiting: HashMap::new(), commit }
    }

    /// A batch was read; `newest` is its newest event.
    pub(super) fn read(&mut self, raw: &RawBatch, newest: Option<TimeMicros>, next_offset: i64) {
        let waiting = Waiting { next_offset, newest };
        self.waiting.entry(raw.input).or_default().push_back(waiting);
    }

    /// Everything before `watermark` has gone through all stages, and what came of it is delivered.
    pub(super) fn dealt_with(&mut self, watermark: TimeMicros) {
        for (input, waiting) in &mut self.waiting {
            let mut next_offset = None;
            while let Some(first) = waiting.front()
                && first.newest.is_none_or(|newest| newest < watermark)
            {
                next_offset = Some(first.next_offset);
                waiting.pop_front();
            }
            if let Some(next_offset) = next_offset {
                (self.commit)(*input, next_offset);
            }
        }
    }

    /// The input is gone; whoever reads it now speaks for it.
    pub(super) fn forget(&mut self, input: InputId) {
        self.waiting.remove(&input);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_batch_is_committed_when_its_newest_event_and_all_batches_before_it_are_dealt_with() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let ears = said.clone();
        let mut commits =
            Commits::new(Box::new(move |input, next| ears.lock().unwrap().push((input.0, next))));
        let batch = |input| RawBatch::new(InputId(input), 0, 0, 0);
        commits.read(&batch(0), Some(100), 5);
        commits.read(&batch(0), Some(50), 9);
        commits.read(&batch(0), None, 10);
        commits.read(&batch(1), Some(99), 3);
        commits.dealt_with(100);
        assert_eq!(*said.lock().unwrap(), [(1, 3)]);
        commits.dealt_with(101);
        assert_eq!(*said.lock().unwrap(), [(1, 3), (0, 10)]);
        commits.dealt_with(102);
        assert_eq!(said.lock().unwrap().len(), 2);
    }
}
