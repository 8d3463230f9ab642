//! TLS, secrets, and the commands of the program.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nightlatch::delivery::Dispatcher;

use crate::documents::{attempt, destination, keys, with};
use crate::harness::Rig;
use crate::server::{PASSWORD, shared};

#[test]
fn the_servers_certificate_is_checked() {
    let (rig, database, server) = (Rig::new(), shared().database(), shared());
    let password = rig.secret_file("password", PASSWORD);
    let required = with(keys(&database, &password), "tls", "'require'");
    let file = |name: &str| format!("'{}'", server.file(name).display());
    let good = with(required.clone(), "ca_file", &file("ca.pem"));
    assert_eq!(attempt(&good).said, "written");
    assert_eq!(attempt(&with(good, "host", "'localhost'")).said, "written");
    // The system does not know this authority; the other one is not that of the certificate.
    for keys in [required.clone(), with(required.clone(), "ca_file", &file("other-ca.pem"))] {
        let said = attempt(&keys).said;
        assert!(said.contains("certificate verify failed"), "{said}");
        assert!(said.contains("hint: `ca_file` does not hold the authority"), "{said}");
    }
    let other_name = with(with(required, "ca_file", &file("ca.pem")), "host", "'127.0.0.2'");
    assert!(!attempt(&other_name).delivered);
}

#[test]
fn a_server_without_tls_is_refused_unless_it_is_allowed() {
    let (rig, database) = (Rig::new(), shared().database());
    let password = rig.secret_file("password", PASSWORD);
    let required = with(keys(&database, &password), "tls", "'require'");
    // A port that answers the question for TLS with no: when the tables are made, and for the alert.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let mut rest = Vec::new();
        for stream in listener.incoming().take(2) {
            let (mut stream, mut asked) = (stream.unwrap(), [0; 8]);
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(b"N").unwrap();
            stream.read_to_end(&mut rest).unwrap();
        }
        rest
    });
    let said = attempt(&with(required, "port", &port.to_string())).said;
    assert!(server.join().unwrap().is_empty(), "something was sent in the clear");
    assert!(said.contains("server does not support TLS"), "{said}");
    assert!(said.contains("hint: give the server a certificate"), "{said}");
}

#[test]
fn files_that_cannot_be_used_are_told_before_anything_starts() {
    let (rig, database) = (Rig::new(), shared().database());
    let password = rig.secret_file("password", PASSWORD);
    let check = |keys: &[(&str, String)]| {
        let cluster = nightlatch::kafka::Cluster {
            brokers: "x:1".to_owned(),
            patience: std::time::Duration::from_secs(1),
            librdkafka: Default::default(),
            security: nightlatch::kafka::Security::default(),
        };
        let around = nightlatch::delivery::Surroundings { cluster, group: "g".to_owned() };
        Dispatcher::check(&destination(keys), &around).unwrap_err().to_string()
    };
    let required = with(keys(&database, &password), "tls", "'require'");
    let no_pem = check(&with(required.clone(), "ca_file", &format!("'{}'", password.display())));
    assert!(no_pem.contains("(destination.ca_file)"), "{no_pem}");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = check(&required);
    assert!(open.contains("(destination.password_file)") && open.contains("chmod 600"), "{open}");
    assert!(!open.contains(PASSWORD));
}

#[test]
fn the_command_sends_a_test_alert() {
    let (rig, database) = (Rig::new(), shared().database());
    let password = rig.secret_file("password", PASSWORD);
    let lines: String = keys(&database, &password)
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    let config = rig.path("nightlatch.toml");
    let text = format!(
        "[kafka]\nbrokers = 'x:1'\ntopics = ['t']\n\
         [[destination]]\nname = 'db'\ntype = 'postgresql'\n{lines}"
    );
    std::fs::write(&config, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nightlatch"))
        .args(["alerts", "test", "db", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let row = database.query("SELECT rule, entity, left(id, 8) FROM alerts");
    assert_eq!(row, [["nightlatch_test", "192.0.2.1", "7e570000"]]);
}
