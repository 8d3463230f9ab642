//! The simulated world: its queue of things to come, and what everybody in it shares.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::attack::Attack;
use super::event::{Event, Millis, Resource};
use super::population::{Accounts, Shape};
use super::random::Random;

/// Deletions that are remembered, for somebody to use what was deleted.
const DELETED_MAX: usize = 256;

/// Something that will happen.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// An event is logged.
    Log(Event),
    /// A household looks at its cameras.
    Household(u32),
    /// A member of staff takes the next case.
    Staff(u16),
    /// A model is trained on a recording.
    Trainer,
    /// The next step of an attack.
    Attack(Box<Attack>),
}

/// What is to come, by time, and in the order of its planning where times are equal.
#[derive(Debug)]
pub(super) struct Queue<T = Item> {
    heap: BinaryHeap<Reverse<(Millis, u64, u32)>>,
    items: Vec<Option<T>>,
    free: Vec<u32>,
    planned: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), items: Vec::new(), free: Vec::new(), planned: 0 }
    }
}

impl<T> Queue<T> {
    /// Plans an item.
    pub(super) fn push(&mut self, time: Millis, item: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.items.push(None);
            (self.items.len() - 1) as u32
        });
        self.items[slot as usize] = Some(item);
        self.planned += 1;
        self.heap.push(Reverse((time, self.planned, slot)));
    }

    /// The next item and its time.
    pub(super) fn pop(&mut self) -> Option<(Millis, T)> {
        let Reverse((time, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.items[slot as usize].take().map(|item| (time, item))
    }
}

/// A recording that its owner deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deletion {
    pub(super) account: u32,
    pub(super) resource: Resource,
    pub(super) time: Millis,
}

/// Everything that actors read and change.
#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) shape: Shape,
    pub(super) accounts: Accounts,
    pub(super) queue: Queue,
    pub(super) deletions: VecDeque<Deletion>,
    /// One for each attack, in the order of planning.
    pub(super) planted: Vec<super::truth::Planted>,
    sessions: u64,
    tickets: u32,
}

impl World {
    /// A population, asleep.
    pub(super) fn new(seed: u64, start: Millis, shape: Shape) -> Self {
        let mut random = Random::new(seed);
        let accounts = Accounts::new(start, &shape, &mut random);
        Self {
            random,
            shape,
            accounts,
            queue: Queue::default(),
            deletions: VecDeque::new(),
            planted: Vec::new(),
            sessions: seed << 32,
            tickets: 10_000,
        }
    }

    /// Plans an event.
    pub(super) fn log(&mut self, time: Millis, event: Event) {
        self.queue.push(time, Item::Log(event));
    }

    /// A number for a new session.
    pub(super) fn new_session(&mut self) -> u64 {
        self.sessions += 1;
        self.sessions
    }

    /// A number for a new support case.
    pub(super) fn new_ticket(&mut self) -> u32 {
        self.tickets += 1;
        self.tickets
    }

    /// Remembers that an owner deleted a recording.
    pub(super) fn remember_deletion(&mut self, account: u32, resource: Resource, time: Millis) {
        if self.deletions.len() == DELETED_MAX {
            self.deletions.pop_front();
        }
        self.deletions.push_back(Deletion { account, resource, time });
    }

    /// Any account that still exists.
    pub(super) fn living_account(&mut self) -> Option<u32> {
        (0..64)
            .map(|_| self.random.below(self.shape.accounts))
            .find(|&index| !self.accounts.get(index).deleted)
    }

    /// A recording of the account that still exists.
    pub(super) fn recording(&mut self, account: u32) -> Resource {
        let (first, next) = self.accounts.get(account).recordings;
        let newest = next.saturating_sub(1).max(first);
        let number = self.random.between(first.max(newest.saturating_sub(20)), newest);
        Resource::Recording(self.accounts.get(account).recording_camera(number), number)
    }
}
