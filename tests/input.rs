//! Files in, records out: what is read, what is set aside, and what is said about it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may stop a test

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::event::reject::{RejectReason, Rejection};
use nightlatch::event::sshd::SshdOptions;
use nightlatch::event::{Origins, Witness, witness};
use nightlatch::order::{Order, OrderConfig};
use nightlatch::source::{Delivery, FileOptions, Files, InputId, Source};
use nightlatch::{Error, ErrorKind};

/// Small limits, so that every border is crossed.
const OPTIONS: FileOptions = FileOptions { record_bytes_max: 100, batch_bytes: 64 };

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn open(paths: &[&Path], options: FileOptions) -> Result<Files, Error> {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    Files::open(&names, options, &mut Origins::default())
}

type Lines = Vec<(i64, Vec<u8>)>;

/// All records of a source by position, and what was set aside.
fn read(mut files: Files) -> (Lines, Vec<Rejection>) {
    let (mut lines, mut rejections, mut finished) = (Vec::new(), Vec::new(), 0);
    while let Some(delivery) = files.next(None).unwrap() {
        match delivery {
            Delivery::Batch(mut batch) => {
                rejections.append(&mut batch.rejections);
                let records =
                    (0..batch.len()).map(|n| (batch.place(n).position, batch.record(n).to_vec()));
                lines.extend(records);
            }
            Delivery::Finished(_) => finished += 1,
            other => panic!("a file does not say {other:?}"),
        }
    }
    assert_eq!(finished, files.inputs().len());
    let progress = files.progress();
    assert!(progress.total.is_none_or(|total| progress.read() <= total));
    (lines, rejections)
}

fn read_bytes(bytes: &[u8]) -> (Lines, Vec<Rejection>) {
    let folder = tempfile::tempdir().unwrap();
    read(open(&[&write(folder.path(), "log", bytes)], OPTIONS).unwrap())
}

fn line(position: i64, text: &str) -> (i64, Vec<u8>) {
    (position, text.as_bytes().to_vec())
}

#[test]
fn lines_of_every_kind() {
    let cases: [(&[u8], Lines); 9] = [
        (b"", vec![]),
        (b"\n\n  \n\r\n", vec![]),
        (b"a\nb\n", vec![line(1, "a"), line(2, "b")]),
        (b"a\n\nb", vec![line(1, "a"), line(3, "b")]),
        (b"a\r\nb\r\nc\r", vec![line(1, "a"), line(2, "b"), line(3, "c")]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", vec![line(1, "a"), line(2, "\u{feff}b")]),
        (b"\xef\xbb\xbf", vec![]),
        (b"a", vec![line(1, "a")]),
        (b"\0\n", vec![line(1, "\0")]),
    ];
    for (bytes, expected) in cases {
        assert_eq!(read_bytes(bytes), (expected, vec![]), "{bytes:?}");
    }
}

#[test]
fn packed_files_are_told_by_their_bytes() {
    let text: String = (0..5_000).map(|n| format!("line number {n}\n")).collect();
    let (first, second) = text.as_bytes().split_at(20_001);
    let two_members = [gzip(first), gzip(second)].concat();
    let zstd = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let two_frames =
        [zstd::encode_all(first, 1).unwrap(), zstd::encode_all(second, 1).unwrap()].concat();
    let plain = read_bytes(text.as_bytes());
    assert_eq!((plain.0.len(), plain.1.len()), (5_000, 0));
    for packed in [gzip(text.as_bytes()), two_members, zstd, two_frames] {
        assert_eq!(read_bytes(&packed), plain);
    }
}

#[test]
fn long_lines_are_set_aside_and_their_neighbours_are_not() {
    let long = "x".repeat(101);
    let fits = "y".repeat(100);
    let huge = "z".repeat(1_000_000);
    for end in ["\n", "\r\n"] {
        let text = [fits.as_str(), &long, "a", &huge, "", &fits, &huge].join(end);
        let (lines, rejections) = read_bytes(text.as_bytes());
        assert_eq!(lines, [line(1, &fits), line(3, "a"), line(6, &fits)]);
        let told: Vec<_> =
            rejections.iter().map(|r| (r.place.position, r.reason, r.raw.len())).collect();
        let long = RejectReason::RecordTooLong;
        assert_eq!(told, [(2, long, 101), (4, long, 256), (7, long, 256)]);
        assert!(
            rejections[0].message.contains("longer than 100\nhint: raise input.record_bytes_max")
        );
    }
}

#[test]
fn a_line_of_100_mb_is_never_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut file = fs::File::create(&path).unwrap();
    for _ in 0..100 {
        file.write_all(&vec![b'a'; 1_000_000]).unwrap();
    }
    file.write_all(b"\nnext\n").unwrap();
    let (lines, rejections) = read(open(&[&path], FileOptions::default()).unwrap());
    assert_eq!(lines, [line(2, "next")]);
    assert!(
        rejections[0].message.starts_with("record of 100000000 bytes"),
        "{}",
        rejections[0].message
    );
    // The peak of the whole process, all other tests of this file included.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    if let Some(kilobytes) =
        peak.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
    {
        assert!(kilobytes < 90_000, "{kilobytes} kB");
    }
}

#[test]
fn a_broken_archive_gives_what_it_has() {
    let text: String =
        (0..50_000).map(|n| format!("line number {n} {}\n", n * 7_919 % 1_000)).collect();
    let cut = {
        let mut bytes = gzip(text.as_bytes());
        bytes.truncate(bytes.len() / 2);
        bytes
    };
    let mut damaged = gzip(text.as_bytes());
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    let mut cut_zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    cut_zstd.truncate(cut_zstd.len() / 2);
    for bytes in [cut, damaged, cut_zstd] {
        let folder = tempfile::tempdir().unwrap();
        let broken = write(folder.path(), "broken.gz", &bytes);
        let good = write(folder.path(), "good", b"good\n");
        let (lines, rejections) = read(open(&[&broken, &good], OPTIONS).unwrap());
        let [rejection] = rejections.as_slice() else { panic!("{rejections:?}") };
        assert_eq!(rejection.reason, RejectReason::SourceError);
        assert!(rejection.message.starts_with("input breaks off here: "), "{}", rejection.message);
        assert_eq!(lines.last(), Some(&line(1, "good")));
        assert!(lines.len() > 1_000, "{}", lines.len());
        assert_eq!(rejection.place.position, lines.len() as i64);
    }
}

#[test]
fn files_that_cannot_be_read_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), "good", b"a\n");
    let refused = |path: &Path, message: &str| {
        let error = open(&[&good, path], OPTIONS).err().expect("must be refused");
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Usage, message));
        assert_eq!(error.place.as_deref(), Some(path.display().to_string().as_str()));
        assert!(error.hint.is_some());
    };
    refused(&folder.path().join("none"), "no such file");
    refused(folder.path(), "is a directory, not a log file");
    refused(&good, "file is named twice");
    refused(&write(folder.path(), "a.xz", b"\xfd7zXZ\0\0"), "xz files cannot be read");
    refused(&write(folder.path(), "a.parquet", b"PAR1...."), "Parquet files cannot be read");
}

#[test]
fn a_pipe_gives_lines_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let writer = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut pipe = fs::OpenOptions::new().write(true).open(path).unwrap();
            pipe.write_all(b"first\nsec").unwrap();
            pipe
        }
    });
    let mut files = open(&[&path], FileOptions::default()).unwrap();
    let mut pipe = writer.join().unwrap();
    let mut next = || match files.next(None).unwrap() {
        Some(Delivery::Batch(batch)) => {
            (0..batch.len()).map(|n| batch.record(n).to_vec()).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(next(), [b"first"]);
    pipe.write_all(b"ond\n").unwrap();
    assert_eq!(next(), [b"second"]);
    drop(pipe);
    assert_eq!(next(), [] as [Vec<u8>; 0]);
    assert!(files.progress().total.is_none());
}

/// Reads files in the order of event time, decodes and orders them: events, and what was set aside.
fn pipeline(mut files: Files, format: Format) -> (Vec<Witness>, Vec<Rejection>, u64) {
    let mut decoder = Decoder::new(format, DecodeLimits::default());
    let mut order =
        Order::new(OrderConfig { lateness_micros: 2_000_000, ..OrderConfig::default() });
    files.inputs().into_iter().for_each(|input| order.join(input));
    let (mut events, mut rejections, mut ignored) = (Vec::new(), Vec::new(), 0);
    while let Some(delivery) = files.next(order.slowest()).unwrap() {
        match delivery {
            Delivery::Batch(mut raw) => {
                let mut decoded = decoder.decode(&mut raw).unwrap();
                rejections.append(&mut decoded.rejections);
                ignored += decoded.ignored;
                let batch = decoded.batch.clone();
                for away in order.admit(raw.input, batch, raw.received_at) {
                    rejections.push(decoded.turned_away(&raw, away.row, away.reason));
                }
            }
            Delivery::Finished(input) => order.finish(input),
            other => panic!("a file does not say {other:?}"),
        }
        while let Some(batch) = order.release().unwrap() {
            events.extend((0..batch.num_rows()).map(|row| witness(&batch, row)));
        }
    }
    (events, rejections, ignored)
}

#[test]
fn files_are_merged_by_event_time() {
    let folder = tempfile::tempdir().unwrap();
    let record =
        |second: i64| format!(r#"{{"time":{second},"action":"login","account":"a{second}"}}"#);
    let file = |name: &str, seconds: &[i64]| {
        let lines: Vec<String> = seconds.iter().copied().map(record).collect();
        write(folder.path(), name, lines.join("\n").as_bytes())
    };
    let even: Vec<i64> = (0..2_000).map(|n| n * 2).collect();
    let odd: Vec<i64> = (0..500).map(|n| n * 2 + 1).collect();
    let late = file("late", &[100, 98, 97, 99]);
    let (even, odd, empty) = (file("even", &even), file("odd", &odd), file("empty", &[]));
    let (events, rejections, _) =
        pipeline(open(&[&even, &odd, &empty, &late], OPTIONS).unwrap(), Format::Native);
    assert_eq!(events.len(), 2_503);
    assert!(events.is_sorted_by_key(|event| event.time));
    let [rejection] = rejections.as_slice() else { panic!("{rejections:?}") };
    assert_eq!((rejection.reason, rejection.place.position), (RejectReason::Late, 3));
    assert_eq!(rejection.raw, record(97).into_bytes());
}

/// The folder of public logs, for machines that have it: `NIGHTLATCH_CORPORA/sshd/auth.log`.
#[test]
fn real_sshd_log() {
    let Some(folder) = std::env::var_os("NIGHTLATCH_CORPORA") else { return };
    let path = Path::new(&folder).join("sshd/auth.log");
    let files = open(&[&path], FileOptions::default()).unwrap();
    let options = SshdOptions { year: Some(2015), ..SshdOptions::default() };
    let (events, rejections, ignored) = pipeline(files, Format::Sshd(options));
    assert_eq!((events.len(), ignored), (1_489, 9_077));
    let addresses: HashSet<_> = events.iter().filter_map(|event| event.ip.as_deref()).collect();
    assert_eq!(addresses.len(), 29);
    // A name may end in a blank.
    let blank = events.iter().filter(|event| event.account == "admin ").count();
    assert_eq!(blank, 27);
    // The last line of the file is cut off.
    let reasons: Vec<_> = rejections.iter().map(|r| (r.place.position, r.reason)).collect();
    assert_eq!(reasons, [(10_567, RejectReason::NotSyslog)]);
}

#[test]
fn the_wanted_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (write(folder.path(), "a", b"a\n"), write(folder.path(), "b", b"b\n"));
    let mut files = open(&[&a, &b], OPTIONS).unwrap();
    let mut inputs = Vec::new();
    while let Some(delivery) = files.next(Some(InputId(1))).unwrap() {
        if let Delivery::Batch(batch) = delivery {
            inputs.push(batch.input.0);
        }
    }
    assert_eq!(inputs, [1, 0]);
}
