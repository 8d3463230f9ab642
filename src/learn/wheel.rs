//! What ends when a day has passed without it: numbers in a list for each day. Touching costs
//! nothing; when a list's day is over, each of its numbers is asked once for its newest day.

use std::collections::BTreeMap;

/// Numbers by the day in whose list they stand.
#[derive(Debug, Default)]
pub(super) struct Wheel {
    days: BTreeMap<i32, Vec<u32>>,
}

impl Wheel {
    pub(super) fn put(&mut self, day: i32, id: u32) {
        self.days.entry(day).or_default().push(id);
    }

    /// The next list whose day is not after `last`.
    pub(super) fn take_until(&mut self, last: i32) -> Option<(i32, Vec<u32>)> {
        let entry = self.days.first_entry().filter(|entry| *entry.key() <= last)?;
        Some(entry.remove_entry())
    }
}
