//! Traps that are no event but a way of living: told once, from the first event to the last.

use std::collections::BTreeSet;

use super::super::event::Millis;
use super::event::{ALARM, Name, SERVICES};
use super::network::{Networks, Place};
use super::people::Household;
use super::switches::{TRAPS, Trap};
use super::trap::{alarm_place, probe_place};
use super::truth::Story;
use super::world::World;

/// Adds what stands to what happened.
pub(super) fn tell(world: &mut World, ended_at: Millis) {
    let mut add = |trap: Trap, accounts: Vec<u32>, places: BTreeSet<Place>| {
        if world.traps.has(trap) {
            let accounts = accounts.into_iter().map(Name::Household).collect();
            let kind = TRAPS[trap as usize];
            let from = world.start;
            let actors = BTreeSet::new();
            world.stories.push(Story { kind, from, to: ended_at, accounts, places, actors });
        }
    };
    let people = &world.people;
    let behind = people.which(Household::is_behind_cgnat);
    add(Trap::Cgnat, behind, world.networks.cgnat_exits());
    let campuses = (0..6).map(|exit| Networks::campus(exit / 3, exit.into())).collect();
    add(Trap::Campus, people.which(Household::is_student), campuses);
    add(Trap::VpnUsers, people.which(Household::hides), BTreeSet::new());
    let hopping = (0..world.shape.accounts).filter(|index| index % 4 == 1).collect();
    add(Trap::PhoneHopping, hopping, BTreeSet::new());
    add(Trap::Family, people.which(|household| household.family.is_some()), BTreeSet::new());
    add(Trap::ShiftWorkers, people.which(Household::is_night_worker), BTreeSet::new());
    let probes = (0..3).map(probe_place).collect();
    add(Trap::Monitoring, Vec::new(), probes);
    add(Trap::PartnerPolling, Vec::new(), (0..2).map(alarm_place).collect());
    name_actors(world);
}

/// Partners and probes have names of their own.
fn name_actors(world: &mut World) {
    for story in &mut world.stories {
        match TRAPS.iter().position(|name| *name == story.kind) {
            Some(kind) if kind == Trap::PartnerPolling as usize => {
                story.actors.insert(SERVICES[usize::from(ALARM)].to_owned());
            }
            Some(kind) if kind == Trap::Monitoring as usize => {
                story.accounts.extend((1..4).map(Name::Probe));
            }
            _ => {}
        }
    }
}
