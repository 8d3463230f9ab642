//! `nightlatch alerts`, as people call it.

use std::path::PathBuf;
use std::process::Command;

use nightlatch::delivery::Silences;

use crate::harness::{PATIENCE, Receiver, Reply, Rig, secret, status, until};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn nightlatch(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    let output = command.args(arguments).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A configuration with one webhook, `soc`, and the rig's outbox.
fn configuration(rig: &Rig, url: &str) -> PathBuf {
    let secret = rig.secret_file("secret", &secret(1));
    let path = rig.path("nightlatch.toml");
    let text = format!(
        "[state]\nfolder = '{}'\n[alerts]\nfile = '{}'\n[[destination]]\nname = 'soc'\n\
         type = 'webhook'\nurl = '{url}'\nsecret_files = ['{}']\nallow_private = true\n\
         timeout = '1 second'\n",
        rig.folder.path().display(),
        rig.path("alerts.jsonl").display(),
        secret.display(),
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn test(rig: &Rig, url: &str, destination: &str) -> Ran {
    let config = configuration(rig, url);
    nightlatch(&["alerts", "test", destination, "--config", config.to_str().unwrap()])
}

#[test]
fn a_test_alert_is_marked_whole_and_signed() {
    let receiver = Receiver::start(|_, _| status(202));
    let ran = test(&Rig::new(), &receiver.url(), "soc");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.starts_with("soc: delivered: 202 Accepted in "), "{}", ran.err);
    let arrived = &receiver.arrived()[0];
    let verifier = standardwebhooks::Webhook::new(&secret(1)).unwrap();
    verifier.verify(&arrived.body, &arrived.headers).unwrap();
    let alert = &arrived.json()["data"];
    assert!(alert["title"].as_str().unwrap().starts_with("TEST"), "{alert}");
    let id = alert["id"].as_str().unwrap();
    assert!(id.starts_with("7e570000") && id.len() == 32, "{id}");
    for (key, value) in alert.as_object().unwrap() {
        let is_empty = value.as_str() == Some("")
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty);
        assert!(!is_empty, "{key} is empty");
    }
}

#[test]
fn what_went_wrong_is_said_with_the_exit_code() {
    let receiver = Receiver::start(|_, _| status(403));
    let ran = test(&Rig::new(), &receiver.url(), "soc");
    assert_eq!(ran.code, 69);
    assert!(ran.err.contains("`soc` has not taken the test alert"), "{}", ran.err);
    assert!(ran.err.contains("403 Forbidden: a word about it\\u{1b}[31m (after "), "{}", ran.err);

    let ran = test(&Rig::new(), &receiver.url(), "soq");
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("there is no destination `soq`\n  hint: did you mean `soc`?"));

    let ran = test(&Rig::new(), "https://no-such-name.invalid/s3cret", "soc");
    assert_eq!(ran.code, 69);
    assert!(ran.err.contains("the name `no-such-name.invalid` does not resolve"), "{}", ran.err);
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);

    let hangs = Receiver::start(|_, _| Reply { hang: PATIENCE, ..status(200) });
    let ran = test(&Rig::new(), &hangs.url(), "soc");
    assert_eq!(ran.code, 69);
    assert!(ran.err.contains("timed out"), "{}", ran.err);
}

#[test]
fn a_file_can_be_tested_too() {
    let rig = Rig::new();
    let ran = test(&rig, "https://example.org/", "file");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.starts_with("file: delivered: written in "), "{}", ran.err);
    let line = std::fs::read_to_string(rig.path("alerts.jsonl")).unwrap();
    assert!(line.contains("\"title\":\"TEST: "), "{line}");
}

#[test]
fn what_waits_and_what_is_silenced_can_be_listed() {
    let receiver = Receiver::start(|_, _| status(500));
    let mut rig = Rig::new();
    let expires = "expires = '2999-01-01T00:00:00Z'\nowner = 'ann'\nreason = 'test'";
    let text = format!(
        "[[silence]]\nid = 'one'\nentity = '203.0.113.1'\n{expires}\n\
         [[silence]]\nid = 'two'\nentity = '203.0.113.2'\n{expires}\n"
    );
    let silences = Silences::parse("silences.toml", &text).unwrap();
    rig.try_start(&rig.webhook(&receiver.url(), ""), silences).unwrap();
    rig.append((1..=5).map(|number| (number, 1)));
    until("attempts", || receiver.arrived().len() > 3);
    rig.stop();
    let config = configuration(&rig, &receiver.url());
    let config = config.to_str().unwrap();

    let ran = nightlatch(&["alerts", "waiting", "--config", config]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let line = ran.out.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line[..2], ["soc", "3"], "{}", ran.out);
    let ran = nightlatch(&["alerts", "waiting", "--json", "--config", config]);
    let first: serde_json::Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    assert_eq!((&first["destination"], &first["alert"]["revision"]), (&"soc".into(), &1.into()));
    assert_eq!(ran.out.lines().count(), 3);

    let all = nightlatch(&["alerts", "silenced", "--config", config]);
    assert_eq!((all.code, all.out.lines().count()), (0, 2), "{}", all.err);
    let one = nightlatch(&["alerts", "silenced", "--silence", "two", "--config", config]);
    let line: serde_json::Value = serde_json::from_str(one.out.trim()).unwrap();
    assert_eq!(line["silence"], "two");
    assert_eq!(line["alert"]["entity"], "203.0.113.2");
}
