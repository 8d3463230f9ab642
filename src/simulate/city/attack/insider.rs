//! What people of the service do where they have no business.

use super::super::super::event::{DAY, HOUR, Millis};
use super::super::client::{BROWSERS, Client};
use super::super::event::{Event, Name, Resource, THUMBNAILS};
use super::super::people::Household;
use super::super::staff;
use super::super::switches::ATTACKS;
use super::super::world::World;
use super::{Plot, residential};

/// One insider, whom the log has to know already.
pub(super) fn commit(world: &mut World, kind: usize, variant: u8, now: Millis) {
    let by_day = ATTACKS[kind] == "odd_hours";
    let staff = world.insider(|number| !by_day || number % 5 != 4);
    let begin = staff::next_shift(world, staff, now) + world.random.seconds(300, 3600);
    match ATTACKS[kind] {
        "mass_viewing" => mass_viewing(world, kind, staff, begin),
        "same_victim" => same_victim(world, kind, staff, variant, begin),
        "no_ticket" => no_ticket(world, kind, staff, variant, begin),
        "closed_ticket" => closed_ticket(world, kind, staff, begin),
        "foreign_ticket" => foreign_ticket(world, kind, staff, begin),
        "private_labels" => private_labels(world, kind, staff, begin),
        "odd_hours" => odd_hours(world, kind, staff, now),
        "far_above_peers" => far_above_peers(world, kind, staff, begin),
        "one_a_day" => one_a_day(world, kind, staff, begin),
        "service_account" => service_account(world, kind, begin),
        _ => bulk_download(world, kind, staff, begin),
    }
}

fn has_bedroom(household: &Household) -> bool {
    household.has_private_camera()
}

fn alive(_: &Household) -> bool {
    true
}

/// Looks at the most private camera of a customer, live or at what it saw.
fn look(plot: &mut Plot<'_>, staff: u16, account: u32, ticket: u32, time: Millis) {
    let household = plot.world.people.get(account);
    let camera = household.private_camera();
    let number = recording_of(household, camera, time);
    let (action, resource) = if plot.world.random.chance(550) {
        ("recording_view", Resource::Recording(number))
    } else {
        ("live_view", Resource::Camera(camera))
    };
    plot.log(time, Event { ticket, ..staff::act(staff, action, account).on(resource) });
}

/// The newest recording of one camera.
fn recording_of(household: &Household, camera: u8, now: Millis) -> u32 {
    let newest = household.newest(now);
    let back = (newest % u32::from(household.camera_count()) + u32::from(household.camera_count())
        - u32::from(camera))
        % u32::from(household.camera_count());
    newest - back
}

/// A dozen customers and more in one shift.
fn mass_viewing(world: &mut World, kind: usize, staff: u16, now: Millis) {
    let customers = world.share(35, 10);
    let mut plot = Plot::new(world, kind, "none");
    let mut time = now;
    for _ in 0..customers {
        let Some(account) = plot.world.victim(now, alive) else { break };
        for _ in 0..plot.world.random.between(1, 3) {
            look(&mut plot, staff, account, 0, time);
            time += plot.seconds(20, 200);
        }
    }
}

/// One customer, again and again; without a ticket, or each time with one made up for it.
fn same_victim(world: &mut World, kind: usize, staff: u16, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, has_bedroom) else { return };
    let evasion = ["none", "own_tickets"][usize::from(variant) % 2];
    let mut plot = Plot::new(world, kind, evasion);
    let mut time = now;
    for _ in 0..plot.world.random.between(12, 18) {
        let ticket = if variant == 0 { 0 } else { made_up(&mut plot, staff, account, time) };
        for _ in 0..plot.world.random.between(1, 3) {
            time += plot.seconds(40, 300);
            look(&mut plot, staff, account, ticket, time);
        }
        let pause = 14 * HOUR + plot.seconds(0, 30 * 3600);
        time = staff::next_shift(plot.world, staff, time + pause) + plot.seconds(60, 20_000);
    }
}

/// Opens a case for a customer who did not ask.
fn made_up(plot: &mut Plot<'_>, staff: u16, account: u32, time: Millis) -> u32 {
    let ticket = plot.world.new_ticket();
    plot.log(time, Event { ticket, ..staff::act(staff, "ticket_open", account) });
    ticket
}

/// A few customers in a day, or fewer over two weeks.
fn no_ticket(world: &mut World, kind: usize, staff: u16, variant: u8, now: Millis) {
    let evasion = ["none", "few_a_week"][usize::from(variant) % 2];
    let customers = if variant == 0 { 6 } else { 7 };
    let mut plot = Plot::new(world, kind, evasion);
    let mut time = now;
    for _ in 0..customers {
        let Some(account) = plot.world.victim(now, has_bedroom) else { break };
        for _ in 0..plot.world.random.between(2, 4) {
            look(&mut plot, staff, account, 0, time);
            time += plot.seconds(30, 400);
        }
        if variant == 1 {
            let next = staff::next_shift(plot.world, staff, time + 30 * HOUR);
            time = next + plot.seconds(60, 20_000);
        }
    }
}

/// The customer had a question once; it was answered days ago.
fn closed_ticket(world: &mut World, kind: usize, staff: u16, now: Millis) {
    let mut plot = Plot::new(world, kind, "closed_ticket");
    for _ in 0..3 {
        let Some(account) = plot.world.victim(now, has_bedroom) else { return };
        let ticket = plot.world.new_ticket();
        let mut open = Event::new("ticket_open", Name::Household(account));
        open.ticket = ticket;
        let close = Event { ticket, ..staff::act(staff, "ticket_close", account) };
        // The case itself is honest.
        plot.world.log(now, open);
        plot.world.log(now + 2 * HOUR, close);
        let mut time = staff::next_shift(plot.world, staff, now + 3 * DAY) + plot.seconds(60, 9000);
        for _ in 0..plot.world.random.between(3, 6) {
            look(&mut plot, staff, account, ticket, time);
            time += plot.seconds(60, 600);
        }
    }
}

/// A case of one customer, looks at others.
fn foreign_ticket(world: &mut World, kind: usize, staff: u16, now: Millis) {
    let Some(owner) = world.living() else { return };
    let ticket = world.new_ticket();
    world.log(now, Event { ticket, ..Event::new("ticket_open", Name::Household(owner)) });
    let mut plot = Plot::new(world, kind, "foreign_ticket");
    let mut time = now + 600_000;
    for _ in 0..plot.world.random.between(4, 6) {
        let Some(account) = plot.world.victim(now, has_bedroom) else { break };
        for _ in 0..plot.world.random.between(2, 3) {
            look(&mut plot, staff, account, ticket, time);
            time += plot.seconds(30, 300);
        }
    }
}

/// A case a day, all in order, all in bedrooms.
fn private_labels(world: &mut World, kind: usize, staff: u16, now: Millis) {
    let mut plot = Plot::new(world, kind, "own_tickets");
    let mut time = now;
    for _ in 0..plot.world.random.between(15, 20) {
        let Some(account) = plot.world.victim(now, has_bedroom) else { break };
        let ticket = made_up(&mut plot, staff, account, time);
        for _ in 0..3 {
            time += plot.seconds(60, 300);
            look(&mut plot, staff, account, ticket, time);
        }
        time = staff::next_shift(plot.world, staff, time + 12 * HOUR) + plot.seconds(60, 20_000);
    }
}

/// In the small hours, by somebody who works by day.
fn odd_hours(world: &mut World, kind: usize, staff: u16, now: Millis) {
    let night = now - now.rem_euclid(DAY) + DAY + HOUR;
    let mut plot = Plot::new(world, kind, "made_up_tickets");
    for number in 0..5 {
        let Some(account) = plot.world.victim(now, has_bedroom) else { break };
        let mut time = night + number * 2 * DAY + plot.seconds(0, 7200);
        let ticket = plot.world.new_ticket(); // of no case that anybody opened
        for _ in 0..plot.world.random.between(2, 5) {
            look(&mut plot, staff, account, ticket, time);
            time += plot.seconds(60, 500);
        }
    }
}

/// Three shifts with many times the cases of the others, opened by the insider.
fn far_above_peers(world: &mut World, kind: usize, staff: u16, now: Millis) {
    let customers = world.share(32, 24);
    let mut plot = Plot::new(world, kind, "own_tickets");
    let mut begin = now;
    for _ in 0..3 {
        let mut time = begin;
        for _ in 0..customers {
            let Some(account) = plot.world.victim(now, alive) else { return };
            let ticket = made_up(&mut plot, staff, account, time);
            time += plot.seconds(20, 120);
            look(&mut plot, staff, account, ticket, time);
            time += plot.seconds(60, 500);
        }
        begin = staff::next_shift(plot.world, staff, begin + 16 * HOUR) + 600_000;
    }
}

/// Under every daily threshold, until the log ends.
fn one_a_day(world: &mut World, kind: usize, staff: u16, now: Millis) {
    let last = world.start + world.shape.span / 100 * 96;
    let mut plot = Plot::new(world, kind, "slow");
    let mut time = now;
    while time < last {
        let Some(account) = plot.world.victim(now, |_| true) else { break };
        look(&mut plot, staff, account, 0, time);
        time = staff::next_shift(plot.world, staff, time + 15 * HOUR) + plot.seconds(60, 25_000);
    }
}

/// The key of a system, in somebody's hands at home.
fn service_account(world: &mut World, kind: usize, now: Millis) {
    let place = residential(world, 0);
    let browser = world.random.pick(&BROWSERS);
    let client = Client::at(browser, 1, now - world.start);
    let mut plot = Plot::new(world, kind, "none");
    let mut time = now;
    for _ in 0..plot.world.random.between(5, 9) {
        let Some(account) = plot.world.victim(now, has_bedroom) else { break };
        let camera = Resource::Camera(plot.world.people.get(account).private_camera());
        let mut event = staff::serve(THUMBNAILS, "live_view", account).on(camera);
        (event.place, event.client, event.shared_place) = (place, client, false);
        for _ in 0..plot.world.random.between(1, 4) {
            plot.log(time, event);
            time += plot.seconds(20, 300);
        }
    }
}

/// Recordings by the dozen, of a few customers.
fn bulk_download(world: &mut World, kind: usize, staff: u16, now: Millis) {
    let mut plot = Plot::new(world, kind, "none");
    let mut time = now;
    for _ in 0..4 {
        let Some(account) = plot.world.victim(now, alive) else { break };
        let ticket = made_up(&mut plot, staff, account, time);
        for back in 0..plot.world.random.between(15, 30) {
            time += plot.seconds(2, 15);
            let recording =
                Resource::Recording(plot.world.people.get(account).newest(now) - back % 14);
            let event = staff::act(staff, "recording_download", account).on(recording);
            plot.log(time, Event { ticket, ..event });
        }
    }
}
