//! The service's own people and programs: support with cases, thumbnails, a model in training.

use super::super::event::{DAY, HOUR, Millis};
use super::client::{CONSOLE, Client, SERVICE};
use super::event::{Actor, Event, Name, Resource, TRAINING};
use super::network::Networks;
use super::switches::Trap;
use super::world::{Item, World};

/// One support case and how far it has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    staff: u16,
    account: u32,
    ticket: u32,
    looks_left: u8,
    /// Comes back tomorrow before it is closed.
    again: bool,
}

/// Every fourth works for somebody else.
pub(super) fn is_contractor(number: u16) -> bool {
    number % 4 == 3
}

/// Every fifth works at night.
fn is_at_night(world: &World, number: u16) -> bool {
    number % 5 == 4 && world.traps.has(Trap::ShiftWorkers)
}

/// An event of a member of staff: from the company's network, by the console.
pub(super) fn act(number: u16, action: &'static str, account: u32) -> Event {
    let mut event = Event::new(action, Name::Household(account));
    event.actor = Actor::Staff(number);
    event.place = Networks::office(u16::from(is_contractor(number)));
    event.client = Client::fixed(CONSOLE);
    event.device = 0x00c0_0000 + u32::from(number);
    event.shared_place = true; // all colleagues leave by it
    event
}

/// An event of one of the service's own systems.
pub(super) fn serve(service: u8, action: &'static str, account: u32) -> Event {
    let mut event = Event::new(action, Name::Household(account));
    event.actor = Actor::Service(service);
    event.place = Networks::hosting(22, 0x7700 + u32::from(service) * 3 + 1);
    event.client = Client::fixed(SERVICE);
    event.shared_place = true;
    event
}

/// Everybody of the staff, and the service's own systems.
pub(super) fn prepare(world: &mut World) {
    for number in 0..world.shape.staff {
        let first = next_shift(world, number, world.start);
        world.queue.push(first + world.random.seconds(0, 1200), Item::Staff(number));
    }
    for service in [TRAINING, super::event::THUMBNAILS] {
        world.queue.push(world.start + HOUR, Item::Service(service));
    }
}

/// Begins the day, or takes the next case.
pub(super) fn work(world: &mut World, number: u16, now: Millis) {
    let next = if on_duty(world, number, now) {
        if !on_duty(world, number, now - HOUR) {
            open_console(world, number, now);
        }
        open_case(world, number, now);
        now + world.random.seconds(3000, 6600)
    } else {
        next_shift(world, number, now) + world.random.seconds(0, 1200)
    };
    world.queue.push(next, Item::Staff(number));
}

fn open_console(world: &mut World, number: u16, now: Millis) {
    let mut login = Event { account: Name::Staff(number), ..act(number, "login", 0) };
    login.actor = Actor::Owner;
    login.session = world.new_session();
    world.log(now, login);
}

/// A customer has a question; somebody looks at it.
pub(super) fn open_case(world: &mut World, number: u16, now: Millis) {
    let Some(account) = world.living() else { return };
    let ticket = world.new_ticket();
    let household = world.people.get(account);
    let mut opening = Event::new("ticket_open", Name::Household(account));
    opening.ticket = ticket;
    opening.place = household.home(0, now, &world.networks);
    opening.device = household.devices[0].id;
    opening.client = household.program(0, now);
    world.log(now, opening);
    let looks_left = world.random.between(1, 4) as u8;
    let again = world.random.chance(150);
    let case = Case { staff: number, account, ticket, looks_left, again };
    world.queue.push(now + world.random.seconds(120, 900), Item::Case(case));
}

/// The next step of a case: a look, or the end.
pub(super) fn step(world: &mut World, mut case: Case, now: Millis) {
    if world.people.get(case.account).deleted {
        return;
    }
    let next = if case.looks_left > 0 {
        case.looks_left -= 1;
        look(world, case, now);
        now + world.random.seconds(20, 200)
    } else if case.again {
        case.again = false;
        case.looks_left = world.random.between(1, 3) as u8;
        next_shift(world, case.staff, now + 6 * HOUR) + world.random.seconds(1800, 20_000)
    } else {
        let close = act(case.staff, "ticket_close", case.account);
        return world.log(now, Event { ticket: case.ticket, ..close });
    };
    world.queue.push(next, Item::Case(case));
}

/// Mostly what the customer sees now or has set; a recording when the case is about one.
fn look(world: &mut World, case: Case, now: Millis) {
    let household = world.people.get(case.account);
    let camera = Resource::Camera(household.camera(&mut world.random));
    let recording = Resource::Recording(household.recording(now, &mut world.random));
    let (action, resource) = match world.random.weighted(&[60, 30, 10]) {
        0 => ("live_view", camera),
        1 => ("settings_change", camera),
        _ => ("recording_view", recording),
    };
    // Forgotten once in a while.
    let ticket = if world.random.chance(3) { 0 } else { case.ticket };
    world.log(now, Event { ticket, ..act(case.staff, action, case.account).on(resource) });
}

/// A system does its round: one recording that nobody deleted.
pub(super) fn round(world: &mut World, service: u8, now: Millis) {
    if let Some(account) = world.living() {
        let household = world.people.get(account);
        let recording = household.recording(now, &mut world.random);
        let action = if service == TRAINING { "model_training_read" } else { "recording_view" };
        world.log(now, serve(service, action, account).on(Resource::Recording(recording)));
    }
    let pause_seconds = (16 * 86_400 / world.shape.accounts).max(2);
    world.queue.push(now + world.random.seconds(1, 2 * pause_seconds), Item::Service(service));
}

/// Whether a member of staff works then: five days of eight hours, by day, late or at night.
pub(super) fn on_duty(world: &World, number: u16, now: Millis) -> bool {
    let hour = now.rem_euclid(DAY) / HOUR;
    let weekday = (now.div_euclid(DAY) + 3) % 7;
    // Somebody is there at weekends too.
    let free = if number % 6 == 5 { [1, 2] } else { [5, 6] };
    let works = match (is_at_night(world, number), number % 3) {
        (true, _) => !(6..22).contains(&hour),
        (false, 2) => (13..21).contains(&hour),
        _ => (8..17).contains(&hour),
    };
    works && !free.contains(&weekday)
}

/// When a member of staff comes to work next.
pub(super) fn next_shift(world: &World, number: u16, now: Millis) -> Millis {
    let mut time = now - now.rem_euclid(HOUR) + HOUR;
    while !on_duty(world, number, time) {
        time += HOUR;
    }
    time
}
