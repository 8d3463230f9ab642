//! Where each input is read on after a restart: at its first event that still waits.

use std::collections::{BTreeMap, VecDeque};

use super::Origins;
use crate::event::TimeMicros;
use crate::order::{KnownInput, Order};
use crate::source::{InputId, RawBatch};
use crate::store::InputPosition;

/// One batch of an input that is not dealt with yet.
struct Waiting {
    /// The offset of its first record.
    first_offset: i64,
    /// The offset after its last record.
    next_offset: i64,
    /// Its newest event; `None` when it held none.
    newest: Option<TimeMicros>,
    /// The newest time taken in from before it.
    newest_before: Option<TimeMicros>,
}

/// What is known of one input.
struct Progress {
    topic: String,
    partition: i32,
    /// The offset after the last batch that is dealt with.
    next_offset: i64,
    /// The offset after the newest record that was ever read.
    read_until: i64,
    /// Batches in the order in which they were read.
    waiting: VecDeque<Waiting>,
}

/// All inputs that have given a record, now or before a restart.
#[derive(Default)]
pub(super) struct Resume(BTreeMap<InputId, Progress>);

impl Resume {
    /// Takes over what a manifest knows of an input.
    pub(super) fn know(&mut self, input: InputId, position: &InputPosition) -> KnownInput {
        let progress = Progress {
            topic: position.topic.clone(),
            partition: position.partition,
            next_offset: position.next_offset,
            read_until: position.read_until,
            waiting: VecDeque::new(),
        };
        self.0.insert(input, progress);
        let InputPosition { newest_before, read_until, .. } = *position;
        KnownInput { input, newest_before, read_until }
    }

    /// A batch was read: `offsets` from its first record to the one after its last, `newest` its newest
    /// event, and `newest_before` the newest of its input until then.
    pub(super) fn read(
        &mut self,
        raw: &RawBatch,
        origins: &Origins,
        offsets: std::ops::Range<i64>,
        newest: Option<TimeMicros>,
        newest_before: Option<TimeMicros>,
    ) {
        let progress = self.0.entry(raw.input).or_insert_with(|| Progress {
            topic: origins.get(raw.origin).map_or_else(String::new, |o| o.name.to_string()),
            partition: raw.partition,
            next_offset: offsets.start,
            read_until: offsets.end,
            waiting: VecDeque::new(),
        });
        progress.read_until = progress.read_until.max(offsets.end);
        let (first_offset, next_offset) = (offsets.start, offsets.end);
        progress.waiting.push_back(Waiting { first_offset, next_offset, newest, newest_before });
    }

    /// Everything before `watermark` has gone through all stages.
    pub(super) fn dealt_with(&mut self, watermark: TimeMicros) {
        for progress in self.0.values_mut() {
            while let Some(first) = progress.waiting.front()
                && first.newest.is_none_or(|newest| newest < watermark)
            {
                progress.next_offset = first.next_offset;
                progress.waiting.pop_front();
            }
        }
    }

    /// The input is gone; whoever reads it now speaks for it.
    pub(super) fn forget(&mut self, input: InputId) {
        self.0.remove(&input);
    }

    /// Where each input is to be read on.
    pub(super) fn offsets(&self) -> Vec<(InputId, i64)> {
        self.0.iter().map(|(input, progress)| (*input, progress.resume_offset())).collect()
    }

    /// The same, and what else a manifest holds of inputs.
    pub(super) fn positions(&self, order: &Order) -> Vec<InputPosition> {
        let positions = self.0.iter().map(|(input, progress)| InputPosition {
            topic: progress.topic.clone(),
            partition: progress.partition,
            next_offset: progress.resume_offset(),
            read_until: progress.read_until,
            newest_before: match progress.waiting.front() {
                Some(first) => first.newest_before,
                None => order.newest_of(*input),
            },
            idle: order.is_idle(*input),
        });
        positions.collect()
    }
}

impl Progress {
    fn resume_offset(&self) -> i64 {
        self.waiting.front().map_or(self.next_offset, |first| first.first_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::OriginKind;
    use crate::order::OrderConfig;

    fn batch(input: u32) -> RawBatch {
        RawBatch::new(InputId(input), 0, input as i32, 0)
    }

    fn origins() -> Origins {
        let mut origins = Origins::default();
        origins.intern(OriginKind::Topic, "events");
        origins
    }

    #[test]
    fn reading_goes_on_at_the_first_batch_that_is_not_dealt_with() {
        let (mut resume, origins) = (Resume::default(), origins());
        resume.read(&batch(0), &origins, 2..5, Some(100), None);
        resume.read(&batch(0), &origins, 7..9, Some(50), Some(100));
        resume.read(&batch(0), &origins, 9..10, None, Some(100));
        resume.read(&batch(1), &origins, 0..3, Some(99), Some(1));
        let offsets = |resume: &Resume| {
            resume.offsets().iter().map(|(input, offset)| (input.0, *offset)).collect::<Vec<_>>()
        };
        assert_eq!(offsets(&resume), [(0, 2), (1, 0)]);
        resume.dealt_with(100);
        assert_eq!(offsets(&resume), [(0, 2), (1, 3)]);
        let positions = resume.positions(&Order::new(OrderConfig::default()));
        assert_eq!((positions[0].next_offset, positions[0].read_until), (2, 10));
        assert_eq!((positions[0].newest_before, positions[1].newest_before), (None, None));
        resume.dealt_with(101);
        assert_eq!(offsets(&resume), [(0, 10), (1, 3)]);
        resume.forget(InputId(0));
        assert_eq!(offsets(&resume), [(1, 3)]);
    }

    #[test]
    fn what_was_read_before_a_restart_stays_read() {
        let (mut resume, origins) = (Resume::default(), origins());
        let position = InputPosition {
            topic: "events".to_owned(),
            partition: 4,
            next_offset: 20,
            read_until: 90,
            newest_before: Some(7),
            idle: true,
        };
        let known = resume.know(InputId(3), &position);
        assert_eq!((known.newest_before, known.read_until), (Some(7), 90));
        assert_eq!(resume.offsets(), [(InputId(3), 20)]);
        resume.read(&batch(3), &origins, 21..30, Some(8), Some(7));
        let after = &resume.positions(&Order::new(OrderConfig::default()))[0];
        let expected =
            InputPosition { next_offset: 21, newest_before: Some(7), idle: false, ..position };
        assert_eq!(*after, expected);
    }
}
