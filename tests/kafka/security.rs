//! TLS and SASL, against the listeners of a real broker that want them.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::broker::{self, Listeners};
use crate::harness::{self, connect, metrics, options, refusal, until, wait_until};
use nightlatch::config::{self, KafkaConfig};
use nightlatch::delivery::kafka::Topic;
use nightlatch::kafka::Cluster;
use nightlatch::source::Delivery;
use nightlatch::source::kafka::{KafkaOptions, Membership};

const PASSWORD: &str = "test-password";

/// The configuration that a user would write, and the cluster that comes of it.
fn kafka(brokers: &str, rest: &str) -> KafkaConfig {
    let text = format!(
        "[kafka]\nbrokers = '{brokers}'\ntopics = ['unused']\npatience = '10 seconds'\n{rest}\n"
    );
    config::parse("test.toml", &text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).kafka
}

fn of(config: &KafkaConfig, topic: &str) -> KafkaOptions {
    let cluster = Cluster::new(config).unwrap();
    KafkaOptions { cluster, ..options(&broker::unique("group"), &[topic]) }
}

fn key(name: &str, path: &Path) -> String {
    format!("{name} = '{}'\n", path.display())
}

fn ca(listeners: &Listeners) -> String {
    format!("[kafka.tls]\nenabled = true\n{}", key("ca_file", &listeners.file("ca.pem")))
}

fn sasl(mechanism: &str, password_file: &Path) -> String {
    let password = key("password_file", password_file);
    format!("[kafka.sasl]\nmechanism = '{mechanism}'\nuser = 'nightlatch'\n{password}")
}

/// A topic with one record.
fn topic(listeners: &Listeners) -> String {
    let topic = broker::unique("secured");
    broker::create_topic_at(&listeners.plain, &topic, 1);
    broker::produce_at(&listeners.plain, &topic, [(0, Some(&b"value"[..]))]);
    topic
}

/// The record arrives, by the same connection that everything else uses.
fn assert_reads(brokers: &str, rest: &str) {
    let topic = topic(broker::listeners());
    let mut source = connect(&of(&kafka(brokers, rest), &topic), &metrics());
    until(&mut source, |delivery| matches!(delivery, Delivery::Batch(_)));
}

/// The connection fails; the text holds what it should and no secret.
fn assert_refused(brokers: &str, rest: &str, expected: &[&str]) {
    let mut config = kafka(brokers, rest);
    config.patience = Duration::from_secs(3);
    let error = refusal(&of(&config, "unused"));
    assert_eq!(error.exit_code(), 69, "{error}");
    let text = error.to_string();
    assert!(text.contains("no Kafka broker answers at"), "{text}");
    for expected in expected {
        assert!(text.contains(expected), "`{expected}` is missing in:\n{text}");
    }
    assert!(!text.contains("hunter2") && !text.contains(PASSWORD), "{text}");
}

fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn tls_with_a_certificate_of_the_client() {
    let listeners = broker::listeners();
    let certificate = key("certificate_file", &listeners.file("client.pem"));
    let plain_key = key("key_file", &listeners.file("client.key"));
    assert_reads(&listeners.tls, &format!("{}{certificate}{plain_key}", ca(listeners)));
    let locked = key("key_file", &listeners.file("client.locked.key"));
    let password = key("key_password_file", &listeners.file("password"));
    assert_reads(&listeners.tls, &format!("{}{certificate}{locked}{password}", ca(listeners)));
    assert_refused(&listeners.tls, &ca(listeners), &["SSL", "certificate"]);
}

#[test]
fn every_mechanism_that_takes_a_password() {
    let listeners = broker::listeners();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let sasl = sasl(mechanism, &listeners.file("password"));
        assert_reads(&listeners.sasl_tls, &format!("{}{sasl}", ca(listeners)));
        assert_reads(&listeners.sasl, &sasl);
    }
}

/// A token that the broker's unsecured validator takes.
fn token(lifetime_seconds: u64) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims = format!(r#"{{"sub":"nightlatch","iat":{now},"exp":{}}}"#, now + lifetime_seconds);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims))
}

#[test]
fn a_token_from_a_file_is_read_again_when_it_runs_out() {
    let listeners = broker::listeners();
    let folder = tempfile::tempdir().unwrap();
    let file = secret(folder.path(), "token", &token(4));
    let rest = format!("[kafka.sasl]\nmechanism = 'OAUTHBEARER'\n{}", key("token_file", &file));
    let topic = topic(listeners);
    let config = kafka(&listeners.sasl_tls, &format!("{}{rest}", ca(listeners)));
    let mut source = connect(&of(&config, &topic), &metrics());
    until(&mut source, |delivery| matches!(delivery, Delivery::Batch(_)));
    // The library asks for the next one, and whoever is asked reads the file.
    let read_at = || fs::metadata(&file).unwrap().accessed().unwrap();
    secret(folder.path(), "token", &token(3600));
    filetime_reset(&file);
    let before = read_at();
    until(&mut source, |_| read_at() > before);
    broker::produce_at(&listeners.plain, &topic, [(0, Some(&b"value"[..]))]);
    until(&mut source, |delivery| matches!(delivery, Delivery::Batch(_)));
}

/// Puts the time of the last access into the past, where the next one shows.
fn filetime_reset(path: &Path) {
    let past = SystemTime::now() - Duration::from_secs(3600);
    let times = fs::FileTimes::new().set_accessed(past).set_modified(past);
    fs::File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}

#[test]
fn a_token_by_client_credentials() {
    let listeners = broker::listeners();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = String::new();
            while !asked.contains("grant_type=client_credentials") {
                let mut buffer = [0; 4096];
                let n = stream.read(&mut buffer).unwrap();
                assert!(n > 0, "the request broke off: {asked}");
                asked.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
            }
            let body = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, token(3600));
            let n = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n{body}").unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let client_secret = key("client_secret_file", &secret(folder.path(), "secret", "hunter2"));
    let rest = format!(
        "[kafka.sasl]\nmechanism = 'OAUTHBEARER'\ntoken_url = '{url}'\nclient_id = 'me'\n\
         {client_secret}"
    );
    assert_reads(&listeners.sasl, &rest);
}

#[test]
fn a_wrong_password_is_named_and_not_shown() {
    let listeners = broker::listeners();
    let folder = tempfile::tempdir().unwrap();
    let wrong = secret(folder.path(), "password", "hunter2\n");
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let rest = format!("{}{}", ca(listeners), sasl(mechanism, &wrong));
        let hint = "the broker refuses this user: check `mechanism`, `user` and `password_file`";
        assert_refused(&listeners.sasl_tls, &rest, &["Authentication failed", hint]);
    }
}

#[test]
fn a_token_that_cannot_be_had_is_named() {
    let listeners = broker::listeners();
    let folder = tempfile::tempdir().unwrap();
    let expired = r#"{"sub":"nightlatch","exp":1000}"#;
    let expired = format!("x.{}.", URL_SAFE_NO_PAD.encode(expired));
    let file = secret(folder.path(), "token", &expired);
    let rest = format!("[kafka.sasl]\nmechanism = 'OAUTHBEARER'\n{}", key("token_file", &file));
    assert_refused(&listeners.sasl, &rest, &["expired", "check [kafka.sasl]"]);
}

#[test]
fn a_wrong_authority_and_a_wrong_host_are_named() {
    let listeners = broker::listeners();
    let sasl = sasl("SCRAM-SHA-256", &listeners.file("password"));
    let other = key("ca_file", &listeners.file("other-ca.pem"));
    let rest = format!("[kafka.tls]\nenabled = true\n{other}{sasl}");
    let hint = "`kafka.tls.ca_file` must hold the authority";
    assert_refused(&listeners.sasl_tls, &rest, &["certificate verify failed", hint]);

    // Another name of the same host, which the certificate does not hold.
    let port = listeners.sasl_tls.rsplit(':').next().unwrap();
    let other_name = format!("127.1:{port}");
    let rest = format!("{}{sasl}", ca(listeners));
    let hint = "the broker's certificate names another host";
    assert_refused(&other_name, &rest, &[hint]);
    assert_reads(
        &other_name,
        &rest.replace("[kafka.sasl]", "verify_hostname = false\n[kafka.sasl]"),
    );
}

#[test]
fn a_port_without_tls_and_a_port_with_tls_are_told_apart() {
    let listeners = broker::listeners();
    assert_refused(&listeners.plain, &ca(listeners), &["SSL", "[kafka.tls]"]);
    assert_refused(&listeners.sasl_tls, "", &["[kafka.tls]"]);
}

#[test]
fn secret_files_that_others_can_read_are_refused() {
    let listeners = broker::listeners();
    let folder = tempfile::tempdir().unwrap();
    let open = secret(folder.path(), "open", "hunter2");
    fs::set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
    let certificate = key("certificate_file", &listeners.file("client.pem"));
    let tls = |rest: String| format!("{}{certificate}{rest}", ca(listeners));
    let client = "[kafka.sasl]\nmechanism = 'OAUTHBEARER'\n";
    let url = format!("{client}token_url = 'https://localhost'\nclient_id = 'me'\n");
    for (name, rest) in [
        ("kafka.sasl.password_file", sasl("PLAIN", &open)),
        ("kafka.sasl.token_file", format!("{client}{}", key("token_file", &open))),
        ("kafka.sasl.client_secret_file", format!("{url}{}", key("client_secret_file", &open))),
        ("kafka.tls.key_file", tls(key("key_file", &open))),
        ("kafka.tls.key_password_file", {
            let locked = key("key_file", &listeners.file("client.locked.key"));
            tls(format!("{locked}{}", key("key_password_file", &open)))
        }),
    ] {
        let error = Cluster::new(&kafka("a:1", &rest)).unwrap_err();
        assert_eq!(error.exit_code(), 64);
        let text = error.to_string();
        for expected in [name, "open to others", "0644", "hint: chmod 600"] {
            assert!(text.contains(expected), "`{expected}` is missing in:\n{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pem");
    let tls = |path: &Path| format!("[kafka.tls]\nenabled = true\n{}", key("ca_file", path));
    let error = Cluster::new(&kafka("a:1", &tls(&missing))).unwrap_err().to_string();
    assert!(error.contains("missing.pem (kafka.tls.ca_file)"), "{error}");
    let garbage = secret(folder.path(), "garbage.pem", "no certificate");
    let error = refusal(&of(&kafka("127.0.0.1:1", &tls(&garbage)), "unused"));
    assert_eq!(error.exit_code(), 64);
    assert!(error.to_string().contains("kafka.tls: "), "{error}");
    assert!(error.to_string().contains("ssl.ca.location"), "{error}");
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let listeners = broker::listeners();
    let rest = format!("{}{}", ca(listeners), sasl("PLAIN", &listeners.file("password")));
    let config = kafka(&listeners.sasl_tls, &rest);
    let whole = config::Config { kafka: config.clone(), ..Default::default() };
    for text in [
        format!("{:?}", of(&config, "unused")),
        format!("{whole:?}"),
        config::show(&whole).unwrap(),
    ] {
        assert!(text.contains("nightlatch") && !text.contains(PASSWORD), "{text}");
    }
}

#[test]
fn the_lease_and_the_topics_that_are_written_to_are_as_safe() {
    let listeners = broker::listeners();
    let topic = topic(listeners);
    let rest = format!("{}{}", ca(listeners), sasl("SCRAM-SHA-256", &listeners.file("password")));
    let options = of(&kafka(&listeners.sasl_tls, &rest), &topic);
    let stop = Arc::new(AtomicBool::new(false));
    let membership = Membership::join(&options, metrics(), Arc::default(), &stop).unwrap();
    wait_until("the lease", || membership.lease().is_active());
    Topic::connect(&options.cluster, &topic, stop).unwrap();
}

#[test]
fn the_lease_topic_must_be_there_with_tokens() {
    let listeners = broker::listeners();
    let folder = tempfile::tempdir().unwrap();
    let file = secret(folder.path(), "token", &token(3600));
    let rest = format!("[kafka.sasl]\nmechanism = 'OAUTHBEARER'\n{}", key("token_file", &file));
    let options = of(&kafka(&listeners.sasl, &rest), "unused");
    let stop = AtomicBool::new(false);
    let join = || Membership::join(&options, metrics(), Arc::default(), &stop);
    let error = join().err().unwrap().to_string();
    let command = format!("--create --topic {} --partitions 1", options.lease_topic);
    assert!(error.contains("cannot be made") && error.contains(&command), "{error}");
    broker::create_topic_at(&listeners.plain, &options.lease_topic, 1);
    let membership = join().unwrap();
    harness::wait_until("the lease", || membership.lease().is_active());
}
