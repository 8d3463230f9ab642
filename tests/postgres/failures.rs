//! A server that is away, frozen, or refuses.

use std::time::Duration;

use crate::documents::{Stored, alert, attempt, destination, hours_ago, keys, with};
use crate::harness::{Rig, until};
use crate::server::{PASSWORD, Server, shared};

#[test]
fn nothing_is_lost_while_the_server_is_away() {
    let server = Server::start();
    let mut stored = Stored::at(&server);
    let start = hours_ago(1);
    let some = |from: u64, to: u64| (from..to).map(|n| alert(n, 1, start)).collect::<Vec<_>>();
    stored.append(&some(0, 100));
    stored.until_delivered(100);
    server.kill();
    stored.append(&some(100, 700));
    until("failures", || stored.rig.outcome("db", "failed") > 0);
    assert_eq!(stored.rig.outcome("db", "delivered"), 100);
    // A restart of this program meanwhile changes nothing.
    stored.rig.crash();
    let password = stored.rig.path("password");
    stored.rig.start(&destination(&keys(&stored.database, &password)));
    stored.append(&some(700, 800));
    server.begin();
    until("all", || stored.rig.outbox.stats().entries == 0);
    assert_eq!(stored.database.value("SELECT count(*) FROM alerts"), "800");
    assert_eq!(stored.database.value("SELECT count(*) FROM alert_evidence"), "800");

    // A server that freezes answers nothing, and is not waited for without end.
    stored.rig.stop();
    let short = with(keys(&stored.database, &password), "statement_timeout", "'200 ms'");
    stored.rig.start(&destination(&with(short, "connect_timeout", "'300 ms'")));
    stored.append(&some(800, 801));
    until("the next", || stored.rig.outbox.stats().entries == 0);
    let failed = stored.rig.outcome("db", "failed");
    server.signal_all("STOP");
    stored.append(&some(801, 802));
    until("a failure", || stored.rig.outcome("db", "failed") > failed);
    server.signal_all("CONT");
    until("the last", || stored.rig.outbox.stats().entries == 0);
    assert_eq!(stored.database.value("SELECT count(*) FROM alerts"), "802");
}

#[test]
fn a_row_that_is_refused_holds_up_no_other() {
    let stored = Stored::new();
    stored.rig.set_active(false);
    let start = hours_ago(1);
    let mut alerts: Vec<_> = (0..50).map(|number| alert(number, 1, start)).collect();
    alerts[10].matches = u64::MAX;
    alerts[20].entity = "a\0b".into();
    alerts[20].summary = "nul \0 and \u{202e}".to_owned();
    alerts[30].entity = "x".repeat(60_000).into();
    stored.append(&alerts);
    stored.rig.set_active(true);
    until("the refusal", || stored.rig.outcome("db", "refused") == 1);
    stored.until_delivered(49);
    let db = &stored.database;
    assert_eq!(db.value("SELECT count(*) FROM alerts"), "49");
    let shown = "SELECT entity, document ->> 'summary' FROM alerts WHERE entity LIKE 'a%'";
    assert_eq!(db.query(shown), [["a\\u{0}b", "nul \\u{0} and \u{202e}"]]);
    let refused = stored.rig.lines("refused-db.jsonl");
    assert!(refused[0].to_string().contains("out of range"), "{}", refused[0]);
}

#[test]
fn what_the_server_says_is_told_with_a_way_out_and_without_secrets() {
    let (rig, database) = (Rig::new(), shared().database());
    let password = rig.secret_file("password", PASSWORD);
    let wrong = rig.secret_file("wrong", "hunter2");
    let good = keys(&database, &password);
    let quoted = format!("'{}'", wrong.display());
    for (keys, expected) in [
        (
            with(good.clone(), "password_file", &quoted),
            ["28P01", "check `user` and `password_file`"],
        ),
        (with(good.clone(), "database", "'nowhere'"), ["3D000", "make the database first"]),
        (with(good.clone(), "port", "1"), ["error connecting to server", "Connection refused"]),
        (
            good.into_iter().filter(|(key, _)| *key != "password_file").collect(),
            ["password missing", "name its file"],
        ),
    ] {
        let trial = attempt(&keys);
        assert!(!trial.delivered);
        for words in expected.into_iter().chain(["PostgreSQL does not take alerts", "127.0.0.1:"]) {
            assert!(trial.said.contains(words), "`{words}` is missing in {}", trial.said);
        }
        assert!(
            !trial.said.contains("hunter2") && !trial.said.contains(PASSWORD),
            "{}",
            trial.said
        );
    }
}

#[test]
fn missing_rights_hold_up_and_are_tried_again() {
    let stored = Stored::new();
    stored.append(&[alert(1, 1, hours_ago(1))]);
    stored.until_delivered(1);
    let db = &stored.database;
    db.query("ALTER TABLE alerts OWNER TO postgres; REVOKE ALL ON alerts FROM nightlatch");
    stored.append(&[alert(2, 1, hours_ago(1))]);
    until("a failure", || stored.rig.outcome("db", "failed") > 1);
    assert_eq!(stored.rig.outcome("db", "refused"), 0);
    db.query("ALTER TABLE alerts OWNER TO nightlatch; GRANT ALL ON alerts TO nightlatch");
    stored.until_delivered(2);
}

#[test]
fn a_stop_does_not_wait_for_a_server_that_is_frozen() {
    let server = Server::start();
    let mut stored = Stored::at(&server);
    stored.append(&[alert(1, 1, hours_ago(1))]);
    stored.until_delivered(1);
    server.signal_all("STOP");
    stored.append(&[alert(2, 1, hours_ago(1))]);
    std::thread::sleep(Duration::from_millis(300));
    let started = std::time::Instant::now();
    stored.rig.stop();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(stored.rig.outbox.stats().entries, 1);
}
