//! `city`: many households on believable networks, the people who serve them, benign traps, attacks
//! and their evasions; the test bench of the rules.
//!
//! Everything follows from the seed, by integer arithmetic. Actors plan their next steps in one
//! queue by time, so memory depends on the number of households (capped), not on the number of events.

mod attack;
mod client;
mod event;
mod labels;
mod life;
mod network;
mod people;
mod staff;
mod standing;
mod switches;
mod trap;
mod truth;
mod world;

#[cfg(test)]
mod tests;

use std::io::Write;

use super::event::{DAY, Millis, timestamp};
use super::{BUFFER_BYTES, SimulateArgs, unwritable};
use crate::Result;
use client::Clients;
use event::{Book, Event, Writer};
use people::Shape;
use switches::Traps;
pub use switches::{ATTACKS, TRAPS};
use truth::LogLine;
use world::{Item, World};

/// Writes the log to `out` and the truth to `truth`, each attack when it is over.
pub(super) fn simulate(
    args: &SimulateArgs,
    out: &mut dyn Write,
    truth: Option<&mut dyn Write>,
) -> Result<()> {
    let traps = Traps::parse(args.traps.as_deref().unwrap_or("all"))?;
    let attacks = switches::attacks(args.attacks.as_deref().unwrap_or("all"))?;
    let shape = Shape::for_events(args.events);
    let mut world = World::new(args.seed, start(&shape), shape, traps);
    life::prepare(&mut world);
    staff::prepare(&mut world);
    trap::prepare(&mut world);
    attack::prepare(&mut world, &attacks);
    let mut scribe = Scribe {
        writer: Writer::new(args.seed),
        clients: Clients::new(),
        seed: args.seed,
        out,
        truth,
        hostile: 0,
        told: 0,
        newest: world.start,
    };
    while scribe.writer.written < args.events {
        let Some((time, item)) = world.queue.pop() else { break };
        match item {
            Item::Log(event) => scribe.log(&mut world, &event)?,
            other => wake(&mut world, other, time),
        }
    }
    scribe.end(&mut world)
}

/// A Monday: Christmas comes after six tenths of the log.
fn start(shape: &Shape) -> Millis {
    let earliest = trap::CHRISTMAS - shape.span / 10 * 6;
    let day = earliest.div_euclid(DAY);
    (day - (day + 3).rem_euclid(7)) * DAY
}

fn wake(world: &mut World, item: Item, now: Millis) {
    match item {
        Item::Log(_) => {}
        Item::Person(index, person) => life::person(world, index, person, now),
        Item::Guest(index, guest) => life::guest(world, index, guest, now),
        Item::OpenCase(number) => staff::open_case(world, number, now),
        Item::Case(case) => staff::step(world, case, now),
        Item::Staff(number) => staff::work(world, number, now),
        Item::Service(service) => staff::round(world, service, now),
        Item::Trap(happening) => trap::happen(world, happening, now),
        Item::Attack(crime) => attack::commit(world, crime, now),
        Item::LockOut(index) => world.people.get_mut(index).locked_out = true,
    }
}

/// Writes the log, and what is true about it.
struct Scribe<'o, 't> {
    writer: Writer,
    clients: Clients,
    seed: u64,
    out: &'o mut dyn Write,
    truth: Option<&'t mut dyn Write>,
    /// Events of attacks.
    hostile: u64,
    /// Benign stories told.
    told: u64,
    newest: Millis,
}

impl Scribe<'_, '_> {
    fn log(&mut self, world: &mut World, event: &Event) -> Result<()> {
        let book =
            Book { people: &world.people, networks: &world.networks, clients: &self.clients };
        let number = self.writer.write(event, book);
        self.newest = self.newest.max(event.time);
        if let Some(index) = (event.planted as usize).checked_sub(1) {
            self.hostile += 1;
            self.note(world, index, event, number)?;
        }
        if self.writer.buffer.len() < BUFFER_BYTES {
            return Ok(());
        }
        self.tell_stories(world)?;
        self.hand_on()
    }

    fn note(&mut self, world: &mut World, index: usize, event: &Event, number: u64) -> Result<()> {
        let Some(slot) = world.planted.get_mut(index) else { return Ok(()) };
        let Some(planted) = slot else { return Ok(()) };
        planted.add(event, number);
        if !planted.is_over() {
            return Ok(());
        }
        let line = planted.line(index, self.seed);
        *slot = None;
        self.tell(&line)
    }

    fn tell_stories(&mut self, world: &mut World) -> Result<()> {
        for story in std::mem::take(&mut world.stories) {
            self.told += 1;
            let line = story.line(self.told);
            self.tell(&line)?;
        }
        Ok(())
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let Some(truth) = &mut self.truth else { return Ok(()) };
        writeln!(truth, "{line}").map_err(|error| unwritable("truth", &error))
    }

    fn hand_on(&mut self) -> Result<()> {
        let result = self.out.write_all(self.writer.buffer.as_bytes());
        self.writer.buffer.clear();
        result.map_err(|error| unwritable("log", &error))
    }

    /// What the end of the log cuts short is told as far as it came.
    fn end(mut self, world: &mut World) -> Result<()> {
        standing::tell(world, self.newest);
        world.stories.retain(|story| story.from <= self.newest);
        self.tell_stories(world)?;
        for (index, planted) in world.planted.iter().enumerate() {
            if let Some(planted) = planted.as_ref().filter(|planted| planted.has_begun()) {
                self.tell(&planted.line(index, self.seed))?;
            }
        }
        let line = self.summary(world);
        self.tell(&line)?;
        self.hand_on()?;
        self.out.flush().map_err(|error| unwritable("log", &error))?;
        match &mut self.truth {
            Some(truth) => truth.flush().map_err(|error| unwritable("truth", &error)),
            None => Ok(()),
        }
    }

    fn summary(&self, world: &World) -> String {
        let line = LogLine {
            r#type: "log",
            scenario: "city",
            seed: self.seed,
            events: self.writer.written,
            benign_events: self.writer.written - self.hostile,
            accounts: world.shape.accounts,
            started_at: timestamp(world.start),
            ended_at: timestamp(self.newest),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
}
