//! An engine that was written to disk and taken back goes on as if nothing had happened; what does not
//! fit or is damaged is rebuilt from the events, and the results are the same.

#![allow(clippy::expect_used)] // a test that cannot go on fails

mod support;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::event::{Origins, schema};
use nightlatch::order::{Order, OrderConfig};
use nightlatch::rules::{Engine, EngineManifest, Pack, Restored, Rule, StateLimits, parse_rule};
use nightlatch::source::{Delivery, FileOptions, Files, Source};
use nightlatch::store::{BlockReader, BlockRef, BlockWriter};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use support::events::Event;
use support::{events, queries, rows};

const LIMITS: StateLimits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };

/// Cases of each property; more by the environment.
fn cases() -> u32 {
    let asked = std::env::var("NIGHTLATCH_CASES").ok();
    asked.map_or(1000, |text| text.parse().expect("NIGHTLATCH_CASES is a number"))
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn engine(rules: &[Rule]) -> Engine {
    let (engine, refused) = Engine::new(rules.to_vec(), &[], LIMITS).expect("no references");
    assert!(refused.is_empty(), "{}", refused[0]);
    engine
}

/// Rules with ids of their own, in the order of their texts.
fn rules(texts: &[String]) -> Vec<Rule> {
    let numbered = texts.iter().enumerate();
    let rule = |(index, text): (usize, &String)| {
        let name = format!("r{index}.sql");
        parse_rule(&name, &name, text).expect("front matter")
    };
    numbered.map(rule).collect()
}

/// One match with its evidence.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    rule: String,
    position: i64,
    line: String,
    witnesses: Vec<i64>,
    n_witnesses: usize,
}

/// How values are compared: floats are the same to the bit only where the same steps led to them.
#[derive(Clone, Copy, PartialEq)]
enum Floats {
    Bits,
    TenDigits,
}

/// Runs a batch; of each match also the newest witnesses.
fn run(engine: &mut Engine, batch: &RecordBatch, floats: Floats, found: &mut Vec<Found>) {
    let positions = batch.column(schema::POSITION).as_primitive::<Int64Type>();
    for matches in engine.process(batch) {
        let mut lines = rows::lines(&matches.columns);
        if floats == Floats::Bits {
            lines.iter_mut().enumerate().for_each(|(row, line)| {
                line.push_str(&float_bits(&matches.columns, row));
            });
        }
        for (row, line) in matches.rows.iter().zip(lines) {
            let position = positions.value(*row as usize);
            let witnesses_max = if position % 2 == 0 { 4 } else { 1_000 };
            let (witnesses, n_witnesses) = engine.witnesses(matches.rule, *row, witnesses_max);
            let witnesses = witnesses.iter().map(|witness| witness.place.position).collect();
            let rule = engine.rules()[matches.rule].id.clone();
            found.push(Found { rule, position, line, witnesses, n_witnesses });
        }
    }
}

fn float_bits(batch: &RecordBatch, row: usize) -> String {
    let floats = batch.columns().iter().filter(|c| *c.data_type() == DataType::Float64);
    floats
        .map(|c| format!(" {:016x}", c.as_primitive::<Float64Type>().value(row).to_bits()))
        .collect()
}

fn uninterrupted(rules: &[Rule], batches: &[RecordBatch], floats: Floats) -> Vec<Found> {
    let mut engine = engine(rules);
    let mut found = Vec::new();
    batches.iter().for_each(|batch| run(&mut engine, batch, floats, &mut found));
    found
}

fn newest_time(batch: &RecordBatch) -> i64 {
    let times = batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>();
    *times.values().last().expect("a batch has rows")
}

/// What stands in a state folder: written by one engine, read by the next.
struct Folder {
    folder: tempfile::TempDir,
    n_segments: u64,
    manifest: String,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, n_segments: 0, manifest: String::new() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a checkpoint that may refer to the segments that `is_usable` names; gives its bytes.
    fn write(&mut self, engine: &mut Engine, is_usable: impl Fn(u64) -> bool) -> u64 {
        let usable: HashSet<u64> = (0..self.n_segments).filter(|n| is_usable(*n)).collect();
        let mut writer =
            BlockWriter::create(self.path(), self.n_segments, usable.clone()).expect("a segment");
        let manifest = engine.checkpoint(&mut writer);
        let n_bytes = writer.n_bytes();
        writer.finish().expect("all is written");
        for segment in manifest.segments() {
            assert!(segment == self.n_segments || usable.contains(&segment), "segment {segment}");
        }
        self.n_segments += 1;
        self.manifest = serde_json::to_string(&manifest).expect("a manifest is JSON");
        for segment in (0..self.n_segments).filter(|n| !manifest.segments().contains(n)) {
            // What nobody refers to is gone; the file may have gone before.
            fs::remove_file(self.segment(segment)).ok();
        }
        n_bytes
    }

    fn segment(&self, segment: u64) -> std::path::PathBuf {
        self.path().join(format!("segment-{segment:010}"))
    }

    fn has_newest(&self) -> bool {
        fs::exists(self.segment(self.n_segments - 1)).expect("the folder can be read")
    }

    fn read(&self, engine: &mut Engine, known_until: i64) -> Restored {
        let manifest: EngineManifest = serde_json::from_str(&self.manifest).expect("a manifest");
        engine.restore(&manifest, &BlockReader::new(self.path()), known_until)
    }
}

#[derive(Debug, Clone, Copy)]
struct Point {
    at: Index,
    restores: bool,
    keeps: u64,
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    let point = (any::<Index>(), any::<bool>(), any::<u64>());
    prop::collection::vec(
        point.prop_map(|(at, restores, keeps)| Point { at, restores, keeps }),
        1..5,
    )
}

#[test]
fn a_restored_engine_goes_on_as_if_nothing_had_happened() {
    let texts = prop::collection::vec(queries::rule(), 1..4);
    let strategy = (texts, events::events(80), 1usize..20, points());
    runner(cases().div_ceil(8))
        .run(&strategy, |(texts, events, size, points)| {
            let rules = rules(&texts);
            let batches = events::batches(&events, size);
            let expected = uninterrupted(&rules, &batches, Floats::Bits);
            let found = with_restarts(&rules, &batches, &points);
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert_eq!(found, expected, "{}", texts.join("\n"));
            }
            prop_assert_eq!(found.len(), expected.len());
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// Runs with a checkpoint at each point, and a restart at some.
fn with_restarts(rules: &[Rule], batches: &[RecordBatch], points: &[Point]) -> Vec<Found> {
    let (mut running, mut folder, mut found) = (engine(rules), Folder::new(), Vec::new());
    for (index, batch) in batches.iter().enumerate() {
        run(&mut running, batch, Floats::Bits, &mut found);
        for point in points.iter().filter(|point| point.at.index(batches.len()) == index) {
            folder.write(&mut running, |segment| point.keeps >> (segment % 64) & 1 == 1);
            if point.restores {
                running = engine(rules);
                let restored = folder.read(&mut running, newest_time(batch) + 1);
                assert_eq!(restored.rebuilding, Vec::new());
                assert!(!running.is_rebuilding() && running.rebuilding_reach_micros().is_none());
            }
        }
    }
    found
}

const HEAD: &str = "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"account\"\nquiet = \"1 minute\"\nhorizon = \"1 hour\"\nsummary = \"s\"\n*/\n";

/// Every kind of state: counts, distinct counts, sums, queues, newest rows, lags; a long frame, a short
/// one, one that ends in the past; a second stage.
const EVERYTHING: &str = "SELECT *, max(failures) OVER device AS m, avg(mean) OVER device AS mm FROM (
    SELECT time, account, ip, device,
        count(*) FILTER (WHERE outcome = 'failure') OVER long AS failures,
        count(DISTINCT ip) OVER long AS ips,
        count(DISTINCT device) OVER short AS devices,
        sum(asn) OVER long AS asns,
        sum(latitude) OVER past AS total,
        avg(latitude) OVER long AS mean,
        stddev(latitude) OVER short AS spread,
        min(device) OVER short AS first_device,
        first_value(asn) OVER short AS first_asn,
        last_value(device) OVER past AS last_device,
        lag(ip, 2) OVER (PARTITION BY account ORDER BY time) AS before
    FROM events
    WINDOW long AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' HOUR PRECEDING AND CURRENT ROW),
        short AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW),
        past AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '5' HOUR PRECEDING AND INTERVAL '1' HOUR PRECEDING)
    ) WINDOW device AS (PARTITION BY device ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW)
    QUALIFY failures % 500 = 3 OR mm > 100";

/// One event a second: enough for blocks that are written once.
fn many_events(n: usize) -> Vec<Event> {
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

#[test]
fn what_did_not_change_is_not_written_again() {
    let rules = rules(&[format!("{HEAD}{EVERYTHING}")]);
    let batches = events::batches(&many_events(45_000), 1_000);
    let expected = uninterrupted(&rules, &batches, Floats::Bits);
    let (mut running, mut folder, mut found) = (engine(&rules), Folder::new(), Vec::new());
    let mut sizes = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        run(&mut running, batch, Floats::Bits, &mut found);
        if index % 8 == 7 {
            sizes.push(folder.write(&mut running, |_| true));
        }
        // The second time the process ends a while after its last checkpoint.
        if let Some(last) = [(23, 23), (42, 39)].iter().find(|(end, _)| *end == index).map(|l| l.1)
        {
            running = engine(&rules);
            assert_eq!(folder.read(&mut running, newest_time(&batches[last]) + 1).rebuilding, []);
            for again in &batches[last + 1..=index] {
                run(&mut running, again, Floats::Bits, &mut Vec::new());
            }
        }
        if index == 35 {
            // Nothing new: only what is small is written.
            let whole = folder.write(&mut running, |_| false);
            let nothing = folder.write(&mut running, |_| true);
            assert!(nothing < whole / 3, "{nothing} of {whole} bytes");
        }
    }
    assert!(found == expected, "the results differ");
    assert!(expected.len() > 100, "{} matches", expected.len());
    let manifest: EngineManifest = serde_json::from_str(&folder.manifest).expect("a manifest");
    assert!(manifest.segments().len() > 1, "old blocks are referred to: {sizes:?}");
}

/// The events that lanes want again: all that are not older than their reach before `known_until`.
fn reread(events: &[Event], engine: &Engine, known_until: i64) -> usize {
    let reach = engine.rebuilding_reach_micros().unwrap_or(0);
    events.partition_point(|event| event.time < known_until.saturating_sub(reach))
}

/// Batches of the events from `start` on, as the stream numbers them.
fn batches_from(events: &[Event], start: usize, size: usize) -> Vec<RecordBatch> {
    let mut all = Vec::new();
    let mut first = start;
    for batch in events::batches(&events[start..], size) {
        all.push(events::batch(&events[first..first + batch.num_rows()], first));
        first += batch.num_rows();
    }
    all
}

/// Feeds a restored engine and compares what it finds from `known_until` on.
fn check_rest(
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
fn up_to(events: &[Event], size: usize, at: Index) -> Vec<RecordBatch> {
    let mut batches = events::batches(events, size);
    batches.truncate(if batches.is_empty() { 0 } else { at.index(batches.len()) + 1 });
    batches
}

/// Runs batches, writes a checkpoint, and says until when all is known.
fn write_after(rules: &[Rule], batches: &[RecordBatch]) -> (Folder, i64) {
    let (mut running, mut folder) = (engine(rules), Folder::new());
    for (index, batch) in batches.iter().enumerate() {
        running.process(batch);
        if index + 2 == batches.len() {
            folder.write(&mut running, |_| true);
        }
    }
    folder.write(&mut running, |_| true);
    (folder, batches.last().map_or(0, |last| newest_time(last) + 1))
}

fn chosen(all: &[Rule], wanted: &[bool]) -> Vec<Rule> {
    let chosen = all.iter().zip(wanted).filter(|(_, wanted)| **wanted);
    chosen.map(|(rule, _)| rule.clone()).collect()
}

#[test]
fn changed_rules_give_what_they_would_have_given_all_along() {
    let texts = prop::collection::vec(queries::rule(), 2..5);
    let wanted = || prop::collection::vec(any::<bool>(), 4);
    let sizes = (1usize..20, 1usize..20);
    let strategy = (texts, wanted(), wanted(), events::events(80), sizes, any::<Index>());
    let (mut n_kept, mut n_rebuilt, mut n_both) = (0, 0, 0);
    let counts = std::sync::Mutex::new((&mut n_kept, &mut n_rebuilt, &mut n_both));
    runner(cases().div_ceil(8))
        .run(&strategy, |(texts, before, after, events, (size, other_size), at)| {
            let all = rules(&texts);
            let (folder, known_until) =
                write_after(&chosen(&all, &before), &up_to(&events, size, at));
            let rules = chosen(&all, &after);
            let mut restored = engine(&rules);
            let outcome = folder.read(&mut restored, known_until);
            let (has_kept, has_rebuilt) =
                (!outcome.kept.is_empty(), !outcome.rebuilding.is_empty());
            let mut counts = counts.lock().expect("nobody fails while counting");
            *counts.0 += u32::from(has_kept);
            *counts.1 += u32::from(has_rebuilt);
            *counts.2 += u32::from(has_kept && has_rebuilt);
            drop(counts);
            check_rest(restored, &rules, &events, known_until, other_size)
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let few = cases() / 200;
    assert!(n_kept > few && n_rebuilt > few && n_both > few, "{n_kept} {n_rebuilt} {n_both}");
}

/// What may befall a state folder.
#[derive(Debug, Clone)]
enum Harm {
    FlippedBit(Index, u8),
    Truncated(Index),
    Removed,
    /// A digit of the manifest becomes another.
    Digit(Index, u8),
    /// Two numbers of the manifest change places.
    Swapped(Index, Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Harm::FlippedBit(at, bit)),
        1 => any::<Index>().prop_map(Harm::Truncated),
        1 => Just(Harm::Removed),
        2 => (any::<Index>(), 0u8..10).prop_map(|(at, digit)| Harm::Digit(at, digit)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(one, two)| Harm::Swapped(one, two)),
    ]
}

/// Byte ranges of the numbers in a text.
fn numbers(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match found.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => found.push(at..at + 1),
        }
    }
    found
}

impl Harm {
    /// Does it; says whether anything is different now.
    fn befall(&self, folder: &mut Folder) -> bool {
        let path = folder.segment(folder.n_segments - 1);
        let mut bytes = fs::read(&path).expect("the newest segment");
        let before = (bytes.clone(), folder.manifest.clone());
        match self {
            Self::FlippedBit(at, bit) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Truncated(at) if !bytes.is_empty() => bytes.truncate(at.index(bytes.len())),
            Self::Removed => bytes.clear(),
            Self::FlippedBit(..) | Self::Truncated(_) => {}
            Self::Digit(at, digit) => {
                let numbers = numbers(&folder.manifest);
                let at = numbers[at.index(numbers.len())].start;
                folder.manifest.replace_range(at..=at, &digit.to_string());
            }
            Self::Swapped(one, two) => {
                let numbers = numbers(&folder.manifest);
                let (one, two) = (one.index(numbers.len()), two.index(numbers.len()));
                let (first, second) =
                    (numbers[one.min(two)].clone(), numbers[one.max(two)].clone());
                let texts = (
                    folder.manifest[first.clone()].to_owned(),
                    folder.manifest[second.clone()].to_owned(),
                );
                folder.manifest.replace_range(second, &texts.0);
                folder.manifest.replace_range(first, &texts.1);
            }
        }
        fs::write(&path, &bytes).expect("the segment can be written");
        if matches!(self, Self::Removed) {
            fs::remove_file(&path).expect("the segment can be removed");
        }
        (bytes, folder.manifest.clone()) != before
    }
}

fn is_removed(harms: &[Harm]) -> bool {
    matches!(harms, [Harm::Removed])
}

#[test]
fn what_is_damaged_is_rebuilt() {
    let texts = prop::collection::vec(queries::rule(), 1..4);
    let harms = prop::collection::vec(harm(), 1..3);
    let strategy = (texts, events::events(80), 1usize..20, any::<Index>(), harms);
    runner(cases().div_ceil(8))
        .run(&strategy, |(texts, events, size, at, harms)| {
            let rules = rules(&texts);
            let (mut folder, known_until) = write_after(&rules, &up_to(&events, size, at));
            let mut is_changed = false;
            for harm in &harms {
                is_changed |= folder.has_newest() && harm.befall(&mut folder);
            }
            let mut restored = engine(&rules);
            // A manifest that is none any more is no business of the engine.
            let Ok(manifest) = serde_json::from_str::<EngineManifest>(&folder.manifest) else {
                return Ok(());
            };
            let blocks = BlockReader::new(folder.path());
            let outcome = restored.restore(&manifest, &blocks, known_until);
            // Other harm may have hit evidence alone, which a lane without rows can do without.
            if is_changed
                && matches!(harms[..], [Harm::Digit(..) | Harm::Swapped(..) | Harm::Removed])
            {
                prop_assert!(outcome.kept.is_empty() || is_removed(&harms), "{:?}", harms);
                prop_assert!(!outcome.rebuilding.is_empty(), "{:?}", harms);
            }
            check_rest(restored, &rules, &events, known_until, size)
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// A bit of one block is another, and all checksums hold.
fn forge(folder: &mut Folder, which: Index, at: Index, bit: u8) {
    let manifest: EngineManifest = serde_json::from_str(&folder.manifest).expect("a manifest");
    let blocks: Vec<BlockRef> = manifest.blocks().filter(|block| block.n_bytes > 0).collect();
    let Some(block) = blocks.get(which.index(blocks.len().max(1))) else { return };
    let path = folder.segment(block.segment);
    let mut bytes = fs::read(&path).expect("the segment");
    let own = &mut bytes[block.offset as usize..(block.offset + block.n_bytes) as usize];
    own[at.index(block.n_bytes as usize)] ^= 1 << bit;
    let crc32 = crc32fast::hash(own);
    fs::write(&path, &bytes).expect("the segment can be written");
    let text = |crc32: u32| {
        serde_json::to_string(&BlockRef { crc32, ..*block }).expect("a reference is JSON")
    };
    let manifest = folder.manifest.replace(&text(block.crc32), &text(crc32));
    let (head, state) = manifest.split_once(",\"state\":").expect("the state");
    let sum = crc32fast::hash(&state.as_bytes()[..state.len() - 1]);
    let (head, _) = head.split_once("\"crc32\":").expect("a checksum");
    folder.manifest = format!("{head}\"crc32\":{sum},\"state\":{state}");
}

#[test]
fn nonsense_with_a_good_checksum_stops_nothing() {
    let texts = prop::collection::vec(queries::rule(), 1..3);
    let place = (any::<Index>(), any::<Index>(), 0u8..8);
    let strategy = (texts, events::events(60), any::<Index>(), prop::collection::vec(place, 1..4));
    let mut n_refused = 0;
    let refused = std::sync::Mutex::new(&mut n_refused);
    runner(cases().div_ceil(8))
        .run(&strategy, |(texts, events, at, places)| {
            let rules = rules(&texts);
            let (mut folder, known_until) = write_after(&rules, &up_to(&events, 5, at));
            places.iter().for_each(|(which, at, bit)| forge(&mut folder, *which, *at, *bit));
            let mut restored = engine(&rules);
            let outcome = folder.read(&mut restored, known_until);
            **refused.lock().expect("nobody fails while counting") +=
                u32::from(!outcome.rebuilding.is_empty());
            let start = reread(&events, &restored, known_until);
            for batch in batches_from(&events, start, 5) {
                run(&mut restored, &batch, Floats::TenDigits, &mut Vec::new());
            }
            Folder::new().write(&mut restored, |_| false);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(n_refused > cases() / 50, "{n_refused}");
}

/// The example log, as batches in event-time order.
fn example(batch_events: usize) -> Vec<RecordBatch> {
    let mut origins = Origins::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ring-2019.jsonl");
    let name = path.to_string_lossy().into_owned();
    let mut files = Files::open(&[name], FileOptions::default(), &mut origins).expect("the log");
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    let mut order = Order::new(OrderConfig { batch_events, ..OrderConfig::default() });
    let mut released = Vec::new();
    while let Some(delivery) = files.next(None).expect("the log can be read") {
        let Delivery::Batch(mut raw) = delivery else { continue };
        let decoded = decoder.decode(&mut raw).expect("columns");
        let turned_away = order.admit(raw.input, decoded.batch, i64::MAX / 4);
        assert!(turned_away.is_empty(), "{turned_away:?}");
    }
    order.release_all();
    while let Some(batch) = order.release().expect("columns") {
        released.push(batch);
    }
    released
}

#[test]
fn the_pack_finds_the_same_in_the_example_log() {
    let pack = Pack::load(None).expect("the pack is inside the binary");
    let batches = example(100);
    assert!(batches.len() > 20, "{} batches", batches.len());
    let expected = uninterrupted(&pack.rules, &batches, Floats::Bits);
    assert!(!expected.is_empty());
    let (mut running, mut folder, mut found) = (engine(&pack.rules), Folder::new(), Vec::new());
    for (index, batch) in batches.iter().enumerate() {
        run(&mut running, batch, Floats::Bits, &mut found);
        if index % 4 == 3 {
            folder.write(&mut running, |_| true);
            running = engine(&pack.rules);
            assert_eq!(folder.read(&mut running, newest_time(batch) + 1).rebuilding, []);
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn a_rule_that_is_added_leaves_the_lanes_of_others_alone() {
    let count = |key: &str, alias: &str| {
        format!(
            "{HEAD}SELECT time, account, count(*) OVER (PARTITION BY {key} ORDER BY time \
             RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS {alias} FROM events"
        )
    };
    let events = many_events(100);
    let (folder, known_until) =
        write_after(&rules(&[count("account", "n")]), &events::batches(&events, 10));
    // A rule before it, whose nodes get lower numbers; and the name of a column.
    let mut changed = engine(&rules(&[count("device, ip", "m"), count("account", "accounts")]));
    let outcome = folder.read(&mut changed, known_until);
    assert_eq!(outcome.kept, ["1:account"]);
    let rebuilding = [("1:device,ip".to_owned(), "no checkpoint has it".to_owned())];
    assert_eq!(outcome.rebuilding, rebuilding);
    assert_eq!(changed.rebuilding_reach_micros(), Some(3_600_000_000));
    assert_eq!(changed.known_until(), known_until);
}

#[test]
fn a_difference_that_only_parentheses_make_is_a_difference() {
    let rule = |expression: &str| {
        format!(
            "{HEAD}SELECT time, account, sum({expression}) OVER (PARTITION BY account ORDER BY time \
             RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS n FROM events"
        )
    };
    let events = many_events(20);
    let (folder, known_until) =
        write_after(&rules(&[rule("asn - (asn - 1)")]), &events::batches(&events, 10));
    let restore = |expression: &str| {
        let mut changed = engine(&rules(&[rule(expression)]));
        folder.read(&mut changed, known_until).rebuilding
    };
    assert_eq!(restore("asn - (asn - 1)"), []);
    let changed = [("1:account".to_owned(), "its rules have changed".to_owned())];
    assert_eq!(restore("asn - asn - 1"), changed);
    assert_eq!(restore("asn - (asn - 2)"), changed);
}

#[test]
fn counters_are_carried_over_and_limits_hold() {
    let text = format!(
        "{HEAD}SELECT time, account, count(*) OVER (PARTITION BY account ORDER BY time \
         RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS n FROM events"
    );
    let limits = StateLimits { rows_max: 50, keys_max: 3 };
    let start =
        || Engine::new(rules(std::slice::from_ref(&text)), &[], limits).expect("no tables").0;
    let events = many_events(100);
    let mut running = start();
    running.process(&events::batch(&events, 0));
    let counters = |engine: &Engine| -> Vec<(String, usize, usize, u64)> {
        let stats = engine.lane_stats().into_iter();
        stats.map(|lane| (lane.name, lane.keys, lane.rows, lane.dropped_rows)).collect()
    };
    let before = counters(&running);
    assert!(before.iter().filter(|(_, _, _, dropped)| *dropped > 0).count() == 2, "{before:?}");
    let mut folder = Folder::new();
    folder.write(&mut running, |_| true);
    let mut restored = start();
    folder.read(&mut restored, events[99].time + 1);
    assert_eq!(counters(&restored), before);
    let next = events::batch(&[Event { time: events[99].time + 1, ..events[0].clone() }], 100);
    restored.process(&next);
    running.process(&next);
    assert_eq!(counters(&restored), counters(&running));
}

#[test]
fn a_checkpoint_of_half_a_rebuild_holds_the_other_lanes() {
    let count = |key: &str| {
        format!(
            "{HEAD}SELECT time, account, count(*) OVER (PARTITION BY {key} ORDER BY time \
             RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW) AS n FROM events"
        )
    };
    let events = many_events(200);
    let (mut folder, known_until) =
        write_after(&rules(&[count("account")]), &events::batches(&events[..100], 10));
    let both = rules(&[count("account"), count("ip")]);
    let mut half = engine(&both);
    folder.read(&mut half, known_until);
    let start = reread(&events, &half, known_until);
    assert_eq!(half.process(&events::batch(&events[start..start + 30], start)).len(), 0);
    assert!(half.is_rebuilding());
    folder.write(&mut half, |_| true);
    let mut restored = engine(&both);
    let outcome = folder.read(&mut restored, half.known_until());
    assert_eq!((outcome.kept, outcome.rebuilding.len()), (vec!["1:account".to_owned()], 1));
    check_rest(restored, &both, &events, known_until, 7).expect("the results are the same");
}

#[test]
fn lanes_that_have_seen_what_will_come_again_are_not_kept() {
    let text = format!("{HEAD}{EVERYTHING}");
    let events = many_events(50);
    let (folder, known_until) =
        write_after(&rules(std::slice::from_ref(&text)), &events::batches(&events, 50));
    let mut early = engine(&rules(&[text]));
    assert_eq!(folder.read(&mut early, known_until - 1).kept, Vec::<String>::new());
}
