//! What the API tells: pages, one of each, verdicts, rules, the document, problems.

use serde_json::Value;

use crate::client::{Stage, one, verdict};

#[test]
fn pages_are_newest_first_filtered_and_hold_still() {
    let stage = Stage::new();
    stage.fill((1..=30).map(|number| (number, 1)));
    stage.fill([(7, 2)]);
    assert_eq!(stage.page("").0, (1..=30).rev().collect::<Vec<u64>>());
    let (first, next) = stage.page("limit=10");
    assert_eq!(first, (21..=30).rev().collect::<Vec<u64>>());
    // Newer ones come, and a new revision of one that is still to be read.
    stage.fill((31..=40).map(|number| (number, 1)));
    stage.fill([(15, 2)]);
    let (second, next) = stage.page(&format!("limit=10&cursor={}", next.unwrap()));
    assert_eq!(second, (11..=20).rev().collect::<Vec<u64>>());
    let (third, next) = stage.page(&format!("limit=10&cursor={}", next.unwrap()));
    assert_eq!((third, next), ((1..=10).rev().collect(), None));

    assert_eq!(stage.page("status=updated").0, [15, 7]);
    assert_eq!(stage.page("status=closed").0, [] as [u64; 0]);
    assert_eq!(stage.page("from=1970-01-01T00:00:05Z&to=1970-01-01T00:00:08Z").0, [7, 6, 5]);
    assert_eq!(stage.page("entity=203.0.113.12&severity=high").0, [12]);
    assert_eq!(stage.page("severity=critical").0, [] as [u64; 0]);
    assert_eq!(stage.page("account=ann%40example.org&ip=203.0.113.9&limit=1000").0.len(), 40);
    assert_eq!(stage.page("rule=credential_stuffing&limit=2").0, [40, 39]);
    assert_eq!(stage.page("account=nobody").0, [] as [u64; 0]);
    assert_eq!(stage.get("/incidents").json()["items"].as_array().unwrap().len(), 0);
}

#[test]
fn one_is_told_with_its_evidence_revisions_and_verdicts() {
    let stage = Stage::new();
    stage.fill([(5, 1), (5, 2), (6, 1)]);
    let answer = stage.get(&one(5));
    assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
    assert!(answer.head.contains("x-content-type-options: nosniff"), "{answer:?}");
    let told = answer.json();
    assert_eq!(told["document"]["revision"], 2);
    assert_eq!(told["document"]["evidence"], told["evidence"]);
    assert_eq!(told["evidence"][0]["offset"], 77);
    let statuses: Vec<&Value> =
        told["revisions"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["opened", "updated"]);
    assert_eq!((&told["verdict"], &told["verdicts"]), (&Value::Null, &serde_json::json!([])));
    for path in [one(77), "/alerts/x".to_owned(), one(5).replace("alerts", "incidents")] {
        stage.get(&path).is_problem(404);
    }
    stage.get("/alerts/%ff").is_problem(404);
    stage.get(&format!("{}?x=1", one(5))).is_problem(400);
}

#[test]
fn a_verdict_is_kept_counts_and_is_a_metric() {
    let stage = Stage::new();
    stage.fill([(1, 1), (2, 1), (3, 1)]);
    for (number, given) in [(1, "false_positive"), (1, "true_positive"), (2, "false_positive")] {
        let answer = stage.post(&format!("{}/verdict", one(number)), &[], &verdict(given));
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.json()["verdict"], given);
        assert!(answer.body.contains("seen before \\u202e"), "what deceives is escaped");
    }
    let told = stage.get(&one(1)).json();
    assert_eq!(told["verdict"], "true_positive");
    assert_eq!(told["verdicts"].as_array().unwrap().len(), 2);
    assert_eq!(told["verdicts"][1]["who"], "ann");
    let (page, _) = stage.page("limit=1");
    assert_eq!(page, [3]);
    let rules = stage.get("/rules").json();
    let rule = &rules["items"][0];
    assert_eq!((&rule["id"], &rule["alerts"]), (&"credential_stuffing".into(), &3.into()));
    assert_eq!((&rule["precision"], &rule["running"]), (&0.5.into(), &false.into()));
    let metrics = stage.rig.metrics.text();
    for line in [
        "nightlatch_verdicts_total{rule=\"credential_stuffing\",verdict=\"false_positive\"} 2",
        "nightlatch_rule_precision_ratio{rule=\"credential_stuffing\"} 0.5",
        "nightlatch_api_requests_total{status=\"201\"} 3",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn what_is_no_verdict_is_a_problem() {
    let stage = Stage::new();
    stage.fill([(1, 1)]);
    let path = format!("{}/verdict", one(1));
    stage.post(&path, &[], "").is_problem(400);
    stage.post(&path, &[], "{").is_problem(400);
    for body in [
        "[]",
        "{}",
        r#"{"verdict":"benign"}"#,
        r#"{"verdict":"fine","who":"a"}"#,
        r#"{"verdict":"benign","who":""}"#,
        r#"{"verdict":"benign","who":1}"#,
        r#"{"verdict":"benign","who":"a","more":1}"#,
    ] {
        stage.post(&path, &[], body).is_problem(422);
    }
    let long = serde_json::json!({"verdict": "benign", "who": "x".repeat(129)}).to_string();
    stage.post(&path, &[], &long).is_problem(422);
    stage.post(&path, &[], &"x".repeat(20_000)).is_problem(413);
    stage.post(&format!("{}/verdict", one(9)), &[], &verdict("benign")).is_problem(404);
    assert_eq!(stage.get(&one(1)).json()["verdicts"], serde_json::json!([]));
}

#[test]
fn every_refusal_is_a_problem() {
    let stage = Stage::new();
    for query in ["limit=0", "limit=1001", "form=x", "limit=1&limit=2", "cursor=x", "rule=%ff"] {
        stage.get(&format!("/alerts?{query}")).is_problem(400);
    }
    stage.get("/nowhere").is_problem(404);
    stage.post("/alerts", &[], "{}").is_problem(405);
    let document = stage.get("/openapi.json");
    assert_eq!(document.json()["openapi"], "3.1.0");
    let health = crate::client::call(stage.address(), "GET", "/-/healthy", &["Host: x"], "");
    assert_eq!(health.status, 200, "pages for machines ask for nothing");
}
