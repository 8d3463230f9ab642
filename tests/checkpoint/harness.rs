//! Running engines, writing them to a folder and taking them back.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use nightlatch::event::schema;
use nightlatch::rules::{Engine, EngineManifest, Restored, Rule, StateLimits, parse_rule};
use nightlatch::store::{BlockReader, BlockWriter};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::support::events::Event;
use crate::support::{events, rows};

pub const HEAD: &str = "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"account\"\nquiet = \"1 minute\"\nhorizon = \"1 hour\"\nsummary = \"s\"\n*/\n";

pub const LIMITS: StateLimits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };

/// Cases of each property; more by the environment.
pub fn cases() -> u32 {
    let asked = std::env::var("NIGHTLATCH_CASES").ok();
    asked.map_or(1000, |text| text.parse().expect("NIGHTLATCH_CASES is a number"))
}

pub fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

pub fn engine(rules: &[Rule]) -> Engine {
    let (engine, refused) = Engine::new(rules.to_vec(), &[], LIMITS).expect("no references");
    assert!(refused.is_empty(), "{}", refused[0]);
    engine
}

/// Rules with ids of their own, in the order of their texts.
pub fn rules(texts: &[String]) -> Vec<Rule> {
    let numbered = texts.iter().enumerate();
    let rule = |(index, text): (usize, &String)| {
        let name = format!("r{index}.sql");
        parse_rule(&name, &name, text).expect("front matter")
    };
    numbered.map(rule).collect()
}

/// One match with its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub rule: String,
    pub position: i64,
    pub line: String,
    pub witnesses: Vec<i64>,
    pub n_witnesses: usize,
}

/// How values are compared: floats are the same to the bit only where the same steps led to them.
#[derive(Clone, Copy, PartialEq)]
pub enum Floats {
    Bits,
    TenDigits,
}

/// Runs a batch; of each match also the newest witnesses.
pub fn run(engine: &mut Engine, batch: &RecordBatch, floats: Floats, found: &mut Vec<Found>) {
    let positions = batch.column(schema::POSITION).as_primitive::<Int64Type>();
    for matches in engine.process(batch).unwrap() {
        let mut lines = rows::lines(&matches.columns);
        if floats == Floats::Bits {
            lines.iter_mut().enumerate().for_each(|(row, line)| {
                line.push_str(&float_bits(&matches.columns, row));
            });
        }
        for (row, line) in matches.rows.iter().zip(lines) {
            let position = positions.value(*row as usize);
            let witnesses_max = if position % 2 == 0 { 4 } else { 1_000 };
            let (witnesses, n_witnesses) =
                engine.witnesses(matches.rule, *row, witnesses_max).unwrap();
            let witnesses = witnesses.iter().map(|witness| witness.place.position).collect();
            let rule = engine.rules()[matches.rule].id.clone();
            found.push(Found { rule, position, line, witnesses, n_witnesses });
        }
    }
}

pub fn float_bits(batch: &RecordBatch, row: usize) -> String {
    let floats = batch.columns().iter().filter(|c| *c.data_type() == DataType::Float64);
    floats
        .map(|c| format!(" {:016x}", c.as_primitive::<Float64Type>().value(row).to_bits()))
        .collect()
}

pub fn uninterrupted(rules: &[Rule], batches: &[RecordBatch], floats: Floats) -> Vec<Found> {
    let mut engine = engine(rules);
    let mut found = Vec::new();
    batches.iter().for_each(|batch| run(&mut engine, batch, floats, &mut found));
    found
}

pub fn newest_time(batch: &RecordBatch) -> i64 {
    let times = batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>();
    *times.values().last().expect("a batch has rows")
}

/// What stands in a state folder: written by one engine, read by the next.
pub struct Folder {
    folder: tempfile::TempDir,
    pub n_segments: u64,
    pub manifest: String,
    /// Segments that the checkpoint under way may refer to.
    usable: HashSet<u64>,
}

impl Folder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, n_segments: 0, manifest: String::new(), usable: HashSet::new() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a checkpoint that may refer to the segments that `is_usable` names; gives its bytes.
    pub fn write(&mut self, engine: &mut Engine, is_usable: impl Fn(u64) -> bool) -> u64 {
        let writer = self.begin(is_usable);
        self.end(writer, engine)
    }

    /// The segment of a checkpoint, to be written ahead or [ended](Folder::end).
    pub fn begin(&mut self, is_usable: impl Fn(u64) -> bool) -> BlockWriter {
        self.usable = (0..self.n_segments).filter(|n| is_usable(*n)).collect();
        BlockWriter::create(self.path(), self.n_segments, self.usable.clone()).expect("a segment")
    }

    /// Writes the rest of a checkpoint; gives all of its bytes.
    pub fn end(&mut self, mut writer: BlockWriter, engine: &mut Engine) -> u64 {
        let manifest = engine.checkpoint(&mut writer).unwrap();
        let n_bytes = writer.n_bytes();
        writer.finish().expect("all is written");
        let in_use = segments(&manifest);
        for segment in &in_use {
            let is_allowed = *segment == self.n_segments || self.usable.contains(segment);
            assert!(is_allowed, "segment {segment}");
        }
        self.n_segments += 1;
        self.manifest = serde_json::to_string(&manifest).expect("a manifest is JSON");
        for segment in (0..self.n_segments).filter(|n| !in_use.contains(n)) {
            // What nobody refers to is gone; the file may have gone before.
            fs::remove_file(self.segment(segment)).ok();
        }
        n_bytes
    }

    pub fn segment(&self, segment: u64) -> std::path::PathBuf {
        self.path().join(format!("segment-{segment:010}"))
    }

    pub fn has_newest(&self) -> bool {
        fs::exists(self.segment(self.n_segments - 1)).expect("the folder can be read")
    }

    pub fn read(&self, engine: &mut Engine, known_until: i64) -> Restored {
        let manifest: EngineManifest = serde_json::from_str(&self.manifest).expect("a manifest");
        engine.restore(&manifest, &BlockReader::new(self.path()), known_until)
    }
}

/// The segments that a manifest refers to.
pub fn segments(manifest: &EngineManifest) -> HashSet<u64> {
    manifest.blocks().map(|block| block.segment).collect()
}

/// One event a second: enough for blocks that are written once.
pub fn many_events(n: usize) -> Vec<Event> {
    let texts = ["", "a", "b", "a long name of a device"];
    let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
    let accounts = ["anna", "ben", "cleo", "dora", "a much longer account"];
    let mut state = 2019_u64;
    let mut random = |n: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    (0..n as i64)
        .map(|second| Event {
            time: 1_700_000_000_000_000 + second * 1_000_000,
            action: "login",
            outcome: if random(3) == 0 { "failure" } else { "success" },
            account: accounts[random(5) as usize],
            ip: addresses.get(random(4) as usize).copied(),
            device: Some(texts[random(4) as usize]),
            asn: Some(random(9) as i64 - 4),
            latitude: Some(random(1_000_003) as f64 / 7.0),
        })
        .collect()
}

/// The events that lanes want again: all that are not older than their reach before `known_until`.
pub fn reread(events: &[Event], engine: &Engine, known_until: i64) -> usize {
    let reach = engine.rebuilding_reach_micros().unwrap_or(0);
    events.partition_point(|event| event.time < known_until.saturating_sub(reach))
}

/// Batches of the events from `start` on, as the stream numbers them.
pub fn batches_from(events: &[Event], start: usize, size: usize) -> Vec<RecordBatch> {
    let mut all = Vec::new();
    let mut first = start;
    for batch in events::batches(&events[start..], size) {
        all.push(events::batch(&events[first..first + batch.num_rows()], first));
        first += batch.num_rows();
    }
    all
}

/// Feeds a restored engine and compares what it finds from `known_until` on.
pub fn check_rest(
    mut restored: Engine,
    rules: &[Rule],
    events: &[Event],
    known_until: i64,
    size: usize,
) -> Result<(), TestCaseError> {
    let known = events.partition_point(|event| event.time < known_until) as i64;
    let start = reread(events, &restored, known_until);
    let mut found = Vec::new();
    for batch in batches_from(events, start, size) {
        run(&mut restored, &batch, Floats::TenDigits, &mut found);
    }
    let mut expected = uninterrupted(rules, &events::batches(events, size), Floats::TenDigits);
    expected.retain(|found| found.position >= known);
    // One rule after the other: batches are cut at other places.
    found.sort_by(|left, right| (&left.rule, left.position).cmp(&(&right.rule, right.position)));
    expected.sort_by(|left, right| (&left.rule, left.position).cmp(&(&right.rule, right.position)));
    for (found, expected) in found.iter().zip(&expected) {
        prop_assert_eq!(found, expected);
    }
    prop_assert_eq!(found.len(), expected.len());
    let n_matches: u64 = restored.rule_stats().iter().map(|stats| stats.matches).sum();
    prop_assert_eq!(n_matches, found.len() as u64, "what was known counts again");
    Ok(())
}

/// The batches up to one of them.
pub fn up_to(events: &[Event], size: usize, at: Index) -> Vec<RecordBatch> {
    let mut batches = events::batches(events, size);
    batches.truncate(if batches.is_empty() { 0 } else { at.index(batches.len()) + 1 });
    batches
}

/// Runs batches, writes a checkpoint, and says until when all is known.
pub fn write_after(rules: &[Rule], batches: &[RecordBatch]) -> (Folder, i64) {
    let (mut running, mut folder) = (engine(rules), Folder::new());
    for (index, batch) in batches.iter().enumerate() {
        running.process(batch).unwrap();
        if index + 2 == batches.len() {
            folder.write(&mut running, |_| true);
        }
    }
    folder.write(&mut running, |_| true);
    (folder, batches.last().map_or(0, |last| newest_time(last) + 1))
}
