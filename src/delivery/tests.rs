//! What destinations write, byte for byte.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use unicode_width::UnicodeWidthStr;

use super::batch::BatchDestination;
use super::*;
use crate::ErrorKind;
use crate::alert::{Evidence, EvidencePlace, Status, Values};
use crate::config::FileConfig;
use crate::rules::Severity;

/// 2019-03-01T12:00:00.250Z
const START: i64 = 1_551_441_600_250_000;

fn values() -> Values {
    let failures: ArrayRef = Arc::new(Int64Array::from(vec![417]));
    let agent: ArrayRef = Arc::new(StringViewArray::from(vec!["curl"]));
    let batch = RecordBatch::try_from_iter([("failures", failures), ("agent", agent)]).unwrap();
    Values::read(&batch, 0, "ip".into())
}

pub(super) fn alert(id: &str, revision: u64) -> Alert {
    let evidence = |line| Evidence {
        time: START,
        event_id: None,
        source: None,
        place: EvidencePlace::File { file: "examples/ring.jsonl".into(), line },
    };
    Alert {
        at: 0,
        id: id.into(),
        revision,
        status: if revision == 1 { Status::Opened } else { Status::Updated },
        rule: "stuffing_from_one_address".into(),
        rule_version: "0123456789ab".into(),
        title: "Credential stuffing".into(),
        severity: Severity::High,
        entity_type: "ip".into(),
        entity: "203.0.113.9".into(),
        started_at: START,
        updated_at: START + 60_000_000,
        accounts: (0..12).map(|n| format!("user{n}@example.org").into()).collect(),
        accounts_total: 45,
        ips: vec!["203.0.113.9".into()],
        ips_total: 1,
        summary: "417 failed logins to 45 accounts from 203.0.113.9 within 10 minutes".to_owned(),
        values: values(),
        matches: 400 + revision,
        evidence: (1..6).map(evidence).collect(),
        evidence_total: 417,
        attack: Arc::new(["T1110.004".into()]),
        enrichment: Arc::default(),
        early: false,
        incident: None,
    }
}

/// As the dispatcher reads it back.
pub(super) fn record(id: &str, revision: u64) -> record::AlertRecord {
    serde_json::from_slice(&alert(id, revision).to_json()).unwrap()
}

fn table(alerts: &[Alert]) -> String {
    let mut table = Table::new(Vec::new(), "test", false);
    table.deliver(alerts).unwrap();
    table.flush().unwrap();
    table.flush().unwrap();
    String::from_utf8(table.into_inner()).unwrap()
}

#[test]
fn the_table_shows_the_last_revision() {
    assert_eq!(
        table(&[alert("a", 1), alert("a", 3), alert("a", 2)]),
        "\
HIGH      2019-03-01T12:00:00Z  stuffing_from_one_address
          ip 203.0.113.9
          403 matches, 45 accounts, newest at 2019-03-01T12:01:00Z, open
          417 failed logins to 45 accounts from 203.0.113.9 within 10 minutes
          accounts  user0@example.org, user1@example.org, user2@example.org,
                    user3@example.org, user4@example.org, user5@example.org,
                    user6@example.org, user7@example.org, ... and 37 more
          evidence  examples/ring.jsonl:1, examples/ring.jsonl:2,
                    examples/ring.jsonl:3, ... and 414 more

"
    );
}

#[test]
fn the_table_is_sorted_by_start_then_rule_then_id() {
    let earlier = Alert { started_at: START - 1, entity: "first".into(), ..alert("z", 1) };
    let other_rule = Alert { rule: "a_rule".into(), entity: "second".into(), ..alert("y", 1) };
    let third = Alert { entity: "third".into(), ..alert("b", 1) };
    let fourth = Alert { entity: "fourth".into(), ..alert("c", 1) };
    let text = table(&[fourth, third, other_rule, earlier]);
    let order: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("          ip ")).collect();
    assert_eq!(order, ["first", "second", "third", "fourth"]);
}

#[test]
fn few_items_are_all_shown_and_ones_are_singular() {
    let mut one = Alert { status: Status::Closed, matches: 1, ..alert("a", 1) };
    (one.accounts, one.accounts_total) = (vec!["alice".into()], 1);
    one.evidence = vec![Evidence {
        place: EvidencePlace::Topic { topic: "logins".into(), partition: 3, offset: 77 },
        ..one.evidence[0].clone()
    }];
    one.evidence_total = 1;
    let text = table(&[one]);
    assert!(
        text.contains("          1 match, 1 account, newest at 2019-03-01T12:01:00Z, closed\n")
    );
    assert!(text.contains("          accounts  alice\n          evidence  logins/3@77\n\n"));
}

#[test]
fn no_alerts_no_table() {
    assert_eq!(table(&[]), "");
}

#[test]
fn only_the_severity_is_coloured_and_only_if_asked() {
    let coloured = super::table::render(&alert("a", 1), true);
    assert!(coloured.starts_with("\x1b[31mHIGH\x1b[0m      2019-03-01T12:00:00Z  stuffing"));
    assert_eq!(coloured.matches('\x1b').count(), 2);
    assert!(!super::table::render(&alert("a", 1), false).contains('\x1b'));
}

#[test]
fn hostile_text_neither_forges_nor_overflows() {
    let hostile = "\u{1b}[2J\r\nCRITICAL  \u{202e}\u{9b}31m 日本語日本語日本語日本語 ".repeat(40);
    let text = table(&[Alert {
        entity: hostile.as_str().into(),
        rule: "r".repeat(200).into(),
        accounts: vec![hostile.as_str().into()],
        summary: hostile.clone(),
        evidence: vec![Evidence {
            time: START,
            event_id: None,
            source: None,
            place: EvidencePlace::File { file: hostile.as_str().into(), line: 1 },
        }],
        ..alert("a", 1)
    }]);
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    let lines_that_claim: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(lines_that_claim.len(), 2, "the head and the empty line: {text}");
    assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'));
}

#[test]
fn json_lines_hold_every_revision() {
    let mut lines = JsonLines::new(Vec::new(), "test");
    lines.deliver(&[alert("a", 1), alert("a", 2)]).unwrap();
    lines.deliver(&[]).unwrap();
    lines.flush().unwrap();
    let text = String::from_utf8(lines.into_inner()).unwrap();
    let revisions: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(revisions.len(), 2);
    assert_eq!(revisions[1]["revision"], 2);
    assert_eq!(revisions[1]["values"], serde_json::json!({"failures": 417, "agent": "curl"}));
    assert!(text.ends_with("}\n"));
}

/// A writer that fails as it is told.
struct Failing(io::ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_went_away_is_a_clean_stop() {
    let mut lines = JsonLines::new(Failing(io::ErrorKind::BrokenPipe), "test");
    assert!(!lines.reader_gone());
    lines.deliver(&[alert("a", 1)]).unwrap();
    assert!(lines.reader_gone());
    lines.flush().unwrap();
    let mut table = Table::new(Failing(io::ErrorKind::BrokenPipe), "test", false);
    table.deliver(&[alert("a", 1)]).unwrap();
    table.flush().unwrap();
    assert!(table.reader_gone());
}

#[test]
fn a_full_disk_is_an_error_with_a_place() {
    let mut lines = JsonLines::new(Failing(io::ErrorKind::StorageFull), "alerts.jsonl");
    let error = lines.deliver(&[alert("a", 1)]).unwrap_err();
    assert_eq!(error.to_string(), "alerts.jsonl: cannot write alerts\n  detail: no storage space");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(!lines.reader_gone());
}

/// On its way.
pub(super) fn item(id: &str, revision: u64) -> batch::Item {
    let alert = alert(id, revision);
    let entry = outbox::Entry {
        sequence: revision,
        at: alert.at,
        appended_at: 0,
        id: id.to_owned(),
        revision,
        native: alert.to_json(),
    };
    batch::Item { entry, alert: record(id, revision) }
}

#[test]
fn a_file_is_created_anew_or_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.jsonl");
    let read = || std::fs::read_to_string(&path).unwrap();
    let append = |revision| {
        let config = FileConfig { file: path.clone(), ..FileConfig::default() };
        let mut file = file::AlertFile::new(&config);
        assert!(file.deliver(&[item("a", revision)]).unwrap().is_empty());
        file.settle().unwrap();
    };
    std::fs::write(&path, "old\n").unwrap();
    file::create(&path).unwrap().deliver(&[alert("a", 1)]).unwrap();
    let first = read();
    assert_eq!(first.lines().count(), 1);
    append(2);
    let second = read();
    assert!(second.starts_with(&first) && second.lines().count() == 2);
    std::fs::write(&path, "{\"torn\":").unwrap();
    append(3);
    assert_eq!(read().lines().next(), Some("{\"torn\":"));
    assert_eq!(read().lines().count(), 2);
    std::fs::remove_file(&path).unwrap();
    append(1);
    assert_eq!(read(), first);
}

#[test]
fn a_file_that_cannot_be_written_names_itself() {
    let folder = tempfile::tempdir().unwrap();
    let config = FileConfig { file: folder.path().to_owned(), ..FileConfig::default() };
    let appended = file::AlertFile::new(&config).deliver(&[item("a", 1)]);
    for error in [file::create(folder.path()).unwrap_err(), appended.unwrap_err()] {
        assert_eq!(error.place.as_deref(), folder.path().to_str());
        assert_eq!(error.message, "cannot write the alerts file");
        assert_eq!(error.exit_code(), 69);
    }
}
