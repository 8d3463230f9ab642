//! Who lives in the city: households with their devices, cameras, networks and habits.

use super::super::event::{DAY, HOUR, Millis};
use super::super::population::RHYTHMS;
use super::super::random::{Random, mix};
use super::client::{BROWSERS, Client, PHONES, TABLET};
use super::labels::{FIRST_PRIVATE, LABELS};
use super::network::{self, CITIES, Networks, Place};
use super::switches::{Trap, Traps};

/// Recordings are kept for so long, says the service.
pub(super) const RETENTION: Millis = 30 * DAY;

/// Night workers: at home by day.
const NIGHT_SHIFT: [u32; 24] = [
    280, 260, 300, 320, 300, 260, 330, 420, 300, 80, 20, 0, 0, 0, 10, 60, 240, 380, 420, 360, 300,
    200, 240, 280,
];

/// Sessions of ten hours in a thousand that a rhythm would give: busy, usual, rare households.
const PACES: [u32; 4] = [700, 230, 60, 0];

/// One device with the session that its program holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Device {
    pub(super) id: u32,
    pub(super) kind: u8,
    /// 0: it has not logged in yet.
    pub(super) session: u64,
    /// It must log in next time.
    pub(super) expired: bool,
}

/// Days in another city.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trip {
    pub(super) leaves: Millis,
    pub(super) arrives: Millis,
    pub(super) departs: Millis,
    pub(super) returns: Millis,
    pub(super) city: u8,
    pub(super) hotel: u32,
}

/// One household with its account.
#[derive(Debug, Clone)]
pub(super) struct Household {
    pub(super) devices: [Device; 4],
    device_count: u8,
    /// Labels.
    pub(super) cameras: [u8; 6],
    camera_count: u8,
    pub(super) city: u8,
    number: u32,
    isp: u16,
    access: Access,
    pub(super) carrier: u16,
    office: Option<u16>,
    campus: Option<u16>,
    vpn: Option<u16>,
    relay: bool,
    rhythm: Rhythm,
    pace: u8,
    /// A second person uses the same name and password, from another city.
    pub(super) family: Option<u8>,
    /// People with a share of their own.
    pub(super) guests: u8,
    /// Asks for a second factor at login.
    pub(super) second_factor: bool,
    origin: Millis,
    interval: Millis,
    /// Recordings before this one are deleted.
    pub(super) first_kept: u32,
    pub(super) trip: Option<Trip>,
    /// Time of the first success in the log.
    pub(super) seen_at: Option<Millis>,
    /// Time of the newest.
    pub(super) used_at: Millis,
    /// Nothing of what is planned for the household itself comes after this time.
    pub(super) busy_until: Millis,
    pub(super) deleted: bool,
    /// An attack or another story has chosen it already.
    pub(super) targeted: bool,
    /// Somebody else changed the password.
    pub(super) locked_out: bool,
}

/// How a home is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// One address for months.
    Fixed,
    /// Another address each week.
    Dynamic,
    /// A prefix of its own.
    V6,
    /// A few addresses for thousands of homes.
    Wireless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rhythm {
    Day(u8),
    NightShift,
}

impl Household {
    fn new(
        index: u32,
        start: Millis,
        traps: Traps,
        networks: &Networks,
        random: &mut Random,
    ) -> Self {
        let city = networks.home_city(random);
        let family = traps.has(Trap::Family) && random.chance(120);
        let away = random.chance(500);
        let day_rhythm = Rhythm::Day(random.weighted(&[45, 25, 10, 20]) as u8);
        let night = random.chance(60) && traps.has(Trap::ShiftWorkers);
        let interval = i64::from(random.between(4, 11)) * HOUR + i64::from(random.below(3_000_000));
        Self {
            devices: devices(index, random),
            device_count: 1 + random.weighted(&[30, 40, 20, 10]) as u8,
            cameras: cameras(random),
            camera_count: 1 + random.weighted(&[25, 30, 20, 12, 8, 5]) as u8,
            city,
            number: index,
            isp: random.below(3) as u16,
            access: [Access::Fixed, Access::Dynamic, Access::V6, Access::Wireless]
                [random.weighted(&[40, 25, 22, 13])],
            carrier: random.below(2) as u16,
            office: random.chance(350).then(|| office_in(city, random)),
            campus: network::campus_of(city)
                .filter(|_| random.chance(350) && traps.has(Trap::Campus)),
            vpn: (random.chance(60) && traps.has(Trap::VpnUsers)).then(|| random.below(2) as u16),
            relay: random.chance(25) && traps.has(Trap::VpnUsers),
            rhythm: if night { Rhythm::NightShift } else { day_rhythm },
            pace: random.weighted(&[20, 47, 27, 6]) as u8,
            family: family
                .then(|| if away { network::other_city(city, true, random) } else { city }),
            guests: random.weighted(&[82, 14, 4]) as u8,
            second_factor: random.chance(150),
            origin: start - 2 * RETENTION - i64::from(random.below(86_400_000)),
            interval,
            first_kept: 0,
            trip: None,
            seen_at: None,
            used_at: start,
            busy_until: 0,
            deleted: false,
            targeted: false,
            locked_out: false,
        }
    }

    /// When a person of the household looks at the cameras next; none: never again.
    pub(super) fn next_session(&self, now: Millis, random: &mut Random) -> Option<Millis> {
        let pace = PACES[usize::from(self.pace)];
        if pace == 0 {
            return None;
        }
        let mut time = now + random.seconds(240, 1200);
        loop {
            let local = time + CITIES[usize::from(self.city)].zone_hours * HOUR;
            let hour = (local.rem_euclid(DAY) / HOUR) as usize;
            let weekend = (local.div_euclid(DAY) + 3) % 7 >= 5;
            let chance = match self.rhythm {
                Rhythm::NightShift => NIGHT_SHIFT[hour],
                Rhythm::Day(rhythm) if weekend && rhythm != 2 => RHYTHMS[4][hour],
                Rhythm::Day(rhythm) => RHYTHMS[usize::from(rhythm)][hour],
            };
            let hour_left = HOUR - time.rem_euclid(HOUR);
            if random.below(1_000_000) < chance * pace {
                return Some(time + i64::from(random.below(hour_left as u32)));
            }
            time += hour_left;
        }
    }

    /// Looks at the cameras once, soon after the start, and then never.
    pub(super) fn is_dormant(&self) -> bool {
        PACES[usize::from(self.pace)] == 0
    }

    /// Works at night.
    pub(super) fn is_night_worker(&self) -> bool {
        self.rhythm == Rhythm::NightShift
    }

    /// Studies where everybody leaves by the same addresses.
    pub(super) fn is_student(&self) -> bool {
        self.campus.is_some()
    }

    /// Hides behind a VPN or a relay now and then.
    pub(super) fn hides(&self) -> bool {
        self.vpn.is_some() || self.relay
    }

    /// Lives behind an address of thousands.
    pub(super) fn is_behind_cgnat(&self) -> bool {
        self.access == Access::Wireless
    }

    /// Languages of the camera labels.
    pub(super) fn language(&self) -> u8 {
        network::language(self.city)
    }

    /// The device that a person takes: the second phone is the second person's.
    pub(super) fn choose_device(&self, person: u8, random: &mut Random) -> usize {
        if person > 0 {
            return 1;
        }
        let slot = random.weighted(&[60, 25, 10, 5]).min(usize::from(self.device_count) - 1);
        if slot == 1 && self.family.is_some() { 0 } else { slot }
    }

    /// The network that a person is in.
    pub(super) fn place(
        &self,
        slot: usize,
        person: u8,
        now: Millis,
        networks: &Networks,
        random: &mut Random,
    ) -> Place {
        let city = if person > 0 { self.family.unwrap_or(self.city) } else { self.city };
        if slot >= 2 {
            return self.home(slot, now, networks); // tablet and computer stay at home
        }
        let trip =
            self.trip.filter(|trip| person == 0 && (trip.arrives..trip.departs).contains(&now));
        let out = random.weighted(&[62, 30, 8]);
        match (out, trip) {
            // Roaming data leaves at home.
            (1, _) => networks.mobile(city, self.carrier, random),
            (_, Some(trip)) => Networks::hotel(trip.city, trip.hotel),
            (2, None) => self.outside(city, now, networks, random),
            _ if self.hides() && random.chance(400) => self.hidden(random),
            _ if city != self.city => Networks::home(city, self.isp, self.number + 7),
            _ => self.home(slot, now, networks),
        }
    }

    fn outside(&self, city: u8, now: Millis, networks: &Networks, random: &mut Random) -> Place {
        match (self.campus, self.office) {
            (Some(campus), _) => Networks::campus(campus, random.below(3)),
            (None, Some(office)) if is_weekday(now) => Networks::office(office),
            _ if random.chance(300) => Networks::hotel(city, random.below(40)),
            _ => networks.mobile(city, self.carrier, random),
        }
    }

    /// Behind the VPN or the relay.
    fn hidden(&self, random: &mut Random) -> Place {
        let exit = random.below(6);
        let favourite = (mix(u64::from(self.number)) % 19) as u8;
        let city = if random.chance(700) { favourite } else { random.below(19) as u8 };
        match self.vpn {
            Some(provider) => Networks::vpn(city, provider, exit),
            None => Networks::relay(self.city, exit),
        }
    }

    /// The address of the home at a time, for a device in it.
    pub(super) fn home(&self, slot: usize, now: Millis, networks: &Networks) -> Place {
        let days = now.div_euclid(DAY).unsigned_abs();
        match self.access {
            Access::Fixed => Networks::home(self.city, self.isp, self.number),
            Access::Dynamic => {
                let week = (days + u64::from(self.number)) / 7;
                let number = mix(u64::from(self.number) << 20 | week) as u32;
                Networks::home(self.city, self.isp, number)
            }
            // Privacy extensions: another address each day, the same prefix.
            Access::V6 => {
                let device = mix(u64::from(self.devices[slot].id) ^ days << 32) as u32;
                Networks::home_v6(self.city, self.isp, self.number, device)
            }
            Access::Wireless => networks.wireless(self.city, self.number),
        }
    }

    /// The program of a device.
    pub(super) fn program(&self, slot: usize, now: Millis) -> Client {
        let device = self.devices[slot];
        Client::at(device.kind, device.id, now - self.origin - 2 * RETENTION)
    }

    /// Replaces the main telephone: mostly by one of the same make.
    pub(super) fn replace_phone(&mut self, random: &mut Random) {
        let kind = self.devices[0].kind;
        let kind = if random.chance(800) { kind } else { random.pick(&PHONES) };
        let id = (random.bits() >> 32) as u32 | 1;
        self.devices[0] = Device { id, kind, session: 0, expired: true };
    }

    /// One of its cameras.
    pub(super) fn camera(&self, random: &mut Random) -> u8 {
        random.below(u32::from(self.camera_count)) as u8
    }

    /// Number of its cameras.
    pub(super) fn camera_count(&self) -> u8 {
        self.camera_count
    }

    /// The camera in a private room, if there is one; else the first.
    pub(super) fn private_camera(&self) -> u8 {
        let own = &self.cameras[..usize::from(self.camera_count)];
        own.iter().position(|&label| label >= FIRST_PRIVATE).unwrap_or(0) as u8
    }

    /// Has a camera in a private room.
    pub(super) fn has_private_camera(&self) -> bool {
        self.cameras[usize::from(self.private_camera())] >= FIRST_PRIVATE
    }

    /// The camera that made a recording.
    pub(super) fn recording_camera(&self, number: u32) -> u8 {
        (number % u32::from(self.camera_count)) as u8
    }

    /// When a recording was made.
    pub(super) fn recorded_at(&self, number: u32) -> Millis {
        self.origin + i64::from(number) * self.interval
    }

    /// The newest recording that there is.
    pub(super) fn newest(&self, now: Millis) -> u32 {
        ((now - self.origin) / self.interval).max(0) as u32
    }

    /// A recording of the last days that nobody deleted: deletions stop before these.
    pub(super) fn recording(&self, now: Millis, random: &mut Random) -> u32 {
        self.newest(now) - random.below(12)
    }

    /// A recording to delete: old enough that nobody is watching it, not yet over.
    pub(super) fn recording_to_delete(&self, now: Millis) -> Option<u32> {
        let newest = self.newest(now);
        let number = self.first_kept.max(newest.saturating_sub(30));
        (number + 16 < newest).then_some(number)
    }
}

fn is_weekday(now: Millis) -> bool {
    (now.div_euclid(DAY) + 3) % 7 < 5
}

fn office_in(city: u8, random: &mut Random) -> u16 {
    let near: Vec<u16> =
        (0..network::OFFICES).filter(|&office| network::office_city(office) == city).collect();
    random.pick(&near)
}

fn devices(index: u32, random: &mut Random) -> [Device; 4] {
    let kinds = [random.pick(&PHONES), random.pick(&PHONES), TABLET, random.pick(&BROWSERS)];
    let device = |slot: usize| {
        let id = (mix(u64::from(index) * 8 + slot as u64) >> 32) as u32 | 1;
        // Most were in use long before the log begins, and still hold a session.
        let session = 1 << 62 | u64::from(index) << 2 | slot as u64;
        Device { id, kind: kinds[slot], session, expired: false }
    };
    let mut all = [device(0), device(1), device(2), device(3)];
    for device in &mut all {
        device.expired = random.chance(80);
    }
    all
}

/// The door first, as most have it; private rooms are not rare.
fn cameras(random: &mut Random) -> [u8; 6] {
    let mut labels = [0, 1, 4, FIRST_PRIVATE, 5, 2];
    labels[1] += random.below(3) as u8;
    labels[3] += random.below(u32::from(LABELS - FIRST_PRIVATE)) as u8;
    let swap = random.below(4) as usize;
    labels.swap(0, swap);
    labels
}

/// How large the city is: follows from the number of events asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Households.
    pub(super) accounts: u32,
    /// Staff, contractors among them.
    pub(super) staff: u16,
    /// How long the log will be, roughly.
    pub(super) span: Millis,
    /// How many of each attack.
    pub(super) rounds: u32,
}

impl Shape {
    /// A city whose households make about `events` in [`SPAN_DAYS`].
    pub(super) fn for_events(events: u64) -> Self {
        let accounts =
            (events * 10 / (SPAN_DAYS * EVENTS_PER_TEN_ACCOUNT_DAYS)).clamp(120, 200_000);
        let days_ten = events as i64 * 10;
        let a_day = accounts as i64 * EVENTS_PER_TEN_ACCOUNT_DAYS as i64;
        Self {
            accounts: accounts as u32,
            staff: 10 + (accounts / 400).min(2000) as u16,
            span: days_ten.saturating_mul(DAY / 1000) / a_day * 1000,
            rounds: (events / 1_000_000).clamp(1, 100_000) as u32,
        }
    }
}

/// A log of the usual size is as long as two months.
const SPAN_DAYS: u64 = 60;
/// What ten households log in a day, everything and everybody around them included.
const EVENTS_PER_TEN_ACCOUNT_DAYS: u64 = 50;

/// All households.
#[derive(Debug)]
pub(super) struct People {
    all: Vec<Household>,
}

impl People {
    /// Draws the population.
    pub(super) fn new(
        start: Millis,
        shape: &Shape,
        traps: Traps,
        networks: &Networks,
        random: &mut Random,
    ) -> Self {
        let household = |index| Household::new(index, start, traps, networks, random);
        Self { all: (0..shape.accounts).map(household).collect() }
    }

    /// The household at an index below [`Shape::accounts`].
    pub(super) fn get(&self, index: u32) -> &Household {
        &self.all[index as usize]
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, index: u32) -> &mut Household {
        &mut self.all[index as usize]
    }

    /// Indices of all for which something holds.
    pub(super) fn which(&self, holds: impl Fn(&Household) -> bool) -> Vec<u32> {
        let all = self.all.iter().enumerate().filter(|(_, household)| holds(household));
        all.map(|(index, _)| index as u32).collect()
    }
}
