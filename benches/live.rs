//! The whole program beside a real broker (B4 of the benchmark suite): how fast it drains a topic beside
//! a bare consumer that only counts, with two rules and with all, with checkpoints and with the history;
//! and how long an event takes to a webhook at half of that load.
//!
//! `cargo bench --bench live` (Java 17 for the broker, see `scripts/install-prerequisites --tests`).
//! `NIGHTLATCH_BENCH_EVENTS` (1000000), `NIGHTLATCH_BENCH_SECONDS` (30) and `NIGHTLATCH_BENCH_ROUNDS` (3)
//! set the size; with `NIGHTLATCH_BENCH_ROUNDS=0` only latencies are measured, at
//! `NIGHTLATCH_BENCH_RATE` events a second. Prints tab-separated lines `b4 case engine metric value`.

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
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use run::Run;

const PARTITIONS: i32 = 8;
const LATENESS_MILLIS: u64 = 200;
/// The first alerts of a run wait for tables that grow to the number of accounts; they are not counted.
const WARM_UP: Duration = Duration::from_secs(15);
/// One event of so many is a probe: it makes an alert of its own.
const PROBE_EVERY: u64 = 500;
/// The same where alerts are what is measured.
const PROBE_OFTEN: u64 = 60;

const PROBE_RULE: &str = "/*
title    = \"Probe\"
severity = \"info\"
entity   = \"account\"
quiet    = \"1 minute\"
summary  = \"probe {account}\"
*/
SELECT time, account FROM events WHERE action = 'password_change' AND account LIKE 'probe-%'
";

/// Two windows of ten minutes: what a rule costs that is little more than its window.
const PAIR_RULES: [(&str, &str); 2] = [
    (
        "brute_force_pair",
        "/*
title    = \"Many failures of one account\"
severity = \"high\"
entity   = \"account\"
quiet    = \"10 minutes\"
summary  = \"{failures} failed logins to {account}\"
*/
SELECT time, account, count(*) OVER recent AS failures
FROM (SELECT time, account FROM events WHERE action = 'login' AND outcome = 'failure') AS failed
WINDOW recent AS (
    PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 20
",
    ),
    (
        "credential_stuffing_pair",
        "/*
title    = \"One address fails at many accounts\"
severity = \"high\"
entity   = \"ip\"
quiet    = \"10 minutes\"
summary  = \"{accounts} accounts from {ip}\"
*/
SELECT time, ip, count(*) OVER recent AS failures, count(DISTINCT account) OVER recent AS accounts
FROM (SELECT time, ip, account FROM events WHERE action = 'login' AND outcome = 'failure') AS failed
WINDOW recent AS (
    PARTITION BY ip ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
)
QUALIFY failures >= 15 AND accounts >= 10
",
    ),
];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn now_micros() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64
}

/// A login, or a probe, as a sender writes it. Times are epoch microseconds.
fn event(number: u64, probe_every: u64, time_micros: u64, line: &mut String) {
    line.clear();
    if number.is_multiple_of(probe_every) {
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

/// The default rules and the probe in `rules`, two rules in `pair`.
fn write_rules(folder: &Path) {
    let rules = folder.join("rules");
    std::fs::create_dir(&rules).unwrap();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("queries")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            std::fs::copy(&path, rules.join(path.file_name().unwrap())).unwrap();
        }
    }
    std::fs::write(rules.join("probe.sql"), PROBE_RULE).unwrap();
    let pair = folder.join("pair");
    std::fs::create_dir(&pair).unwrap();
    for (name, text) in PAIR_RULES {
        std::fs::write(pair.join(name).with_extension("sql"), text).unwrap();
    }
}

/// How the program runs in one case.
#[derive(Clone, Copy)]
struct Setup<'a> {
    folder: &'a Path,
    topic: &'a str,
    /// Folder of the rules.
    rules: &'a str,
    checkpoint_every: &'a str,
}

impl Setup<'_> {
    fn configuration(&self, name: &str, rest: &str) -> PathBuf {
        let path = self.folder.join(format!("{name}.toml"));
        let text = format!(
            "rules = \"{0}/{1}\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [state]\nfolder = \"{0}/{name}\"\ncheckpoint_every = \"{2}\"\n\
             [order]\nlateness = \"{LATENESS_MILLIS} milliseconds\"\n\
             [kafka]\nbrokers = \"{3}\"\ngroup = \"{4}\"\ntopics = [\"{5}\"]\n{rest}\n",
            self.folder.display(),
            self.rules,
            self.checkpoint_every,
            broker::address(),
            broker::unique("bench"),
            self.topic,
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Drains a topic that is full already, up to the last event read, and tells how that went.
    fn drain(&self, case: &str, n_events: u64, rest: &str) -> f64 {
        let name = broker::unique("drain");
        let rest = format!(
            "[alerts]\nstdout = false\nfile = \"{0}/{name}.jsonl\"\n{rest}",
            self.folder.display()
        );
        let mut run = Run::start(&self.configuration(&name, &rest));
        run.until("the first event", |run| run.metric("nightlatch_events_total") > Some(0.0));
        let (started, first) = (Instant::now(), run.metric("nightlatch_events_total").unwrap());
        let cpu_before = cpu_seconds(run.child.id());
        run.within(Duration::from_secs(600), "all events", |run| {
            run.metric("nightlatch_events_total") >= Some(n_events as f64)
        });
        let (seconds, events) = (started.elapsed().as_secs_f64(), n_events as f64 - first);
        let cpu = cpu_seconds(run.child.id()) - cpu_before;
        let alerts = run.metric("nightlatch_alerts_total").unwrap_or(0.0);
        tell(case, "nightlatch", "events_per_second", events / seconds);
        tell(case, "nightlatch", "cpu_seconds_per_million_events", cpu / events * 1e6);
        tell(case, "nightlatch", "alerts_per_second", alerts / seconds);
        tell(case, "nightlatch", "resident_megabytes", resident_megabytes(run.child.id()));
        assert_eq!(run.terminate(), Some(0), "{}", run.log());
        events / seconds
    }
}

fn tell(case: &str, engine: &str, metric: &str, value: f64) {
    println!("b4\t{case}\t{engine}\t{metric}\t{value:.1}");
}

/// Time of a process on the processors.
fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in ticks of 10 ms on Linux.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

fn resident_megabytes(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Events a second of a consumer that only counts them.
fn drain_bare(topic: &str, n_events: u64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker::address())
        .set("group.id", broker::unique("bare"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let (mut started, mut n_read, mut n_bytes) = (None, 0, 0);
    let mut last_read = Instant::now();
    while n_read < n_events {
        // It may come back before its time with nothing: after an assignment, for one.
        let Some(message) = consumer.poll(Duration::from_secs(1)) else {
            assert!(last_read.elapsed() < Duration::from_secs(30), "no more events");
            continue;
        };
        last_read = Instant::now();
        started.get_or_insert(last_read);
        n_bytes += message.unwrap().payload().map_or(0, <[u8]>::len);
        n_read += 1;
    }
    let seconds = started.unwrap().elapsed().as_secs_f64();
    tell("bare", "rdkafka", "events_per_second", n_read as f64 / seconds);
    tell("bare", "rdkafka", "bytes_per_event", n_bytes as f64 / n_read as f64);
}

fn fill(probe_every: u64, n_events: u64) -> String {
    let topic = broker::unique("drain");
    broker::create_topic(&topic, PARTITIONS);
    let producer = producer();
    let (start, mut line) = (now_micros() - 3_600_000_000, String::new());
    for number in 0..n_events {
        // An hour of events, as fast as they can be written.
        event(number, probe_every, start + number * 3_600_000_000 / n_events, &mut line);
        send(&producer, &topic, number, &line);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    topic
}

/// Microseconds from an event to its exact alert, beyond the lateness, and to its early one.
#[derive(Clone)]
struct Latencies {
    exact: Arc<Mutex<Histogram<u64>>>,
    early: Arc<Mutex<Histogram<u64>>>,
}

impl Latencies {
    fn new() -> Self {
        let histogram = || Arc::new(Mutex::new(Histogram::new(3).unwrap()));
        Self { exact: histogram(), early: histogram() }
    }

    fn reset(&self) {
        self.exact.lock().unwrap().reset();
        self.early.lock().unwrap().reset();
    }
}

fn tell_quantiles(case: &str, what: &str, latencies: &Mutex<Histogram<u64>>) {
    let latencies = latencies.lock().unwrap();
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        let millis = latencies.value_at_quantile(quantile) as f64 / 1e3;
        tell(case, "nightlatch", &format!("{name}_{what}_millis"), millis);
    }
    tell(case, "nightlatch", &format!("{what}_alerts"), latencies.len() as f64);
}

/// Listens for webhooks of probes and notes how long each took.
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
            let Some(time) = time.filter(|_| opened) else { return };
            let time: u64 = time.parse().unwrap();
            let (histogram, due) = match message["data"]["early"] == true {
                true => (&latencies.early, time),
                false => (&latencies.exact, time + LATENESS_MILLIS * 1_000),
            };
            histogram.lock().unwrap().record(now.saturating_sub(due).max(1)).unwrap();
        }
    };
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        axum::serve(listener, Router::new().route("/", post(take))).await.unwrap();
    });
    (runtime, address)
}

fn latency(folder: &Path, case: &str, early: bool, rate: f64, seconds: u64) {
    let latencies = Latencies::new();
    let (_runtime, address) = receiver(latencies.clone());
    let secret = folder.join(format!("{case}.secret"));
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr").unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let topic = broker::unique("latency");
    broker::create_topic(&topic, PARTITIONS);
    let rest = format!(
        "[alerts]\nstdout = false\nearly = {early}\n[[destination]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://{address}/\"\n\
         secret_files = [\"{}\"]\nallow_private = true\nrules = [\"probe\"]",
        secret.display()
    );
    let setup = Setup { folder, topic: &topic, rules: "rules", checkpoint_every: "30 seconds" };
    let mut run = Run::start(&setup.configuration(case, &rest));
    run.until("readiness", |run| run.get("/-/ready").is_some_and(|(status, _)| status == 200));
    let producer = producer();
    let (started, mut line, mut number) = (Instant::now(), String::new(), 0u64);
    let mut is_warm = false;
    while started.elapsed() < WARM_UP + Duration::from_secs(seconds) {
        if !is_warm && started.elapsed() >= WARM_UP {
            is_warm = true;
            latencies.reset();
        }
        let due = (started.elapsed().as_secs_f64() * rate) as u64;
        while number < due {
            number += 1;
            event(number, PROBE_EVERY, now_micros(), &mut line);
            send(&producer, &topic, number, &line);
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(1));
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let seconds = WARM_UP.as_secs() + seconds;
    tell(case, "nightlatch", "events_per_second", number as f64 / seconds as f64);
    tell_quantiles(case, "beyond_lateness", &latencies.exact);
    if early {
        tell_quantiles(case, "early", &latencies.early);
    }
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    let n_events = setting("NIGHTLATCH_BENCH_EVENTS", 1_000_000);
    let seconds = setting("NIGHTLATCH_BENCH_SECONDS", 30);
    let folder = tempfile::tempdir().unwrap();
    write_rules(folder.path());
    let (topic, alerting) = (fill(PROBE_EVERY, n_events), fill(PROBE_OFTEN, n_events));
    let all =
        Setup { folder: folder.path(), topic: &topic, rules: "rules", checkpoint_every: "1 hour" };
    let history = "[history]\nretention = \"1 day\"";
    let mut rates = Vec::new();
    for _ in 0..setting("NIGHTLATCH_BENCH_ROUNDS", 3) {
        drain_bare(&topic, n_events);
        Setup { rules: "pair", ..all }.drain("two-rules", n_events, "");
        rates.push(all.drain("all-rules", n_events, ""));
        Setup { checkpoint_every: "1 second", ..all }.drain("checkpoints", n_events, "");
        let alerting = Setup { topic: &alerting, ..all };
        alerting.drain("alerts", n_events, "");
        alerting.drain("alerts-and-history", n_events, history);
    }
    let rate = match setting("NIGHTLATCH_BENCH_RATE", 0) {
        0 => median(rates) / 2.0,
        asked => asked as f64,
    };
    latency(folder.path(), "latency-all-rules", false, rate, seconds);
    latency(folder.path(), "latency-early", true, rate, seconds);
}
