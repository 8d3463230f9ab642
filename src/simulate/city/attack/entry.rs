//! Ways in without a failure: a stolen session, a password that was known before.

use super::super::super::event::Millis;
use super::super::client::Client;
use super::super::event::{Event, Name};
use super::super::network::{self, Networks, Place};
use super::super::people::Household;
use super::super::world::World;
use super::{Plot, clean_at_home, intruder, rented, residential};

/// No login at all: the owner's session goes on in another place.
pub(super) fn session_theft(world: &mut World, variant: u8, now: Millis) {
    let fits =
        |household: &Household| household.devices[0].session != 0 && !household.devices[0].expired;
    let Some(account) = world.victim(now, fits) else { return };
    let evasion =
        ["other_country", "same_country", "same_agent", "with_the_owner"][usize::from(variant) % 4];
    let place = match variant {
        0 => abroad(world, account),
        _ => clean_at_home(world, account),
    };
    let mut event = owners_session(world, account, now);
    event.place = place;
    if variant < 2 {
        let own = event.device;
        super::strange_client(world, &mut event, now);
        event.device = own;
    } else {
        event.client.tls = (world.random.bits() >> 33) as u32 | 1;
    }
    let mut plot = Plot::new(world, 6, evasion);
    let mut time = now;
    if variant == 3 {
        // The owner is looking at the door while the thief looks at the bedroom.
        let owner = owners_session(plot.world, account, now);
        plot.world.log(now, owner);
        time += 20_000;
        plot.world.log(now + 45_000, owner.then("session_refresh"));
    }
    plot.fall(time, event);
    plot.aftermath(event, account, time);
}

fn owners_session(world: &World, account: u32, now: Millis) -> Event {
    let household = world.people.get(account);
    let mut event = Event::new("session_refresh", Name::Household(account));
    event.session = household.devices[0].session;
    event.device = household.devices[0].id;
    event.client = household.program(0, now);
    event.place = household.home(0, now, &world.networks);
    event
}

fn abroad(world: &mut World, account: u32) -> Place {
    let home = world.people.get(account).city;
    let city = network::other_city(home, false, &mut world.random);
    residential(world, city)
}

fn open_door(household: &Household) -> bool {
    !household.second_factor && !household.is_dormant()
}

/// The right password at the first try.
pub(super) fn known_password(world: &mut World, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, open_door) else { return };
    let (evasion, place, shared) = match variant {
        0 => ("none", rented(world), false),
        1 => ("clean_address_in_country", clean_at_home(world, account), false),
        2 => ("vpn", vpn(world, account), true),
        _ => ("same_provider", same_provider(world, account), false),
    };
    let mut plot = Plot::new(world, 7, evasion);
    let mut event = intruder(plot.world, account, place, now);
    event.shared_place = shared;
    if variant == 3 {
        // The make of telephone that the owner has.
        let kind = plot.world.people.get(account).devices[0].kind;
        event.client = Client::at(kind, event.device, now - plot.world.start);
    }
    plot.fall(now, event);
    plot.aftermath(event, account, now);
}

fn vpn(world: &mut World, account: u32) -> Place {
    let city = world.people.get(account).city;
    Networks::vpn(city, world.random.below(2) as u16, world.random.below(3))
}

fn same_provider(world: &mut World, account: u32) -> Place {
    let city = world.people.get(account).city;
    residential(world, city)
}

/// Nobody has used it for weeks.
pub(super) fn dormant_account(world: &mut World, variant: u8, now: Millis) {
    let fits = |household: &Household| household.is_dormant() && !household.second_factor;
    let Some(account) = world.victim(now, fits) else { return };
    let (evasion, place) = match variant {
        0 => ("none", rented(world)),
        _ => ("clean_address_in_country", clean_at_home(world, account)),
    };
    let mut plot = Plot::new(world, 12, evasion);
    let event = intruder(plot.world, account, place, now);
    plot.fall(now, event);
    plot.aftermath(event, account, now);
}

/// Changes nothing, says nothing, and comes back every day.
pub(super) fn intruder_stays(world: &mut World, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, open_door) else { return };
    let (evasion, place) = match variant {
        0 => ("none", abroad(world, account)),
        _ => ("clean_address_in_country", clean_at_home(world, account)),
    };
    let weeks = world.random.between(2, 3);
    let mut plot = Plot::new(world, 13, evasion);
    let event = intruder(plot.world, account, place, now);
    plot.fall(now, event);
    let soon = now + plot.seconds(20, 120);
    plot.watch(event, account, soon);
    plot.stay(event, account, now, weeks * 7);
}
