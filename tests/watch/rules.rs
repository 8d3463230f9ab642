//! The alerting rules: sound, tested, explained, and evaluated by a real Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nightlatch::serve::{Health, Metrics, Server};
use serde_json::Value;

use crate::dashboards;
use crate::program::{find, wait_for};
use crate::prometheus::Prometheus;

const RULES: &str = "dashboards/alerts.yml";
const CASES: &str = "dashboards/alerts_test.yml";
const RUNBOOK: &str = "docs/operations.md";
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(find(&["promtool"], "prometheus"))
        .args(arguments)
        .current_dir(path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn assert_content(arguments: &[&str], input: &str) {
    let output = promtool(arguments, input);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
    let complaint = said.lines().find(|line| line.contains("lint") || line.contains("FAILED"));
    assert_eq!(complaint, None, "{said}");
}

/// The values of a key's lines, `key: value`.
fn values<'a>(text: &'a str, key: &'a str) -> Vec<&'a str> {
    let value = |line: &'a str| {
        let line = line.trim().trim_start_matches("- ");
        line.strip_prefix(key)?.strip_prefix(": ")
    };
    text.lines().filter_map(value).collect()
}

fn rule_names() -> BTreeSet<String> {
    let text = read(RULES);
    let names = values(&text, "alert");
    let unique: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    assert!(unique.len() >= 20 && unique.len() == names.len(), "{names:?}");
    unique
}

#[test]
fn promtool_finds_nothing_wrong() {
    assert_content(&["check", "rules", RULES], "");
}

#[test]
fn every_case_comes_out_as_it_should() {
    assert_content(&["test", "rules", CASES], "");
}

#[test]
fn the_metrics_themselves_are_well_named() {
    let metrics = Metrics::new().unwrap();
    assert_content(&["check", "metrics"], &metrics.text());
}

/// Names of rules with a case whose list of expected alerts is, or is not, empty.
fn cases(text: &str, fires: bool) -> BTreeSet<&str> {
    let cases = text.split("alertname: ").skip(1);
    let of_kind = cases.filter(|case| {
        let expected = case.lines().nth(1).unwrap().trim();
        assert!(expected.starts_with("exp_alerts:"), "{case}");
        (expected == "exp_alerts:") == fires
    });
    of_kind.map(|case| case.lines().next().unwrap()).collect()
}

#[test]
fn every_rule_has_a_case_that_fires_and_one_that_is_silent() {
    let text = read(CASES);
    for name in rule_names() {
        for fires in [true, false] {
            assert!(cases(&text, fires).contains(&*name), "{name}: no case (fires: {fires})");
        }
    }
}

#[test]
fn every_rule_says_what_it_is_about_and_where_to_read_on() {
    let text = read(RULES);
    let n_rules = rule_names().len();
    for key in ["severity", "summary", "description", "runbook", "expr"] {
        assert_eq!(values(&text, key).len(), n_rules, "{key}");
    }
    let severities: BTreeSet<&str> = values(&text, "severity").into_iter().collect();
    assert!(severities.is_subset(&BTreeSet::from(["critical", "warning", "info"])));
    let runbooks: BTreeSet<String> =
        values(&text, "runbook").into_iter().map(str::to_owned).collect();
    let expected = rule_names().iter().map(|name| format!("{RUNBOOK}, {name}")).collect();
    assert_eq!(runbooks, expected);
}

/// Sections of rules are of the third level and are named as the rule.
#[test]
fn the_runbook_has_a_section_for_each_rule_and_for_no_other() {
    let text = read(RUNBOOK);
    let mut explained = BTreeSet::new();
    for section in text.split("\n### ").skip(1) {
        let (title, body) = section.split_once('\n').unwrap();
        if !title.starts_with("Nightlatch") {
            continue;
        }
        for part in ["Meaning", "Causes", "What to do"] {
            assert!(body.contains(&format!("**{part}.**")), "{title}: {part}?");
        }
        explained.insert(title.to_owned());
    }
    assert_eq!(explained, rule_names());
}

/// The PromQL of all dashboards, with their variables filled in.
pub(crate) fn dashboard_queries() -> Vec<String> {
    let queries = dashboards::all().into_iter().flat_map(|dashboard| dashboard.promql());
    queries.map(|query| dashboards::fill_promql(&query.text)).collect()
}

#[test]
fn a_real_prometheus_reads_the_metrics_and_evaluates_every_rule() {
    let health = Arc::new(Health::default());
    health.set_ready(true);
    let metrics = Arc::new(Metrics::new().unwrap());
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(any, metrics, health).unwrap();
    let targets = [server.address().to_string()];
    let prometheus = Prometheus::start(&targets, Some(&path(RULES)));
    wait_for("metrics", PATIENCE, || prometheus.query("nightlatch_ready == 1").len() == 1);
    let evaluated = |rule: &Value| rule["health"] != "unknown";
    wait_for("rules", PATIENCE, || prometheus.rules().iter().all(evaluated));
    let rules = prometheus.rules();
    let names: BTreeSet<String> =
        rules.iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, rule_names());
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
    let queries = dashboard_queries();
    assert!(queries.len() > 40, "{}", queries.len());
    // One that is no PromQL is refused.
    let n_answered = queries.iter().filter(|query| !prometheus.query(query).is_empty()).count();
    assert!(n_answered > 10, "only {n_answered} of {} have data", queries.len());
    let is_pending = |name: &str| {
        let rule = prometheus.rules().into_iter().find(|rule| rule["name"] == name);
        rule.unwrap()["state"] == "pending"
    };
    // This program runs no pipeline: no broker answers it.
    wait_for("NightlatchKafkaAway", PATIENCE, || is_pending("NightlatchKafkaAway"));
    assert!(!is_pending("NightlatchDown"));
    drop(server);
    wait_for("NightlatchDown", PATIENCE, || is_pending("NightlatchDown"));
}
