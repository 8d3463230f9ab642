//! `ring-2019`: which attacks come when, after the public record of 2019.

use super::attack::{Plan, Purpose, plant};
use super::event::{Address, DAY, HOUR, Millis, Name};
use super::random::Random;
use super::world::{Item, World};

/// Monday, 4 November 2019, 00:00 UTC.
pub(super) const START: Millis = 1_572_825_600_000;

/// What a household logs in a day and in the whole span of a log of the usual size.
pub(super) const EVENTS_PER_ACCOUNT_DAY: u64 = 13;
pub(super) const SPAN_DAYS: u64 = 8;

/// Rounds of all kinds of attacks at most, however long the log is.
const ROUNDS_MAX: u64 = 16;

const ONE_PROGRAM: [&str; 1] = ["python-requests/2.22.0"];
const MANY_AGENTS: [&str; 4] = [
    "okhttp/3.12.1",
    "Mozilla/5.0 (Windows NT 10.0; rv:70.0) Gecko/20100101 Firefox/70.0",
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/73.0.3683.103 Safari/537.36",
    "Dalvik/2.1.0 (Linux; U; Android 7.0)",
];

/// Puts everybody to bed with the alarm set, and plans the attacks.
pub(super) fn prepare(world: &mut World, events: u64) {
    for index in 0..world.shape.accounts {
        let first = world.accounts.get(index).next_session(START, &mut world.random);
        world.queue.push(first, Item::Household(index));
    }
    for number in 0..world.shape.staff {
        world.queue.push(START, Item::Staff(number));
    }
    world.queue.push(START + HOUR, Item::Trainer);
    plan_attacks(world, events);
}

fn plan_attacks(world: &mut World, events: u64) {
    let a_day = u64::from(world.shape.accounts) * EVENTS_PER_ACCOUNT_DAY;
    let span = (events as i64).saturating_mul(DAY) / a_day.max(1) as i64;
    let size = if events < 20_000 { 1 } else { 4 };
    let rounds = (events / (1200 * u64::from(size))).clamp(1, ROUNDS_MAX);
    for round in 0..rounds.min(1 + events / 40_000) as u32 {
        for kind in 0..KINDS {
            let plan = plan(world, kind, round, size);
            let time = begin(world, &plan, span);
            plant(world, time, plan);
        }
    }
}

fn begin(world: &mut World, plan: &Plan, span: Millis) -> Millis {
    let share = match plan {
        Plan::Peep { gap_seconds, .. } if gap_seconds.0 > 3600 => return START + 5 * HOUR,
        Plan::UseRecording { .. } => world.random.between(50, 85),
        Plan::UseAccount { .. } => world.random.between(30, 75),
        _ => world.random.between(25, 80),
    };
    let earliest = START + 28 * HOUR;
    (START + span / 100 * i64::from(share)).max(earliest.min(START + span / 2))
        + world.random.seconds(0, 3600)
}

const KINDS: u32 = 13;

fn plan(world: &mut World, kind: u32, round: u32, size: u32) -> Plan {
    let random = &mut world.random;
    let staff = world.shape.staff;
    let take_over = |random: &mut Random, purpose| Plan::TakeOver {
        account: None,
        address: intruder_address(random),
        purpose,
    };
    match kind {
        0 => stuffing(world, 48 * size, 1, (1, 6)),
        1 => stuffing(world, 40 * size, 1 + size, (1, 8)),
        2 => spraying(world, 14 + 8 * size),
        3 => guessing(random, 26 + 10 * size, 1 + round % 2, (5, 25), true),
        4 => guessing(random, 18 + 6 * size, 7 + 2 * size, (40, 110), round.is_multiple_of(2)),
        5 | 6 => take_over(random, Purpose::Harass),
        7 | 8 => take_over(random, Purpose::LockOut),
        9 => take_over(random, Purpose::Watch),
        10 => peeping(world, round, staff, size),
        11 => Plan::UseRecording { staff: random.below(u32::from(staff)) as u16 },
        _ => Plan::UseAccount { address: intruder_address(random) },
    }
}

/// In turn: in one night, a few each day, and many under one and the same ticket.
fn peeping(world: &mut World, round: u32, staff: u16, size: u32) -> Plan {
    let number = (round % u32::from(staff)) as u16;
    let ticket = if round % 3 == 2 { world.new_ticket() } else { 0 };
    let (looks, gap_seconds) = match round % 3 {
        1 => (24, (5 * 3600, 8 * 3600)),
        _ => (14 + 6 * size, (60, 400)),
    };
    Plan::Peep { staff: number, looks, gap_seconds, ticket }
}

fn stuffing(world: &mut World, length: u32, addresses: u32, gap_seconds: (u32, u32)) -> Plan {
    let length = world.random.between(length, length * 3 / 2);
    Plan::List {
        names: leaked_names(world, length),
        rounds: 1,
        addresses: intruder_addresses(&mut world.random, addresses),
        gap_seconds,
        agents: if addresses == 1 { &ONE_PROGRAM } else { &MANY_AGENTS },
        hits: 1 + length / 100,
    }
}

fn spraying(world: &mut World, length: u32) -> Plan {
    Plan::List {
        names: leaked_names(world, length),
        rounds: world.random.between(1, 2),
        addresses: intruder_addresses(&mut world.random, 1),
        gap_seconds: (60, 240),
        agents: &MANY_AGENTS,
        hits: u32::from(world.random.chance(400)),
    }
}

fn guessing(
    random: &mut Random,
    tries: u32,
    addresses: u32,
    gap_seconds: (u32, u32),
    gets_in: bool,
) -> Plan {
    let addresses = intruder_addresses(random, addresses);
    Plan::Guess { account: None, tries, addresses, gap_seconds, gets_in }
}

/// A list from somewhere else: some of its names have an account here, no name comes twice.
fn leaked_names(world: &mut World, length: u32) -> Vec<Name> {
    let accounts = world.shape.accounts;
    let first = world.random.below(accounts);
    let stride = 1 + world.random.below(accounts / 8 + 1);
    let mut here = 0;
    let mut names = Vec::with_capacity(length as usize);
    for _ in 0..length {
        let is_here = world.random.chance(450) && here < accounts / stride;
        names.push(match is_here {
            true => {
                here += 1;
                Name::Account((first + here * stride) % accounts)
            }
            false => Name::Leaked((world.random.bits() >> 40) as u32),
        });
    }
    names
}

fn intruder_addresses(random: &mut Random, count: u32) -> Vec<Address> {
    let first = random.bits() as u32;
    (0..count).map(|number| intruder(first.wrapping_add(number * 41))).collect()
}

/// An address that no household has, from the ranges set aside for documentation.
pub(super) fn intruder_address(random: &mut Random) -> Address {
    intruder(random.bits() as u32)
}

fn intruder(bits: u32) -> Address {
    let host = bits % 251 + 2;
    match bits >> 28 {
        0..=4 => Address::V4(0xc000_0200 + host),   // 192.0.2.0/24
        5..=9 => Address::V4(0xc633_6400 + host),   // 198.51.100.0/24
        10..=13 => Address::V4(0xcb00_7100 + host), // 203.0.113.0/24
        _ => Address::V6(0xffff, (bits as u16).max(1)),
    }
}
