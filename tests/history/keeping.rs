//! What is kept, for how long, and what happens when the file is not there, locked or damaged.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use nightlatch::config::HttpConfig;
use nightlatch::history::{Filter, FindingKind, History, Keeper, Limits};
use nightlatch::serve::{Api, Catalog, Metrics, Server};

use crate::client::{Stage, call, destination, one, verdict};
use crate::harness::{Rig, until};

fn ids(history: &History) -> usize {
    history.page(&Filter::all(FindingKind::Alert), 1000).unwrap().items.len()
}

#[test]
fn a_restart_keeps_all_and_metrics_come_back() {
    let mut stage = Stage::new();
    stage.fill((1..=20).map(|number| (number, 1)));
    for (number, given) in [(1, "true_positive"), (2, "true_positive"), (3, "false_positive")] {
        stage.post(&format!("{}/verdict", one(number)), &[], &verdict(given));
    }
    stage.rig.stop();
    let path = stage.rig.path("history.sqlite");
    let folder = stage.rig.folder;
    let limits = Limits { retention: Duration::from_secs(3600), rows_max: 1000 };
    let history = Arc::new(History::new(&path, limits));
    let metrics = Arc::new(Metrics::new().unwrap());
    let keeper = Keeper::start(history.clone(), metrics.history.clone()).unwrap();
    let counted =
        "nightlatch_verdicts_total{rule=\"credential_stuffing\",verdict=\"true_positive\"} 2";
    until("the verdicts", || metrics.text().contains(counted));
    let text = metrics.text();
    assert!(text.contains("nightlatch_rule_precision_ratio{rule=\"credential_stuffing\"} 0.66"));
    assert!(text.contains("nightlatch_history_findings{kind=\"alert\"} 20"), "{text}");
    assert!(!text.contains("nightlatch_history_bytes 0"));
    drop(keeper);
    let api =
        Api::new(history, &HttpConfig::default(), metrics.history.clone(), Catalog::default());
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::start_with(listen, metrics, Arc::default(), Some(&api.unwrap())).unwrap();
    let answer = call(server.address(), "GET", "/api/v1/alerts", &["Host: localhost"], "");
    assert_eq!(answer.json()["items"].as_array().unwrap().len(), 20);
    drop(folder);
}

#[test]
fn what_is_silenced_is_kept_and_a_standby_keeps_nothing() {
    let stage = Stage::new();
    stage.rig.set_active(false);
    stage.rig.append([(1, 1), (2, 1)]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ids(&stage.history), 0);
    stage.rig.set_active(true);
    until("both", || ids(&stage.history) == 2);
}

#[test]
fn retention_goes_by_the_clock_of_receipt() {
    let stage = Stage::new();
    stage.fill((1..=20).map(|number| (number, 1)));
    let path = stage.rig.path("history.sqlite");
    let metrics = Metrics::new().unwrap().history;
    let keep = |retention: Duration, rows_max: usize| {
        let history = Arc::new(History::new(&path, Limits { retention, rows_max }));
        Keeper::start(history, metrics.clone()).unwrap()
    };
    // Events of 1970: their own time says nothing.
    let keeper = keep(Duration::from_secs(3600), 15);
    until("15", || ids(&stage.history) == 15);
    drop(keeper);
    assert_eq!(metrics.deleted.with_label_values(&["rows_max"]).get(), 5);
    std::thread::sleep(Duration::from_millis(20));
    let keeper = keep(Duration::from_millis(10), 15);
    until("nothing", || ids(&stage.history) == 0);
    drop(keeper);
    assert_eq!(metrics.deleted.with_label_values(&["retention"]).get(), 15);
    stage.get(&one(1)).is_problem(404);
}

#[test]
fn a_damaged_file_is_told_and_once_it_is_away_all_comes_again() {
    let mut rig = Rig::new();
    let path = rig.path("history.sqlite");
    fs::write(&path, "no database, but long enough for the header of one ".repeat(100)).unwrap();
    rig.start(&destination(&path));
    rig.append([(1, 1), (2, 1)]);
    until("a failure", || {
        rig.metrics.delivery.retries.with_label_values(&["history"]).get() > 0
            || rig.outbox.stats().entries == 2
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(rig.outbox.stats().entries, 2, "they wait");
    let limits = Limits { retention: Duration::from_secs(3600), rows_max: 1000 };
    let history = Arc::new(History::new(&path, limits));
    let api = Api::new(
        history.clone(),
        &HttpConfig::default(),
        rig.metrics.history.clone(),
        Catalog::default(),
    );
    let listen = "127.0.0.1:0".parse().unwrap();
    let server =
        Server::start_with(listen, rig.metrics.clone(), Arc::default(), Some(&api.unwrap()));
    let address = server.as_ref().unwrap().address();
    let answer = call(address, "GET", "/api/v1/alerts", &["Host: localhost"], "");
    assert!(answer.is_problem(503).head.contains("retry-after"), "{answer:?}");
    assert!(!answer.body.contains("history.sqlite"), "paths are for the log");
    let keeper = Keeper::start(history.clone(), rig.metrics.history.clone()).unwrap();
    until("a failure", || rig.metrics.history.failed.get() == 1);
    drop(keeper);
    fs::rename(&path, rig.path("damaged")).unwrap();
    until("both", || rig.outbox.stats().entries == 0);
    assert_eq!(ids(&history), 2);
}

#[test]
fn a_locked_file_is_waited_for() {
    let stage = Stage::new();
    stage.fill([(1, 1)]);
    let other = rusqlite::Connection::open(stage.rig.path("history.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    stage.rig.append([(2, 1)]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stage.page("").0, [1], "readers do not wait");
    other.execute_batch("ROLLBACK").unwrap();
    until("the other", || stage.page("").0 == [2, 1]);
}

#[test]
fn a_file_that_is_taken_away_under_way_loses_nothing_of_what_comes() {
    let stage = Stage::new();
    stage.fill([(1, 1)]);
    for end in ["", "-wal", "-shm"] {
        let path = stage.rig.path(&format!("history.sqlite{end}"));
        let _ = fs::rename(&path, stage.rig.path(&format!("away{end}")));
    }
    stage.rig.append([(2, 1), (3, 1)]);
    until("the new ones", || stage.page("").0 == [3, 2]);
}
