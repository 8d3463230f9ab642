//! Who lives in the simulated world: households with their devices, cameras, networks and habits.

use super::event::{Address, DAY, HOUR, Millis, push_number};
use super::random::{Random, mix};

const FIRST_NAMES: [&str; 48] = [
    "ada", "ben", "cleo", "dora", "emil", "fay", "gus", "hana", "ivo", "june", "kurt", "lena",
    "mia", "nils", "olga", "paul", "quinn", "rosa", "sven", "tara", "ugo", "vera", "will", "xena",
    "yara", "zoe", "abel", "bea", "carl", "dina", "edda", "finn", "gwen", "hugo", "ines", "jan",
    "kira", "leon", "maya", "noor", "otto", "pia", "remy", "sara", "toni", "uma", "vito", "wanda",
];

const CAMERAS: [&str; 10] = [
    "Front Door",
    "Driveway",
    "Backyard",
    "Garage",
    "Living Room",
    "Kitchen",
    "Nursery",
    "Kids' Room",
    "Master Bedroom",
    "Bathroom",
];

/// The cameras from here on stand in rooms where nobody wants to be watched.
const FIRST_PRIVATE_CAMERA: u8 = 6;

/// What a device's app calls itself, before and after the update that comes in the middle.
const AGENTS: [[&str; 2]; 4] = [
    ["HearthApp/3.21.0 (iPhone; iOS 13.1)", "HearthApp/3.22.0 (iPhone; iOS 13.1)"],
    ["HearthApp/3.21.0 (Android 9; Pixel 3)", "HearthApp/3.22.0 (Android 9; Pixel 3)"],
    ["HearthApp/3.21.0 (Android 8.1; Tablet)", "HearthApp/3.22.0 (Android 8.1; Tablet)"],
    [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/78.0.3904.70 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/78.0.3904.97 Safari/537.36",
    ],
];

/// Chance of a session in each hour of the day, in per mille: people who commute, who work at
/// home, who get up for a baby at night, who are retired; then everybody's weekend.
pub(super) const RHYTHMS: [[u32; 24]; 5] = [
    [
        4, 0, 0, 0, 0, 30, 220, 480, 300, 180, 160, 170, 330, 180, 160, 200, 320, 520, 560, 420,
        330, 260, 150, 60,
    ],
    [
        10, 0, 0, 0, 0, 10, 90, 260, 330, 300, 280, 260, 300, 270, 260, 280, 300, 340, 360, 350,
        330, 280, 180, 70,
    ],
    [
        190, 170, 180, 160, 150, 180, 220, 260, 220, 170, 150, 170, 240, 230, 170, 160, 200, 260,
        300, 330, 340, 300, 260, 220,
    ],
    [
        10, 10, 0, 0, 20, 90, 260, 300, 310, 290, 260, 240, 250, 200, 210, 240, 260, 280, 290, 310,
        280, 160, 70, 30,
    ],
    [
        60, 20, 10, 0, 0, 0, 50, 140, 260, 330, 350, 320, 310, 300, 290, 280, 300, 330, 370, 380,
        350, 310, 240, 130,
    ],
];

/// Releases of the app: this long after the start, households follow within two days.
const APP_UPDATE_AFTER: Millis = 3 * DAY;

/// A first name by any number.
pub(super) fn first_name(number: u32) -> &'static str {
    FIRST_NAMES[number as usize % FIRST_NAMES.len()]
}

/// One household with its account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    devices: [u32; 4],
    device_count: u8,
    cameras: [u8; 4],
    camera_count: u8,
    home: Address,
    office: u32,
    carrier: u32,
    zone_hours: i64,
    rhythm: u8,
    trip: (Millis, Millis),
    hotel: u32,
    updates_at: Millis,
    /// Asks for a second factor at login.
    pub(super) second_factor: bool,
    /// Number of the session that its app holds.
    pub(super) session: u64,
    /// Must log in next time.
    pub(super) expired: bool,
    /// Somebody else changed the password.
    pub(super) locked_out: bool,
    /// Recordings from the first one not deleted up to the next one to be made.
    pub(super) recordings: (u32, u32),
    /// Time of the first success in the log.
    pub(super) seen_at: Option<Millis>,
    /// Nothing of the household itself happens before this time.
    pub(super) busy_until: Millis,
    /// The account was deleted.
    pub(super) deleted: bool,
    /// An attack has chosen it already.
    pub(super) targeted: bool,
}

/// A client of the household: where it is and with which device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) address: Address,
    pub(super) device: u32,
    pub(super) agent: &'static str,
    pub(super) shared: bool,
}

impl Account {
    fn new(index: u32, start: Millis, shape: &Shape, random: &mut Random) -> Self {
        let device = |slot: u64| (mix(u64::from(index) * 8 + slot) >> 32) as u32 | 1;
        let trip_start = start + i64::from(random.below(12)) * DAY;
        let trip_days = if random.chance(60) { i64::from(random.between(2, 6)) } else { 0 };
        let home = if random.chance(250) {
            Address::V6((index % 0xffff) as u16, 0)
        } else {
            Address::V4(0xc612_0000 + index % 98_304) // 198.18.0.0 up to 198.19.127.255
        };
        let first_recording = random.between(10, 400);
        Self {
            devices: [device(0), device(1), device(2), device(3)],
            device_count: 1 + random.weighted(&[30, 40, 20, 10]) as u8,
            cameras: cameras(random),
            camera_count: 1 + random.weighted(&[40, 30, 20, 10]) as u8,
            home,
            office: random.below(shape.offices),
            carrier: random.below(shape.carriers),
            zone_hours: -i64::from(random.between(5, 8)),
            rhythm: random.weighted(&[45, 25, 10, 20]) as u8,
            trip: (trip_start, trip_start + trip_days * DAY),
            hotel: random.below(shape.hotels),
            updates_at: start + APP_UPDATE_AFTER + random.seconds(0, 48 * 3600),
            second_factor: random.chance(120),
            session: 0,
            expired: false,
            locked_out: false,
            recordings: (first_recording, first_recording + random.between(5, 60)),
            seen_at: None,
            busy_until: 0,
            deleted: false,
            targeted: false,
        }
    }

    /// When the household looks at its cameras next.
    pub(super) fn next_session(&self, now: Millis, random: &mut Random) -> Millis {
        let mut time = now + random.seconds(240, 1200);
        loop {
            let local = time + self.zone_hours * HOUR;
            let weekend = (local.div_euclid(DAY) + 3) % 7 >= 5;
            let rhythm = if weekend && self.rhythm != 2 { 4 } else { self.rhythm };
            let chance = RHYTHMS[usize::from(rhythm)][(local.rem_euclid(DAY) / HOUR) as usize];
            let hour_left = HOUR - time.rem_euclid(HOUR);
            if random.chance(chance) {
                return time + i64::from(random.below(hour_left as u32));
            }
            time += hour_left;
        }
    }

    /// A device of the household and the network that it is in.
    pub(super) fn client(&self, now: Millis, shape: &Shape, random: &mut Random) -> Client {
        let slot = random.weighted(&[60, 25, 10, 5]).min(usize::from(self.device_count) - 1);
        let travelling = (self.trip.0..self.trip.1).contains(&now);
        let mobile = shape.carrier_exit(self.carrier, random);
        let address = match random.weighted(&[62, 33, 5]) {
            _ if slot == 2 && !travelling => self.home_address(slot, now), // the tablet stays at home
            0 if travelling => Address::V4(0xc613_8000 + 0x4000 + self.hotel),
            0 => self.home_address(slot, now),
            1 => mobile,
            _ if travelling => mobile,
            _ => Address::V4(0xc613_8000 + self.office), // 198.19.128.0/18, hotels above
        };
        let device = self.devices[slot];
        let agent = AGENTS[agent_kind(slot, device)][usize::from(now >= self.updates_at)];
        Client { address, device, agent, shared: slot == 1 && device & 6 == 0 }
    }

    /// A client at home, as for setting up a new device.
    pub(super) fn at_home(&self, now: Millis) -> Client {
        let agent = AGENTS[agent_kind(0, self.devices[0])][usize::from(now >= self.updates_at)];
        Client { address: self.home_address(0, now), device: self.devices[0], agent, shared: false }
    }

    /// Replaces the main telephone.
    pub(super) fn replace_device(&mut self, random: &mut Random) {
        self.devices[0] = (random.bits() >> 32) as u32 | 1;
        self.expired = true;
    }

    /// True once, when the app was updated and wants a login.
    pub(super) fn takes_update(&self, last: Millis, now: Millis) -> bool {
        (last..now).contains(&self.updates_at)
    }

    /// One of its cameras.
    pub(super) fn camera(&self, random: &mut Random) -> u8 {
        random.below(u32::from(self.camera_count)) as u8
    }

    /// The camera that made a recording.
    pub(super) fn recording_camera(&self, number: u32) -> u8 {
        (number % u32::from(self.camera_count)) as u8
    }

    /// The camera that a peeping tom would choose: in a private room if there is one.
    pub(super) fn private_camera(&self) -> u8 {
        let own = &self.cameras[..usize::from(self.camera_count)];
        own.iter().position(|&label| label >= FIRST_PRIVATE_CAMERA).unwrap_or(0) as u8
    }

    fn home_address(&self, slot: usize, now: Millis) -> Address {
        match self.home {
            // Privacy extensions: another address each day, the same prefix.
            Address::V6(home, _) => {
                let day = now.div_euclid(DAY).unsigned_abs();
                let bits = mix(u64::from(self.devices[slot]) ^ (day << 32));
                Address::V6(home, (bits as u16).max(1))
            }
            fixed => fixed,
        }
    }
}

fn agent_kind(slot: usize, device: u32) -> usize {
    match slot {
        0 | 1 => (device as usize >> 8) & 1,
        2 => 2,
        _ => 3,
    }
}

fn cameras(random: &mut Random) -> [u8; 4] {
    let mut labels = [0u8; 4];
    for (slot, label) in labels.iter_mut().enumerate() {
        *label = [0, 1, 4, 6][slot] + random.below([1, 3, 2, 4][slot]) as u8;
    }
    let swap = random.below(4) as usize;
    labels.swap(0, swap);
    labels
}

/// How large the world is: follows from the number of events asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Households.
    pub(super) accounts: u32,
    /// Addresses of offices, each shared by some 30 people.
    pub(super) offices: u32,
    /// Hotels with one address each.
    pub(super) hotels: u32,
    /// Mobile carriers, each with some addresses for all of its customers.
    pub(super) carriers: u32,
    /// Addresses of each carrier.
    pub(super) exits: u32,
    /// Support staff.
    pub(super) staff: u16,
}

impl Shape {
    /// A world whose households make about `events` in a week.
    pub(super) fn for_events(events: u64, events_per_account: u64) -> Self {
        let accounts = (events / events_per_account).clamp(24, 200_000) as u32;
        Self {
            accounts,
            offices: 1 + (accounts / 30).min(0x3fff),
            hotels: 1 + (accounts / 400).min(0x3fff),
            carriers: 4,
            exits: 2 + accounts / 600,
            staff: 3 + (accounts / 800) as u16,
        }
    }

    /// An address of a carrier, out of 100.64.0.0/10.
    fn carrier_exit(&self, carrier: u32, random: &mut Random) -> Address {
        Address::V4(0x6440_0000 + (carrier << 16) + 1 + random.below(self.exits))
    }
}

/// All households.
#[derive(Debug)]
pub(super) struct Accounts {
    all: Vec<Account>,
    names: Vec<String>,
}

impl Accounts {
    /// Draws the population.
    pub(super) fn new(start: Millis, shape: &Shape, random: &mut Random) -> Self {
        let all = (0..shape.accounts).map(|i| Account::new(i, start, shape, random)).collect();
        Self { all, names: (0..shape.accounts).map(name).collect() }
    }

    /// The household at an index below [`Shape::accounts`].
    pub(super) fn get(&self, index: u32) -> &Account {
        &self.all[index as usize]
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, index: u32) -> &mut Account {
        &mut self.all[index as usize]
    }

    /// The account's name.
    pub(super) fn name(&self, index: u32) -> &str {
        &self.names[index as usize]
    }

    /// What a camera is called.
    pub(super) fn camera_label(&self, index: u32, camera: u8) -> &'static str {
        let label = self.get(index).cameras[usize::from(camera) % 4];
        CAMERAS[usize::from(label) % CAMERAS.len()]
    }
}

fn name(index: u32) -> String {
    let mut text = first_name(mix(u64::from(index)) as u32).to_owned();
    text.push('.');
    push_number(&mut text, u64::from(index), 4);
    text
}
