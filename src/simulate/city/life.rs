//! What people do on an ordinary day: look at the door, forget a password, share a camera.

use super::super::event::{DAY, MINUTE, Millis};
use super::client::Client;
use super::event::{Actor, Event, Name, Resource};
use super::network::{Networks, Place};
use super::switches::Trap;
use super::world::{Item, World};

/// One session of one person, written as it goes; it may reach minutes into the future.
struct Session<'w> {
    world: &'w mut World,
    index: u32,
    person: u8,
    slot: usize,
    place: Place,
    time: Millis,
}

/// Puts everybody to bed with the alarm set.
pub(super) fn prepare(world: &mut World) {
    let start = world.start;
    for index in 0..world.shape.accounts {
        let household = world.people.get(index);
        let (family, guests) = (household.family.is_some(), household.guests);
        // Those who never come again come once, so that they are known.
        let first = if household.is_dormant() {
            Some(start + world.random.seconds(600, 2 * 86_400))
        } else {
            household.next_session(start, &mut world.random)
        };
        if let Some(first) = first {
            world.queue.push(first, Item::Person(index, 0));
        }
        if family
            && let Some(first) = world.people.get(index).next_session(start, &mut world.random)
        {
            world.queue.push(first, Item::Person(index, 1));
        }
        for guest in 0..guests {
            let first = start + world.random.seconds(3600, 4 * 86_400);
            world.queue.push(first, Item::Guest(index, guest));
        }
    }
}

/// One session of a person; plans the next one.
pub(super) fn person(world: &mut World, index: u32, person: u8, now: Millis) {
    let next = session(world, index, person, now);
    if let Some(next) = next {
        world.queue.push(next, Item::Person(index, person));
    }
}

fn session(world: &mut World, index: u32, person: u8, now: Millis) -> Option<Millis> {
    let household = world.people.get(index);
    if household.deleted {
        return None;
    }
    if let Some(landing) = household.trip.filter(|_| person == 0).and_then(|trip| trip.landing(now))
    {
        return Some(landing + world.random.seconds(600, 7200));
    }
    let slot = household.choose_device(person, &mut world.random);
    let slot = if household.locked_out && person == 0 { 0 } else { slot };
    let household = world.people.get(index);
    let place = household.place(slot, person, now, &world.networks, &mut world.random);
    let mut session = Session { world, index, person, slot, place, time: now };
    if let Some((_, end)) = session.world.outage(now) {
        session.knock();
        return Some(end + session.world.random.seconds(20, 2400));
    }
    if session.enter() {
        session.look_around();
    }
    let end = session.time;
    let household = world.people.get_mut(index);
    household.busy_until = household.busy_until.max(end + 1000);
    if household.deleted { None } else { household.next_session(end, &mut world.random) }
}

impl super::people::Trip {
    /// Nobody looks at cameras from an aeroplane: when it lands.
    fn landing(self, now: Millis) -> Option<Millis> {
        let ways = [(self.leaves, self.arrives), (self.departs, self.returns)];
        ways.into_iter().find(|(from, to)| (*from..*to).contains(&now)).map(|(_, to)| to)
    }
}

impl Session<'_> {
    fn event(&self, action: &'static str) -> Event {
        let household = self.world.people.get(self.index);
        let mut event = Event::new(action, Name::Household(self.index));
        event.place = self.place;
        event.device = household.devices[self.slot].id;
        event.client = household.program(self.slot, self.time);
        event.session = household.devices[self.slot].session;
        event
    }

    fn log(&mut self, event: Event) {
        self.world.log(self.time, event);
    }

    fn pause(&mut self, low: u32, high: u32) {
        self.time += self.world.random.seconds(low, high);
    }

    /// Nobody opens: the sign-in is out of order.
    fn knock(&mut self) {
        for _ in 0..self.world.random.between(1, 4) {
            let reason =
                if self.world.random.chance(850) { "service_unavailable" } else { "bad_password" };
            let action = if self.world.random.chance(600) { "session_refresh" } else { "login" };
            let reason = if action == "login" { reason } else { "service_unavailable" };
            let event = self.event(action).failed(reason);
            self.log(event);
            self.pause(5, 60);
        }
        // The token is gone for half of them: a wave of logins comes with the recovery.
        if self.world.random.chance(500) {
            self.world.people.get_mut(self.index).devices[self.slot].expired = true;
        }
    }

    /// Gets in by the session that is there, or by a login.
    fn enter(&mut self) -> bool {
        let household = self.world.people.get(self.index);
        let locked_out = household.locked_out && self.person == 0;
        if household.devices[self.slot].expired || locked_out || self.world.random.chance(25) {
            return self.log_in(locked_out);
        }
        self.log(self.event("session_refresh"));
        self.seen();
        true
    }

    fn seen(&mut self) {
        let household = self.world.people.get_mut(self.index);
        household.seen_at.get_or_insert(self.time);
        household.used_at = self.time;
    }

    fn log_in(&mut self, locked_out: bool) -> bool {
        if (locked_out || self.world.random.chance(90)) && !self.fail(locked_out) {
            return false;
        }
        let session = self.world.new_session();
        let household = self.world.people.get_mut(self.index);
        household.locked_out &= !locked_out;
        let device = &mut household.devices[self.slot];
        (device.session, device.expired) = (session, false);
        self.log(self.event("login"));
        self.second_factor();
        self.seen();
        true
    }

    /// A few wrong passwords; then it comes back to mind, or is reset, or has to wait.
    fn fail(&mut self, locked_out: bool) -> bool {
        for _ in 0..self.world.random.between(1, 3) {
            self.log(self.event("login").failed("bad_password"));
            self.pause(6, 40);
        }
        if locked_out || self.world.random.chance(250) {
            self.pause(60, 400);
            let mut reset = self.event("password_reset");
            reset.session = 0;
            self.log(reset);
            self.pause(5, 30);
            return true;
        }
        self.world.random.chance(900)
    }

    fn second_factor(&mut self) {
        if !self.world.people.get(self.index).second_factor {
            return;
        }
        self.pause(1, 3);
        self.log(self.event("mfa_challenge"));
        self.pause(4, 30);
        if self.world.random.chance(40) {
            self.log(self.event("mfa_verify").failed("bad_code"));
            self.pause(5, 20);
        }
        self.log(self.event("mfa_verify"));
    }

    fn look_around(&mut self) {
        const MANY: [u32; 5] = [25, 40, 20, 10, 5];
        let hops = self.index % 4 == 1 && self.world.traps.has(Trap::PhoneHopping);
        for _ in 0..self.world.random.weighted(&MANY) {
            self.pause(3, 150);
            if hops && self.slot < 2 && self.world.random.chance(250) {
                self.hop();
            }
            self.act();
            let household = self.world.people.get(self.index);
            if household.deleted || household.devices[self.slot].expired {
                return;
            }
        }
    }

    /// Out of the door, or into the lift: the same session from another network.
    fn hop(&mut self) {
        let household = self.world.people.get(self.index);
        let slot = self.slot;
        self.place = if self.world.random.chance(600) || self.person > 0 {
            self.world.networks.mobile(household.city, household.carrier, &mut self.world.random)
        } else {
            household.place(
                slot,
                self.person,
                self.time,
                &self.world.networks,
                &mut self.world.random,
            )
        };
        self.log(self.event("session_refresh"));
        self.pause(1, 6);
    }

    fn act(&mut self) {
        const OFTEN: [u32; 8] = [5800, 2600, 250, 400, 400, 200, 150, 200];
        let household = self.world.people.get(self.index);
        let camera = Resource::Camera(household.camera(&mut self.world.random));
        let recording = Resource::Recording(household.recording(self.time, &mut self.world.random));
        match self.world.random.weighted(&OFTEN) {
            0 => self.log(self.event("live_view").on(camera)),
            1 => self.log(self.event("recording_view").on(recording)),
            2 => self.log(self.event("recording_download").on(recording)),
            3 => self.log(self.event("settings_change").on(camera)),
            4 => self.log(self.event("two_way_talk").on(camera)),
            5 => self.delete_recording(),
            6 => self.log_out(),
            _ => self.rare_act(),
        }
    }

    fn log_out(&mut self) {
        self.log(self.event("logout"));
        self.world.people.get_mut(self.index).devices[self.slot].expired = true;
    }

    fn rare_act(&mut self) {
        const OFTEN: [u32; 8] = [30, 6, 20, 3, 8, 8, 4, 1];
        let action = match self.world.random.weighted(&OFTEN) {
            0 => "settings_change",
            1 => return self.share(),
            2 => "device_register",
            3 => return self.unshare(),
            4 => "password_change",
            5 => "siren",
            6 => "mfa_change",
            _ if self.world.random.chance(150) => return self.delete_account(),
            _ => "email_change",
        };
        self.log(self.event(action));
    }

    /// A new guest, from tomorrow on.
    fn share(&mut self) {
        let household = self.world.people.get_mut(self.index);
        if household.guests >= 2 || household.targeted {
            return;
        }
        let guest = household.guests;
        household.guests += 1;
        self.log(self.event("share_grant").on(Resource::Guest(guest)));
        let first = self.time + DAY / 4 + self.world.random.seconds(60, 40_000);
        self.world.queue.push(first, Item::Guest(self.index, guest));
    }

    /// The last guest goes, when nothing of theirs is going on.
    fn unshare(&mut self) {
        let household = self.world.people.get_mut(self.index);
        if household.guests == 0 || household.targeted {
            return;
        }
        household.guests -= 1;
        let guest = household.guests;
        self.time = self.time.max(household.busy_until);
        self.log(self.event("share_revoke").on(Resource::Guest(guest)));
    }

    fn delete_recording(&mut self) {
        let household = self.world.people.get_mut(self.index);
        let Some(number) = household.recording_to_delete(self.time).filter(|_| !household.targeted)
        else {
            return;
        };
        household.first_kept = number + 1;
        self.log(self.event("recording_delete").on(Resource::Recording(number)));
    }

    fn delete_account(&mut self) {
        let household = self.world.people.get_mut(self.index);
        if household.targeted || self.person > 0 {
            return;
        }
        household.deleted = true;
        self.time = self.time.max(household.busy_until + MINUTE);
        self.log(self.event("account_delete"));
    }
}

/// The device of a guest: a telephone of their own.
pub(super) fn guest_event(world: &World, index: u32, guest: u8, now: Millis) -> Event {
    let household = world.people.get(index);
    let id = index.wrapping_mul(16).wrapping_add(u32::from(guest)).wrapping_mul(0x9e37_79b1) | 1;
    let mut event = Event::new("live_view", Name::Household(index));
    event.actor = Actor::Guest(guest);
    event.device = id;
    event.client = Client::at((id >> 9 & 3) as u8, id, now - world.start);
    event.session = 1 << 61 | u64::from(id);
    event.place = Networks::home(household.city, id as u16 % 3, id >> 8);
    event
}

/// A guest looks at what is shared, every few days.
pub(super) fn guest(world: &mut World, index: u32, guest: u8, now: Millis) {
    let household = world.people.get(index);
    if household.deleted || household.guests <= guest {
        return;
    }
    let (city, carrier) = (household.city, household.carrier);
    let mut event = guest_event(world, index, guest, now);
    if world.random.chance(350) {
        event.place = world.networks.mobile(city, carrier, &mut world.random);
    }
    let mut time = now;
    world.log(time, event.then("session_refresh"));
    for _ in 0..world.random.between(1, 3) {
        time += world.random.seconds(4, 90);
        let household = world.people.get(index);
        let camera = Resource::Camera(household.camera(&mut world.random));
        let recording = Resource::Recording(household.recording(time, &mut world.random));
        let view = if world.random.chance(750) {
            event.on(camera)
        } else {
            event.then("recording_view").on(recording)
        };
        world.log(time, view);
    }
    let household = world.people.get_mut(index);
    household.busy_until = household.busy_until.max(time + 1000);
    let next = now + world.random.seconds(20 * 3600, 8 * 86_400);
    world.queue.push(next, Item::Guest(index, guest));
}
