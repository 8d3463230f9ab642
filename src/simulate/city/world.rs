//! The simulated city: its queue of things to come, and what everybody in it shares.

use super::super::event::{HOUR, MINUTE, Millis};
use super::super::random::Random;
use super::super::world::Queue;
use super::attack::Crime;
use super::event::{Event, Name, Resource};
use super::network::Networks;
use super::people::{Household, People, Shape};
use super::staff::Case;
use super::switches::{Trap, Traps};
use super::trap::Happening;
use super::truth::{Planted, Story};

/// Victims must have been seen in the log for so long, or nobody could call an intruder new.
const SEEN_FOR: Millis = 50 * HOUR;

/// Something that will happen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item {
    /// An event is logged.
    Log(Event),
    /// A person of a household looks at the cameras.
    Person(u32, u8),
    /// A guest of a household does.
    Guest(u32, u8),
    /// The next step of a support case.
    Case(Case),
    /// A customer has a question for a member of staff.
    OpenCase(u16),
    /// A member of staff begins to work, or takes the next case.
    Staff(u16),
    /// A system of the service does its round.
    Service(u8),
    /// Something of a benign trap.
    Trap(Happening),
    /// An attack begins.
    Attack(Crime),
    /// An intruder has changed an account's password.
    LockOut(u32),
}

/// Everything that actors read and change.
#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) shape: Shape,
    pub(super) start: Millis,
    pub(super) traps: Traps,
    pub(super) networks: Networks,
    pub(super) people: People,
    pub(super) queue: Queue<Item>,
    /// When nobody can log in; filled before anything happens.
    pub(super) outages: Vec<(Millis, Millis)>,
    /// When what cameras send comes late.
    pub(super) late: (Millis, Millis),
    /// One for each attack that has begun; none when its line is written.
    pub(super) planted: Vec<Option<Box<Planted>>>,
    /// Benign stories that are over.
    pub(super) stories: Vec<Story>,
    /// How many aftermaths there were: each is another one.
    pub(super) aftermaths: usize,
    /// Insiders: each plays one part.
    pub(super) insiders: Vec<u16>,
    sessions: u64,
    tickets: u32,
}

impl World {
    /// A population, asleep.
    pub(super) fn new(seed: u64, start: Millis, shape: Shape, traps: Traps) -> Self {
        let mut random = Random::new(seed ^ 0x6369_7479);
        let networks = Networks::new(shape.accounts, traps.has(Trap::Cgnat));
        let people = People::new(start, &shape, traps, &networks, &mut random);
        Self {
            random,
            shape,
            start,
            traps,
            networks,
            people,
            queue: Queue::default(),
            outages: Vec::new(),
            late: (0, 0),
            planted: Vec::new(),
            stories: Vec::new(),
            aftermaths: 0,
            insiders: Vec::new(),
            sessions: seed << 36,
            tickets: 100_000,
        }
    }

    /// Plans an event of a time. What cameras send may come late, by a clock that is wrong.
    pub(super) fn log(&mut self, time: Millis, event: Event) {
        let mut event = Event { time, ..event };
        let mut arrival = time;
        if let (Name::Household(index), true) =
            (event.account, (self.late.0..self.late.1).contains(&time))
            && matches!(event.resource, Resource::Camera(_) | Resource::Recording(_))
        {
            match index % 4 {
                0 => event.time += 9000,
                1 => event.time -= 12_000,
                _ => {}
            }
            arrival = (time / 20_000 + 1) * 20_000 + 4000; // one batch each 20 seconds
        }
        self.queue.push(arrival, Item::Log(event));
    }

    /// Plans an event that is written later than it happened.
    pub(super) fn log_late(&mut self, time: Millis, arrival: Millis, event: Event) {
        self.queue.push(arrival, Item::Log(Event { time, ..event }));
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

    /// The outage that a time lies in.
    pub(super) fn outage(&self, now: Millis) -> Option<(Millis, Millis)> {
        self.outages.iter().find(|(from, to)| (*from..*to).contains(&now)).copied()
    }

    /// Any account that still exists and that no story has.
    pub(super) fn living(&mut self) -> Option<u32> {
        self.find(64, |household| !household.deleted && !household.targeted)
    }

    /// An account that somebody could take over now.
    pub(super) fn victim(&mut self, now: Millis, fits: impl Fn(&Household) -> bool) -> Option<u32> {
        let found = self.find(4000, |household| is_eligible(household, now) && fits(household))?;
        self.people.get_mut(found).targeted = true;
        Some(found)
    }

    fn find(&mut self, tries: u32, fits: impl Fn(&Household) -> bool) -> Option<u32> {
        (0..tries)
            .map(|_| self.random.below(self.shape.accounts))
            .find(|&index| fits(self.people.get(index)))
    }

    /// A member of staff who was no insider yet, as long as there are any.
    pub(super) fn insider(&mut self, fits: impl Fn(u16) -> bool) -> u16 {
        let draw = |random: &mut Random, staff: u16| random.below(u32::from(staff)) as u16;
        let mut staff = draw(&mut self.random, self.shape.staff);
        for _ in 0..200 {
            if fits(staff) && !self.insiders.contains(&staff) {
                break;
            }
            staff = draw(&mut self.random, self.shape.staff);
        }
        self.insiders.push(staff);
        if self.insiders.len() >= usize::from(self.shape.staff) {
            self.insiders.clear();
        }
        staff
    }

    /// A part of the city for something that concerns many: not more than there are.
    pub(super) fn share(&self, wanted: u32, one_in: u32) -> u32 {
        wanted.min(self.shape.accounts / one_in).max(4)
    }

    /// A time so far into the log, in hundredths of its length.
    pub(super) fn at(&mut self, low: u32, high: u32) -> Millis {
        let part = i64::from(self.random.between(low * 100, high * 100));
        self.start + self.shape.span / 10_000 * part + self.random.seconds(0, 600)
    }
}

/// Alive, known for a while, nobody's victim, and nothing of its own just going on.
fn is_eligible(household: &Household, now: Millis) -> bool {
    let known = household.seen_at.is_some_and(|seen| seen + SEEN_FOR < now);
    known
        && !household.deleted
        && !household.targeted
        && household.trip.is_none()
        && household.busy_until + MINUTE < now
}
