//! Attacks on one account: its password, its codes, its owner's patience.

use super::super::super::event::Millis;
use super::super::client::{Client, TOOLS};
use super::super::event::{Event, Name};
use super::super::network::Place;
use super::super::people::Household;
use super::super::world::World;
use super::{Plot, clean_at_home, intruder, rented, residential_anywhere, strange_client};

fn without_second_factor(household: &Household) -> bool {
    !household.second_factor && !household.is_dormant()
}

fn with_second_factor(household: &Household) -> bool {
    household.second_factor && !household.is_dormant()
}

/// Wrong passwords for one account from some places; returns the time after the last.
fn guess(
    plot: &mut Plot<'_>,
    account: u32,
    places: &[Place],
    tries: u32,
    gap_seconds: (u32, u32),
    now: Millis,
) -> Millis {
    let tool = plot.world.random.pick(&TOOLS);
    let mut time = now;
    for number in 0..tries as usize {
        let mut event = Event::new("login", Name::Household(account));
        event.place = places[number % places.len()];
        event.client = Client::fixed(tool);
        if places.len() > 1 {
            strange_client(plot.world, &mut event, time);
        }
        plot.log(time, event.failed("bad_password"));
        time += plot.seconds(gap_seconds.0, gap_seconds.1);
    }
    time
}

pub(super) fn passwords(world: &mut World, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, without_second_factor) else { return };
    let (evasion, count, gap) = match variant {
        0 => ("none", 1, (4, 25)),
        1 => ("many_sources", 16, (60, 200)),
        _ => ("slow", 3, (7200, 16_000)),
    };
    let places: Vec<Place> = (0..count)
        .map(|_| if count > 4 { residential_anywhere(world) } else { rented(world) })
        .collect();
    let tries = world.random.between(35, 60);
    let mut plot = Plot::new(world, 2, evasion);
    let time = guess(&mut plot, account, &places, tries, gap, now);
    let place = places[tries as usize % places.len()];
    let event = intruder(plot.world, account, place, time);
    plot.fall(time, event);
    plot.aftermath(event, account, time);
}

/// The password is known: the code of six digits is not.
pub(super) fn codes(world: &mut World, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, with_second_factor) else { return };
    let (evasion, gap) = [("none", (2, 8)), ("slow", (120, 500))][usize::from(variant) % 2];
    let place = if variant == 0 { rented(world) } else { residential_anywhere(world) };
    let tries = world.random.between(25, 60);
    let mut plot = Plot::new(world, 3, evasion);
    let event = intruder(plot.world, account, place, now);
    plot.log(now, event);
    plot.log(now + 1500, event.then("mfa_challenge"));
    let mut time = now + 6000;
    for _ in 0..tries {
        plot.log(time, event.then("mfa_verify").failed("bad_code"));
        time += plot.seconds(gap.0, gap.1);
    }
    plot.fall(time, event.then("mfa_verify"));
    plot.aftermath(event, account, time);
}

/// Asks the owner's telephone until somebody presses yes; or never does.
pub(super) fn fatigue(world: &mut World, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, with_second_factor) else { return };
    let evasion = ["approved", "denied", "few_and_approved"][usize::from(variant) % 3];
    let place = if variant == 2 { clean_at_home(world, account) } else { rented(world) };
    let asks = if variant == 2 { world.random.between(4, 6) } else { world.random.between(8, 20) };
    let mut plot = Plot::new(world, 4, evasion);
    let event = intruder(plot.world, account, place, now);
    let mut time = now;
    plot.log(time, event);
    for _ in 0..asks {
        time += plot.seconds(2, 5);
        plot.log(time, event.then("mfa_challenge"));
        time += plot.seconds(15, 60);
        plot.log(time, event.then("mfa_verify").failed("mfa_denied"));
    }
    if variant != 1 {
        time += plot.seconds(5, 30);
        plot.log(time, event.then("mfa_challenge"));
        time += plot.seconds(5, 20);
        plot.fall(time, event.then("mfa_verify"));
        plot.aftermath(event, account, time);
    }
}

/// A botnet finds the password; a clean address uses it.
pub(super) fn other_clean_address(world: &mut World, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, without_second_factor) else { return };
    let places: Vec<Place> = (0..12).map(|_| residential_anywhere(world)).collect();
    let tries = world.random.between(14, 30);
    let evasion = ["soon", "next_day"][usize::from(variant) % 2];
    let mut plot = Plot::new(world, 8, evasion);
    let found = guess(&mut plot, account, &places, tries, (30, 150), now);
    let wait =
        if variant == 0 { plot.seconds(300, 3600) } else { plot.seconds(16 * 3600, 30 * 3600) };
    let time = found + wait;
    let place = clean_at_home(plot.world, account);
    let event = intruder(plot.world, account, place, time);
    plot.fall(time, event);
    plot.aftermath(event, account, time);
}

/// Somebody on the victim's own carrier, or in the victim's own street.
pub(super) fn behind_victims_cgnat(world: &mut World, variant: u8, now: Millis) {
    let wireless = variant == 1;
    let fits = |household: &Household| {
        without_second_factor(household) && (!wireless || household.is_behind_cgnat())
    };
    let Some(account) = world.victim(now, fits) else { return };
    let tries = world.random.between(12, 25);
    let evasion = ["carrier", "home_network"][usize::from(variant) % 2];
    let mut plot = Plot::new(world, 11, evasion);
    let mut event = intruder(plot.world, account, Place::NONE, now);
    event.shared_place = true;
    let mut time = now;
    for _ in 0..tries {
        event.place = neighbour(plot.world, account, wireless, time);
        plot.log(time, event.failed("bad_password"));
        time += plot.seconds(10, 90);
    }
    event.place = neighbour(plot.world, account, wireless, time);
    plot.fall(time, event);
    plot.aftermath(event, account, time);
}

fn neighbour(world: &mut World, account: u32, wireless: bool, now: Millis) -> Place {
    let household = world.people.get(account);
    if wireless {
        household.home(0, now, &world.networks)
    } else {
        world.networks.mobile(household.city, household.carrier, &mut world.random)
    }
}
