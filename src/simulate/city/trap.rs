//! Benign behaviour that looks like an attack, each kind with a switch of its own.

use std::collections::BTreeSet;

use super::super::event::{DAY, HOUR, MINUTE, Millis};
use super::client::{ALARM_CENTRE, BROWSERS, Client, HOME_HUB, PROBE};
use super::event::{ALARM, Actor, Event, HUB, Name, Resource, SERVICES};
use super::network::{self, Networks, Place};
use super::people::Trip;
use super::staff;
use super::switches::{TRAPS, Trap};
use super::truth::Story;
use super::world::{Item, World};

/// Something of a trap that happens at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happening {
    /// Thousands have to log in again, and type the old password first.
    AppUpdate,
    /// The alarm centre looks at the next of its customers.
    Poll(u32),
    /// The integration refreshes the next of its tokens.
    Refresh(u32),
    /// The integration gets a new secret, and needs a while to use it.
    Rotation,
    /// A probe asks whether the service is up.
    Probe(u8),
    /// Somebody goes on a journey.
    Journey,
    /// Somebody is back.
    Return(u32),
    /// Somebody unwraps a telephone.
    NewPhone(u32),
    /// A member of staff has a day with many cases.
    BusyDay,
    /// Everybody wants to see one clip.
    ViralClip,
    /// Cameras' events come late for two hours.
    LateBatches,
    /// Somebody forgot the password.
    Forgotten,
}

/// Christmas Eve of 2023, 00:00 UTC.
pub(super) const CHRISTMAS: Millis = 1_703_376_000_000;

/// One in so many customers has an alarm centre, and an integration with a smart home.
const ALARM_ONE_IN: u32 = 20;
const HUB_ONE_IN: u32 = 16;

/// Plans what comes of the traps that are on; outages are decided here, before everything.
pub(super) fn prepare(world: &mut World) {
    let rounds = world.shape.rounds;
    if world.traps.has(Trap::Outage) {
        for round in 0..rounds * 2 {
            plan_outage(world, round, rounds * 2);
        }
    }
    let start = world.start + HOUR;
    let mut plan = |trap: Trap, count: u32, happening: Happening| {
        for _ in 0..if world.traps.has(trap) { count } else { 0 } {
            let time = world.at(15, 88);
            world.queue.push(time, Item::Trap(happening));
        }
    };
    plan(Trap::AppUpdate, 2 * rounds, Happening::AppUpdate);
    plan(Trap::CredentialRotation, 2 * rounds, Happening::Rotation);
    plan(Trap::StaffCases, 4 * rounds, Happening::BusyDay);
    plan(Trap::ViralClip, 2 * rounds, Happening::ViralClip);
    plan(Trap::LateBatches, 6 * rounds, Happening::LateBatches);
    let mut repeat = |trap: Trap, happening: Happening| {
        if world.traps.has(trap) {
            world.queue.push(start, Item::Trap(happening));
        }
    };
    repeat(Trap::PartnerPolling, Happening::Poll(0));
    repeat(Trap::CredentialRotation, Happening::Refresh(0));
    repeat(Trap::Travellers, Happening::Journey);
    repeat(Trap::ForgottenPassword, Happening::Forgotten);
    for probe in 0..3 {
        repeat(Trap::Monitoring, Happening::Probe(probe));
    }
    plan_presents(world);
}

fn plan_outage(world: &mut World, number: u32, of: u32) {
    let part = 64 * i64::from(number) / i64::from(of) + 22;
    let from = world.start + world.shape.span / 100 * part + world.random.seconds(0, 40_000);
    let to = from + world.random.seconds(1200, 3000);
    world.outages.push((from, to));
    let story =
        Story { kind: TRAPS[Trap::Outage as usize], from, to: to + HOUR, ..Story::default() };
    world.stories.push(story);
}

fn plan_presents(world: &mut World) {
    if !world.traps.has(Trap::NewPhone) {
        return;
    }
    for index in 0..world.shape.accounts {
        if world.random.chance(110) {
            let time = CHRISTMAS + 15 * HOUR + world.random.seconds(0, 3 * 86_400);
            world.queue.push(time, Item::Trap(Happening::NewPhone(index)));
        }
    }
}

/// What happens, and what it leads to.
pub(super) fn happen(world: &mut World, happening: Happening, now: Millis) {
    match happening {
        Happening::AppUpdate => app_update(world, now),
        Happening::Poll(next) => poll(world, next, now),
        Happening::Refresh(next) => refresh(world, next, now),
        Happening::Rotation => rotation(world, now),
        Happening::Probe(number) => probe(world, number, now),
        Happening::Journey => journey(world, now),
        Happening::Return(index) => world.people.get_mut(index).trip = None,
        Happening::NewPhone(index) => new_phone(world, index, now),
        Happening::BusyDay => busy_day(world, now),
        Happening::ViralClip => viral_clip(world, now),
        Happening::LateBatches => late_batches(world, now),
        Happening::Forgotten => forgotten(world, now),
    }
}

fn story(
    world: &mut World,
    trap: Trap,
    from: Millis,
    to: Millis,
    accounts: Vec<Name>,
    places: BTreeSet<Place>,
) {
    let kind = TRAPS[trap as usize];
    world.stories.push(Story { kind, from, to, accounts, places, actors: BTreeSet::new() });
}

/// A device of a household at home, as a base for its events.
fn at_home(world: &World, index: u32, now: Millis) -> Event {
    let household = world.people.get(index);
    let mut event = Event::new("login", Name::Household(index));
    event.place = household.home(0, now, &world.networks);
    event.device = household.devices[0].id;
    event.client = household.program(0, now);
    event
}

/// Logs in with a new session, on the first telephone.
fn log_in(world: &mut World, time: Millis, event: Event, index: u32) -> Event {
    let session = world.new_session();
    let device = &mut world.people.get_mut(index).devices[0];
    (device.session, device.expired) = (session, false);
    let event = Event { session, ..event };
    world.log(time, event);
    event
}

fn app_update(world: &mut World, now: Millis) {
    let mut accounts = Vec::new();
    for index in 0..world.shape.accounts {
        let household = world.people.get(index);
        if household.deleted
            || household.is_dormant()
            || household.targeted
            || !world.random.chance(400)
        {
            continue;
        }
        let mut event = at_home(world, index, now);
        if world.random.chance(350) {
            let household = world.people.get(index);
            event.place =
                world.networks.mobile(household.city, household.carrier, &mut world.random);
        }
        let mut time = now + world.random.seconds(0, 3 * 3600);
        // The password manager fills in what it had before the update.
        for _ in 0..world.random.between(1, 3) {
            world.log(time, event.failed("bad_password"));
            time += world.random.seconds(4, 45);
        }
        log_in(world, time, event, index);
        keep_busy(world, index, time);
        accounts.push(Name::Household(index));
    }
    story(world, Trap::AppUpdate, now, now + 4 * HOUR, accounts, BTreeSet::new());
}

fn keep_busy(world: &mut World, index: u32, time: Millis) {
    let household = world.people.get_mut(index);
    household.busy_until = household.busy_until.max(time + 1000);
}

/// One address for all customers of a partner; a share that was taken back fails now and then.
fn poll(world: &mut World, next: u32, now: Millis) {
    let customers = world.shape.accounts / ALARM_ONE_IN + 1;
    let index = next % customers * ALARM_ONE_IN % world.shape.accounts;
    let household = world.people.get(index);
    if !household.deleted && !household.targeted {
        let mut event = staff::serve(ALARM, "live_view", index);
        event.place = alarm_place(next);
        event.client = Client::fixed(ALARM_CENTRE);
        event.session = 1 << 60 | u64::from(index);
        let camera = Resource::Camera(household.camera(&mut world.random));
        let event = event.on(camera);
        let gone = world.random.chance(30);
        world.log(now, if gone { event.then("session_refresh").failed("revoked") } else { event });
    }
    let pause_seconds = (50 * 86_400 / world.shape.accounts).max(1);
    let again = Item::Trap(Happening::Poll(next.wrapping_add(1)));
    world.queue.push(now + world.random.seconds(1, 2 * pause_seconds), again);
}

/// One of the two addresses of the alarm centre.
pub(super) fn alarm_place(number: u32) -> Place {
    Networks::hosting(23, 0x2101 + number % 2)
}

fn hub_place() -> Place {
    Networks::hosting(0, 0x3311)
}

fn hub_customers(world: &World) -> impl Iterator<Item = u32> + use<> {
    (3..world.shape.accounts).step_by(HUB_ONE_IN as usize)
}

fn hub_event(index: u32) -> Event {
    let mut event = staff::serve(HUB, "login", index);
    event.place = hub_place();
    event.client = Client::fixed(HOME_HUB);
    event
}

fn refresh(world: &mut World, next: u32, now: Millis) {
    let customers = hub_customers(world).count().max(1) as u32;
    let index = 3 + next % customers * HUB_ONE_IN;
    if !world.people.get(index).deleted {
        let session = world.new_session();
        world.log(now, Event { session, ..hub_event(index) });
    }
    let pause_seconds = (50 * 86_400 / world.shape.accounts).max(1);
    let again = Item::Trap(Happening::Refresh(next.wrapping_add(1)));
    world.queue.push(now + world.random.seconds(1, 2 * pause_seconds), again);
}

/// For some minutes every customer's token fails, from one address; then all is well.
fn rotation(world: &mut World, now: Millis) {
    let length_seconds = world.random.between(900, 2400);
    let mut accounts = Vec::new();
    for index in hub_customers(world) {
        if world.people.get(index).deleted {
            continue;
        }
        let mut time = now + world.random.seconds(0, length_seconds / 2);
        for _ in 0..world.random.between(1, 4) {
            world.log(time, hub_event(index).failed("bad_credentials"));
            time += world.random.seconds(30, 240);
        }
        let time = now + i64::from(length_seconds) * 1000 + world.random.seconds(5, 600);
        let session = world.new_session();
        world.log(time, Event { session, ..hub_event(index) });
        keep_busy(world, index, time);
        accounts.push(Name::Household(index));
    }
    let to = now + i64::from(length_seconds) * 1000 + HOUR;
    let actors = BTreeSet::from([SERVICES[usize::from(HUB)].to_owned()]);
    let places = BTreeSet::from([hub_place()]);
    let kind = TRAPS[Trap::CredentialRotation as usize];
    world.stories.push(Story { kind, from: now, to, accounts, places, actors });
}

/// Where a probe stands.
pub(super) fn probe_place(number: u8) -> Place {
    Networks::hosting([1, 13, 19][usize::from(number) % 3], 0x4401)
}

/// Logs in with a wrong password too: that has to fail as well.
fn probe(world: &mut World, number: u8, now: Millis) {
    let mut event = Event::new("login", Name::Probe(number + 1));
    event.place = probe_place(number);
    event.client = Client::fixed(PROBE);
    event.session = world.new_session();
    if world.outage(now).is_some() {
        world.log(now, event.failed("service_unavailable"));
    } else if world.random.chance(150) {
        for again in 0..3 {
            world.log(now + again * 2000, event.failed("bad_password"));
        }
    } else {
        world.log(now, event);
        world.log(now + 1500, event.then("logout"));
    }
    let pause_seconds = (25 * 86_400 / world.shape.accounts).max(60);
    let again = now + i64::from(pause_seconds) * 1000;
    world.queue.push(again, Item::Trap(Happening::Probe(number)));
}

fn journey(world: &mut World, now: Millis) {
    let free = |household: &super::people::Household| !household.is_dormant();
    if let Some(index) = world.living().filter(|&index| free(world.people.get(index)))
        && world.people.get(index).trip.is_none()
    {
        depart(world, index, now);
    }
    let pause_seconds = (250 * 86_400 / world.shape.accounts).max(60);
    let again = now + world.random.seconds(60, 2 * pause_seconds);
    world.queue.push(again, Item::Trap(Happening::Journey));
}

fn depart(world: &mut World, index: u32, now: Millis) {
    let home = world.people.get(index).city;
    let far = world.random.chance(600);
    let city = network::other_city(home, !far, &mut world.random);
    let hours = |low: i64, high: u32, random: &mut super::super::random::Random| {
        (low + i64::from(random.below(high))) * HOUR
    };
    let way = if far { hours(14, 10, &mut world.random) } else { hours(5, 3, &mut world.random) };
    let arrives = now + way;
    let departs = arrives + i64::from(world.random.between(2, 9)) * DAY;
    let hotel = world.random.below(40);
    let trip = Trip { leaves: now, arrives, departs, returns: departs + way, city, hotel };
    world.people.get_mut(index).trip = Some(trip);
    world.queue.push(trip.returns + HOUR, Item::Trap(Happening::Return(index)));
    // Away from home the service asks for the password more often.
    if world.random.chance(400) {
        world.people.get_mut(index).devices[0].expired = true;
    }
    let places = BTreeSet::from([Networks::hotel(city, hotel)]);
    story(world, Trap::Travellers, now, trip.returns, vec![Name::Household(index)], places);
}

/// Mostly at home, sometimes where the presents were.
fn new_phone(world: &mut World, index: u32, now: Millis) {
    let household = world.people.get_mut(index);
    if household.deleted || household.targeted || household.is_dormant() || household.trip.is_some()
    {
        return;
    }
    household.replace_phone(&mut world.random);
    let (city, carrier) = (household.city, household.carrier);
    let mut event = at_home(world, index, now);
    match world.random.weighted(&[85, 9, 6]) {
        0 => {}
        1 => event.place = world.networks.mobile(city, carrier, &mut world.random),
        _ => {
            let away = network::other_city(city, true, &mut world.random);
            event.place = Networks::home(away, carrier, index + 13);
        }
    }
    let mut time = now;
    for _ in 0..world.random.weighted(&[60, 25, 10, 5]) {
        world.log(time, event.failed("bad_password"));
        time += world.random.seconds(8, 50);
    }
    let event = log_in(world, time, event, index);
    if world.people.get(index).second_factor {
        world.log(time + 2000, event.then("mfa_challenge"));
        time += world.random.seconds(8, 40);
        world.log(time, event.then("mfa_verify"));
    }
    time += world.random.seconds(3, 40);
    world.log(time, event.then("device_register"));
    for _ in 0..world.random.between(1, 4) {
        time += world.random.seconds(5, 90);
        let camera = world.people.get(index).camera(&mut world.random);
        world.log(time, event.then("live_view").on(Resource::Camera(camera)));
    }
    keep_busy(world, index, time);
    let places = BTreeSet::from([event.place]);
    story(world, Trap::NewPhone, now, now + 7 * DAY, vec![Name::Household(index)], places);
}

/// Many cases in a shift, all of them true.
fn busy_day(world: &mut World, now: Millis) {
    let number = world.random.below(u32::from(world.shape.staff)) as u16;
    let begin = staff::next_shift(world, number, now + 12 * HOUR);
    for _ in 0..world.random.between(14, 24) {
        let time = begin + world.random.seconds(300, 6 * 3600);
        world.queue.push(time, Item::OpenCase(number));
    }
    let mut actors = BTreeSet::new();
    let mut name = String::new();
    super::event::push_actor(&mut name, Actor::Staff(number), Name::Staff(number));
    actors.insert(name);
    let kind = TRAPS[Trap::StaffCases as usize];
    world.stories.push(Story {
        kind,
        from: begin,
        to: begin + 9 * HOUR,
        actors,
        ..Story::default()
    });
}

fn viral_clip(world: &mut World, now: Millis) {
    let Some(owner) = world.living() else { return };
    let household = world.people.get_mut(owner);
    household.targeted = true; // the owner leaves the clip where it is
    let clip = Resource::Recording(household.newest(now) - 2);
    let mut accounts = vec![Name::Household(owner)];
    for _ in 0..world.share(900, 6) {
        let Some(viewer) = world.living() else { break };
        // Most come early.
        let hours = world.random.below(8) + 1;
        let time = now + world.random.seconds(0, hours * 3600);
        let home = at_home(world, viewer, time);
        let mut event = Event { account: Name::Household(owner), ..home.then("recording_view") };
        event.actor = Actor::Viewer(viewer);
        event.session = world.people.get(viewer).devices[0].session;
        world.log(time, event.on(clip));
        accounts.push(Name::Household(viewer));
    }
    story(world, Trap::ViralClip, now, now + 9 * HOUR, accounts, BTreeSet::new());
}

fn late_batches(world: &mut World, now: Millis) {
    let to = now + world.random.seconds(3600, 3 * 3600);
    world.late = (now, to);
    story(world, Trap::LateBatches, now, to, Vec::new(), BTreeSet::new());
}

/// Many tries, a reset, and in again; sometimes from a borrowed computer.
fn forgotten(world: &mut World, now: Millis) {
    if let Some(index) = world.living() {
        let household = world.people.get(index);
        if household.seen_at.is_some() && !household.is_dormant() && household.trip.is_none() {
            forget(world, index, now);
        }
    }
    let pause_seconds = (170 * 86_400 / world.shape.accounts).max(5);
    let again = now + world.random.seconds(1, 2 * pause_seconds);
    world.queue.push(again, Item::Trap(Happening::Forgotten));
}

fn forget(world: &mut World, index: u32, now: Millis) {
    let mut event = at_home(world, index, now);
    if world.random.chance(120) {
        let kind = world.random.pick(&BROWSERS);
        event.device = (world.random.bits() >> 32) as u32 | 1;
        event.client = Client::at(kind, event.device, now - world.start);
    } else if world.random.chance(300) {
        let household = world.people.get(index);
        event.place = world.networks.mobile(household.city, household.carrier, &mut world.random);
    }
    let mut time = now;
    for _ in 0..world.random.between(3, 9) {
        world.log(time, event.failed("bad_password"));
        time += world.random.seconds(5, 60);
    }
    world.log(time + 60_000, event.then("password_reset"));
    time += 60_000 + world.random.seconds(20, 300);
    let session = world.new_session();
    world.log(time, Event { session, ..event });
    keep_busy(world, index, time);
    let to = time + MINUTE;
    story(world, Trap::ForgottenPassword, now, to, vec![Name::Household(index)], BTreeSet::new());
}
