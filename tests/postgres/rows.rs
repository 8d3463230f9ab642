//! What is in the tables and views after deliveries.

use serde_json::Value;

use crate::documents::{Stored, alert, hours_ago, id, incident};

#[test]
fn an_alert_is_one_row_of_its_highest_revision() {
    let stored = Stored::new();
    let start = hours_ago(1);
    stored.append(&[alert(1, 1, start), alert(2, 1, start)]);
    stored.until_delivered(2);
    stored.append(&[alert(1, 3, start)]);
    stored.until_delivered(3);
    // What comes late or again changes nothing.
    stored.append(&[alert(1, 2, start), alert(1, 3, start)]);
    stored.until_delivered(5);
    let db = &stored.database;
    let rows = db.query("SELECT id, revision, status, matches FROM alerts ORDER BY id");
    assert_eq!(
        rows,
        [
            [id(1), "3".into(), "updated".into(), "3".into()],
            [id(2), "1".into(), "opened".into(), "1".into()]
        ]
    );
    let document: Value =
        serde_json::from_str(&db.value("SELECT document FROM alerts WHERE revision = 3")).unwrap();
    let expected: Value = serde_json::from_slice(&alert(1, 3, start).to_json()).unwrap();
    assert_eq!(document, expected);
    let columns = "SELECT rule, rule_version, title, severity, entity_type, entity, accounts, \
                   accounts_total, ips, ips_total, summary, \"values\", evidence_total, attack, \
                   started_at < updated_at, received_at < stored_at FROM alerts WHERE revision = 3";
    assert_eq!(
        db.query(columns)[0],
        [
            "credential_stuffing",
            "0123456789ab",
            "Credential stuffing from one address",
            "high",
            "ip",
            "203.0.113.1",
            "{ann@example.org,bob}",
            "1",
            "{203.0.113.9}",
            "1",
            "417 failed logins",
            "{\"failures\": 417}",
            "1",
            "{T1110.004}",
            "t",
            "t",
        ]
    );
    let evidence = "SELECT alert_id, position, topic, kafka_partition, kafka_offset, \
                    time = started_at FROM alert_evidence ORDER BY alert_id";
    let expected = |number| [&id(number), "1", "logins", "3", "77", "t"].map(str::to_owned);
    assert_eq!(db.query(evidence), [expected(1), expected(2)]);
    assert_eq!(db.value("SELECT count(*) FROM alert_accounts"), "4");
}

#[test]
fn many_revisions_in_one_batch_leave_the_last() {
    let stored = Stored::new();
    stored.rig.set_active(false);
    let start = hours_ago(2);
    let revisions = (1..=20).flat_map(|revision| (1..=50).map(move |n| alert(n, revision, start)));
    stored.append(&revisions.collect::<Vec<_>>());
    stored.rig.set_active(true);
    stored.until_delivered(1000);
    let rows = stored.database.query("SELECT count(*), min(revision), max(revision) FROM alerts");
    assert_eq!(rows, [["50", "20", "20"]]);
    assert_eq!(stored.database.value("SELECT count(*) FROM alert_evidence"), "50");
}

#[test]
fn an_incident_fills_its_tables_and_the_views() {
    let stored = Stored::new();
    let start = hours_ago(3);
    stored.append(&[alert(1, 1, start), alert(2, 1, start)]);
    stored.append_incident(&incident(7, 1, start));
    stored.until_delivered(3);
    let mut second = incident(7, 2, hours_ago(4));
    second["fallen"][0]["steps"].as_array_mut().unwrap().truncate(1);
    stored.append_incident(&second);
    stored.append_incident(&incident(7, 1, start));
    stored.until_delivered(5);
    let db = &stored.database;
    let rows = db
        .query("SELECT id, revision, alerts_total, fallen_total, viewed_total FROM open_incidents");
    assert_eq!(rows, [[id(7), "2".into(), "2".into(), "1".into(), "1".into()]]);
    let accounts = "SELECT account, fallen, how, viewed FROM incident_victims ORDER BY account";
    assert_eq!(
        db.query(accounts),
        [["ann@example.org", "t", "guessed password", "f"], ["bob", "f", "", "t"]]
    );
    let steps =
        "SELECT account, action, events, resources, ip FROM incident_steps ORDER BY account";
    assert_eq!(
        db.query(steps),
        [
            ["ann@example.org", "live_view", "2", "{cam-1,cam-2}", "203.0.113.9"],
            ["bob", "recording_view", "3", "{rec-1}", ""],
        ]
    );
    assert_eq!(db.value("SELECT count(*) FROM incident_alerts"), "2");
    for (view, count) in [
        ("open_alerts", "2"),
        ("open_incidents", "1"),
        ("incident_victims", "2"),
        ("incident_timeline", "5"),
        ("rule_volume", "1"),
        ("takeovers_by_day", "1"),
        ("account_story WHERE account = 'ann@example.org'", "4"),
    ] {
        assert_eq!(db.value(&format!("SELECT count(*) FROM {view}")), count, "{view}");
    }
    let told = "SELECT kind FROM account_story WHERE account = 'ann@example.org' ORDER BY time";
    assert_eq!(db.query(told), [["fell"], ["step"], ["alert"], ["alert"]].map(|k| k.to_vec()));
}

#[test]
fn an_incident_that_another_one_took_over_is_open_no_more() {
    let stored = Stored::new();
    let start = hours_ago(1);
    stored.append_incident(&incident(1, 1, start));
    let mut taken_over = incident(2, 2, start);
    taken_over["status"] = "closed".into();
    taken_over["merged_into"] = id(1).into();
    stored.append_incident(&taken_over);
    stored.until_delivered(2);
    let db = &stored.database;
    assert_eq!(db.query("SELECT id FROM open_incidents"), [[id(1)]]);
    assert_eq!(db.value("SELECT merged_into FROM all_incidents WHERE status = 'closed'"), id(1));
    assert_eq!(db.value("SELECT takeovers FROM takeovers_by_day"), "1");
}
