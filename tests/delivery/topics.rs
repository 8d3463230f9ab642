//! Alerts in Kafka topics, against a real broker: at least once, and in transactions exactly once.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use nightlatch::config::DestinationConfig;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::{self, Read};
use crate::harness::{Rig, alert, destinations, until};

fn topic(name: &str, more: &str) -> Vec<DestinationConfig> {
    destinations(&format!(
        "[[destination]]\nname = 'siem'\ntype = 'kafka'\ntopic = '{name}'\nretry_first = '10 ms'\n\
         retry_max = '200 ms'\n{more}\n"
    ))
}

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.brokers = broker::address().to_owned();
    rig.group = broker::unique("group");
    rig
}

/// Number and revision of each record.
fn revisions(read: &[Read]) -> Vec<(u64, u64)> {
    let revision = |one: &Read| {
        let alert: serde_json::Value = serde_json::from_slice(&one.value).unwrap();
        let number = u64::from_str_radix(alert["id"].as_str().unwrap(), 16).unwrap();
        (number, alert["revision"].as_u64().unwrap())
    };
    read.iter().map(revision).collect()
}

/// A reader of committed records sees each of these once.
fn exactly(topic: &str, expected: impl IntoIterator<Item = (u64, u64)>) {
    let mut seen = revisions(&broker::read_all(topic));
    seen.sort_unstable();
    assert_eq!(seen, expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_topic_gets_the_native_bytes_keyed_by_entity_and_in_order() {
    let name = broker::unique("alerts");
    broker::create_topic(&name, 3);
    let mut rig = rig();
    rig.start(&topic(&name, ""));
    for revision in 1..=5 {
        rig.append((1..=100).map(|number| (number, revision)));
    }
    until("the deliveries", || rig.outcome("siem", "delivered") == 500);
    let read = broker::read_all(&name);
    assert_eq!(read.len(), 500);
    for one in &read {
        let value: serde_json::Value = serde_json::from_slice(&one.value).unwrap();
        assert_eq!(one.key.as_deref(), value["entity"].as_str());
    }
    let first = read.iter().find(|one| revisions(std::slice::from_ref(one)) == [(1, 1)]).unwrap();
    assert_eq!(first.value, alert((1, 1)).to_json());
    for number in 1..=100 {
        let own: Vec<u64> =
            revisions(&read).into_iter().filter(|one| one.0 == number).map(|one| one.1).collect();
        assert_eq!(own, [1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_record_that_is_too_large_is_set_aside_and_the_others_pass() {
    for transactional in [false, true] {
        let name = broker::unique("alerts");
        broker::create_topic(&name, 1);
        let mut rig = rig();
        rig.start(&topic(&name, &format!("transactional = {transactional}")));
        let mut large = alert((2, 1));
        large.summary = "x".repeat(2_000_000);
        rig.outbox.append(&[alert((1, 1)), large, alert((3, 1))]).unwrap();
        until("an end", || {
            rig.outcome("siem", "delivered") == 2 && rig.outcome("siem", "refused") == 1
        });
        exactly(&name, [(1, 1), (3, 1)]);
        assert!(rig.lines("refused-siem.jsonl")[0]["answer"].as_str().unwrap().contains("bytes"));
        rig.stop();
        assert_eq!(rig.outbox.stats().entries, 0);
    }
}

#[test]
fn a_topic_that_is_not_there_is_waited_for() {
    let name = broker::unique("alerts");
    let mut rig = rig();
    rig.start(&topic(&name, ""));
    rig.append([(1, 1)]);
    std::thread::sleep(Duration::from_secs(1));
    broker::create_topic(&name, 1);
    until("the delivery", || rig.outcome("siem", "delivered") == 1);
    exactly(&name, [(1, 1)]);
}

fn transactional(name: &str) -> Vec<DestinationConfig> {
    topic(name, "transactional = true")
}

/// Puts the cursor back to where it was: a crash between the commit and the next save.
fn put_back(folder: &Path, cursor: &[u8]) {
    std::fs::write(folder.join("outbox/siem.cursor"), cursor).unwrap();
}

#[test]
fn a_crash_after_a_commit_and_before_the_cursor_makes_no_second_copy() {
    let name = broker::unique("alerts");
    broker::create_topic(&name, 2);
    let mut rig = rig();
    let config = transactional(&name);
    rig.start(&config);
    let cursor = std::fs::read(rig.path("outbox/siem.cursor")).unwrap();
    rig.append((1..=700).map(|number| (number, 1)));
    until("the deliveries", || rig.outcome("siem", "delivered") == 700);
    rig.crash();
    put_back(rig.folder.path(), &cursor);
    rig.outbox = crate::harness::open(&rig.path("outbox"));
    assert_eq!(rig.outbox.stats().entries, 700, "it knows nothing of the deliveries");
    rig.start(&config);
    rig.append((701..=800).map(|number| (number, 1)));
    until("the rest", || rig.outcome("siem", "delivered") == 800);
    exactly(&name, (1..=800).map(|number| (number, 1)));
}

#[test]
fn a_transaction_that_a_crash_left_open_is_given_up_and_sent_again() {
    let name = broker::unique("alerts");
    broker::create_topic(&name, 1);
    let mut rig = rig();
    let id = format!("{}-siem", rig.group);
    let dead: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker::address())
        .set("transactional.id", &id)
        .create()
        .unwrap();
    dead.init_transactions(Duration::from_secs(30)).unwrap();
    dead.begin_transaction().unwrap();
    for number in 1..=10 {
        let value = alert((number, 1)).to_json();
        dead.send(BaseRecord::<[u8], [u8]>::to(&name).payload(&value).key(b"k")).unwrap();
    }
    dead.flush(Duration::from_secs(30)).unwrap();
    rig.start(&transactional(&name));
    rig.append((1..=20).map(|number| (number, 1)));
    until("the deliveries", || rig.outcome("siem", "delivered") == 20);
    exactly(&name, (1..=20).map(|number| (number, 1)));
    // The one that came back from the dead can no longer commit.
    assert!(dead.commit_transaction(Duration::from_secs(10)).is_err());
    exactly(&name, (1..=20).map(|number| (number, 1)));
}

#[test]
fn a_standby_that_takes_over_goes_on_where_the_other_was_even_if_that_one_lives_on() {
    let name = broker::unique("alerts");
    broker::create_topic(&name, 2);
    let (mut first, mut second) = (rig(), rig());
    second.group = first.group.clone();
    second.set_active(false);
    let config = transactional(&name);
    first.start(&config);
    second.start(&config);
    for rig in [&first, &second] {
        rig.append((1..=300).map(|number| (number, 1)));
    }
    until("the deliveries", || first.outcome("siem", "delivered") == 300);
    // It has lost its lease and does not know yet: what both try is told once.
    second.set_active(true);
    for rig in [&second, &first] {
        rig.append((1..=300).map(|number| (number, 2)));
        rig.outbox.advance(10_000_000_000);
    }
    until("the rest", || {
        let read = revisions(&broker::read_all(&name));
        read.into_iter().collect::<BTreeSet<_>>().len() == 600
    });
    first.set_active(false);
    std::thread::sleep(Duration::from_secs(1));
    first.stop();
    second.stop();
    let both = (1..=300).flat_map(|number| [(number, 1), (number, 2)]);
    exactly(&name, both);
}

#[test]
fn crashes_at_any_moment_leave_each_revision_once() {
    let name = broker::unique("alerts");
    broker::create_topic(&name, 2);
    let mut rig = rig();
    let config = transactional(&name);
    let mut cursors = Vec::new();
    for round in 0..12u64 {
        rig.start(&config);
        rig.append((round * 100..round * 100 + 100).map(|number| (number, 1)));
        // Anywhere between connecting and having delivered all.
        std::thread::sleep(Duration::from_millis(round * 97 % 700));
        rig.crash();
        cursors.push(std::fs::read(rig.path("outbox/siem.cursor")).unwrap());
        if round % 3 == 2 {
            put_back(rig.folder.path(), &cursors[cursors.len() / 2]);
            rig.outbox = crate::harness::open(&rig.path("outbox"));
        }
    }
    rig.start(&config);
    until("an empty outbox", || rig.outbox.stats().entries == 0);
    exactly(&name, (0..1200).map(|number| (number, 1)));
}
