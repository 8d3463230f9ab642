//! The tables: made once, by one instance, and not by a program that is older than they are.

use crate::documents::{Stored, alert, attempt, destination, hours_ago, incident, keys};
use crate::harness::Rig;
use crate::server::{PASSWORD, shared};

#[test]
fn tables_are_made_once_whoever_comes_first() {
    let (rig, database) = (Rig::new(), shared().database());
    let password = rig.secret_file("password", PASSWORD);
    let keys = keys(&database, &password);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(attempt(&keys).said, "written"));
        }
    });
    let versions = database.query("SELECT version, name FROM schema_versions ORDER BY 1");
    assert_eq!(versions, [["1", "alerts"], ["2", "incidents"], ["3", "views"], ["4", "viewed"]]);
    let applied = "SELECT max(applied_at)::text FROM schema_versions";
    let before = database.value(applied);
    assert!(attempt(&keys).delivered);
    assert_eq!(database.value(applied), before);
    assert_eq!(database.value("SELECT count(*) FROM alerts"), "5");
    assert_eq!(database.value("SELECT count(*) FROM all_alerts"), "0", "tests are in no view");
}

#[test]
fn rows_of_an_older_version_get_what_is_new() {
    let stored = Stored::new();
    stored.append_incident(&incident(7, 1, hours_ago(1)));
    stored.until_delivered(1);
    let db = &stored.database;
    // Back to version 3, as far as it matters.
    for statement in [
        "DROP VIEW incident_victims, open_incidents, all_incidents",
        "ALTER TABLE incidents DROP COLUMN viewed_total",
        "ALTER TABLE incident_accounts DROP COLUMN viewed",
        "DELETE FROM schema_versions WHERE version > 3",
    ] {
        db.query(statement);
    }
    let password = stored.rig.path("password");
    assert_eq!(attempt(&keys(db, &password)).said, "written");
    assert_eq!(db.value("SELECT viewed_total FROM open_incidents"), "1");
    let viewed = db.query("SELECT account FROM incident_victims WHERE viewed");
    assert_eq!(viewed, [["bob"]]);
}

#[test]
fn tables_of_a_newer_program_are_left_alone() {
    let stored = Stored::new();
    stored.append(&[alert(1, 1, hours_ago(1))]);
    stored.until_delivered(1);
    stored.database.query("INSERT INTO schema_versions (version, name) VALUES (99, 'later')");
    let password = stored.rig.path("password");
    let said = attempt(&keys(&stored.database, &password)).said;
    for words in ["a newer Nightlatch", "version 99", "hint: use that newer version"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_schema_of_another_name_that_is_there_is_used_without_the_right_to_make_one() {
    let (rig, database) = (Rig::new(), shared().database());
    let password = rig.secret_file("password", PASSWORD);
    let name = &database.name;
    database.query(&format!("ALTER DATABASE {name} OWNER TO postgres"));
    let mut keys = keys(&database, &password);
    let said = attempt(&keys).said;
    assert!(
        said.contains("permission denied") && said.contains("give the user its rights"),
        "{said}"
    );
    database.query("CREATE SCHEMA soc AUTHORIZATION nightlatch");
    keys.push(("schema", "'soc'".to_owned()));
    assert_eq!(attempt(&keys).said, "written");
    assert_eq!(database.value("SELECT count(*) FROM soc.alerts"), "1");
    assert_eq!(destination(&keys).len(), 1);
}
