//! `simulate`: a believable log of households and their cameras, with known attacks inside.
//!
//! Everything follows from the seed, by integer arithmetic: the same arguments give the same bytes
//! on every machine. Actors plan their next steps in one queue by time, so memory depends on the
//! number of households (capped), not on the number of events.

mod attack;
mod city;
mod event;
mod household;
mod population;
mod random;
mod scenario;
mod staff;
mod truth;
mod world;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;

use crate::{Error, Result};
use event::{Event, Millis, Writer};
use population::Shape;
use world::{Item, World};

/// Names of the scenarios there are.
pub const SCENARIOS: [&str; 2] = ["ring-2019", "city"];

pub use city::{ATTACKS, TRAPS};

/// Bytes gathered before they are handed on.
const BUFFER_BYTES: usize = 1 << 16;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulateArgs {
    /// One of [`SCENARIOS`].
    pub scenario: String,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// Number of events to write.
    pub events: u64,
    /// Benign traps of `city`: `all` (where absent), `none`, or names of [`TRAPS`] with commas.
    pub traps: Option<String>,
    /// Attacks of `city`: `all` (where absent), `none`, or names of [`ATTACKS`] with commas.
    pub attacks: Option<String>,
    /// Where the list of planted attacks goes.
    pub truth: Option<PathBuf>,
    /// Where the log goes; standard output where absent.
    pub output: Option<PathBuf>,
}

/// Writes the log to `out` and, when it is complete, the list of planted attacks to `truth`.
///
/// The paths in `args` are the caller's to open.
///
/// # Errors
/// An unknown scenario, or a sink that cannot be written.
pub fn simulate(
    args: &SimulateArgs,
    out: &mut dyn Write,
    truth: Option<&mut dyn Write>,
) -> Result<()> {
    check_scenario(&args.scenario)?;
    if args.scenario == "city" {
        return city::simulate(args, out, truth);
    }
    if args.traps.is_some() || args.attacks.is_some() {
        let error = Error::usage(format!("scenario \"{}\" has no switches", args.scenario));
        return Err(error.hint("--traps and --attacks are for `--scenario city`"));
    }
    let per_account = scenario::EVENTS_PER_ACCOUNT_DAY * scenario::SPAN_DAYS;
    let shape = Shape::for_events(args.events, per_account);
    let mut world = World::new(args.seed, scenario::START, shape);
    scenario::prepare(&mut world, args.events);
    write_events(&mut world, args, out)?;
    match truth {
        Some(truth) => write_truth(&world, args.seed, truth),
        None => Ok(()),
    }
}

fn check_scenario(name: &str) -> Result<()> {
    if SCENARIOS.contains(&name) {
        return Ok(());
    }
    let error = Error::usage(format!("no scenario named \"{name}\""));
    Err(match crate::suggest(name, SCENARIOS) {
        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
        None => error.hint(format!("there is: {}", SCENARIOS.join(", "))),
    })
}

fn write_events(world: &mut World, args: &SimulateArgs, out: &mut dyn Write) -> Result<()> {
    let mut writer = Writer::new(args.seed);
    let mut written = 0;
    while written < args.events {
        let Some((time, item)) = world.queue.pop() else { break };
        if let Item::Log(event) = item {
            log(world, &mut writer, time, &event);
            written += 1;
        } else {
            wake(world, item, time);
        }
        if writer.buffer.len() >= BUFFER_BYTES {
            hand_on(&mut writer, out)?;
        }
    }
    hand_on(&mut writer, out)?;
    out.flush().map_err(|error| unwritable("log", &error))
}

fn log(world: &mut World, writer: &mut Writer, time: Millis, event: &Event) {
    let number = writer.write(time, event, &world.accounts);
    if let Some(index) = usize::from(event.planted).checked_sub(1) {
        world.planted[index].add(time, event, number);
    }
}

fn wake(world: &mut World, item: Item, now: Millis) {
    match item {
        Item::Log(_) => {}
        Item::Household(index) => {
            if let Some(next) = household::session(world, index, now) {
                world.queue.push(next, Item::Household(index));
            }
        }
        Item::Staff(number) => {
            let next = staff::handle_case(world, number, now);
            world.queue.push(next, Item::Staff(number));
        }
        Item::Trainer => {
            let next = staff::train(world, now);
            world.queue.push(next, Item::Trainer);
        }
        Item::Attack(attack) => attack::step(world, attack, now),
    }
}

fn hand_on(writer: &mut Writer, out: &mut dyn Write) -> Result<()> {
    let result = out.write_all(writer.buffer.as_bytes());
    writer.buffer.clear();
    result.map_err(|error| unwritable("log", &error))
}

fn write_truth(world: &World, seed: u64, truth: &mut dyn Write) -> Result<()> {
    for (index, planted) in world.planted.iter().enumerate() {
        if let Some(line) = planted.line(index, seed, &world.accounts) {
            writeln!(truth, "{line}").map_err(|error| unwritable("truth", &error))?;
        }
    }
    truth.flush().map_err(|error| unwritable("truth", &error))
}

fn unwritable(what: &str, error: &std::io::Error) -> Error {
    Error::unavailable(format!("cannot write the {what}")).detail(error.to_string())
}
