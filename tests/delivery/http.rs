//! Receivers that fail, hang, redirect, throttle, refuse and vanish.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::{Arrived, Receiver, Reply, Rig, alert, secret, status, until};

/// Whether each alert's revisions came in order, and each once.
fn in_order_and_once(taken: &[(u64, u64)]) {
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    for (number, revision) in taken {
        let before = newest.insert(*number, *revision).unwrap_or_default();
        assert_eq!(*revision, before + 1, "alert {number}");
    }
}

#[test]
fn a_webhook_is_what_the_specification_says_and_its_signature_verifies() {
    let receiver = Receiver::start(|_, before| status(if before.is_empty() { 500 } else { 204 }));
    let mut rig = Rig::new();
    rig.start(&rig.webhook(&receiver.url(), ""));
    rig.append([(7, 1)]);
    until("the delivery", || receiver.taken() == [(7, 1)]);
    let arrived = receiver.arrived();
    assert_eq!(arrived.len(), 2);
    let verifier = standardwebhooks::Webhook::new(&secret(1)).unwrap();
    let stranger = standardwebhooks::Webhook::new(&secret(2)).unwrap();
    for one in &arrived {
        assert_eq!(one.path, "/hook");
        verifier.verify(&one.body, &one.headers).unwrap();
        assert!(stranger.verify(&one.body, &one.headers).is_err());
        let spoilt = [&one.body[..], b" "].concat();
        assert!(verifier.verify(&spoilt, &one.headers).is_err());
        assert_eq!(one.header("webhook-id"), format!("{:032x}-1", 7), "the same on each attempt");
        assert_eq!(one.header("content-type"), "application/json");
        assert!(one.header("user-agent").starts_with("nightlatch/"));
    }
    let body = arrived[0].json();
    assert_eq!(body["type"], "nightlatch.alert.opened");
    assert_eq!(body["timestamp"], "1970-01-01T00:00:07.000001Z");
    let native: serde_json::Value = serde_json::from_slice(&alert((7, 1)).to_json()).unwrap();
    assert_eq!(body["data"], native);
    until("an empty outbox", || rig.outbox.stats().entries == 0);
    assert_eq!((rig.outcome("soc", "delivered"), rig.outcome("soc", "failed")), (1, 1));
    assert_eq!(rig.metrics.delivery.retries.with_label_values(&["soc"]).get(), 1);
}

#[test]
fn while_secrets_change_a_receiver_may_have_either() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    let new = rig.secret_file("new", &secret(2));
    let old = rig.webhook(&receiver.url(), "");
    let mut both = old.clone();
    let nightlatch::config::Kind::Webhook(webhook) = &mut both[0].kind else { panic!() };
    webhook.secret_files.insert(0, new);
    rig.start(&both);
    rig.append([(1, 1)]);
    until("the delivery", || receiver.arrived().len() == 1);
    let one = &receiver.arrived()[0];
    assert_eq!(one.header("webhook-signature").split(' ').count(), 2);
    for number in [1, 2] {
        let verifier = standardwebhooks::Webhook::new(&secret(number)).unwrap();
        verifier.verify(&one.body, &one.headers).unwrap();
    }
}

#[test]
fn every_encoding_is_sent() {
    for (encoding, key) in [("native", "id"), ("ocsf", "class_uid"), ("ecs", "@timestamp")] {
        let receiver = Receiver::start(|_, _| status(200));
        let mut rig = Rig::new();
        rig.start(&rig.webhook(&receiver.url(), &format!("encoding = '{encoding}'")));
        rig.append([(1, 1)]);
        until("the delivery", || receiver.arrived().len() == 1);
        assert!(receiver.arrived()[0].json()["data"].get(key).is_some(), "{encoding}");
    }
}

#[test]
fn retry_after_is_waited_for() {
    let throttled = Reply { header: Some(("retry-after", "2")), ..status(429) };
    let receiver =
        Receiver::start(move |_, before| if before.is_empty() { throttled } else { status(200) });
    let mut rig = Rig::new();
    rig.start(&rig.webhook(&receiver.url(), "concurrency = 1"));
    rig.append([(1, 1), (2, 1)]);
    until("the deliveries", || receiver.taken().len() == 2);
    let arrived = receiver.arrived();
    assert_eq!(arrived.len(), 3, "nobody asks meanwhile, for no other alert either");
    assert!(arrived[1].at - arrived[0].at >= Duration::from_millis(1900));
}

#[test]
fn after_410_nothing_more_is_sent_until_the_configuration_is_loaded_again() {
    let receiver = Receiver::start(|_, before| status(if before.is_empty() { 410 } else { 200 }));
    let mut rig = Rig::new();
    let config = rig.webhook(&receiver.url(), "");
    rig.start(&config);
    let disabled = rig.metrics.delivery.disabled.with_label_values(&["soc"]);
    rig.append([(1, 1)]);
    until("the end", || disabled.get() == 1);
    rig.append([(2, 1), (3, 1)]);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(receiver.arrived().len(), 1);
    until("what waits", || rig.outbox.stats().entries == 3);
    rig.dispatcher().replace(&config, Default::default()).unwrap();
    until("the deliveries", || receiver.taken().len() == 3);
    assert_eq!(disabled.get(), 0);
    assert_eq!(
        receiver.taken().into_iter().collect::<BTreeSet<_>>(),
        [(1, 1), (2, 1), (3, 1)].into()
    );
}

#[test]
fn what_is_refused_for_good_is_set_aside_and_holds_nobody_up() {
    let refuse = |one: &Arrived, _: &[Arrived]| match one.revision().0 {
        2 => status(413),
        3 => status(400),
        4 => status(422),
        _ => status(200),
    };
    let receiver = Receiver::start(refuse);
    let mut rig = Rig::new();
    rig.start(&rig.webhook(&receiver.url(), ""));
    rig.append((1..=5).map(|number| (number, 1)));
    rig.append([(2, 2)]);
    until("an end", || rig.outcome("soc", "refused") == 4 && rig.outcome("soc", "delivered") == 2);
    assert_eq!(receiver.arrived().len(), 6, "no second attempt");
    let lines = rig.lines("refused-soc.jsonl");
    assert_eq!(lines.len(), 4);
    let answers: Vec<&str> = lines.iter().map(|line| line["answer"].as_str().unwrap()).collect();
    assert!(answers.iter().any(|answer| answer.starts_with("413 ")), "{answers:?}");
    assert!(answers[0].contains("a word about it\\u{1b}[31m"), "{answers:?}");
    assert!(lines.iter().all(|line| line["alert"]["rule"] == "credential_stuffing"));
    until("an empty outbox", || rig.outbox.stats().entries == 0);
}

#[test]
fn a_redirect_is_a_failure_and_is_not_followed() {
    let redirect = Reply { header: Some(("location", "/elsewhere")), ..status(307) };
    let receiver =
        Receiver::start(move |_, before| if before.len() < 2 { redirect } else { status(200) });
    let mut rig = Rig::new();
    rig.start(&rig.webhook(&receiver.url(), ""));
    rig.append([(1, 1)]);
    until("the delivery", || receiver.taken() == [(1, 1)]);
    assert!(receiver.arrived().iter().all(|one| one.path == "/hook"));
    assert_eq!(rig.outcome("soc", "failed"), 2);
}

#[test]
fn a_request_that_hangs_is_given_up_and_tried_again_while_others_pass() {
    let hang = Reply { hang: Duration::from_secs(3600), ..status(200) };
    let receiver = Receiver::start(move |one, before| {
        let is_first = !before.iter().any(|other| other.revision() == one.revision());
        if one.revision().0 == 1 && is_first { hang } else { status(200) }
    });
    let mut rig = Rig::new();
    rig.start(&rig.webhook(&receiver.url(), "timeout = '1 second'"));
    rig.append([(1, 1), (1, 2)]);
    until("the hanging request", || receiver.arrived().len() == 1);
    let started = Instant::now();
    rig.append((2..=9).map(|number| (number, 1)));
    until("the others", || receiver.taken().len() == 8);
    assert!(started.elapsed() < Duration::from_millis(900), "they waited for it");
    until("the rest", || receiver.taken().len() == 10);
    in_order_and_once(&receiver.taken());
}

#[test]
fn one_alert_that_always_fails_stops_no_other_and_keeps_its_order() {
    let receiver = Receiver::start(|one, _| status(if one.revision().0 == 1 { 500 } else { 200 }));
    let mut rig = Rig::new();
    rig.start(&rig.webhook(&receiver.url(), ""));
    for revision in 1..=20 {
        rig.append((1..=50).map(|number| (number, revision)));
    }
    until("all others", || receiver.taken().len() == 49 * 20);
    in_order_and_once(&receiver.taken());
    let failing = receiver.arrived().into_iter().filter(|one| one.revision().0 == 1);
    assert!(failing.into_iter().all(|one| one.revision() == (1, 1)), "no later revision is tried");
    rig.stop();
    assert_eq!(rig.outbox.stats().entries, 20);
}

#[test]
fn at_most_so_many_requests_are_under_way() {
    let receiver =
        Receiver::start(|_, _| Reply { hang: Duration::from_millis(200), ..status(200) });
    let mut rig = Rig::new();
    rig.start(&rig.webhook(&receiver.url(), "concurrency = 3"));
    let started = Instant::now();
    rig.append((1..=12).map(|number| (number, 1)));
    until("the deliveries", || rig.outcome("soc", "delivered") == 12);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(800), "twelve by three took {took:?}");
    let arrived = receiver.arrived();
    for one in &arrived {
        let beside = arrived
            .iter()
            .filter(|other| other.at <= one.at && one.at - other.at < Duration::from_millis(190));
        assert!(beside.count() <= 3);
    }
}

#[test]
fn a_receiver_that_is_down_for_long_gets_everything_in_order_and_once() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut rig = Rig::new();
    let config = rig.webhook(&format!("http://{address}/hook"), "");
    rig.start(&config);
    for revision in 1..=15 {
        rig.append((1..=40).map(|number| (number, revision)));
    }
    until("some failures", || rig.outcome("soc", "failed") > 3);
    // The program is started again meanwhile, once in good order and once not.
    rig.stop();
    rig.start(&config);
    until("more failures", || rig.outcome("soc", "failed") > 6);
    rig.crash();
    rig.start(&config);
    rig.append((1..=40).map(|number| (number, 16)));
    // It comes back with trouble: every fifth request fails.
    let receiver = Receiver::start_at(address, |_, before| {
        status(if before.len() % 5 == 2 { 503 } else { 200 })
    });
    until("the deliveries", || receiver.taken().len() == 40 * 16);
    until("an empty outbox", || rig.outbox.stats().entries == 0);
    in_order_and_once(&receiver.taken());
}

#[test]
fn a_stop_delivers_what_can_be_delivered_and_leaves_the_rest() {
    let receiver = Receiver::start(|one, _| status(if one.revision().0 == 1 { 500 } else { 200 }));
    let mut rig = Rig::new();
    let config = rig.webhook(&receiver.url(), "");
    rig.start(&config);
    rig.append((1..=300).map(|number| (number, 1)));
    let started = Instant::now();
    rig.stop();
    assert!(started.elapsed() < Duration::from_secs(8));
    assert_eq!(receiver.taken().len(), 299);
    assert_eq!(rig.outbox.stats().entries, 1, "it has its cursor on disk");
}

#[test]
fn destinations_get_what_their_routes_let_through() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    let mut config = Vec::new();
    for (name, route) in [
        ("all", ""),
        ("loud", "severity_min = 'critical'"),
        ("rule", "rules = ['brute*', 'cred*ing']"),
        ("account", "entity_types = ['account']"),
        ("opened", "status = ['opened']"),
    ] {
        let url = format!("http://{}/{name}", receiver.address);
        let mut one = rig.webhook(&url, route).remove(0);
        one.common.name = name.to_owned();
        config.push(one);
    }
    rig.start(&config);
    rig.append([(1, 1), (1, 2)]);
    until("the deliveries", || receiver.arrived().len() == 5);
    until("an empty outbox", || rig.outbox.stats().entries == 0);
    let count = |path: &str| receiver.arrived().iter().filter(|one| one.path == path).count();
    let counts = ["/all", "/loud", "/rule", "/account", "/opened"].map(count);
    assert_eq!(counts, [2, 0, 2, 0, 1]);
    assert_eq!(rig.outcome("loud", "skipped"), 2);
    assert_eq!(rig.outcome("opened", "skipped"), 1);
}
