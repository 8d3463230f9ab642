//! `alerts list` and `alerts show`: what replay found and what the history keeps, read again.

use nightlatch::delivery::record::AlertRecord;
use nightlatch::history::{
    FindingKind, History, Limits, NewVerdict, Revision, VerdictLabel, Writer,
};
use serde_json::Value;

use super::*;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/ring-2019.jsonl");
const FILE: &str = "alerts.jsonl";

/// A file of the alerts that one rule of three failures makes of the example, in a folder with the rule.
fn alerts() -> tempfile::TempDir {
    let folder = folder();
    let rule = RULE.replace("summary =", "runbook = \"Ask the owner.\"\nsummary =");
    write(folder.path(), "rules/three_failures.sql", rule);
    let replay = ["replay", EXAMPLE, "--rules", "rules", "--alerts", "alerts.jsonl", "--quiet"];
    let ran = run(folder.path(), &replay);
    assert_eq!(ran.code, 0, "{}", ran.err);
    folder
}

const HISTORY: &str = "history.sqlite";

/// The lines of the file of alerts.
fn lines(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join(FILE)).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn keep(writer: &mut Writer, lines: &[String]) {
    let records: Vec<AlertRecord> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let revisions = records.iter().zip(lines);
    let revisions: Vec<Revision<'_>> =
        revisions.map(|(record, line)| Revision { record, native: line.as_bytes() }).collect();
    assert!(writer.write(&revisions, 1_700_000_000_000_000).unwrap().is_empty());
}

/// The same alerts in a history, whose writer still has it open.
fn kept() -> (tempfile::TempDir, Writer) {
    let folder = alerts();
    let mut writer = Writer::open(&folder.path().join(HISTORY)).unwrap();
    keep(&mut writer, &lines(folder.path()));
    (folder, writer)
}

fn values(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Lists alerts of the history as JSON.
fn listed(folder: &Path, filters: &[&str]) -> Vec<Value> {
    values(&run(folder, &[&["alerts", "list", "--history", HISTORY, "--json"], filters].concat()))
}

/// What a filter is to let through.
type Takes<'a> = &'a dyn Fn(&Value) -> bool;

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap()
}

#[test]
fn the_history_is_listed_as_the_file_is_newest_first() {
    let (folder, _writer) = kept();
    let all = listed(folder.path(), &[]);
    let started = |one: &Value| text(one, "started_at").trim_end_matches('Z').to_owned();
    assert!(all.len() > 10 && all.windows(2).all(|two| started(&two[0]) >= started(&two[1])));
    let of_file = values(&run(folder.path(), &["alerts", "list", "--alerts", FILE, "--json"]));
    let sorted = |all: &[Value]| {
        let mut all: Vec<String> = all.iter().map(ToString::to_string).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&all), sorted(&of_file));
    let first = all.iter().find(|one| one.get("kind").is_none()).unwrap();
    let (ip, account) = (text(first, "entity"), first["accounts"][0].as_str().unwrap());
    let middle = text(&all[all.len() / 2], "started_at");
    let cases: &[(&[&str], Takes<'_>)] = &[
        (&["--incidents"], &|one| one["kind"] == "incident"),
        (&["--rule", "incident"], &|one| one["kind"] == "incident"),
        (&["--rule", "three_failures"], &|one| one["rule"] == "three_failures"),
        (&["--severity", "critical"], &|one| one["severity"] == "critical"),
        (&["--status", "closed"], &|one| one["status"] == "closed"),
        (&["--status", "open"], &|one| one["status"] != "closed"),
        (&["--open"], &|one| one["status"] != "closed"),
        (&["--entity", ip], &|one| one["entity"] == ip),
        (&["--ip", ip], &|one| one["ips"].as_array().unwrap().contains(&ip.into())),
        (&["--account", account], &|one| {
            one["accounts"].as_array().unwrap().contains(&account.into())
        }),
        (&["--from", middle], &|one| started(one).as_str() >= middle.trim_end_matches('Z')),
        (&["--to", middle], &|one| started(one).as_str() < middle.trim_end_matches('Z')),
    ];
    for (filters, takes) in cases {
        let expected: Vec<&Value> = all.iter().filter(|one| takes(one)).collect();
        assert_eq!(
            listed(folder.path(), filters).iter().collect::<Vec<_>>(),
            expected,
            "{filters:?}"
        );
        let of_file = [&["alerts", "list", "--alerts", FILE, "--json"], *filters].concat();
        assert_eq!(values(&run(folder.path(), &of_file)).len(), expected.len(), "{filters:?}");
    }
    assert_eq!(listed(folder.path(), &["--limit", "3"]), all[..3]);
    let table = run(folder.path(), &["alerts", "list", "--history", HISTORY, "--limit", "3"]);
    assert_eq!(table.out.lines().count(), 4);
    assert!(table.err.contains("there are more, --limit shows them"), "{}", table.err);
    assert!(table.out.lines().all(|line| line.chars().count() <= 80), "{}", table.out);
    assert!(!table.out.contains('\u{1b}'), "colours for a pipe");
}

#[test]
fn the_history_is_read_while_it_is_written_and_is_not_changed() {
    let folder = alerts();
    let (path, lines) = (folder.path().join(HISTORY), lines(folder.path()));
    let mut writer = Writer::open(&path).unwrap();
    let ids = |lines: &[String]| {
        let id = |line: &String| text(&serde_json::from_str(line).unwrap(), "id").to_owned();
        lines.iter().map(id).collect::<std::collections::BTreeSet<_>>().len()
    };
    keep(&mut writer, &lines[..4]);
    assert_eq!(listed(folder.path(), &[]).len(), ids(&lines[..4]));
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM documents").unwrap();
    assert_eq!(listed(folder.path(), &[]).len(), ids(&lines[..4]), "nobody waits for a writer");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    keep(&mut writer, &lines);
    assert_eq!(listed(folder.path(), &[]).len(), ids(&lines));
    drop(writer);
    let before = fs::read(&path).unwrap();
    assert_eq!(listed(folder.path(), &[]).len(), ids(&lines));
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn an_alert_of_the_history_is_explained_with_its_verdicts() {
    let (folder, _writer) = kept();
    let rule = listed(folder.path(), &["--rule", "three_failures"]);
    let id = text(&rule[0], "id");
    let limits = Limits { retention: Duration::from_secs(3600), rows_max: 1000 };
    let history = History::new(&folder.path().join(HISTORY), limits);
    let verdict = NewVerdict {
        verdict: VerdictLabel::FalsePositive,
        who: "ann".to_owned(),
        why: "the backup job \u{1b}[31m".to_owned(),
        token: Some("soc".to_owned()),
        given_at: 1_700_000_000_000_000,
    };
    history.give(FindingKind::Alert, id, &verdict).unwrap();
    let show = ["alerts", "show", &id[..8], "--history", HISTORY, "--rules", "rules"];
    let shown = run(folder.path(), &show);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in [
        "HIGH Three failures",
        "Why it fired",
        "failures >= 3",
        "It would have been silent with",
        "What to do\n  Ask the owner.",
        "login, failure",
        "2023-11-14T22:13:20Z false_positive by ann (token soc): the backup job",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(!shown.out.contains('\u{1b}') && shown.out.lines().all(|l| l.chars().count() <= 80));
    let times: Vec<&str> = shown
        .out
        .lines()
        .filter(|line| line.contains("login, failure"))
        .map(|line| line.split_whitespace().next().unwrap().trim_end_matches('Z'))
        .collect();
    assert!(times.len() >= 3 && times.is_sorted(), "{times:?}");
    let json = values(&run(folder.path(), &[&show[..], &["--json"]].concat()));
    assert_eq!(json, [rule[0].clone()]);

    let incident = &listed(folder.path(), &["--incidents"])[0];
    let of_incident =
        ["alerts", "show", text(incident, "id"), "--history", HISTORY, "--rules", "rules"];
    let shown = run(folder.path(), &of_incident);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in ["Its alerts", "What to do about three_failures\n  Ask the owner."] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
}

#[test]
fn the_history_of_a_configuration_is_found() {
    let (folder, _writer) = kept();
    write(folder.path(), "kept.toml", "[history]\nretention = '1 day'\nfile = 'history.sqlite'\n");
    write(folder.path(), "unkept.toml", "");
    let count = |arguments: &[&str]| {
        values(&run(folder.path(), &[&["alerts", "list", "--json"], arguments].concat())).len()
    };
    let expected = listed(folder.path(), &[]).len();
    assert_eq!(count(&["--config", "kept.toml"]), expected);
    let unkept = run(folder.path(), &["alerts", "list", "--config", "unkept.toml"]);
    assert!(unkept.code == 64 && unkept.err.contains("keeps no history"), "{}", unkept.err);
    let nowhere = run(folder.path(), &["alerts", "list"]);
    assert!(nowhere.code == 64 && nowhere.err.contains("it is not said where"), "{}", nowhere.err);
    fs::create_dir(folder.path().join("nightlatch-state")).unwrap();
    let usual = folder.path().join("nightlatch-state/history.sqlite");
    keep(&mut Writer::open(&usual).unwrap(), &lines(folder.path()));
    assert_eq!(count(&[]), expected);
}

#[test]
fn a_history_that_cannot_be_read_is_told() {
    let (folder, writer) = kept();
    drop(writer);
    let path = |name: &str| folder.path().join(name);
    write(folder.path(), "empty.sqlite", "");
    write(folder.path(), "damaged.sqlite", "no database, but long enough ".repeat(100));
    rusqlite::Connection::open(path("foreign.sqlite"))
        .unwrap()
        .execute_batch("CREATE TABLE a (b)")
        .unwrap();
    fs::copy(path(HISTORY), path("newer.sqlite")).unwrap();
    let newer = rusqlite::Connection::open(path("newer.sqlite")).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    fs::copy(path(HISTORY), path("broken.sqlite")).unwrap();
    let broken = rusqlite::Connection::open(path("broken.sqlite")).unwrap();
    broken.execute_batch("UPDATE documents SET document = '{}'").unwrap();
    let cases = [
        ("missing.sqlite", 64, "the history cannot be read"),
        ("empty.sqlite", 64, "the file holds no history"),
        ("foreign.sqlite", 64, "the file holds no history"),
        ("newer.sqlite", 64, "newer version of nightlatch"),
        ("damaged.sqlite", 69, "the file is damaged"),
        ("broken.sqlite", 69, "the history holds what is no alert"),
        (FILE, 69, "the history cannot be used"),
    ];
    for (file, code, words) in cases {
        let ran = run(folder.path(), &["alerts", "list", "--history", file]);
        assert!(ran.code == code && ran.err.contains(words), "{file}: {} {}", ran.code, ran.err);
        assert!(ran.err.contains(file), "{}", ran.err);
    }
    assert!(!path("missing.sqlite").exists(), "nothing is made");
    for (id, words) in [("zzzz", "there is no alert `zzzz`"), ("", "several alerts have an id")] {
        let ran = run(folder.path(), &["alerts", "show", id, "--history", HISTORY]);
        assert!(ran.code == 64 && ran.err.contains(words), "{}", ran.err);
    }
}

#[test]
fn each_alert_is_listed_once_and_can_be_picked() {
    let folder = alerts();
    let all = run(folder.path(), &["alerts", "list", "--alerts", FILE]);
    assert_eq!(all.code, 0, "{}", all.err);
    let ids: Vec<&str> = all.out.lines().skip(1).map(|line| &line[..8]).collect();
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    let opened = text.lines().filter(|line| line.contains("\"status\":\"opened\"")).count();
    assert!(opened > 5 && ids.len() == opened, "{}", all.out);
    assert!(all.out.lines().all(|line| line.chars().count() <= 80), "{}", all.out);

    let of_address =
        ["--alerts", FILE, "--ip", "203.0.113.81", "--rule", "three_failures", "--json"];
    let one = run(folder.path(), &[&["alerts", "list"], &of_address[..]].concat());
    let alert: serde_json::Value = serde_json::from_str(one.out.lines().next().unwrap()).unwrap();
    assert_eq!(alert["entity"], "203.0.113.81");
    for nothing in [["--severity", "critical"], ["--rule", "other"], ["--until", "2019-01-01"]] {
        let ran = run(folder.path(), &["alerts", "list", "--alerts", FILE, nothing[0], nothing[1]]);
        assert_eq!((ran.code, ran.out.lines().count()), (0, 1), "{nothing:?}: {}", ran.out);
    }
}

#[test]
fn an_alert_is_explained_with_its_events() {
    let folder = alerts();
    let listed =
        run(folder.path(), &["alerts", "list", "--alerts", FILE, "--rule", "three_failures"]);
    let id = &listed.out.lines().nth(1).unwrap()[..8];
    let shown = run(folder.path(), &["alerts", "show", id, "--alerts", FILE, "--rules", "rules"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in [
        "Three failures",
        "Why it fired",
        "failures >= 3",
        "silent",
        "login, failure",
        "ring-2019.jsonl:",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let without = run(folder.path(), &["alerts", "show", id, "--alerts", FILE]);
    assert!(without.out.contains("name its folder by --rules"), "{}", without.out);
}

#[test]
fn what_cannot_be_shown_is_told() {
    let folder = alerts();
    write(folder.path(), "bad.jsonl", "{\"id\":1}\n");
    let cases = [
        (["zzzz", FILE], "there is no alert `zzzz`"),
        (["", FILE], "alerts have an id that begins with"),
        (["a", "missing.jsonl"], "the alerts cannot be read"),
        (["a", "bad.jsonl"], "Line 1 is no alert"),
    ];
    for ([id, file], words) in cases {
        let ran = run(folder.path(), &["alerts", "show", id, "--alerts", file]);
        assert_eq!(ran.code, 64, "{}", ran.err);
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
}

#[test]
fn an_incident_is_told_with_its_alerts() {
    let folder = alerts();
    let listed = run(folder.path(), &["alerts", "list", "--alerts", FILE, "--rule", "incident"]);
    let id = &listed.out.lines().nth(1).unwrap()[..8];
    let shown = run(folder.path(), &["alerts", "show", id, "--alerts", FILE]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in ["was tried from", "Its alerts", "three_failures", "login, failure"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(shown.out.lines().all(|line| line.chars().count() <= 80), "{}", shown.out);
}
