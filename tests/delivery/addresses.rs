//! Nobody makes Nightlatch ask this machine or its neighbours, unless its configuration says so.

use crate::harness::{Receiver, Rig, status, until};

/// A destination without `allow_private`.
fn refused(url: &str) {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    let port = receiver.address.port().to_string();
    let mut config = rig.webhook(&url.replace("PORT", &port), "allow_http = true");
    config[0].http.as_mut().unwrap().allow_private = false;
    rig.start(&config);
    rig.append([(1, 1)]);
    until("two attempts", || rig.outcome("soc", "failed") >= 2);
    assert!(receiver.arrived().is_empty(), "{url} was asked");
    assert_eq!(rig.outcome("soc", "delivered"), 0);
    // It is there all the same: with leave to ask it, it is asked.
    config[0].http.as_mut().unwrap().allow_private = true;
    rig.dispatcher().replace(&config, Default::default()).unwrap();
    until("the delivery", || receiver.arrived().len() == 1);
}

#[test]
fn a_private_address_is_refused() {
    refused("http://127.0.0.1:PORT/hook");
}

#[test]
fn a_private_address_in_disguise_is_refused() {
    refused("http://[::ffff:127.0.0.1]:PORT/hook");
    refused("http://2130706433:PORT/hook");
}

#[test]
fn a_name_that_means_a_private_address_is_refused() {
    refused("http://localhost:PORT/hook");
}

#[test]
fn a_name_that_nobody_knows_is_tried_again() {
    let mut rig = Rig::new();
    rig.start(&rig.webhook("https://no-such-name.invalid/hook", ""));
    rig.append([(1, 1)]);
    until("two attempts", || rig.outcome("soc", "failed") >= 2);
    until("it waits", || rig.outbox.stats().entries == 1);
}

#[test]
fn without_tls_nothing_is_sent_unless_allowed() {
    let mut rig = Rig::new();
    let mut config = rig.webhook("http://example.invalid/hook", "");
    config[0].http.as_mut().unwrap().allow_private = false;
    rig.start(&config);
    rig.append([(1, 1)]);
    until("two attempts", || rig.outcome("soc", "failed") >= 2);
}
