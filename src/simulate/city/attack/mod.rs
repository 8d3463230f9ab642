//! What intruders and insiders do, while everybody else goes about the day.

mod after;
mod aftermath;
mod entry;
mod guessing;
mod insider;
mod list;

use super::super::event::{DAY, Millis};
use super::client::{BROWSERS, Client, PHONES};
use super::event::{Event, Name};
use super::network::{self, Networks, Place};
use super::switches::ATTACKS;
use super::truth::Planted;
use super::world::{Item, World};

/// An attack that will begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crime {
    /// Index into [`ATTACKS`].
    kind: u8,
    variant: u8,
}

/// How often each kind comes in a round, each time in another way, and when: in hundredths of the
/// log.
const OFTEN: [(u8, u32, u32); ATTACKS.len()] = [
    (4, 15, 88),
    (3, 15, 85),
    (3, 15, 88),
    (2, 15, 88),
    (3, 15, 88),
    (2, 15, 88),
    (4, 15, 88),
    (4, 15, 88),
    (2, 15, 88),
    (1, 22, 87),
    (1, 15, 88),
    (2, 15, 88),
    (2, 40, 88),
    (2, 15, 60),
    (1, 15, 90),
    (2, 15, 50),
    (2, 15, 90),
    (1, 25, 90),
    (1, 20, 90),
    (1, 15, 40),
    (1, 15, 80),
    (1, 20, 85),
    (1, 8, 12),
    (1, 20, 90),
    (1, 20, 90),
    (2, 20, 90),
    (2, 20, 90),
    (2, 20, 85),
    (2, 20, 85),
    (2, 20, 90),
    (2, 20, 90),
];

/// Plans when the attacks begin.
pub(super) fn prepare(world: &mut World, attacks: &[usize]) {
    for round in 0..world.shape.rounds {
        for &kind in attacks {
            let (variants, low, high) = OFTEN[kind];
            for variant in 0..variants {
                let time = begin(world, kind, round, low, high);
                let crime = Crime { kind: kind as u8, variant };
                world.queue.push(time, Item::Attack(crime));
            }
        }
    }
}

/// What hides in an outage begins with it.
fn begin(world: &mut World, kind: usize, round: u32, low: u32, high: u32) -> Millis {
    let outage =
        world.outages.get(2 * round as usize).filter(|_| ATTACKS[kind] == "hidden_in_outage");
    match outage {
        Some((from, _)) => from - 60_000,
        None => world.at(low, high),
    }
}

/// Commits a crime: everything of it is planned at once.
pub(super) fn commit(world: &mut World, crime: Crime, now: Millis) {
    let variant = crime.variant;
    match crime.kind {
        0 => list::stuffing(world, variant, now),
        1 => list::spraying(world, variant, now),
        2 => guessing::passwords(world, variant, now),
        3 => guessing::codes(world, variant, now),
        4 => guessing::fatigue(world, variant, now),
        5 => list::enumeration(world, variant, now),
        6 => entry::session_theft(world, variant, now),
        7 => entry::known_password(world, variant, now),
        8 => guessing::other_clean_address(world, variant, now),
        9 => list::hidden_in_outage(world, now),
        10 => list::shuffled_fingerprints(world, now),
        11 => guessing::behind_victims_cgnat(world, variant, now),
        12 => entry::dormant_account(world, variant, now),
        13 => entry::intruder_stays(world, variant, now),
        14..=24 => insider::commit(world, usize::from(crime.kind), variant, now),
        _ => after::commit(world, usize::from(crime.kind), variant, now),
    }
}

/// One attack on its way into the log.
struct Plot<'w> {
    world: &'w mut World,
    index: usize,
}

impl<'w> Plot<'w> {
    fn new(world: &'w mut World, kind: usize, evasion: &'static str) -> Self {
        world.planted.push(Some(Box::new(Planted::new(ATTACKS[kind], evasion))));
        let index = world.planted.len() - 1;
        Self { world, index }
    }

    fn planted(&mut self) -> Option<&mut Planted> {
        self.world.planted.get_mut(self.index)?.as_deref_mut()
    }

    fn mark(&mut self, event: Event) -> Event {
        if let Some(planted) = self.planted() {
            planted.plan_event();
        }
        Event { planted: self.index as u32 + 1, ..event }
    }

    fn log(&mut self, time: Millis, event: Event) {
        let event = self.mark(event);
        self.world.log(time, event);
    }

    /// The event with which the account falls.
    fn fall(&mut self, time: Millis, event: Event) {
        self.log(time, Event { falls: true, ..event });
    }

    fn seconds(&mut self, low: u32, high: u32) -> Millis {
        self.world.random.seconds(low, high)
    }
}

/// Everything is planned; a plot that found no victim leaves no trace.
impl Drop for Plot<'_> {
    fn drop(&mut self) {
        if let Some(planted) = self.planted() {
            planted.finish();
        }
    }
}

/// A client that nobody here has seen: a device, a program of the day.
fn strange_client(world: &mut World, event: &mut Event, now: Millis) {
    event.device = (world.random.bits() >> 32) as u32 | 1;
    let kinds = if world.random.chance(600) { BROWSERS } else { PHONES };
    let kind = world.random.pick(&kinds);
    event.client = Client::at(kind, event.device, now - world.start);
}

/// A home line, not in use by any household here: another one each time.
fn residential(world: &mut World, city: u8) -> Place {
    let isp = world.random.below(3) as u16;
    Networks::home(city, isp, 0x8000 + (world.random.bits() >> 49) as u32)
}

/// A home line anywhere.
fn residential_anywhere(world: &mut World) -> Place {
    let city = world.random.below(22) as u8;
    residential(world, city)
}

/// A rented server anywhere, or an exit of the onion network.
fn rented(world: &mut World) -> Place {
    if world.random.chance(150) {
        return Networks::tor(world.random.below(72));
    }
    let city = world.random.below(24) as u8;
    Networks::hosting(city, world.random.below(0x7000))
}

/// A clean address in the country of an account's owner.
fn clean_at_home(world: &mut World, account: u32) -> Place {
    let city = world.people.get(account).city;
    let near = network::other_city(city, true, &mut world.random);
    residential(world, near)
}

/// The login of an intruder who knows the password.
fn intruder(world: &mut World, account: u32, place: Place, now: Millis) -> Event {
    let mut event = Event::new("login", Name::Household(account));
    event.place = place;
    event.session = world.new_session();
    strange_client(world, &mut event, now);
    event
}
