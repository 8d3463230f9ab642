//! The service's own people and programs: support with tickets, a model in training.

use super::event::{Actor, Address, DAY, Event, HOUR, Millis, Name, Resource};
use super::world::World;

/// What staff use.
const CONSOLE: &str = "SupportConsole/5.4 Chrome/78.0.3904.97";

/// An event of a member of staff.
pub(super) fn act(number: u16, action: &'static str, account: u32, on: Resource) -> Event {
    let mut event = Event::new(action, Name::Account(account)).on(on);
    event.actor = Actor::Staff(number);
    event.address = Address::V4(0x0a14_0001 + u32::from(number % 4)); // 10.20.0.1 and on
    event.agent = CONSOLE;
    event
}

/// Handles one case with its ticket; returns when the next one comes.
pub(super) fn handle_case(world: &mut World, number: u16, now: Millis) -> Millis {
    if !on_duty(now) {
        return next_shift(now) + world.random.seconds(60, 3600);
    }
    if let Some(account) = world.living_account() {
        let ticket = if world.random.chance(10) { 0 } else { world.new_ticket() };
        let mut time = now;
        for _ in 0..world.random.between(1, 3) {
            let mut event = look(world, number, account);
            event.ticket = ticket;
            world.log(time, event);
            time += world.random.seconds(20, 120);
        }
    }
    now + world.random.seconds(900, 3600)
}

/// A recording may be deleted while a case is open, so support looks at live pictures and settings.
fn look(world: &mut World, number: u16, account: u32) -> Event {
    let camera = world.accounts.get(account).camera(&mut world.random);
    let action = if world.random.chance(700) { "live_view" } else { "settings_change" };
    act(number, action, account, Resource::Camera(camera))
}

/// A model is trained on a recording that its owner did not delete; returns the next time.
pub(super) fn train(world: &mut World, now: Millis) -> Millis {
    if let Some(account) = world.living_account() {
        let recording = world.recording(account);
        world.log(now, training(account, recording));
    }
    let pause_seconds = (4 * 86_400 / world.shape.accounts).max(2);
    now + world.random.seconds(1, 2 * pause_seconds)
}

/// The training job reads a recording.
pub(super) fn training(account: u32, recording: Resource) -> Event {
    let mut event = Event::new("model_training_read", Name::Account(account)).on(recording);
    event.actor = Actor::Service("ml-platform");
    event
}

fn on_duty(now: Millis) -> bool {
    let hour = now.rem_euclid(DAY) / HOUR;
    let weekend = (now.div_euclid(DAY) + 3) % 7 >= 5;
    !weekend && (13..22).contains(&hour)
}

fn next_shift(now: Millis) -> Millis {
    let mut time = now - now.rem_euclid(HOUR) + HOUR;
    while !on_duty(time) {
        time += HOUR;
    }
    time
}
