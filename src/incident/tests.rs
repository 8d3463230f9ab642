//! Incidents out of hand-made events and alerts.

mod harness;

use std::collections::BTreeMap;

use harness::*;
use proptest::prelude::*;

use super::*;
use crate::alert::{Alert, Status};
use crate::rules::Severity;
use crate::store::{BlockReader, BlockWriter};

#[test]
fn a_takeover_is_told_from_before_its_alert_to_its_end() {
    let mut run = Run::new(config());
    run.feed(&[
        act(0, "ben", "live_view").by("owner", "198.18.0.1").on("cam-9"),
        act(MINUTE, "ben", "login").by("evil", "203.0.113.9"),
        act(2 * MINUTE, "ben", "live_view").by("evil", "203.0.113.9").on("cam-1"),
        act(9 * MINUTE, "ben", "live_view").by("evil", "203.0.113.9").on("cam-2"),
    ]);
    let views = act(16 * MINUTE, "ben", "live_view").by("evil", "203.0.113.9").on("cam-1");
    let opened = run.feed_with(&[views.clone()], &[account_alert("a1", &views).medium()]);
    assert_eq!(opened.len(), 1);
    assert_eq!((opened[0].status, opened[0].severity), (Status::Opened, Severity::Medium));
    run.feed(&[
        act(17 * MINUTE, "ben", "two_way_talk").by("evil", "203.0.113.9").on("cam-1"),
        act(18 * MINUTE, "ben", "siren").by("owner", "198.18.0.1").on("cam-9"),
        act(DAY, "other", "live_view").by("x", "198.18.0.2"),
    ]);
    let last = run.last();
    assert_eq!(last.severity, Severity::Critical);
    assert_eq!(
        last.summary,
        "From 12:01 on 1 March 2019 (UTC), 1 account fell to an intruder from the address \
         203.0.113.9 with one device. In ben, entered at 12:01, 2 cameras were watched for 14 \
         minutes and two-way talk was used. It is still going on."
    );
    assert_eq!(&*last.title, "Account ben fell");
    let steps = &last.incident.as_ref().unwrap().fallen[0].steps;
    let told: Vec<_> = steps.iter().map(|one| (one.action.as_str(), one.count)).collect();
    assert_eq!(told, [("live_view", 3), ("two_way_talk", 1)]);
    run.feed(&[act(2 * DAY, "other", "live_view").by("x", "198.18.0.2")]);
    let last = run.last();
    assert_eq!(last.status, Status::Closed);
    assert!(last.summary.ends_with("It is over since 12:17."), "{}", last.summary);
    assert_eq!(run.incidents.stats().open, 0);
}

#[test]
fn attempts_alone_are_no_fall_and_a_later_success_is_one() {
    let mut run = Run::new(config());
    let failure = act(0, "ben", "login").by("evil", "203.0.113.9").failed();
    run.feed_with(&[failure.clone()], &[account_alert("a1", &failure)]);
    assert!(run.last().summary.contains("1 account was tried"), "{}", run.last().summary);
    assert_eq!(&*run.last().title, "1 account attacked, none known to have fallen");
    run.feed(&[act(MINUTE, "ben", "login").by("evil", "203.0.113.9")]);
    run.feed(&[act(HOUR, "x", "login").by("y", "z")]);
    assert_eq!(run.last().incident.as_ref().unwrap().fallen[0].account, "ben");
}

#[test]
fn low_alerts_are_believed_when_two_rules_agree() {
    let mut run = Run::new(config());
    let login = act(0, "ben", "login").by("evil", "203.0.113.9");
    run.feed_with(&[login.clone()], &[account_alert("a1", &login).low()]);
    assert_eq!(run.last().incident.as_ref().unwrap().fallen_total, 0);
    let again = act(HOUR, "ben", "login").by("evil", "203.0.113.9");
    run.feed_with(&[again.clone()], &[account_alert("a2", &again).low().rule("other")]);
    run.flush();
    assert_eq!(run.last().incident.as_ref().unwrap().fallen_total, 1);
}

/// Fifty attacks by strangers behind one carrier's exit, each an attack on many and a fall.
fn carrier_day(ip_accounts: i64, with_sources: bool) -> Vec<Alert> {
    let mut run = Run::new(config());
    for n in 0..50 {
        let time = n * 20 * MINUTE;
        let victim = format!("victim-{n}");
        let login = act(time, &victim, "login").by(&format!("d{n}"), "100.64.0.1");
        let login = login.at_home(ip_accounts).session(&format!("s{n}"));
        let mut alerts = vec![account_alert(&format!("a{n}"), &login)];
        if with_sources {
            let tried = [victim.clone(), format!("tried-{n}")];
            let source = source_alert(&format!("b{n}"), "ip", "100.64.0.1", &login, &tried);
            alerts.push(source.rule("password_spraying"));
        }
        run.feed_with(&[login], &alerts);
    }
    run.flush();
    run.finals()
}

#[test]
fn fifty_strangers_behind_one_carrier_are_fifty_incidents() {
    assert_eq!(carrier_day(4000, false).len(), 50);
    let known_as_shared = carrier_day(4000, true);
    assert_eq!(known_as_shared.len(), 50);
    assert!(known_as_shared.iter().all(|one| one.matches == 2), "an attack and its victim");
    // In the first days nobody knows who shares what: different clients keep strangers apart.
    assert_eq!(carrier_day(0, false).len(), 50);
}

#[test]
fn one_campaign_over_37_addresses_is_one_incident() {
    let mut run = Run::new(config());
    let mut events = Vec::new();
    for n in 0..37 {
        let ip = format!("203.0.113.{n}");
        let login = act(n * MINUTE, &format!("victim-{n}"), "login").by(&format!("d{n}"), &ip);
        let login = login.fingerprint("t13d").network(64500);
        run.feed_with(&[login.clone()], &[account_alert(&format!("a{n}"), &login)]);
        events.push(login);
    }
    run.flush();
    let finals = run.finals();
    assert_eq!(finals.len(), 1);
    let [one] = &finals[..] else { panic!("one incident") };
    assert_eq!((one.matches, one.severity), (37, Severity::Critical));
    let told =
        "37 accounts fell to an intruder from 37 addresses of AS64500 with one TLS fingerprint.";
    assert!(one.summary.contains(told), "{}", one.summary);
    assert!(one.summary.contains("34 more accounts fell."), "{}", one.summary);
}

#[test]
fn a_fingerprint_that_everybody_uses_is_no_key() {
    let crowd: Vec<Event> = (0..40)
        .map(|n| act(n, &format!("c{n}"), "login").by(&format!("own{n}"), "198.18.0.1"))
        .map(|event| event.fingerprint("app"))
        .collect();
    let mut run = Run::new(config());
    run.feed(&crowd);
    for n in 0..5 {
        let ip = format!("203.0.113.{n}");
        let login = act((n + 1) * MINUTE, &format!("v{n}"), "login").by(&format!("d{n}"), &ip);
        let login = login.fingerprint("app");
        run.feed_with(&[login.clone()], &[account_alert(&format!("a{n}"), &login)]);
    }
    assert_eq!(run.finals().len(), 5);
}

#[test]
fn a_key_that_joins_two_keeps_the_earlier_and_closes_the_later() {
    let mut run = Run::new(config());
    let one = act(0, "anna", "login").by("d1", "203.0.113.1");
    let two = act(MINUTE, "ben", "login").by("d2", "203.0.113.2");
    let both = act(2 * MINUTE, "anna", "login").by("d2", "203.0.113.3");
    let first = run.feed_with(&[one.clone()], &[account_alert("a1", &one)]);
    let second = run.feed_with(&[two.clone()], &[account_alert("a2", &two)]);
    assert_ne!(first[0].id, second[0].id);
    let third = run.feed_with(&[both.clone()], &[account_alert("a3", &both)]);
    assert_eq!(third.len(), 1);
    assert_eq!((third[0].status, &third[0].id), (Status::Closed, &second[0].id));
    let part = third[0].incident.as_ref().unwrap();
    assert_eq!(part.merged_into.as_deref(), Some(&*first[0].id));
    run.flush();
    assert_eq!((run.last().matches, run.last().revision), (3, 2));
}

#[test]
fn alerts_further_apart_than_the_window_do_not_link() {
    let mut run = Run::new(config());
    for (id, time) in [("a1", 0), ("a2", DAY), ("a3", 2 * DAY + 1)] {
        let login = act(time, "anna", "login").by("d1", "203.0.113.1");
        run.feed_with(&[login.clone()], &[account_alert(id, &login)]);
    }
    assert_eq!(run.finals().iter().map(|one| one.matches).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn limits_bite_and_are_counted() {
    let limits = IncidentConfig { open_max: 2, members_max: 2, steps_max: 3, ..config() };
    let mut run = Run::new(limits);
    for n in 0..4 {
        let login =
            act(n * MINUTE, &format!("v{n}"), "login").by(&format!("d{n}"), &format!("{n}"));
        run.feed_with(&[login.clone()], &[account_alert(&format!("a{n}"), &login)]);
    }
    for n in 4..8 {
        let view = act(n * MINUTE, "v0", "live_view").by("d0", "0").on("cam");
        run.feed_with(&[view.clone()], &[account_alert(&format!("a{n}"), &view)]);
    }
    run.feed(&[act(9 * MINUTE, "v0", "siren").by("d0", "0")]);
    let stats = run.incidents.stats();
    assert_eq!((stats.open, stats.open_max, stats.members_max, stats.steps_max), (2, 2, 3, 1));
    run.flush();
    let first = run.finals().into_iter().find(|one| one.accounts[0] == "v0".into()).unwrap();
    assert_eq!(first.matches, 5);
    assert_eq!(first.incident.as_ref().unwrap().alerts.len(), 2);
    assert_eq!(first.incident.as_ref().unwrap().fallen[0].steps[0].count, 4);
}

#[test]
fn names_from_events_cannot_forge_the_paragraph() {
    let mut run = Run::new(config());
    let login = act(0, "a\u{1b}[2J\nIt is over.", "login").by("d", "203.0.113.1");
    run.feed_with(&[login.clone()], &[account_alert("a1", &login)]);
    assert!(run.last().summary.contains("a\\u{1b}[2J\\nIt is over. let the intruder in"));
    assert_eq!(&*run.last().title, "Account a\\u{1b}[2J\\nIt is over. fell");
}

/// A day with links of every kind: events, and the alerts that come of each.
fn story() -> Vec<(Event, Vec<Alert>)> {
    let mut story = Vec::new();
    for n in 0..40i64 {
        let group = n % 4;
        let victim = format!("v{group}{}", n % 5);
        let ip = format!("203.0.113.{group}{}", n % 3);
        let device = format!("d{group}{}", n % 7);
        let time = n * 7 * MINUTE;
        let session = format!("s{group}{}", n / 9);
        let login = act(time, &victim, "login").by(&device, &ip).session(&session);
        let login = if n % 5 == 0 { login.fingerprint(&format!("t{group}")) } else { login };
        let mut alerts = vec![account_alert(&format!("{:02}", (n * 23) % 40), &login)];
        if n % 9 == 0 {
            let tried = [victim.clone(), "nobody".to_owned()];
            alerts.push(source_alert(&format!("s{n:02}"), "ip", &ip, &login, &tried));
        }
        story.push((login, alerts));
        let view = act(time + MINUTE, &victim, "live_view").by(&device, &ip).on("cam");
        story.push((view, Vec::new()));
    }
    story
}

#[test]
fn a_checkpoint_between_any_two_batches_changes_nothing() {
    let story = story();
    let mut expected = Run::new(config());
    story.iter().for_each(|(event, alerts)| drop(expected.feed_with(&[event.clone()], alerts)));
    expected.flush();
    assert!(expected.told.len() > 40);
    for cut in 0..story.len() {
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = story.split_at(cut);
        let mut run = Run::new(config());
        before.iter().for_each(|(event, alerts)| drop(run.feed_with(&[event.clone()], alerts)));
        let mut blocks = BlockWriter::create(folder.path(), 1, [].into()).unwrap();
        let manifest = run.incidents.checkpoint(&mut blocks);
        blocks.finish().unwrap();
        run.incidents = Incidents::new(config(), limits());
        let from = after.first().map_or(i64::MIN, |(event, _)| event.time);
        run.incidents.restore(&manifest, &BlockReader::new(folder.path()), from).unwrap();
        // Read again from further back, as it is when a window is rebuilt.
        for (event, _) in before.iter().skip(cut.saturating_sub(3)) {
            run.feed(&[event.clone()]);
        }
        after.iter().for_each(|(event, alerts)| drop(run.feed_with(&[event.clone()], alerts)));
        run.flush();
        assert_eq!(run.told, expected.told, "cut at {cut}");
    }
}

#[test]
fn batches_do_not_show() {
    let story = story();
    let mut one_by_one = Run::new(config());
    story.iter().for_each(|(event, alerts)| drop(one_by_one.feed_with(&[event.clone()], alerts)));
    one_by_one.flush();
    let mut at_once = Run::new(config());
    let events: Vec<Event> = story.iter().map(|(event, _)| event.clone()).collect();
    let alerts: Vec<Alert> = story.iter().flat_map(|(_, alerts)| alerts.clone()).collect();
    at_once.feed_with(&events, &alerts);
    at_once.flush();
    assert_eq!(at_once.told, one_by_one.told);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_alerts_within_the_window_decides_nothing(
        order in Just((0..45usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let story = story();
        let alerts: Vec<Alert> = story.iter().flat_map(|(_, alerts)| alerts.clone()).collect();
        let events: Vec<Event> = story.iter().map(|(event, _)| event.clone()).collect();
        let finals = |order: &mut dyn Iterator<Item = usize>| {
            let mut run = Run::new(config());
            run.feed(&events);
            for (place, which) in order.enumerate() {
                let at = events.last().unwrap().time + place as i64;
                let alert = Alert { at, ..alerts[which].clone() };
                let told = run.incidents.advance(at + 1, vec![alert]);
                run.keep(told);
            }
            run.flush();
            content(&run.finals())
        };
        prop_assert_eq!(alerts.len(), order.len());
        let expected = finals(&mut (0..alerts.len()));
        prop_assert!((2..20).contains(&expected.len()), "{} incidents", expected.len());
        prop_assert_eq!(finals(&mut order.iter().copied()), expected);
    }
}

/// What incidents say, but for how often they have said something.
fn content(finals: &[Alert]) -> BTreeMap<String, Alert> {
    let plain = |one: &Alert| Alert { revision: 0, at: 0, status: Status::Updated, ..one.clone() };
    finals.iter().map(|one| (one.id.to_string(), plain(one))).collect()
}
