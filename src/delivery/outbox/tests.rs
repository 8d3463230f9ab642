//! What a crash, a bad disk, a full disk and a restart may do to the outbox.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::delivery::tests::alert;

fn limits(bytes_max: u64, when_full: WhenFull) -> OutboxLimits {
    OutboxLimits { bytes_max, when_full, stop: Arc::default(), alive: Arc::default() }
}

fn open(folder: &Path) -> Outbox {
    Outbox::open(folder, &limits(1 << 20, WhenFull::Block)).unwrap()
}

/// Alert `number`, due at `number` microseconds.
fn numbered(number: u64) -> Alert {
    Alert { at: number as i64, ..alert(&format!("{number:032x}"), 1) }
}

fn numbers(range: std::ops::Range<u64>) -> Vec<Alert> {
    range.map(numbered).collect()
}

fn read(outbox: &Outbox) -> Vec<Entry> {
    let mut reader = outbox.reader(0);
    std::iter::from_fn(|| reader.next()).collect()
}

/// The numbers of the alerts in the outbox, by their ids.
fn ids(outbox: &Outbox) -> Vec<u64> {
    read(outbox).iter().map(|entry| u64::from_str_radix(&entry.id, 16).unwrap()).collect()
}

fn take_until(outbox: &Outbox, name: &str, next: u64) {
    let cursor = Cursor { next, ..outbox.cursor(name).unwrap() };
    outbox.move_cursor(name, cursor).unwrap();
}

fn log_files(folder: &Path) -> Vec<PathBuf> {
    segment::list(folder).unwrap().into_iter().map(|(_, path)| path).collect()
}

#[test]
fn entries_are_read_once_synced_with_the_bytes_that_destinations_send() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    let alerts = numbers(0..100);
    outbox.append(&alerts[..60]).unwrap();
    let mut reader = outbox.reader(0);
    assert_eq!(reader.next(), None, "not on disk yet");
    assert_eq!(outbox.sync().unwrap(), 60);
    for (sequence, alert) in (0..60).zip(&alerts) {
        let entry = reader.next().unwrap();
        assert_eq!((entry.sequence, entry.at, entry.revision), (sequence, alert.at, 1));
        assert_eq!((entry.id.as_str(), entry.native), (&*alert.id, alert.to_json()));
    }
    assert_eq!(reader.next(), None);
    outbox.append(&alerts[60..]).unwrap();
    assert_eq!(reader.next(), None);
    outbox.sync().unwrap();
    assert_eq!(std::iter::from_fn(|| reader.next()).count(), 40);
    assert_eq!(outbox.reader(95).next().unwrap().sequence, 95);
}

#[test]
fn a_reader_at_the_end_skips_nothing_that_comes_while_it_looks() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    let mut reader = outbox.reader(0);
    let writer = outbox.clone();
    let writer = std::thread::spawn(move || {
        for number in 0..500 {
            writer.append(&[numbered(number)]).unwrap();
            writer.sync().unwrap();
        }
    });
    let mut read = Vec::new();
    while !writer.is_finished() {
        read.extend(reader.next().map(|entry| entry.sequence));
    }
    read.extend(std::iter::from_fn(|| reader.next()).map(|entry| entry.sequence));
    assert_eq!(read, (0..500).collect::<Vec<_>>());
    assert_eq!(outbox.stats().damaged, 0);
}

#[test]
fn after_a_restart_everything_is_there_and_the_numbers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let outbox = open(folder.path());
        outbox.append(&numbers(round * 10..round * 10 + 10)).unwrap();
        // No sync: what the process handed to the system outlives it.
    }
    let outbox = open(folder.path());
    assert_eq!(ids(&outbox), (0..30).collect::<Vec<_>>());
    let sequences: Vec<u64> = read(&outbox).iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (0..30).collect::<Vec<_>>());
    assert_eq!(outbox.stats().damaged, 0);
}

#[test]
fn what_is_made_again_is_recognised_and_what_changed_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).append(&numbers(0..30)).unwrap();
    let outbox = open(folder.path());
    outbox.confirmed(10);
    let changed = Alert { matches: 7, ..numbered(20) };
    outbox.append(&[&numbers(10..20)[..], &[changed], &numbers(21..35)[..]].concat()).unwrap();
    outbox.sync().unwrap();
    assert_eq!(ids(&outbox), (0..30).chain([20]).chain(30..35).collect::<Vec<_>>());
}

#[test]
fn a_manifest_never_claims_what_may_still_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).append(&numbers(0..30)).unwrap();
    {
        let outbox = open(folder.path());
        outbox.confirmed(10);
        outbox.append(&numbers(10..15)).unwrap();
        outbox.advance(15);
        let position = outbox.sync().unwrap();
        assert_eq!(position, 15, "15 to 29 are still to come");
        outbox.confirmed(position);
    }
    // A crash there, and all of it once more.
    let outbox = open(folder.path());
    outbox.confirmed(15);
    outbox.append(&numbers(15..40)).unwrap();
    outbox.advance(40);
    assert_eq!(outbox.sync().unwrap(), 40);
    assert_eq!(ids(&outbox), (0..40).collect::<Vec<_>>());
}

#[test]
fn a_stream_that_is_read_again_without_a_restart_is_recognised_too() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    outbox.append(&numbers(0..20)).unwrap();
    outbox.confirmed(outbox.sync().unwrap());
    outbox.append(&numbers(20..40)).unwrap();
    outbox.advance(41);
    outbox.resume(20).unwrap();
    outbox.append(&numbers(20..30)).unwrap();
    assert_eq!(outbox.position(), 30, "the other ten may still come");
    outbox.append(&numbers(30..50)).unwrap();
    outbox.sync().unwrap();
    assert_eq!(ids(&outbox), (0..50).collect::<Vec<_>>());
    assert_eq!(outbox.position(), 50);
}

#[test]
fn what_never_comes_again_holds_no_position_back() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).append(&numbers(0..30)).unwrap();
    let outbox = open(folder.path());
    outbox.confirmed(10);
    assert_eq!(outbox.sync().unwrap(), 10);
    outbox.advance(25);
    assert_eq!(outbox.sync().unwrap(), 25);
    outbox.advance(30);
    assert_eq!(outbox.sync().unwrap(), 30);
}

#[test]
fn segments_go_when_all_destinations_and_the_manifest_have_passed_them() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(folder.path(), &limits(1 << 16, WhenFull::Block)).unwrap();
    for name in ["a", "b"] {
        outbox.cursor(name).unwrap();
    }
    for round in 0..20 {
        outbox.append(&numbers(round * 2..round * 2 + 2)).unwrap();
    }
    let position = outbox.sync().unwrap();
    let n_files = log_files(folder.path()).len();
    assert!(n_files > 3, "{n_files}");
    take_until(&outbox, "a", position);
    outbox.confirmed(position);
    assert_eq!(log_files(folder.path()).len(), n_files, "b has none of it");
    let open = Open { at: 1, appended_at: 1 };
    let cursor = Cursor { next: position, open: [(1, open)].into(), ..Cursor::default() };
    outbox.move_cursor("b", cursor).unwrap();
    assert_eq!(log_files(folder.path()).len(), 2, "the one with entry 1, and the newest");
    assert_eq!(outbox.stats().entries, 1);
    take_until(&outbox, "b", position);
    outbox.keep_cursors(&["a"]);
    assert_eq!(log_files(folder.path()).len(), 1);
    assert_eq!(outbox.stats().entries, 0);
    assert!(!folder.path().join("b.cursor").exists());
}

#[test]
fn what_the_manifest_does_not_know_is_kept_after_delivery_and_recognised() {
    let folder = tempfile::tempdir().unwrap();
    {
        let outbox = Outbox::open(folder.path(), &limits(1 << 16, WhenFull::Block)).unwrap();
        outbox.cursor("a").unwrap();
        outbox.append(&numbers(0..20)).unwrap();
        outbox.sync().unwrap();
        take_until(&outbox, "a", 20);
    }
    let outbox = open(folder.path());
    outbox.append(&numbers(0..20)).unwrap();
    outbox.sync().unwrap();
    assert_eq!(outbox.stats().entries, 0, "delivered once, not again");
}

#[test]
fn delivered_until_is_the_least_time_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    outbox.cursor("a").unwrap();
    assert_eq!(outbox.delivered_until(), None);
    outbox.advance(7);
    assert_eq!(outbox.delivered_until(), Some(7));
    // The second came of a flush: the third is due before it.
    let due = |number, at| Alert { at, ..numbered(number) };
    outbox.append(&[due(0, 10), due(1, 20), due(2, 15), due(3, 30)]).unwrap();
    outbox.advance(40);
    let until = |next, open: &[(u64, i64)]| {
        let open = open.iter().map(|(sequence, at)| (*sequence, Open { at: *at, appended_at: 0 }));
        let cursor = Cursor { next, open: open.collect(), ..Cursor::default() };
        outbox.move_cursor("a", cursor).unwrap();
        outbox.delivered_until()
    };
    assert_eq!(until(0, &[]), Some(10));
    assert_eq!(until(1, &[]), Some(15));
    assert_eq!(until(2, &[]), Some(15));
    assert_eq!(until(3, &[(1, 20)]), Some(20));
    assert_eq!(until(3, &[]), Some(30));
    assert_eq!(until(4, &[(0, 10)]), Some(10));
    assert_eq!(until(4, &[]), Some(40));
}

#[test]
fn a_full_outbox_waits_until_there_is_room_or_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(1 << 16, WhenFull::Block);
    let outbox = Outbox::open(folder.path(), &limits).unwrap();
    outbox.cursor("a").unwrap();
    let writer = outbox.clone();
    let thread = std::thread::spawn(move || {
        (0..200).try_for_each(|number| writer.append(&[numbered(number)]))
    });
    let until = |holds: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(20), "{:?}", outbox.stats());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until(&|| outbox.stats().full);
    let waiting = outbox.stats().entries;
    assert!(waiting < 60 && outbox.stats().bytes <= 1 << 16, "{:?}", outbox.stats());
    take_until(&outbox, "a", waiting);
    until(&|| outbox.stats().entries > 10 && outbox.stats().full);
    limits.stop.store(true, Ordering::Relaxed);
    let error = thread.join().unwrap().unwrap_err();
    assert_eq!(error.exit_code(), 69);
    assert!(error.to_string().contains("`outbox.bytes_max` is reached"), "{error}");
    // What was promised is there, and only that.
    let n = outbox.sync().unwrap();
    drop(outbox);
    assert_eq!(ids(&open(folder.path())), (0..n).collect::<Vec<_>>());
}

#[test]
fn a_full_outbox_may_drop_its_oldest_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(1 << 16, WhenFull::DropOldest);
    let outbox = Outbox::open(folder.path(), &limits).unwrap();
    outbox.cursor("a").unwrap();
    outbox.append(&numbers(0..300)).unwrap();
    outbox.sync().unwrap();
    let stats = outbox.stats();
    assert!(stats.bytes <= 1 << 16, "{stats:?}");
    assert!(stats.dropped > 100 && stats.dropped + stats.entries == 300, "{stats:?}");
    assert_eq!(ids(&outbox), (stats.dropped..300).collect::<Vec<_>>());
    assert_eq!(outbox.cursor("a").unwrap().next, stats.dropped);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).append(&numbers(0..3)).unwrap();
    let path = log_files(folder.path()).remove(0);
    segment::make_newer(&path);
    let before = std::fs::read(&path).unwrap();
    let error = Outbox::open(folder.path(), &limits(1 << 20, WhenFull::Block)).unwrap_err();
    assert_eq!(error.message, "a newer Nightlatch has written the outbox");
    assert_eq!(error.exit_code(), 64);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn numbers_that_a_cursor_has_passed_are_never_given_again() {
    let folder = tempfile::tempdir().unwrap();
    {
        let outbox = open(folder.path());
        outbox.cursor("a").unwrap();
        outbox.append(&numbers(0..10)).unwrap();
        outbox.sync().unwrap();
        take_until(&outbox, "a", 10);
    }
    // The disk has lost the last entry, and what comes now must not take its number.
    let path = log_files(folder.path()).remove(0);
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    let outbox = open(folder.path());
    outbox.append(&[numbered(10)]).unwrap();
    outbox.sync().unwrap();
    assert_eq!(outbox.stats().entries, 1);
    assert_eq!(outbox.reader(10).next().unwrap().id, &*numbered(10).id);
}

#[test]
fn a_damaged_cursor_begins_again_and_a_new_one_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    {
        let outbox = open(folder.path());
        outbox.cursor("a").unwrap();
        outbox.append(&numbers(0..10)).unwrap();
        take_until(&outbox, "a", 8);
        assert_eq!(outbox.cursor("b").unwrap().next, 10);
    }
    assert_eq!(open(folder.path()).cursor("a").unwrap().next, 8);
    std::fs::write(folder.path().join("a.cursor"), b"{\"ne").unwrap();
    assert_eq!(open(folder.path()).cursor("a").unwrap().next, 0);
}

/// Several segments of two rounds, as a crash may leave them.
fn written(folder: &Path, n_rounds: u64) -> Vec<PathBuf> {
    for round in 0..n_rounds {
        open(folder).append(&numbers(round * 4..round * 4 + 4)).unwrap();
    }
    log_files(folder)
}

#[test]
fn cut_anywhere_it_opens_with_everything_before_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), 2).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let ends = ends_of_entries(&whole);
    let cuts =
        TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() }).run(
            &(0..=whole.len()),
            |cut| {
                std::fs::write(&path, &whole[..cut]).unwrap();
                let outbox = open(folder.path());
                let n_whole = ends.iter().filter(|end| **end <= cut).count() as u64;
                prop_assert_eq!(
                    ids(&outbox),
                    (0..4 + n_whole).collect::<Vec<_>>(),
                    "cut at {}",
                    cut
                );
                prop_assert_eq!(outbox.stats().damaged, 0, "a crash is no damage");
                // It goes on behind the cut.
                outbox.append(&[numbered(1000)]).unwrap();
                outbox.sync().unwrap();
                prop_assert_eq!(ids(&outbox).pop(), Some(1000));
                drop(outbox);
                clean_up(folder.path(), &path);
                Ok(())
            },
        );
    cuts.unwrap();
}

#[test]
fn with_any_bit_flipped_only_what_it_is_in_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let paths = written(folder.path(), 3);
    let path = &paths[1];
    let whole = std::fs::read(path).unwrap();
    let ends = ends_of_entries(&whole);
    let flips =
        TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() }).run(
            &(0..whole.len() * 8),
            |bit| {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(path, flipped).unwrap();
                let outbox = open(folder.path());
                let mut expected: BTreeSet<u64> = (0..12).collect();
                if bit / 8 >= segment::HEADER {
                    let hit = ends.iter().filter(|end| **end <= bit / 8).count() as u64;
                    expected.remove(&(4 + hit));
                }
                prop_assert_eq!(
                    ids(&outbox),
                    expected.into_iter().collect::<Vec<_>>(),
                    "bit {}",
                    bit
                );
                prop_assert_eq!(outbox.stats().damaged, 1);
                drop(outbox);
                clean_up(folder.path(), &paths[2]);
                Ok(())
            },
        );
    flips.unwrap();
}

#[test]
fn bytes_that_rot_while_it_runs_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    outbox.append(&numbers(0..4)).unwrap();
    outbox.sync().unwrap();
    let path = log_files(folder.path()).remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    let ends = ends_of_entries(&bytes);
    bytes[ends[0] + 40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(ids(&outbox), [0, 2, 3]);
    assert_eq!(outbox.stats().damaged, 1);
}

fn ends_of_entries(bytes: &[u8]) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), segment::HEADER);
    while let entry::Step::Entry(_, length) = entry::step(&bytes[at..]) {
        at += length;
        ends.push(at);
    }
    assert_eq!(at, bytes.len());
    assert_eq!(ends.len(), 4);
    ends
}

/// Removes the segments that a case has begun behind `last`.
fn clean_up(folder: &Path, last: &Path) {
    for path in log_files(folder) {
        if path.as_path() > last {
            std::fs::remove_file(path).unwrap();
        }
    }
}
