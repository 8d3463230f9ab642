//! What people do on an ordinary day: look at the door, forget a password, buy a telephone.

use super::event::{Actor, Event, Millis, Name, Resource};
use super::population::Client;
use super::world::World;

/// One session of one household, written as it goes; it may reach minutes into the future.
struct Session<'w> {
    world: &'w mut World,
    index: u32,
    client: Client,
    time: Millis,
}

/// Plans one session that begins now; returns when the household comes back, if ever.
pub(super) fn session(world: &mut World, index: u32, now: Millis) -> Option<Millis> {
    if world.accounts.get(index).deleted {
        return None;
    }
    let client = choose_client(world, index, now);
    let mut session = Session { world, index, client, time: now };
    if session.enter() {
        session.look_around();
    }
    let end = session.time;
    let account = world.accounts.get_mut(index);
    account.busy_until = end + 1000;
    if account.deleted { None } else { Some(account.next_session(end, &mut world.random)) }
}

fn choose_client(world: &mut World, index: u32, now: Millis) -> Client {
    let account = world.accounts.get_mut(index);
    if account.takes_update(account.busy_until, now) {
        account.expired = true;
    }
    if account.locked_out {
        return account.at_home(now);
    }
    if world.random.below(40_000) < 25 {
        account.replace_device(&mut world.random);
        return account.at_home(now);
    }
    account.client(now, &world.shape, &mut world.random)
}

impl Session<'_> {
    fn event(&self, action: &'static str) -> Event {
        let mut event = Event::new(action, Name::Account(self.index));
        event.actor = if self.client.shared { Actor::Shared } else { Actor::Owner };
        event.address = self.client.address;
        event.device = self.client.device;
        event.agent = self.client.agent;
        event.session = self.world.accounts.get(self.index).session;
        event
    }

    fn log(&mut self, event: Event) {
        self.world.log(self.time, event);
    }

    fn pause(&mut self, low: u32, high: u32) {
        self.time += self.world.random.seconds(low, high);
    }

    /// Gets in by the session that is there, or by a login.
    fn enter(&mut self) -> bool {
        let world = &mut *self.world;
        let account = world.accounts.get(self.index);
        if account.session == 0 {
            let first = world.new_session();
            world.accounts.get_mut(self.index).session = first;
        }
        let account = self.world.accounts.get(self.index);
        if account.expired || self.world.random.chance(25) {
            return self.log_in();
        }
        self.log(self.event("session_refresh"));
        self.seen();
        true
    }

    fn seen(&mut self) {
        let account = self.world.accounts.get_mut(self.index);
        account.seen_at.get_or_insert(self.time);
    }

    fn log_in(&mut self) -> bool {
        let locked_out = std::mem::take(&mut self.world.accounts.get_mut(self.index).locked_out);
        if locked_out || self.world.random.chance(120) {
            let knows_it_again = self.fail(locked_out);
            if !knows_it_again {
                return false;
            }
        }
        let session = self.world.new_session();
        self.world.accounts.get_mut(self.index).session = session;
        self.world.accounts.get_mut(self.index).expired = false;
        self.log(self.event("login"));
        self.second_factor();
        self.seen();
        true
    }

    /// Two to four wrong passwords; then it comes back to mind, or is reset, or has to wait.
    fn fail(&mut self, locked_out: bool) -> bool {
        for _ in 0..self.world.random.between(1, 4) {
            let mut failure = self.event("login").failed("bad_password");
            failure.session = 0;
            self.log(failure);
            self.pause(6, 40);
        }
        if locked_out || self.world.random.chance(350) {
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
        if !self.world.accounts.get(self.index).second_factor {
            return;
        }
        self.pause(1, 3);
        self.log(self.event("mfa_challenge"));
        self.pause(4, 30);
        if self.world.random.chance(30) {
            self.log(self.event("mfa_verify").failed("mfa_denied"));
            self.pause(5, 20);
        }
        self.log(self.event("mfa_verify"));
    }

    fn look_around(&mut self) {
        const MANY: [u32; 5] = [25, 40, 20, 10, 5];
        for _ in 0..self.world.random.weighted(&MANY) {
            self.pause(3, 150);
            self.act();
            if self.world.accounts.get(self.index).deleted {
                return;
            }
        }
        self.world.accounts.get_mut(self.index).recordings.1 += 1;
    }

    fn act(&mut self) {
        const OFTEN: [u32; 8] = [5500, 2600, 300, 500, 500, 250, 200, 150];
        let camera = Resource::Camera(self.camera());
        match self.world.random.weighted(&OFTEN) {
            0 => self.log(self.event("live_view").on(camera)),
            1 => self.watch_recording("recording_view"),
            2 => self.watch_recording("recording_download"),
            3 => self.log(self.event("settings_change").on(camera)),
            4 => self.log(self.event("two_way_talk").on(camera)),
            5 => self.delete_recording(),
            6 => self.log(self.event("logout")),
            _ => self.rare_act(),
        }
    }

    fn rare_act(&mut self) {
        const OFTEN: [u32; 8] = [30, 20, 20, 6, 8, 8, 4, 2];
        let action = match self.world.random.weighted(&OFTEN) {
            0 => "settings_change",
            1 => "share_grant",
            2 => "device_register",
            3 => "share_revoke",
            4 => "password_change",
            5 => "siren",
            6 => "mfa_change",
            _ if self.world.random.chance(100) => return self.delete_account(),
            _ => "email_change",
        };
        self.log(self.event(action));
    }

    fn camera(&mut self) -> u8 {
        self.world.accounts.get(self.index).camera(&mut self.world.random)
    }

    fn watch_recording(&mut self, action: &'static str) {
        let recording = self.world.recording(self.index);
        self.log(self.event(action).on(recording));
    }

    /// Deletes the oldest recording.
    fn delete_recording(&mut self) {
        let account = self.world.accounts.get_mut(self.index);
        if account.recordings.1 - account.recordings.0 < 3 {
            return;
        }
        let number = account.recordings.0;
        account.recordings.0 += 1;
        let resource = Resource::Recording(account.recording_camera(number), number);
        self.log(self.event("recording_delete").on(resource));
        self.world.remember_deletion(self.index, resource, self.time);
    }

    fn delete_account(&mut self) {
        if self.world.accounts.get(self.index).targeted {
            return;
        }
        self.log(self.event("account_delete"));
        self.world.accounts.get_mut(self.index).deleted = true;
    }
}

/// The owner asks for the deletion of the account, from home; returns when.
pub(super) fn delete_account(world: &mut World, index: u32, now: Millis) -> (Millis, Event) {
    let account = world.accounts.get_mut(index);
    account.deleted = true;
    let client = account.at_home(now);
    let mut event = Event::new("account_delete", Name::Account(index));
    event.address = client.address;
    event.device = client.device;
    event.agent = client.agent;
    event.session = account.session;
    (now.max(account.busy_until), event)
}
