//! What is written is read back; pages hold still; limits hold; damage is told.

use serde_json::{Value, json};

use super::writer::{Revision, Writer};
use super::*;
use crate::alert::Status;
use crate::delivery::record::AlertRecord;
use crate::rules::Severity;
use crate::serve::Metrics;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600_000_000;

const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];

/// A finding that began so many seconds after the epoch.
fn finding(number: u64, revision: u64) -> Value {
    json!({
        "id": format!("{number:032x}"), "revision": revision,
        "status": if revision == 1 { "opened" } else { "updated" },
        "rule": format!("rule_{}", number % 3), "rule_version": "0123456789ab", "title": "A title",
        "severity": SEVERITIES[number as usize % 5],
        "entity_type": "ip", "entity": format!("203.0.113.{}", number % 7),
        "started_at": rfc3339(number as i64), "updated_at": rfc3339(number as i64 + 1),
        "accounts": [format!("user{}", number % 4)], "accounts_total": 1,
        "ips": [format!("203.0.113.{}", number % 7)], "ips_total": 1,
        "summary": "something", "values": {}, "matches": revision,
        "evidence": [{"topic": "logins", "partition": 3, "offset": 77, "time": rfc3339(0)},
                     {"file": "a.jsonl", "line": 5, "time": rfc3339(1), "source": "app", "event_id": "e"}],
        "evidence_total": 2, "attack": ["T1110"],
    })
}

fn rfc3339(seconds: i64) -> String {
    crate::alert::rfc3339(seconds * 1_000_000)
}

struct Rig {
    folder: tempfile::TempDir,
    history: History,
    writer: Writer,
}

impl Rig {
    fn new() -> Self {
        Self::with(Limits { retention: Duration::from_secs(86_400), rows_max: 1000 })
    }

    fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.sqlite");
        let writer = Writer::open(&path).unwrap();
        Self { folder, history: History::new(&path, limits), writer }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("history.sqlite")
    }

    fn write(&mut self, documents: &[Value], now: i64) -> Vec<Unusable> {
        let documents: Vec<(AlertRecord, Vec<u8>)> = documents
            .iter()
            .map(|one| (serde_json::from_value(one.clone()).unwrap(), one.to_string().into_bytes()))
            .collect();
        let revisions: Vec<Revision<'_>> =
            documents.iter().map(|(record, native)| Revision { record, native }).collect();
        self.writer.write(&revisions, now).unwrap()
    }

    fn fill(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let documents: Vec<Value> = numbers.into_iter().map(|number| finding(number, 1)).collect();
        assert_eq!(self.write(&documents, NOW), []);
    }

    fn all(&self, filter: &Filter) -> Vec<u64> {
        numbers(&self.history.page(filter, 1000).unwrap())
    }

    fn details(&self, number: u64) -> Option<Details> {
        self.history.details(FindingKind::Alert, &format!("{number:032x}")).unwrap()
    }

    fn judge(&self, number: u64, verdict: VerdictLabel) -> Given {
        let new = NewVerdict {
            verdict,
            who: "ann".to_owned(),
            why: "seen before".to_owned(),
            token: None,
            given_at: NOW,
        };
        self.history.give(FindingKind::Alert, &format!("{number:032x}"), &new).unwrap()
    }
}

fn document(item: &PageItem) -> Value {
    serde_json::from_str(item.document.get()).unwrap()
}

fn numbers(page: &Page) -> Vec<u64> {
    let id = |item| document(item)["id"].as_str().unwrap().to_owned();
    page.items.iter().map(|item| u64::from_str_radix(&id(item), 16).unwrap()).collect()
}

fn alerts() -> Filter {
    Filter::all(FindingKind::Alert)
}

#[test]
fn the_newest_revision_is_kept_whatever_comes_when() {
    let mut rig = Rig::new();
    rig.write(&[finding(1, 1), finding(1, 3), finding(1, 2), finding(1, 3)], NOW);
    rig.write(&[finding(1, 1)], NOW + 5);
    let details = rig.details(1).unwrap();
    let newest: Value = serde_json::from_str(details.document.get()).unwrap();
    assert_eq!(newest, finding(1, 3), "as it was delivered");
    let revisions: Vec<i64> = details.revisions.iter().map(|one| one.revision).collect();
    assert_eq!(revisions, [1, 2, 3]);
    assert_eq!(details.evidence.len(), 2);
    assert_eq!(serde_json::to_value(&details.evidence).unwrap(), newest["evidence"]);
    assert_eq!((details.received_at, details.verdict), (crate::alert::rfc3339(NOW), None));
    assert!(rig.details(2).is_none());
}

#[test]
fn an_incident_is_no_alert_and_may_begin_earlier_later() {
    let mut rig = Rig::new();
    let mut incident = finding(50, 1);
    incident["kind"] = "incident".into();
    rig.write(&[incident.clone(), finding(50, 1)], NOW);
    incident["revision"] = 2.into();
    incident["status"] = "closed".into();
    incident["started_at"] = rfc3339(20).into();
    rig.write(std::slice::from_ref(&incident), NOW);
    let account = Some("user2".to_owned());
    let all = Filter { account: account.clone(), ..Filter::all(FindingKind::Incident) };
    let page = rig.history.page(&all, 10).unwrap();
    assert_eq!(page.items.len(), 1, "once, although its start moved");
    assert_eq!(document(&page.items[0]), incident);
    assert_eq!(rig.all(&Filter { account, ..alerts() }), [50]);
}

#[test]
fn an_alert_knows_its_incident_in_an_older_file_too() {
    let mut rig = Rig::new();
    let id = |number: u64| format!("{number:032x}");
    let incident = |number: u64, merged_into: Option<String>| {
        let mut incident = finding(number, 1);
        let more = json!({
            "kind": "incident", "alerts_total": 1, "fallen": [], "fallen_total": 0,
            "sources": {"ips_total": 0, "asns": [], "devices": [], "fingerprints": [], "sessions": []},
            "alerts": [{"id": id(1), "rule": "r", "severity": "low", "entity_type": "ip",
                        "entity": "x", "started_at": rfc3339(1)}],
            "merged_into": merged_into,
        });
        incident.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        incident
    };
    rig.fill([1, 2]);
    rig.write(&[incident(5, None), incident(9, Some(id(5)))], NOW);
    let of = |rig: &Rig, number| {
        let document = rig.history.incident_of(&id(number)).unwrap();
        document.map(|text| serde_json::from_str::<Value>(text.get()).unwrap()["id"].clone())
    };
    assert_eq!((of(&rig, 1), of(&rig, 2)), (Some(id(5).into()), None));
    // As the version before left it.
    let older = rusqlite::Connection::open(rig.path()).unwrap();
    older.execute_batch("DROP TABLE members; PRAGMA user_version = 2").unwrap();
    drop(older);
    rig.history = History::new(&rig.path(), rig.history.limits);
    assert_eq!((of(&rig, 1), of(&rig, 2)), (Some(id(5).into()), None));
}

#[test]
fn alerts_are_counted_by_rule_and_day() {
    let mut rig = Rig::new();
    let days = 24 * 3600;
    let alert = |number: u64, seconds: i64| {
        let mut alert = finding(number, 1);
        alert["started_at"] = rfc3339(seconds).into();
        alert
    };
    let alerts = [alert(0, 0), alert(3, days - 1), alert(6, days), alert(1, 3 * days)];
    assert_eq!(rig.write(&alerts, NOW), []);
    let of = |from: i64| -> Vec<(String, i64, u64)> {
        let days = rig.history.days(from).unwrap();
        days.into_iter().map(|one| (one.rule, one.day / DAY, one.alerts)).collect()
    };
    let (zero, one) = ("rule_0".to_owned(), "rule_1".to_owned());
    assert_eq!(of(0), [(zero.clone(), 0, 2), (zero.clone(), 1, 1), (one.clone(), 3, 1)]);
    assert_eq!(of(DAY), [(zero, 1, 1), (one, 3, 1)]);
}

#[test]
fn what_is_no_finding_is_left_out_and_the_rest_is_taken() {
    let mut rig = Rig::new();
    let mut bad = finding(1, 1);
    bad["started_at"] = "yesterday".into();
    let mut odd = finding(2, 1);
    odd["kind"] = "dashboard".into();
    let unusable = rig.write(&[bad, finding(3, 1), odd], NOW);
    assert_eq!(unusable.iter().map(|one| one.index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(rig.all(&alerts()), [3]);
}

#[test]
fn filters_alone_and_together() {
    let mut rig = Rig::new();
    rig.fill(0..100);
    rig.write(&[finding(7, 2)], NOW);
    let expected = |takes: &dyn Fn(u64) -> bool| -> Vec<u64> {
        (0..100).rev().filter(|number| takes(*number)).collect()
    };
    let (user, ip) = (Some("user1".to_owned()), Some("203.0.113.3".to_owned()));
    let seconds = |n: i64| Some(n * 1_000_000);
    assert_eq!(rig.all(&alerts()), expected(&|_| true));
    let range = Filter { from: seconds(10), to: seconds(20), ..alerts() };
    assert_eq!(rig.all(&range), expected(&|n| (10..20).contains(&n)));
    let rule = Filter { rule: Some("rule_1".to_owned()), ..alerts() };
    assert_eq!(rig.all(&rule), expected(&|n| n % 3 == 1));
    let severe = Filter { severity_min: Some(Severity::High), ..alerts() };
    assert_eq!(rig.all(&severe), expected(&|n| n % 5 >= 3));
    assert_eq!(rig.all(&Filter { entity: ip.clone(), ..alerts() }), expected(&|n| n % 7 == 3));
    assert_eq!(rig.all(&Filter { ip: ip.clone(), ..alerts() }), expected(&|n| n % 7 == 3));
    assert_eq!(rig.all(&Filter { account: user.clone(), ..alerts() }), expected(&|n| n % 4 == 1));
    let updated = Some(StatusFilter::Only(Status::Updated));
    assert_eq!(rig.all(&Filter { status: updated, ..alerts() }), [7]);
    assert_eq!(rig.all(&Filter { status: Some(StatusFilter::Open), ..alerts() }).len(), 100);
    let closed = Some(StatusFilter::Only(Status::Closed));
    assert_eq!(rig.all(&Filter { status: closed, ..alerts() }), [] as [u64; 0]);
    let both = Filter { account: user, ip, from: seconds(10), ..severe };
    let wanted = expected(&|n| n % 4 == 1 && n % 7 == 3 && n % 5 >= 3 && n >= 10);
    assert!(!wanted.is_empty());
    assert_eq!(rig.all(&both), wanted);
}

#[test]
fn pages_hold_still_while_findings_come() {
    let mut rig = Rig::new();
    // Several begin at one moment.
    let mut documents: Vec<Value> = (0..30).map(|number| finding(number, 1)).collect();
    for (number, document) in documents.iter_mut().enumerate() {
        document["started_at"] = rfc3339(number as i64 / 10).into();
    }
    rig.write(&documents, NOW);
    let (mut filter, mut seen) = (alerts(), Vec::new());
    for round in 0..100 {
        let page = rig.history.page(&filter, 7).unwrap();
        seen.extend(numbers(&page));
        // New ones, and new revisions of old ones.
        rig.write(&[finding(1000 + round, 1), finding(round % 30, 5 + round)], NOW);
        let Some(next) = page.next else { break };
        filter.after = Cursor::parse(&next.text());
        assert_eq!(filter.after, Some(next));
    }
    let before: Vec<u64> = seen.iter().copied().filter(|number| *number < 30).collect();
    assert_eq!(before.len(), seen.len(), "those that came later are on no later page");
    let mut sorted = before.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert!(sorted.len() == before.len() && before.len() >= 25, "{before:?}");
}

#[test]
fn a_page_of_large_documents_ends_early_and_loses_none() {
    let mut rig = Rig::new();
    let mut documents: Vec<Value> = (0..10).map(|number| finding(number, 1)).collect();
    for document in &mut documents {
        document["summary"] = "x".repeat(1 << 20).into();
    }
    rig.write(&documents, NOW);
    let (mut filter, mut sizes) = (alerts(), Vec::new());
    loop {
        let page = rig.history.page(&filter, 1000).unwrap();
        sizes.push(page.items.len());
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [4, 4, 2]);
}

#[test]
fn every_kind_of_page_is_read_along_an_index() {
    let mut rig = Rig::new();
    rig.fill(0..10);
    let connection = &file::open(&rig.path()).unwrap().connection;
    let text = || Some("x".to_owned());
    let after = Cursor::parse(&"0".repeat(32));
    let cases = [
        (alerts(), "findings_by_time"),
        (Filter { after, from: Some(0), ..alerts() }, "findings_by_time"),
        (Filter { severity_min: Some(Severity::High), ..alerts() }, "findings_by_time"),
        (Filter { status: Some(StatusFilter::Open), ..alerts() }, "findings_by_time"),
        (Filter { rule: text(), after, ..alerts() }, "findings_by_rule"),
        (Filter { entity: text(), ..alerts() }, "findings_by_entity"),
        (Filter { account: text(), after, ..alerts() }, "PRIMARY KEY"),
        (Filter { ip: text(), rule: text(), ..alerts() }, "PRIMARY KEY"),
    ];
    for (filter, index) in cases {
        let plan = page::plan(connection, &filter).join("\n");
        assert!(plan.lines().next().unwrap().contains(index), "{filter:?}\n{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{filter:?}\n{plan}");
    }
}

#[test]
fn verdicts_are_kept_and_the_newest_counts() {
    use VerdictLabel::{Benign, FalsePositive, TruePositive};
    let mut rig = Rig::new();
    rig.fill([0, 3, 6, 9, 1]);
    let metrics = Metrics::new().unwrap();
    assert_eq!(rig.judge(77, Benign), Given::Unknown);
    for (number, verdict) in
        [(0, FalsePositive), (0, TruePositive), (3, TruePositive), (6, FalsePositive), (9, Benign)]
    {
        assert!(matches!(rig.judge(number, verdict), Given::Taken(_)));
    }
    // A new revision takes nothing back.
    rig.write(&[finding(0, 2)], NOW);
    let details = rig.details(0).unwrap();
    assert_eq!(details.verdict, Some(TruePositive));
    let kept: Vec<VerdictLabel> = details.verdicts.iter().map(|one| one.verdict).collect();
    assert_eq!(kept, [FalsePositive, TruePositive]);
    let rules = rig.history.rules().unwrap();
    assert_eq!((rules[0].alerts, rules[0].verdicts), (4, [2, 1, 1]));
    assert_eq!(rules[0].precision(), Some(2.0 / 3.0));
    assert_eq!((rules[1].alerts, rules[1].precision()), (1, None));
    rig.history.measure_verdicts(&metrics.history).unwrap();
    rig.history.measure_verdicts(&metrics.history).unwrap();
    let text = metrics.text();
    for line in [
        "nightlatch_verdicts_total{rule=\"rule_0\",verdict=\"true_positive\"} 2",
        "nightlatch_verdicts_total{rule=\"rule_0\",verdict=\"false_positive\"} 2",
        "nightlatch_rule_precision_ratio{rule=\"rule_0\"} 0.666",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("precision_ratio{rule=\"rule_1\"}"));
    // One that turns out benign says nothing any more.
    for number in [0, 3, 6] {
        rig.judge(number, Benign);
    }
    rig.history.measure_verdicts(&metrics.history).unwrap();
    assert!(!metrics.text().contains("precision_ratio{"));
}

#[test]
fn verdicts_on_one_finding_have_a_limit() {
    let mut rig = Rig::new();
    rig.fill([1]);
    let connection = file::open(&rig.path()).unwrap().connection;
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
                INSERT INTO verdicts (finding, verdict, who, why, given_at) \
                SELECT 1, 'benign', 'a', '', 0 FROM n";
    connection.execute(fill, []).unwrap();
    assert_eq!(rig.judge(1, VerdictLabel::Benign), Given::TooMany);
}

#[test]
fn what_is_too_old_or_too_much_is_gone_with_all_that_hangs_on_it() {
    let limits = Limits { retention: Duration::from_secs(86_400), rows_max: 600 };
    let mut rig = Rig::with(limits);
    let metrics = Metrics::new().unwrap().history;
    let connection = file::open(&rig.path()).unwrap().connection;
    let tend = |now| keeper::tend(&connection, &rig.history.path, limits, now, &metrics).unwrap();
    let old: Vec<Value> = (0..1200).map(|number| finding(number, 1)).collect();
    let write = |writer: &mut Writer, documents: &[Value], now| {
        for one in documents {
            let record: AlertRecord = serde_json::from_value(one.clone()).unwrap();
            let native = one.to_string().into_bytes();
            writer.write(&[Revision { record: &record, native: &native }], now).unwrap();
        }
    };
    write(&mut rig.writer, &old, NOW);
    rig.judge(0, VerdictLabel::Benign);
    // A new revision begins its time anew.
    write(&mut rig.writer, &[finding(1, 2)], NOW + HOUR);
    write(&mut rig.writer, &[finding(5000, 1)], NOW + 2 * HOUR);
    tend(NOW + DAY);
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("findings"), 600, "rows_max");
    assert_eq!(metrics.deleted.with_label_values(&["rows_max"]).get(), 601);
    tend(NOW + DAY + 1);
    assert_eq!(rig.all(&alerts()), [5000, 1]);
    assert_eq!(metrics.deleted.with_label_values(&["retention"]).get(), 598);
    for (table, n) in [
        ("findings", 2),
        ("documents", 2),
        ("names", 4),
        ("revisions", 3),
        ("evidence", 4),
        ("verdicts", 0),
    ] {
        assert_eq!(count(table), n, "{table}");
    }
    assert_eq!(metrics.findings.with_label_values(&["alert"]).get(), 2);
    let text = std::fs::read(rig.path()).unwrap();
    let gone = format!("{:032x}", 700);
    assert!(!text.windows(32).any(|bytes| bytes == gone.as_bytes()), "it is overwritten");
    assert!(text.len() < 100_000, "and the room is given back: {}", text.len());
}

#[test]
fn a_file_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("schema/0001_begin.sql")).unwrap();
    old.execute_batch(
        r#"PRAGMA user_version = 1;
        INSERT INTO findings VALUES (1, 'alert', 'a', 1, 'opened', 'r', 3, 'ip', '192.0.2.1', 0, 0, 0, 0, NULL);
        INSERT INTO documents VALUES (1, '{"evidence":[{"file":"log","line":7,"time":"2019-11-04T00:00:00Z"}]}');
        INSERT INTO evidence (finding, position, time, file, line) VALUES (1, 1, '2019-11-04T00:00:00Z', 'log', 7);"#,
    )
    .unwrap();
    drop(old);
    let history = History::new(&path, Limits { retention: Duration::from_secs(60), rows_max: 10 });
    let details = history.details(FindingKind::Alert, "a").unwrap().unwrap();
    assert_eq!(
        (details.evidence[0].file.as_deref(), details.evidence[0].line),
        (Some("log"), Some(7))
    );
}

#[test]
fn a_damaged_or_foreign_file_is_told_and_never_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    std::fs::write(
        &path,
        "this is no database, and it is long enough to have a header of one".repeat(99),
    )
    .unwrap();
    let error = Writer::open(&path).unwrap_err();
    assert_eq!(error.exit_code(), 69);
    assert!(error.hint.unwrap().contains("damaged"));

    let other = folder.path().join("other.sqlite");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(Writer::open(&other).unwrap_err().message.contains("another program"));

    let newer = folder.path().join("newer.sqlite");
    drop(Writer::open(&newer).unwrap());
    let connection = rusqlite::Connection::open(&newer).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    assert!(Writer::open(&newer).unwrap_err().message.contains("newer version"));

    let nowhere = folder.path().join("not/there.sqlite");
    assert!(Writer::open(&nowhere).unwrap_err().hint.unwrap().contains("history.file"));
}

#[test]
fn bits_that_flip_never_panic() {
    let mut rig = Rig::new();
    rig.fill(0..200);
    rig.judge(3, VerdictLabel::Benign);
    let whole = {
        let connection = file::open(&rig.path()).unwrap().connection;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        std::fs::read(rig.path()).unwrap()
    };
    let metrics = Metrics::new().unwrap().history;
    for round in 0..60_usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.sqlite");
        let mut damaged = whole.clone();
        for step in 0..20 {
            let at = (round * 7919 + step * step * 104_729) % damaged.len();
            damaged[at] ^= 1 << (round % 8);
        }
        std::fs::write(&path, damaged).unwrap();
        let history = History::new(&path, rig.history.limits);
        let _ = history.page(&alerts(), 1000);
        let _ = history.details(FindingKind::Alert, &format!("{:032x}", 3));
        let _ = history.rules();
        let _ = history.measure_verdicts(&metrics);
        if let Ok(mut writer) = Writer::open(&path) {
            let native = finding(7, 2).to_string().into_bytes();
            let record: AlertRecord = serde_json::from_slice(&native).unwrap();
            let _ = writer.write(&[Revision { record: &record, native: &native }], NOW);
        }
    }
}

#[test]
fn it_is_for_its_owner_alone_and_a_file_that_was_taken_away_is_noticed() {
    use std::os::unix::fs::PermissionsExt;
    let mut rig = Rig::new();
    rig.fill([1]);
    for name in ["history.sqlite", "history.sqlite-wal", "history.sqlite-shm"] {
        let mode = rig.folder.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    rig.writer.sync().unwrap();
    assert_eq!(rig.all(&alerts()), [1]);
    for name in ["history.sqlite", "history.sqlite-wal", "history.sqlite-shm"] {
        std::fs::rename(
            rig.folder.path().join(name),
            rig.folder.path().join(format!("old-{name}")),
        )
        .unwrap();
    }
    assert!(rig.writer.sync().unwrap_err().message.contains("taken away"));
    assert_eq!(rig.all(&alerts()), [] as [u64; 0], "a new one is begun");
    rig.writer = Writer::open(&rig.path()).unwrap();
    rig.fill([2]);
    rig.writer.sync().unwrap();
    assert_eq!(rig.all(&alerts()), [2]);
}
