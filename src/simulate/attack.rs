//! What intruders do, step by step, while everybody else goes about the day.

use super::event::{Actor, Address, Event, HOUR, MINUTE, Millis, Name, Resource};
use super::household;
use super::staff;
use super::truth::{Entity, Planted};
use super::world::{Item, World};

/// Victims must have been seen in the log for so long, or nobody could call an intruder new.
const SEEN_FOR: Millis = 26 * HOUR;

const CHROME: &str = "Mozilla/5.0 (Windows NT 6.1; Win64; x64) Chrome/74.0.3729.131 Safari/537.36";

/// What an intruder does with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Watches the bedroom and takes recordings along.
    Watch,
    /// Speaks to whoever is at home.
    Harass,
    /// Changes e-mail address and password.
    LockOut,
}

/// One attack and how far it has come.
#[derive(Debug, Clone)]
pub(super) struct Attack {
    /// Index into [`World::planted`].
    planted: usize,
    step: u32,
    plan: Plan,
}

/// What kind of attack, with all that it needs.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// Many names, a try or two each: stuffing and spraying.
    List {
        /// The list; it is gone through `rounds` times.
        names: Vec<Name>,
        rounds: u32,
        addresses: Vec<Address>,
        gap_seconds: (u32, u32),
        agents: &'static [&'static str],
        /// How many passwords of the list are right.
        hits: u32,
    },
    /// Many passwords for one account.
    Guess {
        account: Option<u32>,
        tries: u32,
        addresses: Vec<Address>,
        gap_seconds: (u32, u32),
        gets_in: bool,
    },
    /// A login with the right password, and what comes after it.
    TakeOver { account: Option<u32>, address: Address, purpose: Purpose },
    /// A member of staff looks where there is no case.
    Peep { staff: u16, looks: u32, gap_seconds: (u32, u32), ticket: u32 },
    /// A recording is used after its owner deleted it.
    UseRecording { staff: u16 },
    /// An account is used after its deletion.
    UseAccount { address: Address },
}

impl Plan {
    fn planted(&self) -> Planted {
        let (kind, rule, entity) = match self {
            Self::List { gap_seconds, .. } if gap_seconds.0 >= 45 => {
                ("password_spraying", Some("password_spraying"), Entity::Address)
            }
            Self::List { addresses, .. } if addresses.len() > 1 => {
                ("botnet_stuffing", Some("credential_stuffing"), Entity::Address)
            }
            Self::List { .. } => {
                ("credential_stuffing", Some("credential_stuffing"), Entity::Address)
            }
            Self::Guess { addresses, .. } if addresses.len() >= 5 => {
                ("distributed_guessing", Some("distributed_guessing"), Entity::Account)
            }
            Self::Guess { .. } => ("brute_force", Some("brute_force"), Entity::Account),
            Self::TakeOver { purpose, .. } => purpose.planted(),
            Self::Peep { .. } => ("staff_mass_viewing", Some("staff_mass_viewing"), Entity::Actor),
            Self::UseRecording { .. } => (
                "recording_use_after_deletion",
                Some("recording_use_after_deletion"),
                Entity::Resource,
            ),
            Self::UseAccount { .. } => {
                ("account_use_after_deletion", Some("account_use_after_deletion"), Entity::Account)
            }
        };
        Planted::new(kind, rule, entity)
    }
}

impl Purpose {
    fn planted(self) -> (&'static str, Option<&'static str>, Entity) {
        match self {
            Self::Watch => ("takeover_watching", None, Entity::Account),
            Self::Harass => {
                ("takeover_harassment", Some("new_device_then_two_way_talk"), Entity::Account)
            }
            Self::LockOut => {
                ("takeover_lockout", Some("new_device_then_takeover"), Entity::Account)
            }
        }
    }
}

/// Plans an attack to begin at `time`.
pub(super) fn plant(world: &mut World, time: Millis, plan: Plan) {
    world.planted.push(plan.planted());
    let attack = Attack { planted: world.planted.len() - 1, step: 0, plan };
    world.queue.push(time, Item::Attack(Box::new(attack)));
}

/// Takes the next step of an attack, and plans the one after it.
pub(super) fn step(world: &mut World, mut attack: Box<Attack>, now: Millis) {
    match attack.take_step(world, now) {
        Some(next) => world.queue.push(next, Item::Attack(attack)),
        None => world.planted[attack.planted].finish(),
    }
}

/// An account that somebody could take over now: alive, known, without a second factor.
fn victim(world: &mut World, now: Millis) -> Option<u32> {
    for _ in 0..400 {
        let index = world.random.below(world.shape.accounts);
        if is_eligible(world, index, now) {
            world.accounts.get_mut(index).targeted = true;
            return Some(index);
        }
    }
    None
}

fn is_eligible(world: &World, index: u32, now: Millis) -> bool {
    let account = world.accounts.get(index);
    let known = account.seen_at.is_some_and(|seen| seen + SEEN_FOR < now);
    known && !account.deleted && !account.targeted && !account.second_factor
}

impl Attack {
    fn log(&self, world: &mut World, time: Millis, mut event: Event) {
        event.planted = self.planted as u16 + 1;
        world.planted[self.planted].plan_event();
        world.log(time, event);
    }

    fn take_step(&mut self, world: &mut World, now: Millis) -> Option<Millis> {
        self.step += 1;
        match &self.plan {
            Plan::List { .. } => self.try_list(world, now),
            Plan::Guess { .. } => self.guess(world, now),
            Plan::TakeOver { .. } => self.take_over(world, now),
            Plan::Peep { .. } => self.peep(world, now),
            Plan::UseRecording { .. } => self.use_recording(world, now),
            Plan::UseAccount { .. } => self.use_account(world, now),
        }
    }

    fn try_list(&mut self, world: &mut World, now: Millis) -> Option<Millis> {
        let Plan::List { names, rounds, addresses, gap_seconds, agents, hits } = &mut self.plan
        else {
            return None;
        };
        let index = self.step as usize - 1;
        let name = names[index % names.len()];
        let address = addresses[index % addresses.len()];
        let mut event = Event::new("login", name);
        event.address = address;
        event.agent = agents[index % agents.len()];
        let last = self.step >= names.len() as u32 * *rounds;
        let next = now + world.random.seconds(gap_seconds.0, gap_seconds.1);
        let warm = index >= 12 * addresses.len();
        let hit = match name {
            Name::Account(account) if warm && *hits > 0 && is_eligible(world, account, now) => {
                *hits -= 1;
                Some(account)
            }
            _ => None,
        };
        let reason =
            if matches!(name, Name::Account(_)) { "bad_password" } else { "unknown_account" };
        match hit {
            Some(account) => self.fall(world, now, account, event),
            None => self.log(world, now, event.failed(reason)),
        }
        (!last).then_some(next)
    }

    /// The attack gets into an account: what is planted is the fall and what follows.
    fn fall(&self, world: &mut World, now: Millis, account: u32, mut event: Event) {
        world.accounts.get_mut(account).targeted = true;
        world.planted[self.planted].felled(Name::Account(account));
        world.planted.push(Planted::new(
            "account_fell",
            Some("success_after_attack"),
            Entity::Account,
        ));
        event.session = world.new_session();
        let mut fall =
            Attack { planted: world.planted.len() - 1, step: 0, plan: self.plan.clone() };
        fall.log(world, now, event);
        world.planted[fall.planted].finish();
        fall.step = 1;
        let purpose = world.random.pick(&[Purpose::Watch, Purpose::Harass, Purpose::LockOut]);
        let address = event.address;
        let wait = world.random.seconds(1800, 5 * 3600);
        let other = super::scenario::intruder_address(&mut world.random);
        let address = if world.random.chance(500) { address } else { other };
        plant(world, now + wait, Plan::TakeOver { account: Some(account), address, purpose });
    }

    fn guess(&mut self, world: &mut World, now: Millis) -> Option<Millis> {
        let Plan::Guess { account, tries, addresses, gap_seconds, gets_in } = &mut self.plan else {
            return None;
        };
        if account.is_none() {
            *account = victim(world, now);
        }
        let account = (*account)?;
        let mut event = Event::new("login", Name::Account(account));
        event.address = addresses[self.step as usize % addresses.len()];
        event.agent = CHROME;
        let next = now + world.random.seconds(gap_seconds.0, gap_seconds.1);
        if self.step <= *tries {
            self.log(world, now, event.failed("bad_password"));
            return Some(next);
        }
        if *gets_in {
            self.fall(world, now, account, event);
        }
        None
    }

    fn take_over(&mut self, world: &mut World, now: Millis) -> Option<Millis> {
        let Plan::TakeOver { account, address, purpose } = self.plan.clone() else { return None };
        let index = account.or_else(|| victim(world, now))?;
        if world.accounts.get(index).deleted {
            return None;
        }
        let mut base = Event::new("login", Name::Account(index));
        base.address = address;
        base.agent = CHROME;
        base.device = (world.random.bits() >> 32) as u32 | 1;
        base.session = world.new_session();
        let camera = world.accounts.get(index).private_camera();
        let mut time = now;
        self.log(world, time, base);
        for (action, on) in deeds(world, purpose, camera, index) {
            time += world.random.seconds(20, 240);
            self.log(world, time, Event { action, ..base }.on(on));
        }
        world.accounts.get_mut(index).locked_out = purpose == Purpose::LockOut;
        None
    }

    fn peep(&mut self, world: &mut World, now: Millis) -> Option<Millis> {
        let Plan::Peep { staff, looks, gap_seconds, ticket } = self.plan.clone() else {
            return None;
        };
        if let Some(account) = world.living_account() {
            let camera = world.accounts.get(account).private_camera();
            let mut event = staff::act(staff, "live_view", account, Resource::Camera(camera));
            if world.random.chance(600) {
                event.action = "recording_view";
                event.resource = world.recording(account);
            }
            event.ticket = ticket;
            self.log(world, now, event);
        }
        let next = now + world.random.seconds(gap_seconds.0, gap_seconds.1);
        (self.step < looks).then_some(next)
    }

    fn use_recording(&mut self, world: &mut World, now: Millis) -> Option<Millis> {
        let Plan::UseRecording { staff } = self.plan else { return None };
        let ripe = |deletion: &&super::world::Deletion| deletion.time + HOUR < now;
        let Some(deletion) = world.deletions.iter().find(ripe).copied() else {
            return Some(now + 2 * HOUR);
        };
        world.deletions.retain(|other| other.time != deletion.time);
        let mut by_staff = staff::act(staff, "recording_view", deletion.account, deletion.resource);
        by_staff.ticket = world.new_ticket();
        let event = match world.random.chance(500) {
            true => by_staff,
            false => staff::training(deletion.account, deletion.resource),
        };
        self.log(world, now, event);
        None
    }

    fn use_account(&mut self, world: &mut World, now: Millis) -> Option<Millis> {
        let Plan::UseAccount { address } = self.plan else { return None };
        let index = victim(world, now)?;
        let (deleted_at, deletion) = household::delete_account(world, index, now);
        world.log(deleted_at, deletion); // the owner's right, no part of what is planted
        let camera = Resource::Camera(world.accounts.get(index).private_camera());
        let mut event = Event::new("session_refresh", Name::Account(index));
        event.address = address;
        event.agent = CHROME;
        event.device = (world.random.bits() >> 32) as u32 | 1;
        event.session = deletion.session;
        let mut time = deleted_at + world.random.seconds(3600, 8 * 3600);
        self.log(world, time, event);
        for _ in 0..world.random.between(1, 4) {
            time += world.random.seconds(20, 300);
            self.log(world, time, Event { action: "live_view", ..event }.on(camera));
        }
        if world.random.chance(300) {
            let read =
                Event { actor: Actor::Service("ml-platform"), ..staff::training(index, camera) };
            self.log(world, time + 30 * MINUTE, read);
        }
        None
    }
}

/// What the intruder does after the login.
fn deeds(
    world: &mut World,
    purpose: Purpose,
    camera: u8,
    account: u32,
) -> Vec<(&'static str, Resource)> {
    let camera = Resource::Camera(camera);
    let mut deeds = vec![("live_view", camera)];
    match purpose {
        Purpose::Watch => {
            deeds.extend([("live_view", camera); 3]);
            deeds.push(("recording_view", world.recording(account)));
            deeds.push(("recording_download", world.recording(account)));
        }
        Purpose::Harass => {
            let words = world.random.between(2, 5) as usize;
            deeds.extend(std::iter::repeat_n(("two_way_talk", camera), words));
            deeds.push(("siren", camera));
        }
        Purpose::LockOut => {
            deeds.push(("email_change", Resource::None));
            deeds.push(("password_change", Resource::None));
            deeds.push(("share_grant", Resource::None));
        }
    }
    deeds
}
