//! What goes wrong between this program and others is told clearly, and without secrets.

use std::net::TcpListener;

use crate::broker;
use crate::events::events;
use crate::program::{Run, nightlatch};
use crate::receiver::{Mood, Receiver};
use crate::stage::{Config, SECRET, Stage, until_active};

const WRONG: &str = "wrong-Passw0rd-of-nobody";
const TOKEN: &str = "T0ken-in-an-address";

/// An instance that logs everything, to a broker that wants a password.
fn with_password(stage: &Stage, receiver: &Receiver, password: &str) -> Config {
    let mut config = stage.config("one", receiver);
    config
        .set("log/level", "trace")
        .set("kafka/brokers", broker::listeners().sasl.as_str())
        .set("kafka/patience", "3 seconds")
        .set("kafka/sasl/mechanism", "SCRAM-SHA-256")
        .set("kafka/sasl/user", "nightlatch")
        .set("kafka/sasl/password_file", password);
    config
}

/// Fails when a text holds a secret, or the part of it that matters.
fn assert_no_secret(what: &str, text: &str, secrets: &[&str]) {
    for secret in secrets.iter().chain([&SECRET, &TOKEN]) {
        let bare = secret.trim().trim_start_matches("whsec_");
        assert!(bare.len() > 8 && !text.contains(bare), "{bare} is in {what}:\n{text}");
    }
}

#[test]
fn a_wrong_password_is_named_and_not_shown() {
    let stage = Stage::at(&broker::listeners().plain);
    let receiver = Receiver::start();
    let mut run = with_password(&stage, &receiver, &stage.secret("password", WRONG)).start();
    assert_eq!(run.ended(), Some(69), "{}", run.log());
    let log = run.log();
    assert!(log.contains("error: kafka.brokers"), "{log}");
    assert!(log.contains("Authentication failed"), "{log}");
    assert!(log.contains("hint:") && log.contains("kafka.sasl"), "{log}");
    assert_no_secret("the log", &log, &[WRONG]);
}

#[test]
fn no_secret_is_in_log_metrics_or_configuration() {
    let stage = Stage::at(&broker::listeners().plain);
    let receiver = Receiver::start();
    let password = broker::listeners().file("password");
    let secrets = [std::fs::read_to_string(&password).unwrap()];
    let secrets = secrets.each_ref().map(String::as_str);
    let mut config = with_password(&stage, &receiver, password.to_str().unwrap());
    // Nobody listens there: the address is in every error of the library.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = stage.secret("address", &format!("http://{closed}/hooks/{TOKEN}?key={TOKEN}"));
    let mut hidden = stage.webhook("hidden", &receiver);
    hidden.remove("url");
    hidden.insert("url_file".to_owned(), address.into());
    config.set("destination", vec![hidden, stage.webhook("hook", &receiver)]);
    let mut run = config.start();
    until_active(&mut run);
    stage.send(&events(800));
    run.until("deliveries", |_| receiver.n_got() > 10);
    receiver.set_mood(Mood::Down);
    run.until("a complaint", |run| run.log().matches("cannot deliver for now").count() >= 2);
    run.signal("HUP");
    run.until("a reload", |run| run.log().contains("reloaded"));
    let (_, metrics) = run.get("/metrics").unwrap();
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert_no_secret("the log", &run.log(), &secrets);
    assert_no_secret("/metrics", &metrics, &secrets);
    for arguments in [["config", "show"], ["config", "check"]] {
        let output = nightlatch().args(arguments).arg(&config.path).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_no_secret("the configuration", &text, &secrets);
    }
}

fn until_says(run: &mut Run, what: &str) {
    run.until(what, |run| run.log().contains(what));
}

#[test]
fn a_receiver_that_nobody_knows_is_named() {
    let stage = Stage::new();
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    let mut unknown = stage.webhook("unknown", &receiver);
    unknown.insert("url".to_owned(), "https://nobody.invalid/hook".into());
    config.set("destination", vec![unknown, stage.webhook("hook", &receiver)]);
    let mut run = config.start();
    stage.send(&events(800));
    until_says(&mut run, "cannot deliver for now");
    let log = run.log();
    let complaint = log.lines().find(|line| line.contains("cannot deliver for now")).unwrap();
    assert!(complaint.contains("destination=\"unknown\""), "{complaint}");
    assert!(complaint.contains("nobody.invalid"), "{complaint}");
    run.until("the others", |_| receiver.n_got() > 10);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
}

#[test]
fn a_broker_that_nobody_knows_is_named() {
    let stage = Stage::new();
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    config.set("kafka/brokers", "nobody.invalid:9092").set("kafka/patience", "2 seconds");
    let mut run = config.start();
    assert_eq!(run.ended(), Some(69), "{}", run.log());
    let log = run.log();
    assert!(log.contains("no Kafka broker answers at nobody.invalid:9092"), "{log}");
    assert!(log.contains("Failed to resolve") && log.contains("hint:"), "{log}");
}
