//! Who is let in.

use crate::client::{Answer, Stage, call, one, verdict};

const READ: &str = "read-token-of-a-test-0123456789";
const WRITE: &str = "write-token-of-a-test-0123456789";

fn tokens() -> String {
    format!("read grafana {READ}\nwrite soc {WRITE}\n")
}

fn ask(stage: &Stage, method: &str, path: &str, token: Option<&str>) -> Answer {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}"));
    let mut headers = vec!["Host: nightlatch.example", "Content-Type: application/json"];
    headers.extend(authorization.as_deref());
    let body = if method == "POST" { verdict("benign") } else { String::new() };
    call(stage.address(), method, &format!("/api/v1{path}"), &headers, &body)
}

#[test]
fn tokens_open_the_door_as_far_as_their_role() {
    let stage = Stage::with(Some(&tokens()));
    stage.fill([(1, 1)]);
    let (alert, judge) = (one(1), format!("{}/verdict", one(1)));
    for path in ["/alerts", &alert, "/incidents", "/rules", "/openapi.json"] {
        let refused = ask(&stage, "GET", path, None);
        assert!(refused.is_problem(401).head.contains("www-authenticate: bearer"), "{refused:?}");
        ask(&stage, "GET", path, Some("wrong")).is_problem(401);
        for token in [READ, WRITE] {
            assert_eq!(ask(&stage, "GET", path, Some(token)).status, 200, "{path}");
        }
    }
    ask(&stage, "POST", &judge, None).is_problem(401);
    ask(&stage, "POST", &judge, Some(READ)).is_problem(403);
    let taken = ask(&stage, "POST", &judge, Some(WRITE));
    assert_eq!((taken.status, &taken.json()["token"]), (201, &"soc".into()));
    // Somebody else's scheme, a token twice.
    for header in [format!("Authorization: Basic {READ}"), format!("Authorization: {READ}")] {
        let headers = ["Host: x", &header];
        call(stage.address(), "GET", "/api/v1/alerts", &headers, "").is_problem(401);
    }
    let twice = format!("Authorization: Bearer {READ}");
    let headers = ["Host: x", &twice, &twice];
    call(stage.address(), "GET", "/api/v1/alerts", &headers, "").is_problem(401);
}

#[test]
fn without_tokens_no_other_name_and_no_other_page_gets_in() {
    let stage = Stage::new();
    stage.fill([(1, 1)]);
    let path = format!("/api/v1{}/verdict", one(1));
    let port = stage.address().port();
    for host in ["localhost", "127.0.0.1", &format!("[::1]:{port}"), &format!("127.0.0.1:{port}")] {
        let host = format!("Host: {host}");
        assert_eq!(call(stage.address(), "GET", "/api/v1/alerts", &[&host], "").status, 200);
    }
    for host in ["rebound.example", "localhost.example", "127.0.0.1.example:80"] {
        let host = format!("Host: {host}");
        call(stage.address(), "GET", "/api/v1/alerts", &[&host], "").is_problem(403);
    }
    let host = format!("Host: 127.0.0.1:{port}");
    let json = "Content-Type: application/json; charset=utf-8";
    let post = |headers: &[&str]| call(stage.address(), "POST", &path, headers, &verdict("benign"));
    let same = format!("Origin: http://127.0.0.1:{port}");
    assert_eq!(post(&[&host, json]).status, 201);
    assert_eq!(post(&[&host, json, &same]).status, 201);
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "file://"] {
        post(&[&host, json, &format!("Origin: {origin}")]).is_problem(403);
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        post(&[&host, &format!("Content-Type: {kind}")]).is_problem(415);
    }
    post(&[&host]).is_problem(415);
}
