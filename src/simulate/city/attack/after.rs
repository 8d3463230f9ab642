//! What is used after its end: recordings, accounts and shares that should be gone.

use super::super::super::event::{HOUR, Millis};
use super::super::event::{Event, Name, Resource, TRAINING};
use super::super::life::guest_event;
use super::super::people::{Household, RETENTION};
use super::super::staff;
use super::super::switches::ATTACKS;
use super::super::world::World;
use super::Plot;

pub(super) fn commit(world: &mut World, kind: usize, variant: u8, now: Millis) {
    match ATTACKS[kind] {
        "recording_after_deletion" => recording_after_deletion(world, kind, variant, now),
        "recording_after_retention" => recording_after_retention(world, kind, variant, now),
        "account_after_deletion" => account_after_deletion(world, kind, variant, now),
        "share_after_revocation" => share_after_revocation(world, kind, variant, now),
        "deleted_data_training" => deleted_data_training(world, kind, variant, now),
        _ => late_deletion(world, kind, variant, now),
    }
}

fn any(household: &Household) -> bool {
    !household.is_dormant()
}

/// An owner's event at home: the owner's right, no part of what is planted.
fn by_owner(world: &World, account: u32, action: &'static str, now: Millis) -> Event {
    let household = world.people.get(account);
    let mut event = Event::new(action, Name::Household(account));
    event.place = household.home(0, now, &world.networks);
    event.device = household.devices[0].id;
    event.client = household.program(0, now);
    event.session = household.devices[0].session;
    event
}

/// A recording of some days ago, that the owner will delete now.
fn to_delete(world: &mut World, account: u32, now: Millis) -> Resource {
    let household = world.people.get_mut(account);
    let number = household.newest(now).saturating_sub(20).max(household.first_kept);
    household.first_kept = number + 1;
    Resource::Recording(number)
}

fn view(world: &mut World, account: u32, action: &'static str, recording: Resource) -> Event {
    let staff = world.insider(|_| true);
    let ticket = world.new_ticket();
    Event { ticket, ..staff::act(staff, action, account).on(recording) }
}

fn recording_after_deletion(world: &mut World, kind: usize, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, any) else { return };
    let recording = to_delete(world, account, now);
    let deletion = by_owner(world, account, "recording_delete", now).on(recording);
    world.log(now, deletion);
    let evasion = ["hours", "days"][usize::from(variant) % 2];
    let action = ["recording_view", "recording_download"][usize::from(variant) % 2];
    let mut plot = Plot::new(world, kind, evasion);
    let wait =
        if variant == 0 { plot.seconds(1800, 30_000) } else { plot.seconds(86_400, 432_000) };
    let event = view(plot.world, account, action, recording);
    plot.log(now + wait, event);
}

/// Kept beyond the time that the service promises.
fn recording_after_retention(world: &mut World, kind: usize, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, any) else { return };
    let age = RETENTION + world.random.seconds(2 * 86_400, 20 * 86_400);
    let recording = Resource::Recording(world.people.get(account).newest(now - age));
    let evasion = ["staff", "training"][usize::from(variant) % 2];
    let mut plot = Plot::new(world, kind, evasion);
    let event = if variant == 0 {
        view(plot.world, account, "recording_view", recording)
    } else {
        staff::serve(TRAINING, "model_training_read", account).on(recording)
    };
    plot.log(now, event);
}

/// The account is gone; the session of somebody lives on.
fn account_after_deletion(world: &mut World, kind: usize, variant: u8, now: Millis) {
    let fits = |household: &Household| household.devices[0].session != 0 && any(household);
    let Some(account) = world.victim(now, fits) else { return };
    delete(world, account, now);
    let mut event = by_owner(world, account, "session_refresh", now);
    let camera = Resource::Camera(world.people.get(account).private_camera());
    let evasion = ["other_network", "own_network"][usize::from(variant) % 2];
    event.shared_place = variant != 0; // the owner's own address
    if variant == 0 {
        event.place = super::rented(world);
    }
    let mut plot = Plot::new(world, kind, evasion);
    let mut time = now + plot.seconds(3600, 3 * 86_400);
    plot.log(time, event);
    for _ in 0..plot.world.random.between(1, 4) {
        time += plot.seconds(20, 300);
        plot.log(time, event.then("live_view").on(camera));
    }
}

fn delete(world: &mut World, account: u32, now: Millis) {
    let event = by_owner(world, account, "account_delete", now);
    world.people.get_mut(account).deleted = true;
    world.log(now, event);
}

/// The share was taken back; the guest still watches.
fn share_after_revocation(world: &mut World, kind: usize, variant: u8, now: Millis) {
    let fits = |household: &Household| household.guests > 0 && any(household);
    let Some(account) = world.victim(now, fits) else { return };
    let household = world.people.get_mut(account);
    household.guests -= 1;
    let guest = household.guests;
    let camera = Resource::Camera(household.private_camera());
    let revocation = by_owner(world, account, "share_revoke", now).on(Resource::Guest(guest));
    world.log(now, revocation);
    let event = guest_event(world, account, guest, now);
    let evasion = ["soon", "days"][usize::from(variant) % 2];
    let mut plot = Plot::new(world, kind, evasion);
    let mut time = now;
    time += if variant == 0 { plot.seconds(1200, 8000) } else { plot.seconds(172_800, 700_000) };
    for _ in 0..plot.world.random.between(2, 4) {
        plot.log(time, event.on(camera));
        time += plot.seconds(30, 4000);
    }
}

fn deleted_data_training(world: &mut World, kind: usize, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, any) else { return };
    let recording = if variant == 0 {
        let recording = to_delete(world, account, now);
        let deletion = by_owner(world, account, "recording_delete", now).on(recording);
        world.log(now, deletion);
        recording
    } else {
        delete(world, account, now);
        Resource::Recording(world.people.get(account).newest(now) - 3)
    };
    let evasion = ["recording", "account"][usize::from(variant) % 2];
    let mut plot = Plot::new(world, kind, evasion);
    let time = now + plot.seconds(7200, 4 * 86_400);
    plot.log(time, staff::serve(TRAINING, "model_training_read", account).on(recording));
}

/// The deletion is told after the use, though it came before.
fn late_deletion(world: &mut World, kind: usize, variant: u8, now: Millis) {
    let Some(account) = world.victim(now, any) else { return };
    let recording = to_delete(world, account, now);
    let deletion = by_owner(world, account, "recording_delete", now).on(recording);
    let (evasion, delay) =
        [("within_lateness", 45_000), ("hours_late", 3 * HOUR)][usize::from(variant) % 2];
    world.log_late(now, now + delay, deletion);
    let mut plot = Plot::new(world, kind, evasion);
    let wait = if variant == 0 { 20_000 } else { plot.seconds(1800, 2 * 3600) };
    let event = view(plot.world, account, "recording_view", recording);
    plot.log(now + wait, event);
}
