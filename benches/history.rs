//! The history alone. Prints how long answers of the API and pages of the console take with 100,000
//! alerts in it, over a real socket, and how much of a second the history takes from the machine at 1,000 alerts a second.
//!
//! `cargo bench --bench history`

#![allow(clippy::expect_used, clippy::cast_precision_loss)] // a benchmark that cannot go on ends

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightlatch::config::HttpConfig;
use nightlatch::delivery::record::AlertRecord;
use nightlatch::history::{History, Limits, Revision, Writer};
use nightlatch::serve::{Api, Catalog, Metrics, Server};
use serde_json::json;

const ALERTS: usize = 100_000;
const ALERTS_PER_SECOND: usize = 1000;
const REQUESTS: usize = 50;
const SECONDS: usize = 10;
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// An alert with ten accounts and ten events: about 2 KiB of JSON. One in a thousand is critical.
fn alert(number: usize) -> (AlertRecord, Vec<u8>) {
    let time = format!("2026-01-{:02}T{:02}:00:00Z", 1 + number / 4000 % 28, number / 160 % 24);
    let evidence = |offset: usize| {
        json!({"topic": "events", "partition": 3, "offset": offset, "time": time,
               "event_id": format!("event-{number}-{offset}")})
    };
    let severity = if number.is_multiple_of(1000) { 3 } else { number % 3 };
    let accounts: Vec<String> =
        (0..10).map(|n| format!("user{}@example.org", number + n)).collect();
    let document = json!({
        "id": format!("{number:032x}"), "revision": 1, "status": "opened",
        "rule": format!("rule_{}", number % 30), "rule_version": "0123456789ab",
        "title": "Credential stuffing from one address", "severity": SEVERITIES[severity],
        "entity_type": "ip", "entity": format!("203.0.113.{}", number % 250),
        "started_at": time, "updated_at": time, "accounts": accounts, "accounts_total": 45,
        "ips": [format!("203.0.113.{}", number % 250)], "ips_total": 1,
        "summary": "417 failed logins to 45 accounts from 203.0.113.9 within 10 minutes",
        "values": {"failures": 417}, "matches": 417,
        "evidence": (0..10).map(evidence).collect::<Vec<_>>(), "evidence_total": 417,
        "attack": ["T1110.004"],
    });
    let native = document.to_string().into_bytes();
    (serde_json::from_value(document).expect("an alert"), native)
}

/// Writes alerts in batches, and gives how long that took.
fn write(writer: &mut Writer, numbers: std::ops::Range<usize>, batch: usize) -> Duration {
    let alerts: Vec<(AlertRecord, Vec<u8>)> = numbers.map(alert).collect();
    let started = Instant::now();
    for chunk in alerts.chunks(batch) {
        let revisions: Vec<Revision<'_>> =
            chunk.iter().map(|(record, native)| Revision { record, native }).collect();
        writer.write(&revisions, 1_767_225_600_000_000).expect("a temporary folder");
    }
    writer.sync().expect("a temporary folder");
    started.elapsed()
}

/// Time on a processor of this thread's whole process, all threads.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    // User and system time; a tick is 10 ms on Linux.
    Duration::from_millis(10 * (ticks(12) + ticks(13)))
}

fn get(address: SocketAddr, path: &str) -> usize {
    let mut stream = TcpStream::connect(address).expect("the server");
    let head = "Host: localhost\r\nConnection: close\r\n\r\n";
    write!(stream, "GET {path} HTTP/1.1\r\n{head}").expect("the server");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}");
    answer.len()
}

fn serve(path: &Path) -> Server {
    let limits = Limits { retention: Duration::from_secs(86_400), rows_max: 1_000_000 };
    let history = Arc::new(History::new(path, limits));
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let http = HttpConfig { listen: ([127, 0, 0, 1], 0).into(), tokens_file: None };
    let api = Api::new(history, &http, metrics.history.clone(), Catalog::default());
    let api = api.expect("an API");
    Server::start_with(http.listen, metrics, Arc::default(), Some(&api)).expect("a free port")
}

fn pages(address: SocketAddr) {
    let middle = "from=2026-01-10T00:00:00Z&to=2026-01-11T00:00:00Z";
    let id = format!("{:032x}", 4711);
    let answers = [
        "/alerts".to_owned(),
        "/alerts?limit=1000".to_owned(),
        format!("/alerts?{middle}"),
        "/alerts?rule=rule_7".to_owned(),
        "/alerts?severity=critical".to_owned(),
        "/alerts?severity=critical&status=closed".to_owned(),
        "/alerts?entity=203.0.113.77".to_owned(),
        "/alerts?account=user5000@example.org".to_owned(),
        "/alerts?ip=203.0.113.77&severity=critical".to_owned(),
        format!("/alerts/{id}"),
        "/rules".to_owned(),
    ];
    answers.iter().for_each(|path| time(address, "page", &format!("/api/v1{path}")));
    let console = [
        "/".to_owned(),
        "/?severity=critical&status=closed".to_owned(),
        "/?q=user5000@example.org".to_owned(),
        "/alerts?rule=rule_7".to_owned(),
        format!("/alerts/{id}"),
        "/accounts/user5000@example.org".to_owned(),
        "/rules".to_owned(),
        "/rules/rule_7".to_owned(),
        "/pipeline".to_owned(),
    ];
    console.iter().for_each(|path| time(address, "console", path));
}

/// Prints how long a path takes.
fn time(address: SocketAddr, what: &str, path: &str) {
    let mut times: Vec<Duration> = (0..REQUESTS)
        .map(|_| {
            let started = Instant::now();
            get(address, path);
            started.elapsed()
        })
        .collect();
    times.sort();
    let millis = |index: usize| times[index].as_secs_f64() * 1e3;
    let bytes = get(address, path) / 1024;
    println!(
        "history/{what}: {:.1} ms median, {:.1} ms slowest of {REQUESTS}, {bytes} KiB: {path}",
        millis(REQUESTS / 2),
        millis(REQUESTS - 1)
    );
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("history.sqlite");
    let mut writer = Writer::open(&path).expect("a temporary folder");
    let took = write(&mut writer, 0..ALERTS, 500);
    let rate = ALERTS as f64 / took.as_secs_f64();
    let bytes = path.metadata().map_or(0, |file| file.len()) / ALERTS as u64;
    println!("history/write: {rate:.0} alerts/s in batches of 500, {bytes} bytes an alert");
    let server = serve(&path);
    pages(server.address());
    // As the dispatcher gives them: what came within a tenth of a second, on top of what is there.
    let before = cpu();
    for second in 0..SECONDS {
        let first = ALERTS + second * ALERTS_PER_SECOND;
        write(&mut writer, first..first + ALERTS_PER_SECOND, ALERTS_PER_SECOND / 10);
    }
    let making = {
        let before = cpu();
        for number in 0..SECONDS * ALERTS_PER_SECOND {
            std::hint::black_box(alert(number));
        }
        cpu() - before
    };
    let spent = (cpu() - before).saturating_sub(making * 2).as_secs_f64() / SECONDS as f64;
    println!("history/cost: {:.1} % of a core at {ALERTS_PER_SECOND} alerts/s", spent * 100.0);
}
