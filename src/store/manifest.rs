//! The manifest: the one file that says which state is good.
//!
//! Its first line is `nightlatch-state VERSION CRC32 LENGTH`, whatever the version; the checksum covers
//! version, length and all bytes after that line. So a changed bit is told from a file of another
//! version, which is whole and not ours to read.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::alert::EpisodesManifest;
use crate::event::{OriginKind, Origins, TimeMicros};
use crate::incident::IncidentsManifest;
use crate::learn::LearnerManifest;
use crate::order::OrderManifest;
use crate::rules::EngineManifest;

/// The version that this build reads and writes.
pub(super) const VERSION: u32 = 1;

const MAGIC: &str = "nightlatch-state";

/// Everything that a restart needs to know; the bulk of it lies in blocks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the program that wrote it.
    pub nightlatch: String,
    /// Event time below which everything was released when it was written.
    pub watermark: Option<TimeMicros>,
    /// Where records come from, in the order in which blocks number them.
    pub origins: Vec<SavedOrigin>,
    /// How far each input was read.
    pub inputs: Vec<InputPosition>,
    /// Event ids seen lately.
    pub order: OrderManifest,
    /// What was learned from the events.
    pub learner: Option<LearnerManifest>,
    /// Windows and rules.
    pub engine: Option<EngineManifest>,
    /// Episodes that were open.
    pub episodes: Option<EpisodesManifest>,
    /// Incidents that were open; none in a manifest of an earlier version.
    #[serde(default)]
    pub incidents: Option<IncidentsManifest>,
    /// Position in the outbox after the last revision that this state has made.
    pub outbox: u64,
    /// Event time below which every revision was delivered.
    pub delivered_until: Option<TimeMicros>,
    /// The segments that hold the blocks.
    pub segments: Vec<SegmentUse>,
}

/// A place that records come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedOrigin {
    /// Whether it is a topic, and not a file.
    pub topic: bool,
    /// Its name.
    pub name: String,
}

/// How far an input was read and dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPosition {
    /// Name of the topic.
    pub topic: String,
    /// Partition of it.
    pub partition: i32,
    /// Everything before this offset is in the state: reading goes on here.
    pub next_offset: i64,
    /// Everything before this offset was read: what was set aside is not set aside again.
    pub read_until: i64,
    /// The newest time that was taken in from before `next_offset`.
    pub newest_before: Option<TimeMicros>,
    /// Whether it had nothing more to give.
    pub idle: bool,
}

/// How much of a segment is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentUse {
    /// Its number.
    pub segment: u64,
    /// Its length.
    pub n_bytes: u64,
    /// Bytes of the blocks that this manifest refers to.
    pub used_bytes: u64,
}

/// What a folder holds.
#[derive(Debug)]
pub enum Loaded {
    /// No manifest: nothing was kept yet.
    Nothing,
    /// A manifest that cannot be trusted, and why.
    Damaged(String),
    /// A manifest of another version of the format.
    Foreign(u32),
    /// A manifest whose checksum holds.
    Good(Box<Manifest>),
}

impl Manifest {
    /// The places that records come from, numbered as in the blocks.
    pub fn origins(&self) -> Origins {
        let mut origins = Origins::default();
        for origin in &self.origins {
            let kind = if origin.topic { OriginKind::Topic } else { OriginKind::File };
            origins.intern(kind, &origin.name);
        }
        origins
    }

    /// The bytes of the file.
    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let body = serde_json::to_vec(self)?;
        let mut bytes = header(VERSION, &body).into_bytes();
        bytes.extend(body);
        Ok(bytes)
    }
}

fn header(version: u32, body: &[u8]) -> String {
    let len = body.len();
    let mut crc = crc32fast::Hasher::new();
    crc.update(format!("{version} {len}\n").as_bytes());
    crc.update(body);
    format!("{MAGIC} {version} {:08x} {len}\n", crc.finalize())
}

/// Reads the manifest of a folder.
pub(super) fn load(path: &Path) -> Loaded {
    match std::fs::read(path) {
        Ok(bytes) => decode(&bytes).unwrap_or_else(|why| Loaded::Damaged(why.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Loaded::Nothing,
        Err(error) => Loaded::Damaged(error.to_string()),
    }
}

fn decode(bytes: &[u8]) -> Result<Loaded, &'static str> {
    let end = bytes.iter().take(100).position(|byte| *byte == b'\n');
    let end = end.ok_or("it has no header")?;
    let (line, body) = bytes.split_at(end + 1);
    let version = version_of(line).ok_or("its header is none of ours")?;
    // The header again, byte for byte: no two headers say the same.
    if header(version, body).as_bytes() != line {
        return Err("its checksum does not hold");
    }
    if version != VERSION {
        return Ok(Loaded::Foreign(version));
    }
    let manifest = serde_json::from_slice(body);
    manifest.map(|manifest| Loaded::Good(Box::new(manifest))).map_err(|_| "it lacks a part")
}

fn version_of(line: &[u8]) -> Option<u32> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    (words.next()? == MAGIC).then(|| words.next()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::KeyedHash;

    fn manifest() -> Manifest {
        let position = InputPosition {
            topic: "events".to_owned(),
            partition: 3,
            next_offset: 17,
            read_until: 40,
            newest_before: Some(-5),
            idle: false,
        };
        Manifest {
            nightlatch: "1.2.3".to_owned(),
            watermark: Some(1_700_000_000_000_000),
            origins: vec![
                SavedOrigin { topic: true, name: "events".to_owned() },
                SavedOrigin { topic: false, name: "Straße.jsonl".to_owned() },
            ],
            inputs: vec![position],
            order: OrderManifest::default(),
            learner: None,
            engine: None,
            episodes: None,
            incidents: None,
            outbox: 12,
            delivered_until: None,
            segments: vec![SegmentUse { segment: 1, n_bytes: 10, used_bytes: 5 }],
        }
    }

    fn is_damaged(bytes: &[u8]) -> bool {
        decode(bytes).is_err()
    }

    #[test]
    fn it_reads_back_as_written() {
        let written = manifest();
        let Ok(Loaded::Good(read)) = decode(&written.encode().unwrap()) else { panic!("not good") };
        assert_eq!(serde_json::to_value(&*read).unwrap(), serde_json::to_value(&written).unwrap());
        let origins = read.origins();
        assert_eq!(&*origins.get(1).unwrap().name, "Straße.jsonl");
        assert_eq!(origins.get(0).unwrap().kind, OriginKind::Topic);
    }

    #[test]
    fn every_changed_bit_and_every_truncation_is_damage() {
        let good = manifest().encode().unwrap();
        for length in 0..good.len() {
            assert!(is_damaged(&good[..length]), "cut at {length}");
        }
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(is_damaged(&bytes), "bit {bit}");
        }
        assert!(is_damaged(&[good.as_slice(), b" "].concat()));
        assert!(is_damaged(&[b'x'; 200]));
    }

    #[test]
    fn a_later_version_is_no_damage() {
        let body = b"whatever it is";
        let bytes = [header(7, body).as_bytes(), body].concat();
        assert!(matches!(decode(&bytes), Ok(Loaded::Foreign(7))));
        // Sound bytes that are no manifest of this version.
        let bytes = [header(VERSION, b"{}").as_bytes(), b"{}"].concat();
        assert!(is_damaged(&bytes));
    }

    #[test]
    fn no_key_is_shown() {
        let mut manifest = manifest();
        let key = [7_777_777_777; 4];
        manifest.order.key = KeyedHash::from(key);
        assert!(!format!("{manifest:?}").contains("7777777777"));
    }
}
