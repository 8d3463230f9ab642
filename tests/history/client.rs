//! A history that a dispatcher fills and an API tells, and requests to that.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nightlatch::config::{DestinationConfig, HttpConfig};
use nightlatch::history::{History, Limits};
use nightlatch::serve::{Api, Catalog, Server};
use serde_json::{Value, json};

use crate::harness::{Rig, destinations, until};

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It is a problem with this status.
    pub(crate) fn is_problem(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        self
    }
}

/// Sends one request with exactly these headers.
pub(crate) fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = format!("Content-Length: {}\r\n", body.len());
    let request =
        format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}{length}\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A dispatcher with the history as its only destination, and the server.
pub(crate) struct Stage {
    pub(crate) rig: Rig,
    pub(crate) history: Arc<History>,
    server: Server,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    /// With tokens, a line each, where a test gives some.
    pub(crate) fn with(tokens: Option<&str>) -> Self {
        let mut rig = Rig::new();
        let path = rig.path("history.sqlite");
        let limits = Limits { retention: DAY, rows_max: 1_000_000 };
        let history = Arc::new(History::new(&path, limits));
        let tokens_file = tokens.map(|lines| rig.secret_file("tokens", lines));
        let http = HttpConfig { listen: "127.0.0.1:0".parse().unwrap(), tokens_file };
        let metrics = rig.metrics.history.clone();
        let api = Api::new(history.clone(), &http, metrics, Catalog::default()).unwrap();
        let metrics = rig.metrics.clone();
        let server = Server::start_with(http.listen, metrics, Arc::default(), Some(&api)).unwrap();
        rig.start(&destination(&path));
        Self { rig, history, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Appends revisions and waits until the history has them.
    pub(crate) fn fill(&self, revisions: impl IntoIterator<Item = (u64, u64)>) {
        self.rig.append(revisions);
        until("an empty outbox", || self.rig.outbox.stats().entries == 0);
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        call(self.address(), "GET", &format!("/api/v1{path}"), &["Host: localhost"], "")
    }

    pub(crate) fn post(&self, path: &str, headers: &[&str], body: &str) -> Answer {
        let all = [&["Host: localhost", "Content-Type: application/json"], headers].concat();
        call(self.address(), "POST", &format!("/api/v1{path}"), &all, body)
    }

    /// Numbers of a page, and the next cursor.
    pub(crate) fn page(&self, query: &str) -> (Vec<u64>, Option<String>) {
        let answer = self.get(&format!("/alerts?{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        let items = page["items"].as_array().unwrap().iter();
        let id = |item: &Value| item["document"]["id"].as_str().unwrap().to_owned();
        let numbers = items.map(|item| u64::from_str_radix(&id(item), 16).unwrap()).collect();
        (numbers, page["next_cursor"].as_str().map(str::to_owned))
    }
}

/// The path of one alert.
pub(crate) fn one(number: u64) -> String {
    format!("/alerts/{number:032x}")
}

/// A verdict as it is posted.
pub(crate) fn verdict(verdict: &str) -> String {
    json!({"verdict": verdict, "who": "ann", "why": "seen before \u{202e}"}).to_string()
}

/// The history as a destination, tried again soon.
pub(crate) fn destination(path: &Path) -> Vec<DestinationConfig> {
    let path = path.display();
    let mut all = destinations(&format!("[history]\nretention = '1 day'\nfile = '{path}'\n"));
    for one in &mut all {
        one.common.retry_first = Duration::from_millis(10);
        one.common.retry_max = Duration::from_millis(100);
    }
    all
}
