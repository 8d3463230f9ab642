//! The program as users meet it: arguments and input in, exit code, data and words out.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on fails

mod alerts;
mod bad_input;
mod stopping;
mod tuning;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A rule that plans fast; the pack inside the binary has tests of its own.
const RULE: &str = r#"/*
title = "Three failures"
severity = "high"
entity = "ip"
quiet = "10 minutes"
attack = ["T1110"]
summary = "{failures} failures from {ip}"
*/
SELECT time, ip, account, count(*) OVER recent AS failures
FROM events
WHERE action = 'login' AND outcome = 'failure'
WINDOW recent AS (
  PARTITION BY ip ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 3
"#;

/// A record that is sound.
const GOOD: &str = r#"{"time":"2026-03-01T12:00:00Z","action":"login","account":"ann"}"#;

/// What a run of the program gave.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    command.args(arguments).current_dir(folder).env_remove("NO_COLOR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    let output = program(folder, arguments).output().unwrap();
    ran(output)
}

fn ran(output: std::process::Output) -> Ran {
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
    let code = output.status.code().unwrap_or_else(|| panic!("killed by a signal: {err}"));
    Ran { code, out: String::from_utf8_lossy(&output.stdout).into_owned(), err }
}

/// A folder with the rule in `rules/`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "rules/three_failures.sql", RULE);
    folder
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

fn failures(ip: &str, count: usize) -> String {
    let line = |n| {
        format!(
            "{{\"time\":\"2026-03-01T12:{:02}:{:02}Z\",\"action\":\"login\",\
             \"outcome\":\"failure\",\"account\":\"a{n}\",\"ip\":\"{ip}\"}}\n",
            n / 60,
            n % 60
        )
    };
    (0..count).map(line).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn wrong_usage_is_told_with_code_64() {
    let folder = folder();
    write(folder.path(), "x.jsonl", GOOD);
    write(folder.path(), "none/readme.md", "no rule here");
    write(folder.path(), "typo.toml", "[order]\nlatness = \"1 minute\"\n");
    write(folder.path(), "sound.toml", "[order]\nlateness = \"1 minute\"\n");
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage: nightlatch"),
        (&["repaly"], "a similar subcommand exists: 'replay'"),
        (&["replay", "x.jsonl", "--fromat", "sshd"], "a similar argument exists: '--format'"),
        (&["replay", "x.jsonl", "--format", "sshdd"], "a similar value exists: 'sshd'"),
        (&["replay"], "required arguments were not provided"),
        (&["replay", "x.jsonl", "--year", "0"], "0 is not in 1..=9999"),
        (&["replay", "x.jsonl", "--time-zone", "Europe/Berln"], "did you mean `Europe/Berlin`?"),
        (&["replay", "x.jsonl", "--since", "yesterday"], "write a time as 2026-03-01T12:00:00Z"),
        (
            &["replay", "x.jsonl", "--since", "2026-03-02", "--until", "2026-03-01"],
            "--since is not before --until",
        ),
        (&["replay", "x.jsonl", "x.jsonl", "--rules", "rules"], "file is named twice"),
        (&["replay", "x.jsonl", "--rules", "gone"], "gone: the rules cannot be read"),
        (&["replay", "x.jsonl", "--rules", "none"], "none: the folder holds no rule"),
        (&["replay", "x.jsonl", "--config", "gone.toml"], "gone.toml: the configuration file"),
        (
            &["replay", "x.jsonl", "--config", "typo.toml"],
            "typo.toml:2:1 (order.latness): unknown key `latness`\n  hint: did you mean `lateness`?",
        ),
        (&["config", "check", "typo.toml"], "did you mean `lateness`?"),
        (&["run", "--config", "sound.toml"], "there is nothing to read"),
        (&["rules", "explain", "three_failure", "--rules", "rules"], "mean `three_failures`?"),
        (&["rules", "run", "three", "x.jsonl", "--rules", "rules"], "there is no rule `three`"),
        (&["rules", "test", "thre_failures", "--rules", "rules"], "mean `three_failures`?"),
        (&["simulate", "--scenario", "ring-2018"], "did you mean \"ring-2019\"?"),
        (&["simulate", "--scenario", "city", "--traps", "famly"], "did you mean \"family\"?"),
        (&["simulate", "--attacks", "all"], "has no switches"),
        (&["evaluate", "--alerts", "x.jsonl"], "required arguments were not provided"),
        (&["evaluate", "--alerts", "gone", "--truth", "x.jsonl"], "x.jsonl:1: the line is not"),
        (
            &["evaluate", "--alerts", "x.jsonl", "--truth", "x.jsonl", "--require", "recal=1"],
            "did you mean \"recall\"?",
        ),
    ];
    for (arguments, expected) in cases {
        let ran = run(folder.path(), arguments);
        assert_eq!(ran.code, 64, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: no {expected:?} in {}", ran.err);
        assert!(ran.out.is_empty(), "{arguments:?}: {}", ran.out);
    }
}

/// From a log to a verdict: what is missed is exit code 1.
#[test]
fn a_verdict_about_a_simulated_log() {
    let folder = folder();
    let folder = folder.path();
    let simulate =
        "simulate --scenario city --seed 3 --events 4000 -o log.jsonl --truth truth.jsonl";
    let arguments: Vec<&str> = simulate.split(' ').collect();
    assert_eq!(run(folder, &arguments).code, 0);
    let replayed = run(folder, &["replay", "log.jsonl", "--rules", "rules", "--json", "--quiet"]);
    write(folder, "alerts.jsonl", &replayed.out);
    let evaluate = ["evaluate", "--alerts", "alerts.jsonl", "--truth", "truth.jsonl"];
    let told = run(folder, &[&evaluate[..], &["--json", "--html", "page.html"]].concat());
    assert_eq!(told.code, 0, "{}", told.err);
    let report: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(report["events"], 4000);
    assert!(report["alerts"].as_u64().unwrap() > 0);
    assert!(fs::read_to_string(folder.join("page.html")).unwrap().ends_with("</html>\n"));
    let missed = run(folder, &[&evaluate[..], &["--require", "recall=1,latency=1s"]].concat());
    assert_eq!(missed.code, 1);
    assert!(missed.err.contains("missed: recall"), "{}", missed.err);
    assert!(missed.out.contains("By kind of attack"));
}

#[test]
fn help_and_version_are_data() {
    let folder = folder();
    let subcommands: &[&[&str]] = &[
        &[],
        &["run"],
        &["replay"],
        &["rules", "check"],
        &["rules", "list"],
        &["rules", "explain"],
        &["rules", "test"],
        &["rules", "run"],
        &["rules", "diff"],
        &["rules", "sweep"],
        &["simulate"],
        &["evaluate"],
        &["config", "check"],
        &["config", "show"],
    ];
    for subcommand in subcommands {
        let ran = run(folder.path(), &[*subcommand, &["--help"]].concat());
        assert_eq!((ran.code, &*ran.err), (0, ""), "{subcommand:?}");
        assert!(ran.out.contains("Example"), "{subcommand:?} shows no example: {}", ran.out);
    }
    let version = run(folder.path(), &["--version"]);
    assert_eq!(version.out.trim(), concat!("nightlatch ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn refused_rules_are_told_and_the_others_run() {
    let folder = folder();
    write(folder.path(), "x.jsonl", failures("192.0.2.1", 3));
    write(folder.path(), "rules/typo.sql", RULE.replace("account, count", "acount, count"));
    write(folder.path(), "rules/timeless.sql", RULE.replace("SELECT time, ", "SELECT "));
    write(folder.path(), "rules/front.sql", RULE.replace("quiet", "quite"));
    write(
        folder.path(),
        "rules/clock.sql",
        RULE.replace("= 'failure'", "= 'failure' AND time < now()"),
    );
    write(folder.path(), "rules/THREE_failures.sql", RULE);
    let expected = [
        "rules/typo.sql:9:18: there is no column `acount`",
        "Did you mean `account`?",
        "rules/timeless.sql:9:1: the query does not give the event time as `time`",
        "rules/front.sql:5:1:",
        "Did you mean `quiet`?",
        "rules/clock.sql:",
        "three_failures.sql:1:1: two rules have the name `three_failures`",
    ];
    let check = run(folder.path(), &["rules", "check", "--rules", "rules"]);
    assert_eq!(check.code, 1, "{}", check.err);
    assert!(check.err.ends_with("1 rules run, 5 refused\n"), "{}", check.err);
    let replay = run(folder.path(), &["replay", "x.jsonl", "--rules", "rules"]);
    assert_eq!(replay.code, 0, "{}", replay.err);
    assert!(replay.out.contains("\"entity\":\"192.0.2.1\""), "{}", replay.out);
    for text in expected {
        assert!(check.err.contains(text), "check: no {text:?} in {}", check.err);
        assert!(replay.err.contains(text), "replay: no {text:?} in {}", replay.err);
    }
    for rule in ["three_failures", "THREE_failures"] {
        fs::remove_file(folder.path().join(format!("rules/{rule}.sql"))).unwrap();
    }
    let none = run(folder.path(), &["replay", "x.jsonl", "--rules", "rules"]);
    assert_eq!(none.code, 64, "{}", none.err);
    assert!(none.err.contains("error: no rule can run"), "{}", none.err);
}

#[test]
fn replay_gives_json_lines_to_a_pipe_and_to_a_file() {
    let folder = folder();
    write(folder.path(), "x.jsonl", failures("192.0.2.1", 30));
    let arguments = ["replay", "x.jsonl", "--rules", "rules", "--alerts", "a.jsonl"];
    let first = run(folder.path(), &arguments);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.err.contains("alerts        1\n                   1  three_failures"));
    let statuses = ["\"status\":\"opened\"", "\"status\":\"updated\""];
    let incident = "\"kind\":\"incident\"";
    assert_eq!(first.out.lines().filter(|line| line.contains(incident)).count(), 2);
    let lines: Vec<&str> = first.out.lines().filter(|line| !line.contains(incident)).collect();
    assert_eq!(lines.len(), 2, "{}", first.out);
    for (line, status) in lines.iter().zip(statuses) {
        assert!(line.contains(status), "{line}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("a.jsonl")).unwrap(), first.out);
    let again = run(folder.path(), &[&arguments[..], &["--quiet"]].concat());
    assert_eq!((again.out, &*again.err), (first.out, ""));
}

#[test]
fn since_and_until_leave_events_out() {
    let folder = folder();
    write(folder.path(), "x.jsonl", failures("192.0.2.1", 4));
    let cases = [
        (["--since", "2026-03-01T12:00:01Z"], 1, "out of range  1"),
        (["--since", "2026-03-01T12:00:02Z"], 0, "out of range  2"),
        (["--until", "2026-03-01T12:00:03Z"], 1, "out of range  1"),
        (["--until", "2026-03-01"], 0, "out of range  4"),
    ];
    for (limits, n_alerts, told) in cases {
        let ran =
            run(folder.path(), &[&["replay", "x.jsonl", "--rules", "rules"], &limits[..]].concat());
        let is_opened = |line: &&str| line.contains("\"status\":\"opened\",\"rule\":\"three");
        let opened = ran.out.lines().filter(is_opened).count();
        assert_eq!(opened, n_alerts, "{limits:?}: {}", ran.err);
        assert!(ran.err.contains(told), "{limits:?}: {}", ran.err);
    }
}

#[test]
fn records_set_aside_go_to_the_files_of_the_configuration() {
    let folder = folder();
    let late = GOOD.replace("12:00:00", "11:00:00");
    let future = GOOD.replace("2026", "9998");
    write(folder.path(), "x.jsonl", format!("{GOOD}\nnonsense\n{late}\n{future}\n"));
    let config = "[dead_letter]\nfile = \"dead.jsonl\"\n[late]\nfile = \"late.jsonl\"\n";
    write(folder.path(), "c.toml", config);
    let arguments = ["replay", "x.jsonl", "--rules", "rules", "--config", "c.toml"];
    let ran = run(folder.path(), &arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let dead = fs::read_to_string(folder.path().join("dead.jsonl")).unwrap();
    assert_eq!(dead.lines().count(), 1, "{dead}");
    assert!(dead.contains("\"line\":2") && dead.contains("\"raw\":\"nonsense\""), "{dead}");
    let late = fs::read_to_string(folder.path().join("late.jsonl")).unwrap();
    let reasons: Vec<bool> = late
        .lines()
        .zip(["\"reason\":\"late\"", "\"reason\":\"future\""])
        .map(|(line, reason)| line.contains(reason))
        .collect();
    assert_eq!(reasons, [true, true], "{late}");
    write(folder.path(), "c.toml", "[dead_letter]\nfile = \"rules\"\n");
    let ran = run(folder.path(), &arguments);
    assert_eq!(ran.code, 69, "{}", ran.err);
    assert!(ran.err.contains("rules: cannot write the file for records set aside"), "{}", ran.err);
}

#[test]
fn rules_test_says_what_differs() {
    let folder = folder();
    let tests = "rules/tests/three_failures";
    let case = |name: &str, events: &str, expected: &str| {
        write(folder.path(), &format!("{tests}/{name}.jsonl"), events);
        write(folder.path(), &format!("{tests}/{name}.expected.jsonl"), expected);
    };
    case("attack_one", &failures("192.0.2.1", 3), "{\"entity\":\"192.0.2.1\",\"matches\":1}\n");
    case("lookalike_two", &failures("192.0.2.1", 2), "");
    let arguments = ["rules", "test", "--rules", "rules"];
    let lacking = run(folder.path(), &arguments);
    assert_eq!(lacking.code, 1, "{}", lacking.err);
    let expected = "ok     three_failures/attack_one\nok     three_failures/lookalike_two\n\
                    LACKS  three_failures/evasion_*: no such case\n2 passed, 0 failed\n";
    assert_eq!(lacking.out, expected);

    case("evasion_slow", &failures("192.0.2.1", 1), "");
    let good = run(folder.path(), &arguments);
    assert_eq!((good.code, good.out.ends_with("3 passed, 0 failed\n")), (0, true), "{}", good.out);

    case("attack_one", &failures("192.0.2.1", 3), "{\"entity\":\"192.0.2.9\"}\n");
    case("lookalike_two", "nonsense\n", "");
    let failed = run(folder.path(), &arguments);
    assert_eq!(failed.code, 1, "{}", failed.out);
    for text in [
        "FAILED three_failures/attack_one\n       - expected {\"entity\":\"192.0.2.9\"}",
        "entity: expected \"192.0.2.9\", found \"192.0.2.1\"",
        "lookalike_two.jsonl:1: no event:",
        "1 passed, 2 failed",
    ] {
        assert!(failed.out.contains(text), "no {text:?} in {}", failed.out);
    }
}

#[test]
fn the_pack_inside_the_binary_is_sound() {
    let folder = folder();
    let check = run(folder.path(), &["rules", "check"]);
    assert_eq!(check.code, 0, "{}", check.err);
    let list = run(folder.path(), &["rules", "list"]);
    assert!(list.out.contains("\"rule\":\"credential_stuffing\""), "{}", list.out);
    let test = run(folder.path(), &["rules", "test"]);
    assert_eq!(test.code, 0, "{}", test.out);
    assert!(test.out.ends_with(" passed, 0 failed\n"), "{}", test.out);
    let explain = run(folder.path(), &["rules", "explain", "credential_stuffing"]);
    assert!(explain.out.contains("bytes a key"), "{}", explain.out);
}

#[test]
fn rules_that_use_columns_without_data_are_named_and_run() {
    let folder = folder();
    let travel = RULE.replace("account, count(*)", "account, country, asn, ip_prefix, count(*)");
    write(folder.path(), "rules/travel.sql", travel.replace("count(*) OVER", "count(city) OVER"));
    write(folder.path(), "asn.csv", "192.0.2.0/24,64500\n");
    write(folder.path(), "asn.toml", "[enrich]\nasn = [\"asn.csv\"]\n");
    let check = run(folder.path(), &["rules", "check", "--rules", "rules"]);
    assert_eq!(check.code, 0, "{}", check.err);
    assert!(check.err.contains("\n  travel: asn, city, country\n"), "{}", check.err);
    assert!(!check.err.contains("three_failures"), "{}", check.err);
    assert!(check.err.ends_with("2 rules run, 0 refused\n"), "{}", check.err);
    let check = run(folder.path(), &["rules", "check", "--rules", "rules", "--config", "asn.toml"]);
    assert!(check.err.contains("\n  travel: city, country\n"), "{}", check.err);
    let list = run(folder.path(), &["rules", "list", "--rules", "rules"]);
    let lines: Vec<&str> = list.out.lines().collect();
    assert!(lines[0].contains(r#""rule":"three_failures""#), "{}", list.out);
    assert!(!lines[0].contains("unfilled_columns"), "{}", list.out);
    assert!(lines[1].contains(r#""unfilled_columns":["asn","city","country"]"#), "{}", list.out);
}

#[test]
fn rules_run_gives_the_same_rows_by_both_engines_and_in_every_format() {
    let folder = folder();
    write(folder.path(), "x.jsonl", failures("192.0.2.1", 9) + &failures("192.0.2.2", 5));
    let rows = |more: &[&str]| {
        let arguments = ["rules", "run", "three_failures", "x.jsonl", "--rules", "rules"];
        let ran = run(folder.path(), &[&arguments[..], more].concat());
        assert_eq!(ran.code, 0, "{more:?}: {}", ran.err);
        ran
    };
    let live = rows(&[]);
    assert_eq!(live.out.lines().count(), 7 + 3, "{}", live.out);
    assert!(live.err.contains("10 rows of 14 events"), "{}", live.err);
    assert_eq!(rows(&["--engine", "batch"]).out, live.out);
    let csv = rows(&["--output-format", "csv"]).out;
    assert_eq!(csv.lines().next(), Some("time,ip,account,failures"));
    assert_eq!(csv.lines().count(), 11);
    rows(&["--output-format", "parquet", "--output", "rows.parquet"]);
    let file = fs::File::open(folder.path().join("rows.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let batches = reader.unwrap().build().unwrap();
    assert_eq!(batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 10);
}

#[test]
fn simulate_gives_the_same_bytes_for_the_same_seed() {
    let folder = folder();
    let simulate = |seed: &str, truth: &str| {
        let arguments = ["simulate", "--seed", seed, "--events", "2000", "--truth", truth];
        let ran = run(folder.path(), &arguments);
        assert_eq!(ran.code, 0, "{}", ran.err);
        (ran.out, fs::read_to_string(folder.path().join(truth)).unwrap())
    };
    let (first, again, other) = (simulate("1", "a"), simulate("1", "b"), simulate("2", "c"));
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
    assert_eq!(first.0.lines().count(), 2000);
}

#[test]
fn configuration_is_checked_and_shown() {
    let folder = folder();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("nightlatch.example.toml");
    let example = example.to_str().unwrap();
    assert_eq!(run(folder.path(), &["config", "check", example]).code, 0);
    let shown = run(folder.path(), &["config", "show", example]);
    assert!(shown.out.contains("lateness = \"1 minute\""), "{}", shown.out);
    write(folder.path(), "shown.toml", &shown.out);
    let again = run(folder.path(), &["config", "show", "shown.toml"]);
    assert_eq!(again.out, shown.out);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = folder();
    write(folder.path(), "x.jsonl", failures("192.0.2.1", 3_000));
    let cases: [&[&str]; 4] = [
        &["replay", "x.jsonl", "--rules", "rules", "--quiet"],
        &["rules", "run", "three_failures", "x.jsonl", "--rules", "rules", "--quiet"],
        &["simulate", "--events", "50000"],
        &["rules", "list"],
    ];
    for arguments in cases {
        let mut child = program(folder.path(), arguments).spawn().unwrap();
        drop(child.stdout.take());
        let ran = ran(child.wait_with_output().unwrap());
        assert_eq!((ran.code, &*ran.err), (0, ""), "{arguments:?}");
    }
}
