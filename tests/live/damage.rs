//! Files of the state folder that are damaged, or not ours to read.

use std::path::{Path, PathBuf};

use crate::events::{events, expected};
use crate::program::Run;
use crate::receiver::Receiver;
use crate::restart::first_half;
use crate::stage::{Stage, got, until_all};
use crate::truth::assert_same;

const EVENTS: usize = 3200;

/// Damages the state between two runs: a warning says so, and what is told is what it should be.
fn damaged(damage: impl FnOnce(&Path), warnings: &[&str]) {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    first_half(&stage, &config, &receiver, &all, &expected);
    damage(&config.state());
    stage.send(&all[all.len() / 2..]);
    let mut run = config.start();
    until_all(&mut run, &[&receiver], &expected);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    for warning in warnings {
        assert!(run.log().contains(warning), "no {warning:?} in\n{}", run.log());
    }
    assert!(run.log().contains("WARN"), "{}", run.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
    // It is whole again.
    let mut run = config.start();
    run.until("its state", |run| run.log().contains("state restored"));
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert!(!run.log().contains("rebuilt from Kafka"), "{}", run.log());
    assert_eq!(receiver.n_got(), expected.len(), "nothing came twice");
}

fn segments(state: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(state).unwrap().map(|file| file.unwrap().path());
    let is_segment =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("segment-");
    let mut segments: Vec<PathBuf> = files.filter(is_segment).collect();
    assert!(!segments.is_empty());
    segments.sort_by_key(|path| path.metadata().unwrap().modified().unwrap());
    segments
}

fn flip(path: &Path, at: impl FnOnce(usize) -> usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_bit_in_every_segment() {
    damaged(
        |state| segments(state).iter().for_each(|path| flip(path, |length| length / 2)),
        &["rebuilt from Kafka"],
    );
}

#[test]
fn a_flipped_bit_in_what_was_written_last() {
    // That belongs to the windows, which Kafka gives back; episodes and order are kept.
    damaged(
        |state| flip(segments(state).last().unwrap(), |length| length - 9),
        &["the windows of a lane are rebuilt from Kafka", "state restored"],
    );
}

#[test]
fn every_segment_is_empty() {
    damaged(
        |state| segments(state).iter().for_each(|path| std::fs::write(path, "").unwrap()),
        &["the state cannot be restored; windows are rebuilt from Kafka"],
    );
}

#[test]
fn a_truncated_manifest() {
    let cut = |state: &Path| {
        let path = state.join("manifest");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    };
    damaged(cut, &["the manifest of the state folder is damaged", "its checksum does not hold"]);
}

#[test]
fn a_manifest_of_a_newer_version() {
    let renew = |state: &Path| {
        let body = b"whatever that version holds";
        let mut sum = crc32fast::Hasher::new();
        sum.update(format!("9 {}\n", body.len()).as_bytes());
        sum.update(body);
        let header = format!("nightlatch-state 9 {:08x} {}\n", sum.finalize(), body.len());
        std::fs::write(state.join("manifest"), [header.as_bytes(), body].concat()).unwrap();
    };
    damaged(renew, &["the state folder is of another version", "version=9"]);
}

#[test]
fn an_outbox_of_a_newer_version_is_refused_and_left_alone() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    first_half(&stage, &config, &receiver, &all, &expected);
    let outbox = config.state().join("outbox");
    let files = std::fs::read_dir(&outbox).unwrap().map(|file| file.unwrap().path());
    let log = files.filter(|path| path.to_str().unwrap().contains("/log-")).max().unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..20]);
    bytes[20..24].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&log, &bytes).unwrap();
    let mut run = Run::start(&config.path);
    assert_eq!(run.ended(), Some(64), "{}", run.log());
    assert!(run.log().contains("a newer Nightlatch has written the outbox"), "{}", run.log());
    let name = log.file_name().unwrap().to_str().unwrap();
    assert!(run.log().contains(name), "{}", run.log());
    assert!(run.log().contains("hint:"), "{}", run.log());
    assert_eq!(std::fs::read(&log).unwrap(), bytes);
}
