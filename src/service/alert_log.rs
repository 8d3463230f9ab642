//! The outbox as checkpoints see it.

use crate::Result;
use crate::delivery::outbox::Outbox;
use crate::event::TimeMicros;
use crate::pipeline::AlertLog;

impl AlertLog for Outbox {
    fn position(&self) -> u64 {
        Self::position(self)
    }

    fn sync(&self) -> Result<u64> {
        Self::sync(self)
    }

    fn confirmed(&self, position: u64) {
        Self::confirmed(self, position);
    }

    fn delivered_until(&self) -> Option<TimeMicros> {
        Self::delivered_until(self)
    }
}
