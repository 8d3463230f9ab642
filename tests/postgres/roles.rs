//! The users that `deploy/postgres.sh` makes for the compose file: one writes, one reads.

use std::path::Path;
use std::process::Command;

use crate::documents::{attempt, keys};
use crate::harness::Rig;
use crate::server::{Database, PASSWORD, Server};

const SCRIPT: &str = "deploy/postgres.sh";

#[test]
fn the_compose_files_users_write_and_read_and_nothing_else() {
    let (server, rig) = (Server::start(), Rig::new());
    for name in ["writer", "reader"] {
        rig.secret_file(name, PASSWORD);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCRIPT);
    let output = Command::new("bash")
        .arg(script)
        .env("SECRETS", rig.folder.path())
        .env("POSTGRES_USER", "postgres")
        .envs([("PGHOST", "127.0.0.1"), ("PGPASSWORD", PASSWORD)])
        .env("PGPORT", server.port.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let database = Database { port: server.port, name: "nightlatch".to_owned() };
    assert_eq!(attempt(&keys(&database, &rig.path("writer"))).said, "written");
    let as_reader = |sql: &str| database.try_query_as("grafana", sql);
    assert_eq!(as_reader("SELECT count(*) FROM nightlatch.alerts").unwrap(), [["1"]]);
    assert!(as_reader("SELECT * FROM nightlatch.open_alerts").is_ok());
    for refused in ["DELETE FROM nightlatch.alerts", "CREATE TABLE nightlatch.x (y int)"] {
        let said = as_reader(refused).unwrap_err();
        assert!(said.contains("read-only transaction"), "{said}");
        let forced = format!("BEGIN READ WRITE; {refused}");
        let said = as_reader(&forced).unwrap_err();
        assert!(said.contains("permission denied"), "{said}");
    }
}
