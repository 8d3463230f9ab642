//! The revisions that one destination behind HTTP has taken and not delivered: few enough to be held,
//! in order for each alert, and the next one to be tried.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::super::batch::Item;

/// So many may wait or be under way.
const ITEMS_MAX: usize = 1024;
const BYTES_MAX: usize = 16 << 20;

/// One revision, and whether somebody tries it.
pub(super) struct Waiting {
    pub(super) item: Item,
    pub(super) attempts: u32,
    in_flight: bool,
}

/// Only the first revision of each alert, its head, is ever ready or put off.
#[derive(Default)]
pub(super) struct Window {
    waiting: BTreeMap<u64, Waiting>,
    /// The revisions of each alert in their order.
    alerts: HashMap<String, VecDeque<u64>>,
    /// Heads to be tried now, with their attempts: the least tried first, so that one that always
    /// fails holds nobody back.
    ready: BTreeSet<(u32, u64)>,
    /// Heads to be tried later.
    later: BTreeSet<(Instant, u64)>,
    n_bytes: usize,
}

impl Window {
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < ITEMS_MAX && self.n_bytes < BYTES_MAX
    }

    /// Takes a revision; those of one alert come in order.
    pub(super) fn add(&mut self, item: Item) {
        let sequence = item.entry.sequence;
        self.n_bytes += item.entry.native.len();
        let revisions = self.alerts.entry(item.entry.id.clone()).or_default();
        revisions.push_back(sequence);
        if revisions.len() == 1 {
            self.ready.insert((0, sequence));
        }
        self.waiting.insert(sequence, Waiting { item, attempts: 0, in_flight: false });
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Waiting> {
        self.waiting.get(&sequence)
    }

    /// Lets go of a revision; the next one of its alert is ready then.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Item> {
        let gone = self.waiting.remove(&sequence)?;
        self.n_bytes -= gone.item.entry.native.len();
        self.ready.remove(&(gone.attempts, sequence));
        self.later.retain(|(_, other)| *other != sequence);
        let id = &gone.item.entry.id;
        if let Some(revisions) = self.alerts.get_mut(id) {
            let was_head = revisions.front() == Some(&sequence);
            revisions.retain(|other| *other != sequence);
            match revisions.front() {
                None => drop(self.alerts.remove(id)),
                Some(next) if was_head => drop(self.ready.insert((0, *next))),
                Some(_) => {}
            }
        }
        Some(gone.item)
    }

    /// Those that nobody tries at the moment.
    pub(super) fn at_rest(&self) -> impl Iterator<Item = &Item> {
        self.waiting.values().filter(|waiting| !waiting.in_flight).map(|waiting| &waiting.item)
    }

    /// The next one to try.
    pub(super) fn ready(&mut self, now: Instant) -> Option<u64> {
        while let Some((due, sequence)) = self.later.first().copied()
            && due <= now
        {
            self.later.pop_first();
            self.make_ready(sequence);
        }
        self.ready.first().map(|(_, sequence)| *sequence)
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.ready.is_empty() {
            self.later.first().map(|(due, _)| *due)
        } else {
            Some(Instant::now())
        }
    }

    /// Somebody tries it. Gives the attempts before this one.
    pub(super) fn begin(&mut self, sequence: u64) -> u32 {
        let Some(waiting) = self.waiting.get_mut(&sequence) else { return 0 };
        let before = waiting.attempts;
        waiting.attempts = before.saturating_add(1);
        waiting.in_flight = true;
        self.ready.remove(&(before, sequence));
        before
    }

    /// Nobody tries it any more, and it is due after so long.
    pub(super) fn put_off(&mut self, sequence: u64, wait: Duration) {
        if let Some(waiting) = self.waiting.get_mut(&sequence) {
            waiting.in_flight = false;
            self.later.insert((Instant::now() + wait, sequence));
        }
    }

    /// The receiver is back: nobody waits any longer for what was its own failure.
    pub(super) fn hurry(&mut self) {
        for (_, sequence) in std::mem::take(&mut self.later) {
            self.make_ready(sequence);
        }
    }

    fn make_ready(&mut self, sequence: u64) {
        if let Some(waiting) = self.waiting.get(&sequence) {
            self.ready.insert((waiting.attempts, sequence));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::item;

    /// Revisions of alerts with these ids, numbered from 1.
    fn window(ids: &[&str]) -> Window {
        let mut window = Window::default();
        for (sequence, id) in (1..).zip(ids) {
            window.add(item(id, sequence));
        }
        window
    }

    fn begin_all(window: &mut Window, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| {
            let sequence = window.ready(now)?;
            window.begin(sequence);
            Some(sequence)
        })
        .collect()
    }

    #[test]
    fn revisions_of_an_alert_are_tried_one_after_the_other() {
        let mut window = window(&["a", "a", "b", "a"]);
        let now = Instant::now();
        assert_eq!(begin_all(&mut window, now), [1, 3]);
        assert_eq!(window.next_due(), None);
        window.put_off(1, Duration::from_secs(10));
        assert_eq!(window.ready(now), None, "neither it nor what is behind it");
        assert!(window.next_due().unwrap() > now);
        assert_eq!(begin_all(&mut window, now + Duration::from_secs(20)), [1]);
        window.remove(1);
        assert_eq!(begin_all(&mut window, now), [2]);
        window.remove(2);
        window.remove(3);
        assert_eq!(begin_all(&mut window, now), [4]);
        window.remove(4);
        assert!(window.alerts.is_empty() && window.waiting.is_empty() && window.n_bytes == 0);
        assert!(window.ready.is_empty() && window.later.is_empty());
    }

    #[test]
    fn the_least_tried_goes_first_and_a_return_hurries_all() {
        let mut window = window(&["a", "b"]);
        let now = Instant::now();
        for _ in 0..3 {
            window.begin(1);
            window.put_off(1, Duration::ZERO);
        }
        let soon = now + Duration::from_secs(1);
        assert_eq!(begin_all(&mut window, soon), [2, 1]);
        window.put_off(1, Duration::from_secs(300));
        window.put_off(2, Duration::from_secs(300));
        assert_eq!(window.ready(soon), None);
        window.hurry();
        assert_eq!(begin_all(&mut window, soon), [2, 1]);
    }

    #[test]
    fn what_is_let_go_from_the_middle_leaves_the_others_in_order() {
        let mut window = window(&["a", "a", "a"]);
        window.remove(2);
        assert_eq!(window.at_rest().count(), 2);
        let now = Instant::now();
        assert_eq!(begin_all(&mut window, now), [1]);
        assert_eq!(window.at_rest().count(), 1);
        window.remove(1);
        assert_eq!(begin_all(&mut window, now), [3]);
    }
}
