//! The history and its API in the running program: what it delivers is what it keeps, over restarts,
//! and the API is as its document says.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::events::{Event, events, expected};
use crate::program::Run;
use crate::receiver::Receiver;
use crate::stage::{Config, Stage, until_active};
use crate::truth::{Told, without_places};

const EVENTS: usize = 3000;
const VERDICTS: &str = "nightlatch_verdicts_total{rule=\"guessing\",verdict=\"true_positive\"}";

/// A configuration with a history.
fn config(stage: &Stage, receiver: &Receiver) -> Config {
    let mut config = stage.config("kept", receiver);
    config.set("history/retention", "30 days").soon_idle();
    config
}

/// Sends a request by reqwest, as any program would.
fn ask(run: &Run, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let url = format!("http://{}/api/v1{path}", run.address().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method.parse().unwrap(), url);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    })
}

/// A page of the console.
fn page(run: &Run, path: &str) -> String {
    let url = format!("http://{}{path}", run.address().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.text().await.unwrap()
    })
}

/// The newest revision of every alert, page by page, without where its events stand.
fn kept(run: &Run) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = ask(run, "GET", &format!("/alerts?limit=7{cursor}"), None);
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap().iter();
        all.extend(items.map(|item| without_places(item["document"].clone())));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// The newest revision of every alert that is expected, newest start first.
fn newest(expected: &Told) -> usize {
    let mut ids: Vec<&str> = expected.keys().map(|(id, _)| id.as_str()).collect();
    ids.dedup();
    ids.len()
}

/// Runs until the history has all that is expected.
fn filled(config: &Config, stage: &Stage, all: &[Event], expected: &Told) -> Run {
    let mut run = config.start();
    until_active(&mut run);
    stage.send(all);
    let delivered = "nightlatch_deliveries_total{destination=\"history\",outcome=\"delivered\"}";
    run.until("every revision", |run| run.metric(delivered) >= Some(expected.len() as f64));
    run
}

#[test]
fn what_is_delivered_is_kept_and_a_restart_keeps_it_with_its_verdicts() {
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let config = config(&stage, &receiver);
    let mut run = filled(&config, &stage, &all, &expected);
    let before = kept(&run);
    assert_eq!(before.len(), newest(&expected));
    for document in &before {
        let key =
            (document["id"].as_str().unwrap().to_owned(), document["revision"].as_u64().unwrap());
        assert_eq!(expected.get(&key), Some(document));
        let later = (key.0.clone(), key.1 + 1);
        assert!(!expected.contains_key(&later), "the newest revision");
    }
    let guessing = before.iter().find(|one| one["rule"] == "guessing").unwrap();
    let id = guessing["id"].as_str().unwrap();
    let verdict = json!({"verdict": "true_positive", "who": "ann", "why": "asked the owner"});
    let (status, taken) = ask(&run, "POST", &format!("/alerts/{id}/verdict"), Some(&verdict));
    assert_eq!((status, &taken["token"]), (201, &Value::Null), "{taken}");
    assert_eq!(run.metric(VERDICTS), Some(1.0));
    let (_, rules) = ask(&run, "GET", "/rules", None);
    let guessing = &rules["items"][0];
    assert_eq!((&guessing["title"], &guessing["precision"]), (&"Guessing".into(), &1.0.into()));
    assert!(page(&run, "/").contains("Pipeline</a> <b>ready"));
    assert!(page(&run, &format!("/alerts/{id}")).contains("asked the owner"));
    assert!(page(&run, "/rules").contains("1 true, 0 benign, 0 false"));
    let pipeline = page(&run, "/pipeline");
    for told in ["Rows in windows", "<th scope=\"row\">history</th>"] {
        assert!(pipeline.contains(told), "{told}: {pipeline}");
    }
    assert_eq!(run.terminate(), Some(0), "{}", run.log());

    let mut run = config.start();
    run.until("the verdict", |run| run.metric(VERDICTS) == Some(1.0));
    let precision = "nightlatch_rule_precision_ratio{rule=\"guessing\"}";
    assert_eq!(run.metric(precision), Some(1.0));
    assert_eq!(kept(&run), before);
    let (_, one) = ask(&run, "GET", &format!("/alerts/{id}"), None);
    assert_eq!(one["verdicts"][0]["why"], "asked the owner");
}

/// Where `scripts/install-prerequisites --tests` puts it.
fn schemathesis() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let binary = cache.unwrap().join("nightlatch/schemathesis-4.32.5/bin/schemathesis");
    assert!(
        binary.is_file(),
        "this test needs schemathesis, and {} is not there\n\
         run `scripts/install-prerequisites --tests` once (PyPI package schemathesis)",
        binary.display()
    );
    binary
}

/// The document, with an id of which there is an alert: else nobody would guess one.
fn document_with(stage: &Stage, id: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    document["components"]["parameters"]["id"]["schema"]["enum"] = json!([id]);
    let path = stage.path().join("openapi.json");
    std::fs::write(&path, document.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn the_api_is_as_its_document_says() {
    let binary = schemathesis();
    let (stage, all) = (Stage::new(), events(EVENTS));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let mut config = config(&stage, &receiver);
    let token = "a-token-for-schemathesis-0123456789";
    config.set("http/tokens_file", stage.secret("tokens", &format!("write test {token}\n")));
    let run = filled(&config, &stage, &all, &expected);
    let url = format!("http://{}/api/v1", run.address().unwrap());
    let document = document_with(&stage, &expected.keys().next().unwrap().0);
    let output = Command::new(binary)
        .args(["run", &document, "--url", &url])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--seed", "7", "--max-examples", "40", "--no-color"])
        .args(["--generation-database", "none", "--suppress-health-check", "all"])
        .current_dir(stage.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        told.contains("8 selected") || told.contains("8 / 8") || told.contains("8 tested"),
        "{told}"
    );
}
