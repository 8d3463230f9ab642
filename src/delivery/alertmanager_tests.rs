//! What Alertmanager is told, and when.

use super::*;
use crate::delivery::example::{self, NOW, body, secret_file};

const MINUTE: i64 = 60;

fn configured(more: &str) -> Result<Alertmanager> {
    let config = format!("url = \"http://am:9093\"\n{more}");
    Alertmanager::new(&toml::from_str(&config).unwrap())
}

fn alertmanager() -> Alertmanager {
    configured("").unwrap()
}

fn tell(am: &mut Alertmanager, alert: &AlertRecord, now: i64) -> Value {
    let request = am.request(alert, b"", now).unwrap();
    am.delivered(alert, now);
    body(&request)
}

fn with_id(number: usize) -> AlertRecord {
    AlertRecord { id: format!("{number:032x}"), ..example::alert() }
}

fn time(value: &Value) -> i64 {
    DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().timestamp()
}

#[test]
fn a_request() {
    let mut am = alertmanager();
    let request = am.request(&example::alert(), b"", NOW).unwrap();
    assert_eq!(request.url, "http://am:9093/api/v2/alerts");
    assert_eq!(request.headers, [("content-type", "application/json".to_owned())]);
    insta::assert_json_snapshot!(body(&request));
}

#[test]
fn the_secret_is_sent_and_not_shown() {
    let file = secret_file("Bearer hush");
    let am = configured(&format!("authorization_file = {:?}", file.path())).unwrap();
    assert!(!format!("{am:?}").contains("hush"));
    let header = ("authorization", "Bearer hush".to_owned());
    assert!(am.post(&[]).headers.contains(&header));
}

#[test]
fn an_open_alert_is_repeated_with_an_end_ahead() {
    let mut am = alertmanager();
    let first = tell(&mut am, &example::alert(), NOW);
    assert_eq!(time(&first[0]["endsAt"]), NOW + 4 * MINUTE);
    assert_eq!(am.again(NOW + MINUTE - 1), None);
    let again = body(&am.again(NOW + MINUTE).unwrap());
    assert_eq!(again[0]["labels"], first[0]["labels"]);
    assert_eq!(again[0]["startsAt"], first[0]["startsAt"]);
    assert_eq!(time(&again[0]["endsAt"]), NOW + 5 * MINUTE);
    assert_eq!(am.again(NOW + MINUTE), None);
    assert!(am.again(NOW + 3600).is_some());
}

#[test]
fn a_closed_alert_ends_and_is_repeated_for_five_minutes() {
    let mut am = alertmanager();
    let first = tell(&mut am, &example::alert(), NOW);
    let closed = tell(&mut am, &example::revised(2, Status::Closed), NOW + 90);
    assert_eq!(closed[0]["labels"], first[0]["labels"]);
    assert_eq!(time(&closed[0]["endsAt"]), NOW + 90);
    let again = body(&am.again(NOW + 90 + MINUTE).unwrap());
    assert_eq!(time(&again[0]["endsAt"]), NOW + 90);
    assert!(am.again(NOW + 90 + 5 * MINUTE).is_some());
    assert_eq!(am.again(NOW + 91 + 5 * MINUTE), None);
    assert_eq!(am.memory(), Some(json!({})));
}

#[test]
fn what_was_not_delivered_is_not_repeated() {
    let mut am = alertmanager();
    am.request(&example::alert(), b"", NOW).unwrap();
    assert_eq!(am.again(NOW + 3600), None);
}

#[test]
fn labels_stay_whatever_later_revisions_say() {
    let mut am = alertmanager();
    let first = tell(&mut am, &example::alert(), NOW);
    let louder = AlertRecord {
        severity: crate::rules::Severity::Critical,
        started_at: "2019-03-01T11:00:00Z".to_owned(),
        ..example::revised(2, Status::Updated)
    };
    let second = tell(&mut am, &louder, NOW + 1);
    assert_eq!(second[0]["labels"], first[0]["labels"]);
    assert_eq!(second[0]["startsAt"], first[0]["startsAt"]);
}

#[test]
fn no_alert_starts_in_the_future_or_ends_before_it_started() {
    for alert in example::all() {
        for now in [0, NOW - 7200, NOW, 4_000_000_000] {
            let mut am = alertmanager();
            let posted = tell(&mut am, &alert, now);
            let (start, end) = (time(&posted[0]["startsAt"]), time(&posted[0]["endsAt"]));
            assert!(start <= now && end >= start, "{start} {end} at {now}");
        }
    }
}

#[test]
fn a_restart_goes_on_repeating() {
    let mut before = alertmanager();
    let first = tell(&mut before, &example::alert(), NOW);
    let mut after = alertmanager();
    after.recall(before.memory().unwrap());
    let again = body(&after.again(NOW + 5).unwrap());
    assert_eq!(again[0]["labels"], first[0]["labels"]);
    let closed = tell(&mut after, &example::revised(2, Status::Closed), NOW + 10);
    assert_eq!(closed[0]["labels"], first[0]["labels"]);
    after.recall(json!({"no": "such shape"}));
    assert!(after.again(NOW + 80).is_some(), "a memory that cannot be read changes nothing");
}

#[test]
fn what_is_repeated_is_bounded_and_counted() {
    let mut am = configured("open_max = 2").unwrap();
    let posted: Vec<Value> = (0..3).map(|n| tell(&mut am, &with_id(n), NOW)).collect();
    assert_eq!(am.untracked(), 1);
    assert_eq!(time(&posted[2][0]["endsAt"]), NOW + 24 * 3600);
    assert_eq!(body(&am.again(NOW + MINUTE).unwrap()).as_array().unwrap().len(), 2);
    let closed = AlertRecord { status: Status::Closed, ..with_id(2) };
    assert_eq!(time(&tell(&mut am, &closed, NOW + 70)[0]["endsAt"]), NOW + 70);
    let mut smaller = configured("open_max = 1").unwrap();
    smaller.recall(am.memory().unwrap());
    assert_eq!(smaller.memory().unwrap().as_object().unwrap().len(), 1);
}

#[test]
fn many_are_repeated_by_several_requests() {
    let mut am = alertmanager();
    (0..1200).for_each(|n| am.delivered(&with_id(n), NOW));
    let lengths: Vec<usize> = std::iter::from_fn(|| am.again(NOW + MINUTE))
        .map(|request| body(&request).as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [500, 500, 200]);
}

#[test]
fn an_alert_that_nobody_closes_is_forgotten() {
    let mut am = configured("forget_after = \"1 hour\"").unwrap();
    tell(&mut am, &example::alert(), NOW);
    assert!(am.again(NOW + 3600).is_some());
    assert_eq!(am.again(NOW + 3601), None);
}

#[test]
fn labels_and_annotations_are_bounded() {
    for alert in example::all() {
        let mut am = configured("[labels]\ncluster = \"east\"").unwrap();
        let posted = tell(&mut am, &alert, NOW);
        let labels = posted[0]["labels"].as_object().unwrap();
        assert_eq!(labels["cluster"], "east");
        for (name, value) in labels {
            let text = value.as_str().unwrap();
            assert!(text.encode_utf16().count() <= 256, "{name}");
            assert_eq!(escape(text), text);
        }
        assert_eq!(labels["alertname"], "CredentialStuffing");
        assert!(posted.to_string().len() < 16_000, "{}", posted.to_string().len());
    }
}

#[test]
fn odd_configuration_is_refused() {
    for more in [
        "[labels]\nseverity = \"x\"",
        "[labels]\n\"a-b\" = \"x\"",
        "[labels]\n1a = \"x\"",
        "resend_every = \"10 ms\"",
    ] {
        assert!(configured(more).is_err(), "{more}");
    }
}
