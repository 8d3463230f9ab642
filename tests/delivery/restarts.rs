//! Restarts, stand-by, reload: what goes on where, and what comes twice.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nightlatch::delivery::Silences;

use crate::harness::{Receiver, Rig, destinations, status, until};

fn numbers(receiver: &Receiver) -> Vec<u64> {
    receiver.taken().into_iter().map(|(number, _)| number).collect()
}

#[test]
fn what_is_delivered_is_not_sent_again_after_a_restart() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    let config = rig.webhook(&receiver.url(), "");
    rig.start(&config);
    rig.append((0..50).map(|number| (number, 1)));
    until("the deliveries", || receiver.taken().len() == 50);
    rig.stop();
    rig.crash();
    rig.start(&config);
    // The stream is read again: the same alerts once more, and new ones.
    rig.append((0..60).map(|number| (number, 1)));
    until("the new ones", || receiver.taken().len() == 60);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(numbers(&receiver).into_iter().collect::<BTreeSet<_>>().len(), 60);
    assert_eq!(receiver.arrived().len(), 60);
}

#[test]
fn a_standby_delivers_nothing_and_after_a_take_over_what_is_left() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    rig.set_active(false);
    rig.start(&rig.webhook(&receiver.url(), ""));
    rig.append((0..20).map(|number| (number, 1)));
    rig.outbox.sync().unwrap();
    rig.outbox.drop_before(12_000_000);
    until("what the other has delivered is gone", || rig.outbox.stats().entries == 8);
    assert!(receiver.arrived().is_empty());
    assert_eq!(rig.outbox.delivered_until(), Some(12_000_000));
    rig.set_active(true);
    until("the rest", || receiver.taken().len() == 8);
    let taken: BTreeSet<u64> = numbers(&receiver).into_iter().collect();
    assert_eq!(taken, (12..20).collect());
    rig.outbox.advance(50_000_000);
    until("all is delivered", || rig.outbox.delivered_until() == Some(50_000_000));
}

#[test]
fn a_standby_knows_what_to_repeat_after_a_take_over() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    rig.set_active(false);
    rig.start(&destinations(&format!(
        "[[destination]]\nname = 'manager'\ntype = 'alertmanager'\nurl = 'http://{}'\n\
         resend_every = '1 second'\nallow_private = true\nrules = ['cred*']\n",
        receiver.address
    )));
    rig.append([(1, 1), (2, 1)]);
    rig.outbox.drop_before(10_000_000);
    until("both are gone", || rig.outbox.stats().entries == 0);
    assert!(receiver.arrived().is_empty());
    rig.set_active(true);
    until("a repetition", || !receiver.arrived().is_empty());
    let repeated = receiver.arrived()[0].json();
    assert_eq!(repeated.as_array().unwrap().len(), 2, "{repeated}");
}

#[test]
fn an_instance_that_is_no_longer_active_stops_to_deliver() {
    let receiver = Receiver::start(|_, _| status(500));
    let mut rig = Rig::new();
    rig.start(&rig.webhook(&receiver.url(), ""));
    rig.append((0..20).map(|number| (number, 1)));
    until("attempts", || receiver.arrived().len() > 2);
    rig.set_active(false);
    std::thread::sleep(Duration::from_millis(500));
    let n_attempts = receiver.arrived().len();
    rig.outbox.drop_before(20_000_000);
    until("the other has delivered them", || rig.outbox.stats().entries == 0);
    assert_eq!(receiver.arrived().len(), n_attempts);
}

#[test]
fn a_reload_keeps_who_stays_starts_who_is_new_at_the_end_and_forgets_who_goes() {
    let receiver = Receiver::start(|one, _| status(if one.path == "/stays" { 500 } else { 200 }));
    let mut rig = Rig::new();
    let url = |name: &str| format!("http://{}/{name}", receiver.address);
    let named = |rig: &Rig, name: &str| {
        let mut one = rig.webhook(&url(name), "").remove(0);
        one.common.name = name.to_owned();
        one
    };
    rig.start(&[named(&rig, "stays"), named(&rig, "goes")]);
    rig.append([(1, 1), (2, 1)]);
    until("the first deliveries", || receiver.taken().len() == 2);
    let mut stays = named(&rig, "stays");
    let nightlatch::config::Kind::Webhook(webhook) = &mut stays.kind else { panic!() };
    webhook.url = Some(url("stays-elsewhere"));
    let new = named(&rig, "new");
    rig.dispatcher().replace(&[stays, new], Silences::default()).unwrap();
    rig.append([(3, 1)]);
    let of = |path: &str| -> BTreeSet<u64> {
        let arrived = receiver.arrived().into_iter();
        arrived.filter(|one| one.path == path).map(|one| one.revision().0).collect()
    };
    until("the deliveries", || of("/stays-elsewhere").len() == 3 && of("/new").len() == 1);
    assert_eq!(of("/new"), [3].into());
    assert_eq!(of("/goes"), [1, 2].into());
    assert!(!rig.path("outbox/goes.cursor").exists());
    until("an empty outbox", || rig.outbox.stats().entries == 0);
}

#[test]
fn what_an_alertmanager_has_no_room_for_is_counted_beyond_a_reload() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    let manager = destinations(&format!(
        "[[destination]]\nname = 'manager'\ntype = 'alertmanager'\nurl = 'http://{}'\n\
         allow_private = true\nconcurrency = 1\nopen_max = 1\n",
        receiver.address
    ));
    rig.start(&manager);
    let untracked = rig.metrics.delivery.untracked.with_label_values(&["manager"]);
    rig.append([(1, 1), (2, 1), (3, 1)]);
    until("the deliveries", || rig.outcome("manager", "delivered") == 3);
    until("what there is no room for", || untracked.get() == 2);
    rig.dispatcher().replace(&manager, Silences::default()).unwrap();
    rig.append([(1, 2), (4, 1)]);
    until("the deliveries after it", || rig.outcome("manager", "delivered") == 5);
    rig.stop();
    assert_eq!(untracked.get(), 3, "the first one is repeated, the fourth is not");
}

#[test]
fn a_reload_that_cannot_be_leaves_everything_as_it_was() {
    let receiver = Receiver::start(|_, _| status(200));
    let mut rig = Rig::new();
    let config = rig.webhook(&receiver.url(), "");
    rig.start(&config);
    let mut wrong = config.clone();
    let nightlatch::config::Kind::Webhook(webhook) = &mut wrong[0].kind else { panic!() };
    webhook.secret_files = vec![rig.path("nowhere")];
    let error = rig.dispatcher().replace(&wrong, Silences::default()).unwrap_err();
    assert!(error.to_string().contains("the destination `soc`"), "{error}");
    rig.append([(1, 1)]);
    until("the delivery", || receiver.taken() == [(1, 1)]);
}

#[test]
fn a_secret_that_others_can_read_is_refused_and_not_told() {
    let mut rig = Rig::new();
    let config = rig.webhook("https://example.org/", "");
    let path = rig.path("secret");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = rig.try_start(&config, Silences::default()).unwrap_err();
    assert_eq!(error.exit_code(), 64);
    let text = error.to_string();
    assert!(text.contains("open to others") && text.contains("`soc`"), "{text}");
    assert!(!text.contains("whsec_"), "{text}");
}

#[test]
fn a_file_gets_every_line_once_and_its_torn_end_is_mended() {
    let mut rig = Rig::new();
    let file = rig.path("alerts.jsonl");
    let config = destinations(&format!(
        "[[destination]]\nname = 'archive'\ntype = 'file'\nfile = '{}'\n",
        file.display()
    ));
    std::fs::write(&file, "{\"torn\":").unwrap();
    rig.start(&config);
    rig.append((0..1000).map(|number| (number, 1)));
    rig.stop();
    rig.crash();
    rig.start(&config);
    rig.append((0..1200).map(|number| (number, 1)));
    rig.stop();
    let text = std::fs::read_to_string(&file).unwrap();
    let expected = (0..1200).map(|number| crate::harness::alert((number, 1)).to_json());
    let expected: Vec<String> = expected.map(|line| String::from_utf8(line).unwrap()).collect();
    assert_eq!(text.lines().next(), Some("{\"torn\":"));
    assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), expected);
    assert_eq!(rig.outbox.stats().entries, 0);
}

#[test]
fn a_file_that_cannot_be_written_is_tried_again() {
    let mut rig = Rig::new();
    let file = rig.path("folder/alerts.jsonl");
    let config = destinations(&format!(
        "[[destination]]\nname = 'archive'\ntype = 'file'\nfile = '{}'\nretry_first = '10 ms'\n\
         retry_max = '50 ms'\n",
        file.display()
    ));
    rig.start(&config);
    rig.append([(1, 1), (2, 1)]);
    until("failures", || rig.outcome("archive", "failed") >= 4);
    std::fs::create_dir(rig.path("folder")).unwrap();
    until("the delivery", || rig.outcome("archive", "delivered") == 2);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 2);
}
