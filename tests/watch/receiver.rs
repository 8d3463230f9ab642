//! A real Alertmanager takes Nightlatch's alerts: they appear, stay, and resolve.

use std::time::{Duration, SystemTime};

use nightlatch::alert::Status;
use nightlatch::delivery::alertmanager::{Alertmanager as Encoder, AlertmanagerConfig};
use nightlatch::delivery::http_destination::{HttpDestination, Request};
use nightlatch::delivery::record::AlertRecord;
use serde_json::json;

use crate::alertmanager::Alertmanager;
use crate::http;
use crate::program::wait_for;

const PATIENCE: Duration = Duration::from_secs(20);

fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

fn alert(number: usize, revision: u64, status: Status) -> AlertRecord {
    serde_json::from_value(json!({
        "id": format!("{number:032x}"), "revision": revision, "status": status,
        "rule": "credential_stuffing", "rule_version": "0123456789ab",
        "title": "Credential stuffing from one address", "severity": "high",
        "entity_type": "ip", "entity": "203.0.113.9",
        // Years ago: a replay is as welcome as a live alert.
        "started_at": "2019-03-01T12:00:00Z", "updated_at": "2019-03-01T12:01:00Z",
        "accounts": ["\u{202e}<b>\u{1f600}"], "accounts_total": 1,
        "ips": ["203.0.113.9"], "ips_total": 1,
        "summary": "417 failed logins", "values": {"failures": 417, "null": null},
        "matches": 9, "evidence": [], "evidence_total": 0, "attack": ["T1110.004"],
    }))
    .unwrap()
}

fn encoder(alertmanager: &Alertmanager, resend_every: Duration) -> Encoder {
    let config: AlertmanagerConfig =
        serde_json::from_value(json!({"url": alertmanager.url()})).unwrap();
    Encoder::new(&AlertmanagerConfig { resend_every, ..config }).unwrap()
}

fn send(request: Request) {
    let (status, answer) = http::post(&request.url, &request.headers, request.body).unwrap();
    assert_eq!(status, 200, "{answer}");
}

fn tell(encoder: &mut Encoder, alert: &AlertRecord) {
    send(encoder.request(alert, b"", now()).unwrap());
    encoder.delivered(alert, now());
}

#[test]
fn alerts_appear_stay_while_they_are_repeated_and_resolve() {
    let alertmanager = Alertmanager::start();
    // One that nobody repeats ends after four times this.
    let mut encoder = encoder(&alertmanager, Duration::from_secs(1));
    tell(&mut encoder, &alert(1, 1, Status::Opened));
    tell(&mut encoder, &alert(2, 1, Status::Opened));
    wait_for("two alerts", PATIENCE, || alertmanager.alerts().len() == 2);
    let first = alertmanager.alerts();
    let labels = &first[0]["labels"];
    assert_eq!(labels["alertname"], "CredentialStuffing");
    assert_eq!(labels["severity"], "high");
    assert_eq!(first[0]["startsAt"], "2019-03-01T12:00:00.000Z");
    assert!(first[0]["annotations"]["description"].as_str().unwrap().contains("\\u{202e}<b>"));

    // Repeated for longer than an alert lives that is not.
    for _ in 0..7 {
        std::thread::sleep(Duration::from_secs(1));
        encoder.again(now()).into_iter().for_each(send);
        assert_eq!(alertmanager.alerts().len(), 2);
    }
    tell(&mut encoder, &alert(1, 2, Status::Updated));
    assert_eq!(alertmanager.alerts().len(), 2, "a revision is the same alert");

    tell(&mut encoder, &alert(1, 3, Status::Closed));
    wait_for("one resolved", PATIENCE, || alertmanager.alerts().len() == 1);
    let left = alertmanager.alerts();
    assert_eq!(left[0]["labels"]["nightlatch_id"], format!("{:032x}", 2));
    encoder.again(now() + 1).into_iter().for_each(send);
    assert_eq!(alertmanager.alerts().len(), 1, "a closed alert that is repeated stays closed");

    // A crash: nobody repeats it any more.
    wait_for("the end of what nobody repeats", PATIENCE, || alertmanager.alerts().is_empty());
}

#[test]
fn after_a_restart_open_alerts_go_on_and_can_still_be_closed() {
    let alertmanager = Alertmanager::start();
    let mut before = encoder(&alertmanager, Duration::from_secs(2));
    tell(&mut before, &alert(1, 1, Status::Opened));
    let memory = before.memory().unwrap();
    drop(before);
    let mut after = encoder(&alertmanager, Duration::from_secs(2));
    after.recall(memory);
    send(after.again(now()).unwrap());
    wait_for("the alert", PATIENCE, || alertmanager.alerts().len() == 1);
    tell(&mut after, &alert(1, 2, Status::Closed));
    wait_for("its end", PATIENCE, || alertmanager.alerts().is_empty());
    assert!(!alertmanager.log().contains("level=error"), "{}", alertmanager.log());
}
