//! Engines whose old rows and evidence are on disk: found, told and taken back as if all were in memory.

use std::fs;
use std::os::unix::fs::FileExt;

use nightlatch::rules::{Engine, LaneStats};
use nightlatch::store::{BlockReader, Spill, SpillLimits};
use proptest::prelude::*;
use proptest::sample::Index;

use super::harness::*;
use super::{EVERYTHING, events};

const SIZE: usize = 1_000;

fn spill(folder: &tempfile::TempDir, in_memory_bytes_max: u64) -> Spill {
    let limits = SpillLimits { in_memory_bytes_max, on_disk_bytes_max: u64::MAX };
    Spill::in_folder(folder.path(), limits).expect("an empty folder")
}

fn rows_on_disk(engine: &Engine, name: &str) -> usize {
    let of = |lane: &&LaneStats| lane.name == name;
    engine.lane_stats().iter().find(of).map_or(0, |lane| lane.rows_on_disk)
}

#[test]
fn evidence_and_checkpoints_are_the_same_with_rows_on_disk() {
    let rules = rules(&[format!("{HEAD}{EVERYTHING}")]);
    let batches = events::batches(&many_events(60_000), SIZE);
    let expected = uninterrupted(&rules, &batches, Floats::Bits);
    let point = (any::<Index>(), any::<bool>(), any::<u64>());
    let strategy = (prop::collection::vec(point, 2..6), prop_oneof![Just(0), Just(3_000_000)]);
    runner((cases() / 250).max(4))
        .run(&strategy, |(points, in_memory_bytes_max)| {
            let folder = tempfile::tempdir().expect("a folder");
            let spill = spill(&folder, in_memory_bytes_max);
            let start = || {
                let mut engine = engine(&rules);
                engine.spill_to(spill.clone());
                engine
            };
            let (mut running, mut state, mut found) = (start(), Folder::new(), Vec::new());
            for (index, batch) in batches.iter().enumerate() {
                run(&mut running, batch, Floats::Bits, &mut found);
                for (_, restores, keeps) in
                    points.iter().filter(|(at, ..)| at.index(batches.len()) == index)
                {
                    state.write(&mut running, |segment| keeps >> (segment % 64) & 1 == 1);
                    if *restores {
                        running = start();
                        let restored = state.read(&mut running, newest_time(batch) + 1);
                        prop_assert_eq!(restored.rebuilding, Vec::new());
                    }
                }
            }
            prop_assert_eq!(&found, &expected);
            prop_assert!(rows_on_disk(&running, "1:account") > 10_000);
            prop_assert!(rows_on_disk(&running, "evidence") > 10_000);
            prop_assert!(spill.stats().read_bytes > 0);
            drop(running);
            prop_assert_eq!(spill.stats().disk_bytes, 0);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_checkpoint_holds_the_same_state_with_rows_on_disk() {
    let rules = rules(&[format!("{HEAD}{EVERYTHING}")]);
    let folder = tempfile::tempdir().expect("a folder");
    let (mut plain, mut spilled) = (engine(&rules), engine(&rules));
    spilled.spill_to(spill(&folder, 0));
    let batches = events::batches(&many_events(30_000), SIZE);
    for batch in &batches {
        plain.process(batch).unwrap();
        spilled.process(batch).unwrap();
    }
    let known_until = newest_time(batches.last().expect("batches")) + 1;
    let lanes = |running: &mut Engine| {
        let mut state = Folder::new();
        state.write(running, |_| true);
        let mut again = engine(&rules);
        let manifest = serde_json::from_str(&state.manifest).expect("a manifest");
        let restored = again.restore(&manifest, &BlockReader::new(state.path()), known_until);
        assert_eq!(restored.rebuilding, []);
        let mut value: serde_json::Value = serde_json::from_str(&state.manifest).expect("JSON");
        // What is kept of the evidence, and in which pieces, is up to memory; lanes are not.
        value["state"]["lanes"].take()
    };
    let (plain, spilled) = (lanes(&mut plain), lanes(&mut spilled));
    let checksums = |lanes: &serde_json::Value| {
        let text = lanes.to_string();
        let sums = text.match_indices("\"crc32\":");
        sums.map(|(at, _)| text[at..].chars().take(20).collect()).collect::<Vec<String>>()
    };
    assert_eq!(checksums(&spilled), checksums(&plain));
}

#[test]
fn a_damaged_file_ends_the_engine_and_is_never_believed() {
    let rules = rules(&[format!("{HEAD}{EVERYTHING}")]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = engine(&rules);
    let spill = spill(&folder, 0);
    running.spill_to(spill.clone());
    let batches = events::batches(&many_events(45_000), SIZE);
    let (before, after) = batches.split_at(30);
    before.iter().for_each(|batch| drop(running.process(batch).unwrap()));
    for entry in fs::read_dir(folder.path()).expect("files") {
        let path = entry.expect("a file").path();
        let file = fs::OpenOptions::new().write(true).open(&path).expect("it can be written");
        let n_bytes = fs::metadata(&path).expect("a file").len() as usize;
        file.write_all_at(&vec![0xA5; n_bytes], 0).expect("it is damaged");
    }
    let ended = after.iter().find_map(|batch| running.process(batch).err());
    let error = ended.expect("rows that come back damaged");
    assert!(error.to_string().contains("checksum"), "{error}");
    assert!(spill.stats().unreadable > 0);
    // Nothing more is told, and nothing is written for a later process to believe.
    assert_eq!(running.process(&batches[0]).unwrap_err(), error);
    let state = tempfile::tempdir().expect("a folder");
    let mut blocks = nightlatch::store::BlockWriter::create(state.path(), 0, Default::default())
        .expect("a file");
    assert_eq!(running.checkpoint(&mut blocks).unwrap_err(), error);
}
