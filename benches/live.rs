//! The whole program beside a real broker: how fast it drains a topic, and how long an event takes to
//! a webhook at half of that load.
//!
//! `cargo bench --bench live` (Java 17 for the broker, see `scripts/install-prerequisites --tests`).
//! `NIGHTLATCH_BENCH_EVENTS` (1000000) and `NIGHTLATCH_BENCH_SECONDS` (30) set the size.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss)] // a benchmark may panic

#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../tests/support/broker.rs"]
mod broker;
#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../tests/support/run.rs"]
mod run;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use hdrhistogram::Histogram;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use run::Run;

const PARTITIONS: i32 = 8;
const LATENESS_MILLIS: u64 = 200;
/// One event of so many is a probe: it makes an alert of its own.
const PROBE_EVERY: u64 = 500;

const PROBE_RULE: &str = "/*
title    = \"Probe\"
severity = \"info\"
entity   = \"account\"
quiet    = \"1 minute\"
summary  = \"probe {account}\"
*/
SELECT time, account FROM events WHERE action = 'password_change' AND account LIKE 'probe-%'
";

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn now_micros() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64
}

/// A login, or a probe, as a sender writes it. Times are epoch microseconds.
fn event(number: u64, time_micros: u64, line: &mut String) {
    line.clear();
    if number.is_multiple_of(PROBE_EVERY) {
        write!(
            line,
            r#"{{"time":{time_micros},"action":"password_change","outcome":"success","account":"probe-{time_micros}-{number}","ip":"192.0.2.1"}}"#
        )
        .unwrap();
        return;
    }
    let account = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 47;
    let outcome = if number.is_multiple_of(20) { "failure" } else { "success" };
    write!(
        line,
        r#"{{"time":{time_micros},"action":"login","outcome":"{outcome}","account":"user{account}@example.com","ip":"10.{}.{}.{}","user_agent":"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101","device":"d{account}","session":"s{account}","country":"US","asn":64500,"event_id":"e{number}","source":"bench"}}"#,
        account >> 12 & 255,
        account >> 4 & 255,
        account & 15,
    )
    .unwrap();
}

fn producer() -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", broker::address())
        .set("linger.ms", "5")
        .set("compression.codec", "lz4")
        .set("queue.buffering.max.messages", "500000")
        .create()
        .unwrap()
}

fn send(producer: &BaseProducer, topic: &str, number: u64, line: &str) {
    let partition = (number % PARTITIONS as u64) as i32;
    let mut record = BaseRecord::<(), str>::to(topic).partition(partition).payload(line);
    while let Err((_, back)) = producer.send(record) {
        record = back;
        producer.poll(Duration::from_millis(1));
    }
}

/// The default rules and the probe.
fn rules(folder: &Path) -> PathBuf {
    let rules = folder.join("rules");
    std::fs::create_dir(&rules).unwrap();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("queries")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            std::fs::copy(&path, rules.join(path.file_name().unwrap())).unwrap();
        }
    }
    std::fs::write(rules.join("probe.sql"), PROBE_RULE).unwrap();
    rules
}

fn configuration(folder: &Path, name: &str, topic: &str, checkpoint: &str, rest: &str) -> PathBuf {
    let path = folder.join(format!("{name}.toml"));
    let text = format!(
        "rules = \"{0}/rules\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [state]\nfolder = \"{0}/{name}\"\ncheckpoint_every = \"{checkpoint}\"\n\
         [order]\nlateness = \"{LATENESS_MILLIS} milliseconds\"\n\
         [kafka]\nbrokers = \"{1}\"\ngroup = \"{2}\"\ntopics = [\"{topic}\"]\n\
         [alerts]\nstdout = false\n{rest}\n",
        folder.display(),
        broker::address(),
        broker::unique("bench"),
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Events a second from a topic that is full already, up to the last one read.
fn drain(folder: &Path, name: &str, topic: &str, n_events: u64, checkpoint_every: &str) -> f64 {
    let rest = format!("file = \"{}/{name}.jsonl\"", folder.display());
    let mut run = Run::start(&configuration(folder, name, topic, checkpoint_every, &rest));
    run.until("the first event", |run| run.metric("nightlatch_events_total") > Some(0.0));
    let (started, first) = (Instant::now(), run.metric("nightlatch_events_total").unwrap());
    run.within(Duration::from_secs(600), "all events", |run| {
        run.metric("nightlatch_events_total") >= Some(n_events as f64)
    });
    let rate = (n_events as f64 - first) / started.elapsed().as_secs_f64();
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    rate
}

fn fill(topic: &str, n_events: u64) {
    let producer = producer();
    let (start, mut line) = (now_micros() - 3_600_000_000, String::new());
    for number in 0..n_events {
        // An hour of events, as fast as they can be written.
        event(number, start + number * 3_600_000_000 / n_events, &mut line);
        send(&producer, topic, number, &line);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

type Latencies = Arc<Mutex<Histogram<u64>>>;

/// Listens for webhooks of probes and notes how long each took beyond the lateness.
fn receiver(latencies: Latencies) -> (tokio::runtime::Runtime, std::net::SocketAddr) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let take = move |body: Bytes| {
        let latencies = latencies.clone();
        async move {
            let now = now_micros();
            let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let account = message["data"]["entity"].as_str().unwrap_or_default();
            let opened = message["data"]["status"] == "opened";
            let time = account.strip_prefix("probe-").and_then(|rest| rest.split('-').next());
            if let (true, Some(time)) = (opened, time) {
                let time: u64 = time.parse().unwrap();
                let beyond = now.saturating_sub(time + LATENESS_MILLIS * 1_000);
                latencies.lock().unwrap().record(beyond.max(1)).unwrap();
            }
        }
    };
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        axum::serve(listener, Router::new().route("/", post(take))).await.unwrap();
    });
    (runtime, address)
}

fn latency(folder: &Path, rate: f64, seconds: u64) {
    let latencies: Latencies = Arc::new(Mutex::new(Histogram::new(3).unwrap()));
    let (_runtime, address) = receiver(latencies.clone());
    let secret = folder.join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr").unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let topic = broker::unique("latency");
    broker::create_topic(&topic, PARTITIONS);
    let rest = format!(
        "[[destination]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://{address}/\"\n\
         secret_files = [\"{}\"]\nallow_private = true\nrules = [\"probe\"]",
        secret.display()
    );
    let mut run = Run::start(&configuration(folder, "latency", &topic, "30 seconds", &rest));
    run.until("readiness", |run| run.get("/-/ready").is_some_and(|(status, _)| status == 200));
    let producer = producer();
    let (started, mut line, mut number) = (Instant::now(), String::new(), 0u64);
    while started.elapsed() < Duration::from_secs(seconds) {
        let due = (started.elapsed().as_secs_f64() * rate) as u64;
        while number < due {
            number += 1;
            event(number, now_micros(), &mut line);
            send(&producer, &topic, number, &line);
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(1));
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let latencies = latencies.lock().unwrap();
    let millis = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "latency: {:.0} events/s for {seconds} s, {} probes: event to webhook beyond lateness p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
        number as f64 / seconds as f64,
        latencies.len(),
        millis(0.5),
        millis(0.99),
        millis(0.999),
        millis(1.0),
    );
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
}

fn main() {
    let n_events = setting("NIGHTLATCH_BENCH_EVENTS", 1_000_000);
    let folder = tempfile::tempdir().unwrap();
    rules(folder.path());
    let topic = broker::unique("drain");
    broker::create_topic(&topic, PARTITIONS);
    fill(&topic, n_events);
    let mut rates = Vec::new();
    for round in 0..3 {
        let with = drain(folder.path(), &format!("with-{round}"), &topic, n_events, "1 second");
        let without = drain(folder.path(), &format!("without-{round}"), &topic, n_events, "1 hour");
        println!(
            "drain: {with:.0} events/s with a checkpoint each second, {without:.0} without: {:.1} % slower",
            (1.0 - with / without) * 100.0
        );
        rates.push(without);
    }
    rates.sort_by(f64::total_cmp);
    latency(folder.path(), rates[1] / 2.0, setting("NIGHTLATCH_BENCH_SECONDS", 30));
}
