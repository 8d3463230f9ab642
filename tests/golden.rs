//! What the example log gives, to the byte, however it comes in.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};

const LOG: &str = "examples/ring-2019.jsonl";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn output(folder: &Path, arguments: &[&str], input: Option<&[u8]>) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.map(<[u8]>::to_vec).unwrap_or_default();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {err}");
    output.stdout
}

/// The stream of alerts of the example log.
fn alerts() -> Vec<u8> {
    output(repository(), &["replay", LOG, "--json"], None)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn log() -> Vec<u8> {
    fs::read(repository().join(LOG)).unwrap()
}

/// A folder in which the log's path holds `bytes`.
fn folder_with(bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(LOG);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    folder
}

fn objects(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The alerts without the places of their evidence.
fn without_places(stream: &[u8]) -> Vec<Value> {
    let mut alerts = objects(stream);
    for alert in &mut alerts {
        for evidence in alert["evidence"].as_array_mut().unwrap() {
            let evidence = evidence.as_object_mut().unwrap();
            assert!(evidence.remove("file").is_some() && evidence.remove("line").is_some());
        }
    }
    alerts
}

/// The last revision of each alert, in the order of their first. Incidents have a test of their own.
fn last_revisions(stream: &[u8]) -> Vec<Value> {
    let mut last: Vec<Value> = Vec::new();
    let mut place = BTreeMap::new();
    for alert in objects(stream).into_iter().filter(|one| one.get("kind").is_none()) {
        let id = alert["id"].as_str().unwrap().to_owned();
        match place.get(&id) {
            Some(&at) => last[at] = alert,
            None => {
                place.insert(id, last.len());
                last.push(alert);
            }
        }
    }
    last
}

#[test]
fn alerts_of_the_example_log() {
    let mut text = String::new();
    for alert in last_revisions(&alerts()) {
        let word = |key: &str| alert[key].as_str().unwrap().to_owned();
        text += &format!(
            "{} {} {}\n    {} revision {}, since {}, {} accounts, {} events\n    {}\n",
            word("id"),
            word("rule"),
            word("entity"),
            word("status"),
            alert["revision"],
            word("started_at"),
            alert["accounts_total"],
            alert["evidence_total"],
            word("summary"),
        );
    }
    insta::assert_snapshot!("alerts_of_ring_2019", text);
}

#[test]
fn every_planted_attack_is_found_by_its_rule() {
    let truth = fs::read(repository().join("examples/ring-2019.truth.jsonl")).unwrap();
    let found = last_revisions(&alerts());
    let mut n_attacks = 0;
    for planted in objects(&truth) {
        let Some(rule) = planted["rule"].as_str() else { continue };
        n_attacks += 1;
        let is_it = |alert: &&Value| {
            let entities = planted["entities"][alert["entity_type"].as_str().unwrap()].as_array();
            alert["rule"] == rule && entities.is_some_and(|all| all.contains(&alert["entity"]))
        };
        let n_found = found.iter().filter(is_it).count();
        assert!(n_found > 0, "{} ({rule}) was not found", planted["id"]);
    }
    assert!(n_attacks >= 10, "only {n_attacks} attacks are planted");
}

#[test]
fn the_same_log_gives_the_same_bytes_however_it_is_read() {
    let log = log();
    let expected = alerts();
    assert!(expected.len() > 100_000, "{} bytes", expected.len());
    let expected_sum = sha256(&expected);
    let same = |how: &str, stream: &[u8]| assert_eq!(sha256(stream), expected_sum, "{how}");
    same("again", &alerts());

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&log).unwrap();
    let copies = [("gzip", gzip.finish().unwrap()), ("zstd", zstd::encode_all(&*log, 1).unwrap())];
    for (how, bytes) in copies {
        let folder = folder_with(&bytes);
        same(how, &output(folder.path(), &["replay", LOG, "--json"], None));
    }
    for batch_events in [1, 100, 8192] {
        let folder = folder_with(&log);
        let config = format!("[order]\nbatch_events = {batch_events}\n");
        fs::write(folder.path().join("c.toml"), config).unwrap();
        let arguments = ["replay", LOG, "--json", "--config", "c.toml"];
        let how = format!("batches of {batch_events}");
        same(&how, &output(folder.path(), &arguments, None));
    }
}

#[test]
fn standard_input_and_a_split_log_change_the_places_of_evidence_alone() {
    let log = log();
    let expected = without_places(&alerts());
    let piped = output(repository(), &["replay", "-", "--json"], Some(&log));
    assert_eq!(without_places(&piped), expected, "standard input");

    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    for part in 0..3 {
        let own: Vec<u8> = lines.iter().skip(part).step_by(3).copied().flatten().copied().collect();
        fs::write(folder.path().join(format!("{part}.jsonl")), own).unwrap();
    }
    for files in [["0.jsonl", "1.jsonl", "2.jsonl"], ["2.jsonl", "0.jsonl", "1.jsonl"]] {
        let arguments = [&["replay", "--json"], &files[..]].concat();
        let split = output(folder.path(), &arguments, None);
        assert_eq!(without_places(&split), expected, "{files:?}");
    }
}

#[test]
fn words_about_rules_and_configuration() {
    let words =
        |arguments: &[&str]| String::from_utf8(output(repository(), arguments, None)).unwrap();
    let explain = words(&["rules", "explain", "credential_stuffing", "--rules", "queries"]);
    insta::assert_snapshot!("rules_explain_credential_stuffing", explain);
    insta::assert_snapshot!("rules_list", words(&["rules", "list", "--rules", "queries"]));
    insta::assert_snapshot!("config_show", words(&["config", "show"]));
}
