//! The whole program, fed, and watched: a real broker, a real Alertmanager that gets its alerts, a real
//! Prometheus that scrapes it, a real PostgreSQL that it fills. Every query of the dashboards gives data,
//! and every alerting rule stands on series that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::alertmanager::Alertmanager;
use crate::broker;
use crate::dashboards;
use crate::hook::{Mood, Receiver};
use crate::http;
use crate::postgres::{self, Database};
use crate::program::wait_for;
use crate::prometheus::Prometheus;
use crate::rules::{dashboard_queries, path, read};
use crate::run::Run;

const PATIENCE: Duration = Duration::from_secs(60);
const LINES_AT_ONCE: usize = 200;

/// The destination that fills a database.
fn database_of(folder: &Path, database: &Database) -> String {
    let password = secret(folder, "database.password", postgres::PASSWORD);
    format!(
        "[[destination]]\nname = \"database\"\ntype = \"postgresql\"\nhost = \"127.0.0.1\"\n\
         port = {}\ndatabase = \"{}\"\nuser = \"nightlatch\"\npassword_file = \"{}\"\n\
         tls = \"disable\"\nretention = \"90 days\"\n",
        database.port,
        database.name,
        password.display(),
    )
}

fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// The database holds what the file of alerts says last of each, and answers the dashboards.
fn is_filled(database: &Database, alerts: &Path) {
    let mut last = BTreeMap::new();
    for line in std::fs::read_to_string(alerts).unwrap().lines() {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = alert["id"].as_str().unwrap().to_owned();
        last.insert(id, alert["revision"].as_u64().unwrap().to_string());
    }
    let rows = database.query("SELECT id, revision FROM alerts ORDER BY id");
    let stored: BTreeMap<String, String> =
        rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(stored, last);
    let account = database.query("SELECT account FROM alert_accounts LIMIT 1")[0][0].clone();
    let account = format!("'{account}'");
    let rules = "SELECT string_agg(DISTINCT quote_literal(rule), ',') FROM alerts";
    let rules = database.value(rules);
    let chosen = [
        ("severity", "'critical','high','medium','low','info'"),
        ("rule", rules.as_str()),
        ("account", account.as_str()),
        ("incident", "''"),
    ];
    for query in dashboards::all().iter().flat_map(|dashboard| dashboard.sql()) {
        let (from, to) = ("2019-01-01T00:00:00Z", "2020-01-01T00:00:00Z");
        let sql = dashboards::fill_sql(&query.text, from, to, &chosen);
        let rows = database.query(&sql);
        let is_about_alerts = sql.contains("_alerts") && !sql.contains("incident");
        assert!(!is_about_alerts || !rows.is_empty(), "{} gives no rows: {sql}", query.place);
    }
}

fn configuration(
    folder: &Path,
    topic: &str,
    alertmanager: &str,
    hook: &Receiver,
    database: &Database,
) -> PathBuf {
    let path = folder.join("nightlatch.toml");
    let silences = folder.join("silences.toml");
    std::fs::write(
        &silences,
        "[[silence]]\nid = \"lab\"\nowner = \"soc\"\nreason = \"test\"\n\
         starts = \"2020-01-01T00:00:00Z\"\nexpires = \"2199-01-01T00:00:00Z\"\n\
         rule = \"password_spraying\"\n",
    )
    .unwrap();
    let secret = secret(folder, "hook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[state]\nfolder = \"{0}/state\"\n\
         checkpoint_every = \"500 milliseconds\"\n\
         [order]\nidle_after = \"2 seconds\"\nidle_release = \"3 seconds\"\n\
         [kafka]\nbrokers = \"{1}\"\ngroup = \"{2}\"\ntopics = [\"{topic}\"]\n\
         [alerts]\nstdout = false\nfile = \"{0}/alerts.jsonl\"\nsilences = \"{3}\"\n\
         [history]\nretention = \"90 days\"\n[dead_letter]\nfile = \"{0}/dead.jsonl\"\n[late]\nfile = \"{0}/late.jsonl\"\n\
         [[destination]]\nname = \"alertmanager\"\ntype = \"alertmanager\"\n\
         url = \"{alertmanager}\"\nallow_private = true\nresend_every = \"5 seconds\"\n\
         [[destination]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://{4}/\"\n\
         allow_private = true\nsecret_files = [\"{5}\"]\n\
         retry_first = \"100 milliseconds\"\nretry_max = \"500 milliseconds\"\n{6}",
        folder.display(),
        broker::address(),
        broker::unique("group"),
        silences.display(),
        hook.address,
        secret.display(),
        database_of(folder, database),
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Feeds the example log, a little at a time, until it is told to stop; then it is at its end.
fn feed(topic: String, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let log = read("examples/ring-2019.jsonl");
    std::thread::spawn(move || {
        let lines: Vec<&str> = log.lines().collect();
        for piece in lines.chunks(LINES_AT_ONCE) {
            let mut records: Vec<_> = piece.iter().map(|line| (0, Some(line.as_bytes()))).collect();
            records.push((0, Some(&b"no event"[..])));
            broker::produce(&topic, records);
            if !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(500));
            }
        }
    })
}

/// Somebody looks at an alert, and finds it right.
fn judge(run: &Run) {
    let api = format!("http://{}/api/v1/alerts", run.address().unwrap());
    let mut page = serde_json::Value::Null;
    wait_for("an alert in the history", PATIENCE, || {
        let (_, body) = http::get(&format!("{api}?limit=1")).unwrap();
        page = serde_json::from_str(&body).unwrap();
        page["items"][0].is_object()
    });
    let id = page["items"][0]["document"]["id"].as_str().unwrap();
    let verdict = br#"{"verdict": "true_positive", "who": "ann"}"#.to_vec();
    let json = [("content-type", "application/json".to_owned())];
    let (status, said) = http::post(&format!("{api}/{id}/verdict"), &json, verdict).unwrap();
    assert!((200..300).contains(&status), "{status}: {said}");
}

/// Names of the metrics in an expression.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c: char| !is_part(c));
    words.filter(|word| word.starts_with("nightlatch_")).map(str::to_owned).collect()
}

#[test]
fn while_it_is_fed_every_query_has_data_and_alerts_reach_an_alertmanager() {
    let folder = tempfile::tempdir().unwrap();
    let topic = broker::unique("events");
    broker::create_topic(&topic, 1);
    let alertmanager = Alertmanager::start();
    // What a receiver does not take waits in the outbox, whose age is then seen.
    let hook = Receiver::start();
    hook.set_mood(Mood::Down);
    let database = postgres::shared().database();
    let config = configuration(folder.path(), &topic, alertmanager.url(), &hook, &database);
    let mut run = Run::start(&config);
    run.until("readiness", |run| run.get("/-/ready").is_some_and(|(status, _)| status == 200));
    let target = run.address().unwrap();
    let prometheus = Prometheus::start(&[target], Some(&path("dashboards/alerts.yml")));
    let stop = Arc::new(AtomicBool::new(false));
    let feeder = feed(topic, stop.clone());

    run.until("alerts", |run| run.metric("nightlatch_alerts_total") > Some(3.0));
    wait_for("alerts in Alertmanager", PATIENCE, || !alertmanager.alerts().is_empty());
    judge(&run);
    let queries = dashboard_queries();
    let mut empty: Vec<&String> = Vec::new();
    let started = std::time::Instant::now();
    while started.elapsed() < PATIENCE {
        empty = queries.iter().filter(|query| prometheus.query(query).is_empty()).collect();
        if empty.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(empty.is_empty(), "no data: {empty:#?}\n{}", run.log());
    for rule in prometheus.rules() {
        let expression = rule["query"].as_str().unwrap();
        for metric in metrics_in(expression) {
            assert!(!prometheus.query(&metric).is_empty(), "{}: no {metric}", rule["name"]);
        }
        assert_eq!(rule["health"], "ok", "{rule:#}");
        // Dead letters are what it was fed with; nothing else is wrong with it.
        let is_wrong = rule["state"] == "firing";
        assert!(!is_wrong || rule["name"] == "NightlatchDeadLetters", "{rule:#}");
    }
    hook.set_mood(Mood::Well);
    stop.store(true, Ordering::Relaxed);
    feeder.join().unwrap();
    run.until("all of the example", |run| run.metric("nightlatch_kafka_lag_messages") == Some(0.0));
    run.until("an empty outbox", |run| run.metric("nightlatch_outbox_entries") == Some(0.0));
    is_filled(&database, &folder.path().join("alerts.jsonl"));
    assert!(run.metric("nightlatch_silenced_total") > Some(0.0));
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
}
