//! Rules, reference tables, silences and destinations that change under way.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::events::{Event, GUESSING, events, expected, replay};
use crate::program::Run;
use crate::receiver::Receiver;
use crate::stage::{Config, Stage, got, until_all};
use crate::truth::{Told, assert_same, told};

const EVENTS: usize = 6000;
const DONE: &str = "nightlatch_reloads_total{outcome=\"done\"}";
const FAILED: &str = "nightlatch_reloads_total{outcome=\"failed\"}";

/// With windows of its own, which reach farther than those of the other rules.
const BUSY: &str = "\
/*
title = \"Busy\"
severity = \"low\"
entity = \"account\"
quiet = \"20 seconds\"
summary = \"{failures} failures\"
*/
SELECT time, ip, account, count(*) OVER recent AS failures
FROM events
WHERE outcome = 'failure'
WINDOW recent AS (
    PARTITION BY account, outcome ORDER BY time
    RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 19
";
const BUSY_REACH_SECONDS: f64 = 600.0;
const BUSY_QUIET_SECONDS: f64 = 20.0;

fn seconds(alert: &Value, key: &str) -> f64 {
    let time = chrono::DateTime::parse_from_rfc3339(alert[key].as_str().unwrap()).unwrap();
    time.timestamp_micros() as f64 / 1e6
}

fn of_rule(told: &Told, rule: &str) -> Told {
    let of_rule = told.iter().filter(|(_, alert)| alert["rule"] == rule);
    of_rule.map(|(key, alert)| (key.clone(), alert.clone())).collect()
}

/// Sends the first half, waits until all that is due is delivered, and gives the event time that was
/// reached.
fn first_half(stage: &Stage, run: &mut Run, receiver: &Receiver, all: &[Event]) -> f64 {
    let half = &all[..all.len() / 2];
    stage.send(half);
    let newest = half.last().unwrap().at_millis as f64 / 1000.0;
    let watermark = |run: &Run| run.metric("nightlatch_watermark_timestamp_seconds");
    // A minute of lateness, and partitions that end a few seconds before the newest.
    run.until("the first half", |run| watermark(run) >= Some(newest - 64.0));
    let reached = watermark(run).unwrap();
    run.until("its alerts", |run| {
        run.metric("nightlatch_alert_revisions_total") == Some(receiver.n_got() as f64)
    });
    reached
}

fn reload(run: &mut Run, outcome: &str) {
    let before = run.metric(outcome).unwrap_or(0.0);
    run.signal("HUP");
    run.until("the reload", |run| run.metric(outcome) == Some(before + 1.0));
    let is_bad = f64::from(u8::from(outcome == FAILED));
    assert_eq!(run.metric("nightlatch_reload_failed"), Some(is_bad));
}

/// A rule that comes in the middle finds what it would have found if it had always been there.
fn a_new_rule(change: impl FnOnce(&Config, Run) -> Run) {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    config.set("order/clock_skew", "1 second");
    let mut run = config.start();
    let since = first_half(&stage, &mut run, &receiver, &all);
    stage.rule("busy", BUSY);
    let mut run = change(&config, run);
    stage.send(&all[all.len() / 2..]);

    let expected = expected(&all, &stage.rules());
    let always = of_rule(&expected, "busy");
    let is_after = |alert: &Value| seconds(alert, "started_at") >= since;
    let mut wanted = expected.clone();
    wanted.retain(|_, alert| alert["rule"] != "busy" || is_after(alert));
    let warm = wanted.values().filter(|alert| alert["rule"] == "busy");
    let warm = warm.filter(|alert| seconds(alert, "started_at") < since + BUSY_REACH_SECONDS / 2.0);
    assert!(warm.count() >= 10, "no alert needs windows that are warm");
    until_all(&mut run, &[&receiver], &wanted);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());

    let mut found = got(&[&receiver]);
    // Of an episode that was open then only the rest is found.
    let rest_of_open = |alert: &Value| {
        alert["rule"] == "busy"
            && always.values().any(|other| {
                other["entity"] == alert["entity"]
                    && !is_after(other)
                    && seconds(other, "updated_at") + BUSY_QUIET_SECONDS
                        >= seconds(alert, "started_at")
            })
    };
    found.retain(|key, alert| wanted.contains_key(key) || !rest_of_open(alert));
    assert_same(&found, &wanted, "the receiver");
    assert!(run.log().contains("the windows of a lane are rebuilt from Kafka"), "{}", run.log());
    assert!(run.log().contains("windows kept=2 rebuilt=1"), "{}", run.log());
}

#[test]
fn a_rule_that_comes_between_two_runs() {
    a_new_rule(|config, mut run| {
        assert_eq!(run.terminate(), Some(0), "{}", run.log());
        config.start()
    });
}

#[test]
fn a_rule_that_comes_by_a_reload() {
    a_new_rule(|_, mut run| {
        reload(&mut run, DONE);
        run
    });
}

#[test]
fn rules_that_stay_notice_nothing_of_reloads_in_the_middle_of_the_stream() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let mut run = stage.config("one", &receiver).start();
    let feeder = stage.send_slowly(&all, Duration::from_secs(6));
    for share in 1..5 {
        run.until("some alerts", |_| receiver.n_got() >= expected.len() * share / 6);
        if share % 2 == 1 {
            stage.rule("busy", BUSY);
        } else {
            std::fs::remove_file(stage.rules().join("busy.sql")).unwrap();
        }
        reload(&mut run, DONE);
    }
    until_all(&mut run, &[&receiver], &expected);
    feeder.wait();
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    let mut found = got(&[&receiver]);
    found.retain(|_, alert| alert["rule"] != "busy");
    assert_same(&found, &expected, "the receiver");
    let once = receiver.in_order().iter().filter(|alert| alert["rule"] != "busy").count();
    assert_eq!(once, expected.len(), "nothing comes twice");
}

#[test]
fn a_rule_file_that_is_bad_leaves_the_old_rule_running() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let mut run = stage.config("one", &receiver).start();
    first_half(&stage, &mut run, &receiver, &all);
    assert_eq!(run.metric("nightlatch_reload_failed"), Some(0.0));
    let cannot_be_planned = GUESSING.replace("failures >= 10", "failuers >= 10");
    for (text, why) in [
        ("SELECT 1", "the rule has no front matter"),
        ("", "the rule has no front matter"),
        (cannot_be_planned.as_str(), "failuers"),
    ] {
        stage.rule("guessing", text);
        reload(&mut run, FAILED);
        assert!(run.log().contains("refused, the old one runs on"), "{}", run.log());
        assert!(run.log().contains("guessing.sql"), "{}", run.log());
        assert!(run.log().contains(why), "{why}\n{}", run.log());
    }
    stage.send(&all[all.len() / 2..all.len() * 3 / 4]);
    run.until("its alerts", |_| receiver.n_got() >= expected.len() * 2 / 3);
    stage.rule("guessing", GUESSING);
    reload(&mut run, DONE);
    stage.send(&all[all.len() * 3 / 4..]);
    until_all(&mut run, &[&receiver], &expected);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
}

#[test]
fn a_configuration_that_is_bad_changes_nothing() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    let good = std::fs::read_to_string(&config.path).unwrap();
    let mut run = config.start();
    first_half(&stage, &mut run, &receiver, &all);
    // What would change if it took effect.
    stage.rule("busy", BUSY);
    let secret = stage.path().join("webhook.secret").display().to_string();
    let missing = stage.path().join("missing").display().to_string();
    let table = format!("{good}\n[[reference]]\nname = \"t\"\nfile = \"{missing}\"\n");
    for (text, why) in [
        ("[[[", "no TOML"),
        (&*format!("nobody = 1\n{good}"), "unknown key `nobody`"),
        (&*format!("{good}\n\u{0}"), "no TOML"),
        (&*good.replace(&secret, &missing), "missing"),
        (&*table, "a reference table cannot be read"),
    ] {
        config.write(text);
        reload(&mut run, FAILED);
        assert!(run.log().contains("the reload changes nothing"), "{}", run.log());
        assert!(run.log().contains(why), "{why}\n{}", run.log());
    }
    std::fs::remove_file(stage.rules().join("busy.sql")).unwrap();
    config.write(&good);
    reload(&mut run, DONE);
    stage.send(&all[all.len() / 2..]);
    until_all(&mut run, &[&receiver], &expected);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert_same(&got(&[&receiver]), &expected, "the receiver");
}

#[test]
fn a_reference_table_that_changes() {
    const WATCHED: &str = "/*\ntitle = \"Watched\"\nseverity = \"low\"\nentity = \"ip\"\n\
        quiet = \"10 seconds\"\nsummary = \"{ip}\"\n*/\n\
        SELECT time, ip, account FROM events JOIN watched USING (ip)";
    let (stage, all) = (Stage::new(), events(EVENTS));
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    stage.rule("watched", WATCHED);
    let table = stage.path().join("watched.csv");
    let mut reference = toml::Table::new();
    reference.insert("name".to_owned(), "watched".into());
    reference.insert("file".to_owned(), table.display().to_string().into());
    config.set("reference", vec![reference]);
    let write = |ip: &str| std::fs::write(&table, format!("ip\n{ip}\n")).unwrap();
    let [old, new] = ["192.0.2.1", "192.0.2.2"];
    let replay = |ip| {
        write(ip);
        told(replay(&all, &[Path::new("--config"), &config.path]))
    };
    let expected = [replay(new), replay(old)];
    let mut run = config.start();
    let since = first_half(&stage, &mut run, &receiver, &all);
    write(new);
    reload(&mut run, DONE);
    stage.send(&all[all.len() / 2..]);
    let mut wanted = expected[0].clone();
    wanted.retain(|_, a| a["rule"] != "watched" || seconds(a, "started_at") >= since);
    let before = of_rule(&expected[1], "watched");
    let before = before.into_iter().filter(|(_, a)| seconds(a, "updated_at") + 10.0 < since);
    wanted.extend(before);
    until_all(&mut run, &[&receiver], &wanted);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    let mut found = got(&[&receiver]);
    // One episode may have been open then.
    let is_open =
        |a: &Value| seconds(a, "started_at") < since && seconds(a, "updated_at") + 10.0 >= since;
    found.retain(|key, alert| wanted.contains_key(key) || !is_open(alert));
    assert_same(&found, &wanted, "the receiver");
    assert!(got(&[&receiver]).values().all(|alert| alert["entity"] != old
        || alert["rule"] != "watched"
        || seconds(alert, "updated_at") < since));
}

#[test]
fn a_data_file_that_changes() {
    const HIDDEN: &str = "/*\ntitle = \"Hidden\"\nseverity = \"low\"\nentity = \"ip\"\n\
        quiet = \"10 seconds\"\nsummary = \"{ip}\"\n*/\n\
        SELECT time, ip, account FROM events WHERE network = 'vpn'";
    let (stage, all) = (Stage::new(), events(EVENTS));
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    stage.rule("hidden", HIDDEN);
    let list = stage.path().join("vpn.txt");
    std::fs::write(&list, "203.0.113.255\n").unwrap();
    let mut network = toml::Table::new();
    network.insert("class".to_owned(), "vpn".into());
    network.insert("file".to_owned(), list.display().to_string().into());
    config.set("enrich/network", vec![network]);
    let mut run = config.start();
    let since = first_half(&stage, &mut run, &receiver, &all);
    std::fs::write(&list, "no network\n").unwrap();
    reload(&mut run, FAILED);
    assert!(run.log().contains("vpn.txt"), "{}", run.log());
    std::fs::write(&list, "0.0.0.0/0\n::/0\n").unwrap();
    reload(&mut run, DONE);
    stage.send(&all[all.len() / 2..]);
    run.until("alerts of the new file", |_| !of_rule(&got(&[&receiver]), "hidden").is_empty());
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    let hidden = of_rule(&got(&[&receiver]), "hidden");
    assert!(hidden.values().all(|alert| seconds(alert, "started_at") >= since), "{hidden:?}");
    assert!(hidden.values().all(|alert| alert["enrichment"]["network"].is_string()));
}

#[test]
fn silences_and_destinations_that_change() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let [hook, audit] = [Receiver::start(), Receiver::start()];
    let mut config = stage.config("one", &hook);
    let mut run = config.start();
    first_half(&stage, &mut run, &hook, &all);
    let before = got(&[&hook]);
    let silences = stage.path().join("silences.toml");
    std::fs::write(
        &silences,
        "[[silence]]\nid = \"known\"\nowner = \"a\"\nreason = \"b\"\nrule = \"spread\"\n\
         expires = \"2199-01-01T00:00:00Z\"\n",
    )
    .unwrap();
    let mut second = stage.webhook("audit", &audit);
    second.insert("silenced".to_owned(), true.into());
    config
        .set("alerts/silences", silences.display().to_string())
        .set("destination", vec![stage.webhook("hook", &hook), second]);
    reload(&mut run, DONE);
    stage.send(&all[all.len() / 2..]);
    let mut after = expected.clone();
    after.retain(|key, _| !before.contains_key(key));
    until_all(&mut run, &[&audit], &after);
    run.until("an empty outbox", |run| run.metric("nightlatch_outbox_entries") == Some(0.0));
    assert_same(&got(&[&audit]), &after, "the destination that came later");
    let silenced = of_rule(&after, "spread");
    assert_eq!(run.metric("nightlatch_silenced_total"), Some(silenced.len() as f64));
    let mut heard = expected;
    heard.retain(|key, _| !silenced.contains_key(key));
    assert_same(&got(&[&hook]), &heard, "the destination with silences");

    // Without the second one nothing waits for it.
    config.set("destination", vec![stage.webhook("hook", &hook)]);
    reload(&mut run, DONE);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert_eq!((hook.n_got(), audit.n_got()), (heard.len(), after.len()), "nothing comes twice");
}

/// The status of a page of the API, asked with a token.
fn asked(run: &Run, token: &str) -> u16 {
    let url = format!("http://{}/api/v1/alerts", run.address().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
    })
}

#[test]
fn tokens_are_read_again_and_a_bad_file_keeps_the_old_ones() {
    const OLD: &str = "an-old-token-0123456789abcdef";
    const NEW: &str = "a-new-token-0123456789abcdef";
    let stage = Stage::new();
    let receiver = Receiver::start();
    let mut config = stage.config("one", &receiver);
    let file = stage.secret("tokens", &format!("read soc {OLD}\n"));
    config.set("history/retention", "30 days").set("http/tokens_file", file);
    let mut run = config.start();
    run.until("readiness", |run| run.metric("nightlatch_active") == Some(1.0));
    assert_eq!((asked(&run, OLD), asked(&run, NEW)), (200, 401));
    stage.secret("tokens", &format!("read soc {NEW}\n"));
    reload(&mut run, DONE);
    assert_eq!((asked(&run, OLD), asked(&run, NEW)), (401, 200));
    stage.secret("tokens", &format!("read soc {OLD}\nadmin soc {NEW}\n"));
    reload(&mut run, FAILED);
    assert_eq!((asked(&run, OLD), asked(&run, NEW)), (401, 200));
    std::fs::remove_file(stage.path().join("tokens")).unwrap();
    reload(&mut run, FAILED);
    assert_eq!(asked(&run, NEW), 200);
    assert!(run.log().contains("the role is neither read nor write"), "{}", run.log());
    assert!(!run.log().contains(OLD) && !run.log().contains(NEW));
    stage.secret("tokens", &format!("write soc {OLD}\n"));
    reload(&mut run, DONE);
    assert_eq!((asked(&run, OLD), asked(&run, NEW)), (200, 401));
}
