//! Attacks that go through a list of names: stuffing, spraying, asking who is a customer.

use super::super::super::event::Millis;
use super::super::client::{BROWSERS, Client, TOOLS};
use super::super::event::{Event, Name};
use super::super::network::{Networks, Place};
use super::super::people::Household;
use super::super::world::World;
use super::{Plot, clean_at_home, intruder, rented, residential_anywhere, strange_client};

/// How a list is gone through.
struct Run {
    names: Vec<Name>,
    places: Vec<Place>,
    /// Tries from an address before the next one has its turn.
    tries_an_address: usize,
    gap_seconds: (u32, u32),
    clients: Clients,
    /// So many tries in a thousand get in.
    hits_per_mille: u32,
}

/// What the tries look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clients {
    /// One program, as it is.
    Tool(u8),
    /// The agents of browsers, all with the TLS library of one program.
    Disguised(u32),
    /// Another agent, fingerprint and device with each try.
    Shuffled,
}

pub(super) fn stuffing(world: &mut World, variant: u8, now: Millis) {
    let tool = world.random.pick(&TOOLS);
    let (evasion, run) = match variant {
        0 => {
            let length = world.random.between(150, 400);
            let places = vec![rented(world)];
            ("none", run(world, length, places, 1, (1, 5), Clients::Tool(tool)))
        }
        1 => {
            let length = world.random.between(300, 600);
            let places = proxies(world, length / 2);
            let disguise = Clients::Disguised(world.random.below(1 << 20));
            ("residential_proxies", run(world, length, places, 1, (8, 50), disguise))
        }
        2 => {
            let length = world.random.between(200, 400);
            let places = neighbours(world, 8);
            ("one_try_over_days", run(world, length, places, 40, (600, 2400), Clients::Tool(tool)))
        }
        _ => {
            let length = world.random.between(250, 500);
            let places = neighbours(world, 12);
            ("rotating_in_one_network", run(world, length, places, 3, (2, 12), Clients::Tool(tool)))
        }
    };
    go_through(Plot::new(world, 0, evasion), run, now);
}

pub(super) fn spraying(world: &mut World, variant: u8, now: Millis) {
    let tool = Clients::Tool(world.random.pick(&TOOLS));
    let (evasion, mut run) = match variant {
        0 => {
            let length = world.random.between(60, 140);
            let places = vec![rented(world)];
            ("none", run(world, length, places, 1, (30, 120), tool))
        }
        1 => {
            let length = world.random.between(100, 240);
            let places = proxies(world, 30);
            let disguise = Clients::Disguised(world.random.below(1 << 20));
            ("many_sources", run(world, length, places, 1, (30, 200), disguise))
        }
        _ => {
            let length = world.random.between(120, 220);
            let places = neighbours(world, 6);
            ("low_and_slow", run(world, length, places, 10, (1500, 4200), tool))
        }
    };
    run.hits_per_mille = 12;
    go_through(Plot::new(world, 1, evasion), run, now);
}

/// The sign-in is out of order, and everybody fails: who notices one list more?
pub(super) fn hidden_in_outage(world: &mut World, now: Millis) {
    let soon = |from: Millis| (now..now + 120_000).contains(&from);
    let Some((from, to)) = world.outages.iter().find(|(from, _)| soon(*from)).copied() else {
        return hidden_in_crowd(world, now);
    };
    let length = world.random.between(150, 300);
    let places = proxies(world, 25);
    let seconds = ((to - from) / 1000 + 900) as u32;
    let gap = (seconds / length / 2, seconds / length * 3 / 2 + 1);
    let run = run(world, length, places, 1, gap, Clients::Shuffled);
    go_through(Plot::new(world, 9, "outage"), run, from);
}

/// No outage is there to hide in: the list comes in the crowd.
fn hidden_in_crowd(world: &mut World, now: Millis) {
    let length = world.random.between(100, 200);
    let places = proxies(world, 25);
    let run = run(world, length, places, 1, (10, 60), Clients::Shuffled);
    go_through(Plot::new(world, 9, "crowd"), run, now);
}

pub(super) fn shuffled_fingerprints(world: &mut World, now: Millis) {
    let length = world.random.between(200, 400);
    let places = proxies(world, 60);
    let run = run(world, length, places, 2, (5, 40), Clients::Shuffled);
    go_through(Plot::new(world, 10, "fingerprints"), run, now);
}

fn run(
    world: &mut World,
    length: u32,
    places: Vec<Place>,
    tries_an_address: usize,
    gap_seconds: (u32, u32),
    clients: Clients,
) -> Run {
    let length = world.share(length, 6);
    let names = leaked_names(world, length, 550);
    Run { names, places, tries_an_address, gap_seconds, clients, hits_per_mille: 14 }
}

/// A list from somewhere else: some of its names have an account here, no name comes twice.
fn leaked_names(world: &mut World, length: u32, here_per_mille: u32) -> Vec<Name> {
    let accounts = world.shape.accounts;
    let first = world.random.below(accounts);
    let stride = 1 + world.random.below(accounts / length.max(1) + 1);
    let mut here = 0;
    let mut names = Vec::with_capacity(length as usize);
    for _ in 0..length {
        names.push(if world.random.chance(here_per_mille) {
            here += 1;
            Name::Household((first + here * stride) % accounts)
        } else {
            Name::Stranger((world.random.bits() >> 40) as u32)
        });
    }
    names
}

/// Home lines all over the world.
fn proxies(world: &mut World, count: u32) -> Vec<Place> {
    (0..count.max(4)).map(|_| residential_anywhere(world)).collect()
}

/// Servers side by side.
fn neighbours(world: &mut World, count: u32) -> Vec<Place> {
    let city = world.random.below(24) as u8;
    let first = world.random.below(0x60) << 8 | 0x10;
    (0..count).map(|number| Networks::hosting(city, first + number * 9)).collect()
}

fn go_through(mut plot: Plot<'_>, run: Run, now: Millis) {
    let tries = run.names.len();
    let hits = (tries as u32 * run.hits_per_mille).div_ceil(1000);
    let mut hits_left = hits;
    let mut time = now;
    for (number, &name) in run.names.iter().enumerate() {
        time += plot.seconds(run.gap_seconds.0, run.gap_seconds.1);
        let place = run.places[number / run.tries_an_address % run.places.len()];
        let mut event = Event { place, ..Event::new("login", name) };
        dress(plot.world, &mut event, run.clients, time);
        // Any try may be the right one; what is left over comes at the end.
        let left = (tries - number) as u32;
        let due = plot.world.random.below(left) < hits_left * 2 || left <= hits_left * 8;
        match hit(plot.world, name, time, number >= 12 && hits_left > 0 && due) {
            Some(account) => {
                hits_left -= 1;
                fall(&mut plot, event, account, time);
            }
            None => {
                let reason = refusal(plot.world, name, time);
                plot.log(time, event.failed(reason));
            }
        }
    }
    if hits_left == hits {
        last_try(&mut plot, &run, time);
    }
}

/// A list on which no password was right has one more name.
fn last_try(plot: &mut Plot<'_>, run: &Run, time: Millis) {
    let fits = |household: &Household| !household.second_factor && !household.is_dormant();
    let Some(account) = plot.world.victim(time, fits) else { return };
    let end = plot.world.outage(time).map_or(time, |(_, to)| to);
    let time = end + plot.seconds(run.gap_seconds.0, run.gap_seconds.1);
    let place = run.places[run.names.len() / run.tries_an_address % run.places.len()];
    let mut event = Event { place, ..Event::new("login", Name::Household(account)) };
    dress(plot.world, &mut event, run.clients, time);
    fall(plot, event, account, time);
}

/// Why a try fails: in an outage everything does.
fn refusal(world: &mut World, name: Name, time: Millis) -> &'static str {
    match (world.outage(time), name) {
        (Some(_), _) if world.random.chance(700) => "service_unavailable",
        (_, Name::Household(_)) => "bad_password",
        _ => "unknown_account",
    }
}

fn hit(world: &mut World, name: Name, time: Millis, due: bool) -> Option<u32> {
    let Name::Household(account) = name else { return None };
    let household = world.people.get(account);
    let known = household.seen_at.is_some_and(|seen| seen + 2 * super::DAY < time);
    let open = known && !household.deleted && !household.targeted && !household.second_factor;
    let open = open && household.trip.is_none();
    if !due || !open || world.outage(time).is_some() {
        return None;
    }
    world.people.get_mut(account).targeted = true;
    Some(account)
}

/// The right password; what follows comes at once from here, or later from elsewhere.
fn fall(plot: &mut Plot<'_>, mut event: Event, account: u32, time: Millis) {
    event.session = plot.world.new_session();
    plot.fall(time, event);
    if plot.world.random.chance(500) {
        plot.aftermath(event, account, time);
        return;
    }
    let later = time + plot.seconds(600, 6 * 3600);
    let place = clean_at_home(plot.world, account);
    let buyer = intruder(plot.world, account, place, later);
    plot.log(later, buyer);
    plot.aftermath(buyer, account, later);
}

fn dress(world: &mut World, event: &mut Event, clients: Clients, time: Millis) {
    match clients {
        Clients::Tool(tool) => event.client = Client::fixed(tool),
        Clients::Disguised(tls) => {
            let kind = world.random.pick(&BROWSERS);
            event.client = Client::at(kind, tls, time - world.start);
            event.client.tls = tls | 1;
        }
        Clients::Shuffled => {
            strange_client(world, event, time);
            event.client.tls = (world.random.bits() >> 33) as u32 | 1;
        }
    }
}

/// Asks which names are customers; nobody falls.
pub(super) fn enumeration(world: &mut World, variant: u8, now: Millis) {
    let length = world.random.between(200, 400);
    let length = world.share(length, 5);
    let names = leaked_names(world, length, 120);
    let tool = world.random.pick(&TOOLS);
    let (evasion, places, gap) = match variant {
        0 => ("none", vec![rented(world)], (1, 4)),
        _ => ("many_sources", proxies(world, 40), (30, 240)),
    };
    let action = if variant == 0 { "login" } else { "password_reset" };
    let mut plot = Plot::new(world, 5, evasion);
    let mut time = now;
    for (number, name) in names.into_iter().enumerate() {
        time += plot.seconds(gap.0, gap.1);
        let mut event = Event { place: places[number % places.len()], ..Event::new(action, name) };
        event.client = Client::fixed(tool);
        let reason = match name {
            Name::Household(_) => "bad_password",
            _ => "unknown_account",
        };
        plot.log(time, event.failed(reason));
    }
}
