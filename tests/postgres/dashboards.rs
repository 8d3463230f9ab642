//! Every SQL query of every dashboard, on a database that was filled through the outbox: each parses and
//! gives rows, and as the reader that Grafana is.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use chrono::{SecondsFormat, TimeDelta, Utc};
use nightlatch::alert::Values;

use crate::boards::{Query, all, fill_sql};
use crate::documents::{Stored, alert, hours_ago, id, incident};

/// What a user chooses above a dashboard, as Grafana quotes it.
const CHOSEN: [(&str, &str); 4] = [
    ("severity", "'critical','high','medium','low','info'"),
    ("rule", "'credential_stuffing'"),
    ("incident", "'00000000000000000000000000000007'"),
    ("account", "'ann@example.org'"),
];

/// Two alerts with a country, and an incident of them.
fn filled() -> Stored {
    let stored = Stored::new();
    let start = hours_ago(1);
    let country: ArrayRef = Arc::new(StringArray::from(vec!["DE"]));
    let values = RecordBatch::try_from_iter([("country", country)]).unwrap();
    let mut alerts = [alert(1, 1, start), alert(2, 1, start)];
    for alert in &mut alerts {
        alert.values = Values::read(&values, 0, "ip".into());
    }
    stored.append(&alerts);
    stored.append_incident(&incident(7, 1, start));
    stored.until_delivered(3);
    stored
}

fn fill(query: &Query) -> String {
    let text = |time: chrono::DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    // Falls are minutes after the start.
    let to = Utc::now() + TimeDelta::hours(1);
    fill_sql(&query.text, &text(hours_ago(48)), &text(to), &CHOSEN)
}

#[test]
fn every_query_of_every_dashboard_gives_rows() {
    let stored = filled();
    let queries: Vec<Query> =
        all().iter().flat_map(|one| one.sql().into_iter().chain(one.sql_of_variables())).collect();
    assert!(queries.len() > 25, "{}", queries.len());
    for query in &queries {
        let sql = fill(query);
        let rows = stored.database.try_query(&sql);
        let rows = rows.unwrap_or_else(|error| panic!("{}: {error}\n{sql}", query.place));
        assert!(!rows.is_empty(), "{} gives no rows: {sql}", query.place);
        let is_blank = rows.iter().all(|row| row.iter().all(String::is_empty));
        assert!(!is_blank, "{} gives nothing: {sql}", query.place);
    }
}

#[test]
fn names_of_events_do_not_become_sql() {
    let stored = filled();
    let name = "x' OR ''='; DROP TABLE alerts; --";
    let mut odd = alert(9, 1, hours_ago(1));
    odd.accounts = vec![name.into()];
    stored.append(&[odd]);
    stored.until_delivered(4);
    // As `${account:sqlstring}` quotes it.
    let quoted = format!("'{}'", name.replace('\'', "''"));
    let sql = format!("SELECT alert_id FROM nightlatch.account_story WHERE account = {quoted}");
    assert_eq!(stored.database.query(&sql), [[id(9)]]);
}

#[test]
fn who_reads_sees_the_views_and_changes_nothing() {
    let stored = filled();
    let db = &stored.database;
    db.query("DO $$ BEGIN CREATE ROLE grafana; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    db.query("GRANT USAGE ON SCHEMA nightlatch TO grafana");
    db.query("GRANT SELECT ON ALL TABLES IN SCHEMA nightlatch TO grafana");
    for query in all().iter().flat_map(|one| one.sql()) {
        let sql = format!("SET ROLE grafana; {}", fill(&query));
        assert!(db.try_query(&sql).is_ok(), "{}", query.place);
    }
    let said = db.try_query("SET ROLE grafana; DELETE FROM nightlatch.alerts").unwrap_err();
    assert!(said.contains("permission denied"), "{said}");
}
