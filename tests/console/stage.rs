//! A history of what the program found in a log, and the server over it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nightlatch::config::HttpConfig;
use nightlatch::delivery::record::AlertRecord;
use nightlatch::history::{History, Limits, Revision, Writer};
use nightlatch::rules::Pack;
use nightlatch::serve::{Api, Catalog, Health, Metrics, Server};

pub(crate) const READ: &str = "read-token-of-a-test-0123456789";
pub(crate) const WRITE: &str = "write-token-of-a-test-0123456789";

/// What the program finds in a log, a document a line.
pub(crate) fn replay(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    command.arg("replay").args(arguments).args(["--quiet", "--json"]).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What is found in the example log.
pub(crate) fn example() -> String {
    replay(Path::new(env!("CARGO_MANIFEST_DIR")), &["examples/ring-2019.jsonl"])
}

pub(crate) struct Stage {
    pub(crate) documents: Vec<AlertRecord>,
    pub(crate) folder: tempfile::TempDir,
    server: Server,
}

impl Stage {
    /// With these documents, and tokens where a test wants some.
    pub(crate) fn new(found: &str, with_tokens: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.sqlite");
        let documents = fill(&path, found);
        let limits = Limits { retention: Duration::from_secs(86_400), rows_max: 1_000_000 };
        let history = Arc::new(History::new(&path, limits));
        let tokens_file = with_tokens.then(|| tokens(folder.path()));
        let http = HttpConfig { listen: "127.0.0.1:0".parse().unwrap(), tokens_file };
        let metrics = Arc::new(Metrics::new().unwrap());
        let catalog = Catalog::default();
        let rules = Pack::load(None).unwrap().rules;
        catalog.set(&rules);
        metrics.know_rules(&rules);
        metrics.watermark_seconds.set(newest(&documents));
        metrics.events.with_label_values(&["events"]).inc_by(5000);
        let health = Arc::new(Health::default());
        health.set_ready(true);
        let api = Api::new(history, &http, metrics.history.clone(), catalog).unwrap();
        let server = Server::start_with(http.listen, metrics, health, Some(&api)).unwrap();
        Self { documents, folder, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The newest revision of the first incident or alert that fits.
    pub(crate) fn find(&self, fits: impl Fn(&AlertRecord) -> bool) -> &AlertRecord {
        let found = self.documents.iter().rev().find(|one| fits(one));
        found.unwrap()
    }

    /// The last incident, in which an account fell.
    pub(crate) fn incident(&self) -> &AlertRecord {
        self.find(|one| {
            one.incident
                .as_ref()
                .is_some_and(|part| part.fallen_total > 0 && part.merged_into.is_none())
        })
    }

    /// Status, head in lower case, and body of a request with exactly these headers.
    pub(crate) fn call(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = format!("Content-Length: {}\r\n", body.len());
        let request =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}{length}\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// A GET of this machine.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &["Host: localhost"], "")
    }

    /// Whether `/metrics` has this line.
    pub(crate) fn has_metric(&self, line: &str) -> bool {
        self.get("/metrics").body.lines().any(|one| one == line)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value)
    }

    /// The token that the page's forms carry.
    pub(crate) fn form_token(&self) -> &str {
        let behind = self.body.split("name=\"form\" value=\"").nth(1).expect("a form");
        behind.split('"').next().unwrap()
    }
}

/// Writes the documents as the history's destination does.
fn fill(path: &Path, found: &str) -> Vec<AlertRecord> {
    let documents: Vec<AlertRecord> =
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines = found.lines().map(str::as_bytes);
    let revisions: Vec<Revision<'_>> =
        documents.iter().zip(lines).map(|(record, native)| Revision { record, native }).collect();
    let mut writer = Writer::open(path).unwrap();
    let now = chrono::Utc::now().timestamp_micros();
    assert_eq!(writer.write(&revisions, now).unwrap(), []);
    documents
}

/// The newest time of all, in seconds.
fn newest(documents: &[AlertRecord]) -> f64 {
    let times = documents.iter().map(|one| one.updated_at.as_str());
    let newest = times.max().unwrap_or("1970-01-01T00:00:00Z");
    let newest = chrono::DateTime::parse_from_rfc3339(newest).unwrap();
    newest.timestamp_micros() as f64 / 1e6
}

fn tokens(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("tokens");
    fs::write(&path, format!("read grafana {READ}\nwrite soc {WRITE}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}
