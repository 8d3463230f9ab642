//! What an intruder does with an account: each one something else.

use super::super::super::event::{DAY, Millis};
use super::super::event::{Actor, Event, Name, Resource};
use super::super::world::Item;
use super::{Plot, rented};

/// What there is to do, in the order in which intruders come to it.
const DEEDS: [&str; 8] =
    ["watch", "talk", "lock_out", "many_cameras", "download", "share", "settings", "siren"];

impl Plot<'_> {
    /// One or two deeds after another, beginning soon after the entry; returns the end.
    pub(super) fn aftermath(&mut self, base: Event, account: u32, entered: Millis) -> Millis {
        let number = self.world.aftermaths;
        self.world.aftermaths += 1;
        let mut time = entered + self.seconds(8, 120);
        time = self.deed(number % DEEDS.len(), base, account, time);
        if self.world.random.chance(500) {
            time += self.seconds(20, 300);
            time = self.deed((number * 3 + 1) % DEEDS.len(), base, account, time);
        }
        time
    }

    fn deed(&mut self, deed: usize, base: Event, account: u32, time: Millis) -> Millis {
        if let Some(planted) = self.planted() {
            planted.add_aftermath(Name::Household(account), DEEDS[deed]);
        }
        match deed {
            0 => self.watch(base, account, time),
            1 => self.talk(base, account, time),
            2 => self.lock_out(base, account, time),
            3 => self.many_cameras(base, account, time),
            4 => self.download(base, account, time),
            5 => self.share(base, account, time),
            6 => self.settings(base, account, time),
            _ => self.siren(base, account, time),
        }
    }

    fn private_camera(&self, account: u32) -> Resource {
        Resource::Camera(self.world.people.get(account).private_camera())
    }

    fn recording(&mut self, account: u32, now: Millis) -> Resource {
        let household = self.world.people.get(account);
        Resource::Recording(household.recording(now, &mut self.world.random))
    }

    /// Live pictures of the most private room, then what it saw before.
    pub(super) fn watch(&mut self, base: Event, account: u32, mut time: Millis) -> Millis {
        let camera = self.private_camera(account);
        for _ in 0..self.world.random.between(3, 6) {
            self.log(time, base.then("live_view").on(camera));
            time += self.seconds(15, 200);
        }
        for _ in 0..self.world.random.between(2, 5) {
            let recording = self.recording(account, time);
            self.log(time, base.then("recording_view").on(recording));
            time += self.seconds(10, 120);
        }
        time
    }

    fn talk(&mut self, base: Event, account: u32, mut time: Millis) -> Millis {
        let camera = self.private_camera(account);
        self.log(time, base.then("live_view").on(camera));
        for _ in 0..self.world.random.between(2, 6) {
            time += self.seconds(5, 60);
            self.log(time, base.then("two_way_talk").on(camera));
        }
        time
    }

    fn siren(&mut self, base: Event, account: u32, mut time: Millis) -> Millis {
        let camera = self.private_camera(account);
        self.log(time, base.then("live_view").on(camera));
        for _ in 0..self.world.random.between(1, 3) {
            time += self.seconds(5, 60);
            self.log(time, base.then("siren").on(camera));
        }
        time
    }

    /// Address, password and second factor are changed; the owner stands outside.
    fn lock_out(&mut self, base: Event, account: u32, mut time: Millis) -> Millis {
        for action in ["email_change", "password_change", "mfa_change"] {
            self.log(time, base.then(action));
            time += self.seconds(8, 90);
        }
        self.world.queue.push(time, Item::LockOut(account));
        time
    }

    fn many_cameras(&mut self, base: Event, account: u32, mut time: Millis) -> Millis {
        for round in 0..2 {
            for camera in 0..self.world.people.get(account).camera_count() {
                let number = if round == 0 { camera } else { camera / 2 };
                self.log(time, base.then("live_view").on(Resource::Camera(number)));
                time += self.seconds(4, 40);
            }
        }
        time
    }

    fn download(&mut self, base: Event, account: u32, mut time: Millis) -> Millis {
        for _ in 0..self.world.random.between(5, 15) {
            let recording = self.recording(account, time);
            self.log(time, base.then("recording_download").on(recording));
            time += self.seconds(3, 30);
        }
        time
    }

    fn settings(&mut self, base: Event, account: u32, mut time: Millis) -> Millis {
        for camera in 0..self.world.people.get(account).camera_count().min(3) {
            let camera = Resource::Camera(camera);
            self.log(time, base.then("settings_change").on(camera));
            time += self.seconds(5, 40);
        }
        let camera = self.private_camera(account);
        self.log(time, base.then("live_view").on(camera));
        time
    }

    /// Somebody else gets a share, and watches for days.
    fn share(&mut self, base: Event, account: u32, mut time: Millis) -> Millis {
        let accomplice = self.world.random.below(10_000);
        self.log(time, base.then("share_grant").on(Resource::Accomplice(accomplice)));
        let place = rented(self.world);
        let mut guest = Event { place, shared_place: false, ..base };
        guest.actor = Actor::Accomplice(accomplice);
        guest.session = self.world.new_session();
        guest.device = (self.world.random.bits() >> 32) as u32 | 1;
        let camera = self.private_camera(account);
        for _ in 0..self.world.random.between(2, 5) {
            time += self.seconds(600, 86_400);
            self.log(time, guest.then("live_view").on(camera));
        }
        time
    }

    /// Comes back once or twice a day, for weeks, by the same odd device.
    pub(super) fn stay(&mut self, base: Event, account: u32, entered: Millis, days: u32) -> Millis {
        if let Some(planted) = self.planted() {
            planted.add_aftermath(Name::Household(account), "stay");
        }
        let camera = self.private_camera(account);
        let mut time = entered;
        for day in 0..i64::from(days) {
            time = entered + day * DAY + self.seconds(36_000, 70_000);
            self.log(time, base.then("session_refresh"));
            for _ in 0..self.world.random.between(1, 3) {
                time += self.seconds(10, 300);
                self.log(time, base.then("live_view").on(camera));
            }
        }
        time
    }
}
