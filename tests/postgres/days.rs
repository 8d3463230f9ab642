//! A partition a day, and their end.

use crate::documents::{Stored, alert, attempt, destination, hours_ago, incident, keys};
use crate::harness::until;

const DAYS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'alerts'::regclass";

#[test]
fn each_day_has_a_partition_and_what_is_old_goes() {
    let stored = Stored::new();
    let old = hours_ago(100 * 24);
    stored.append(&[alert(1, 1, hours_ago(0)), alert(2, 1, hours_ago(48)), alert(3, 1, old)]);
    stored.append(&[alert(4, 1, old)]);
    stored.append_incident(&incident(5, 1, old));
    stored.append_incident(&incident(6, 1, hours_ago(1)));
    stored.until_delivered(6);
    let db = &stored.database;
    assert_eq!(db.value(DAYS), "3");
    // It came just now: it stays for the retention from now on, however old it is.
    let password = stored.rig.path("password");
    assert!(attempt(&keys(db, &password)).delivered);
    assert_eq!(db.value("SELECT count(*) FROM alerts WHERE id NOT LIKE '7e57%'"), "4");

    for table in ["alerts", "incidents"] {
        db.query(&format!(
            "UPDATE {table} SET stored_at = now() - interval '91 days' \
             WHERE started_at < now() - interval '1 day'"
        ));
    }
    assert!(attempt(&keys(db, &password)).delivered);
    // Two days ago is no day that is over for the retention: only whole days that are go.
    assert_eq!(db.value(DAYS), "2");
    assert_eq!(db.value("SELECT count(*) FROM alerts WHERE id NOT LIKE '7e57%'"), "2");
    let orphans =
        "SELECT count(*) FROM alert_evidence WHERE started_at < now() - interval '9 days'";
    assert_eq!(db.value(orphans), "0");
    assert_eq!(db.value("SELECT count(*) FROM incidents"), "1");
    assert_eq!(db.value("SELECT count(DISTINCT incident_id) FROM incident_steps"), "1");
}

#[test]
fn a_day_that_somebody_dropped_is_made_again() {
    let stored = Stored::new();
    stored.append(&[alert(1, 1, hours_ago(1))]);
    stored.until_delivered(1);
    let day = hours_ago(1).format("%Y%m%d");
    for table in ["alerts", "alert_evidence", "alert_accounts"] {
        stored.database.query(&format!("DROP TABLE {table}_{day}"));
    }
    stored.append(&[alert(2, 1, hours_ago(1))]);
    until("the second", || stored.rig.outcome("db", "delivered") == 2);
    assert_eq!(stored.rig.outcome("db", "refused"), 0);
    assert_eq!(stored.database.value("SELECT count(*) FROM alerts"), "1");
}

#[test]
fn what_no_partition_takes_is_set_aside() {
    let stored = Stored::new();
    let ages = [hours_ago(20 * 365 * 24), hours_ago(1), hours_ago(-2 * 365 * 24)];
    stored.append(&[alert(1, 1, ages[0]), alert(2, 1, ages[1]), alert(3, 1, ages[2])]);
    stored.until_delivered(1);
    until("the refusals", || stored.rig.outcome("db", "refused") == 2);
    let refused = stored.rig.lines("refused-db.jsonl");
    assert!(refused[0].to_string().contains("rows are stored from"), "{}", refused[0]);
    assert_eq!(destination(&keys(&stored.database, &stored.rig.path("password"))).len(), 1);
}
