//! The outbox and delivery alone. Prints alerts a second: appended, appended and brought to disk by the
//! checkpoint, recognised after a restart, and delivered to a webhook on this machine.
//!
//! `cargo bench --bench outbox`

#![allow(clippy::expect_used)] // a benchmark that cannot go on ends

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use nightlatch::alert::{Alert, Evidence, EvidencePlace, Status, Values};
use nightlatch::config::WhenFull;
use nightlatch::delivery::outbox::{Outbox, OutboxLimits};
use nightlatch::rules::Severity;

const ALERTS: u64 = 200_000;
const BATCH: usize = 100;

/// An alert with ten accounts and ten events: about 2 KiB of JSON.
fn alert(number: u64) -> Alert {
    let failures: ArrayRef = Arc::new(Int64Array::from(vec![417]));
    let values = RecordBatch::try_from_iter([("failures", failures)]).expect("one column");
    let at = i64::try_from(number).expect("a small number") * 1000;
    let evidence = |offset| Evidence {
        time: at,
        event_id: Some(format!("event-{offset}").into()),
        source: None,
        place: EvidencePlace::Topic { topic: "events".into(), partition: 3, offset },
    };
    Alert {
        at,
        id: format!("{number:032x}").into(),
        revision: 1,
        status: Status::Opened,
        rule: "credential_stuffing".into(),
        rule_version: "0123456789ab".into(),
        title: "Credential stuffing from one address".into(),
        severity: Severity::High,
        entity_type: "ip".into(),
        entity: "203.0.113.9".into(),
        started_at: at,
        updated_at: at,
        accounts: (0..10).map(|n| format!("user{n}@example.org").into()).collect(),
        accounts_total: 45,
        ips: vec!["203.0.113.9".into()],
        ips_total: 1,
        summary: "417 failed logins to 45 accounts from 203.0.113.9 within 10 minutes".to_owned(),
        values: Values::read(&values, 0, "ip".into()),
        matches: 417,
        evidence: (0..10).map(evidence).collect(),
        evidence_total: 417,
        attack: Arc::new(["T1110.004".into()]),
        enrichment: Arc::default(),
        early: false,
        incident: None,
    }
}

fn open(folder: &Path) -> Outbox {
    let limits = OutboxLimits {
        bytes_max: 8 << 30,
        when_full: WhenFull::Block,
        stop: Arc::default(),
        alive: Arc::default(),
    };
    Outbox::open(folder, &limits).expect("a temporary folder")
}

fn print(what: &str, n_alerts: u64, took: Duration) {
    let rate = n_alerts as f64 / took.as_secs_f64();
    println!("outbox/{what}: {n_alerts} alerts in {:.2} s, {rate:.0} alerts/s", took.as_secs_f64());
}

fn append(outbox: &Outbox, alerts: &[Alert], sync_every: Option<Duration>) -> Duration {
    let started = Instant::now();
    let mut synced = Instant::now();
    for batch in alerts.chunks(BATCH) {
        outbox.append(batch).expect("room in the outbox");
        if sync_every.is_some_and(|every| synced.elapsed() >= every) {
            outbox.sync().expect("a disk that answers");
            synced = Instant::now();
        }
    }
    started.elapsed()
}

fn main() {
    let alerts: Vec<Alert> = (0..ALERTS).map(alert).collect();
    let n_bytes = alerts[0].to_json().len();
    println!("outbox: alerts of {n_bytes} bytes, {BATCH} a batch");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plain = folder.path().join("plain");
    print("append", ALERTS, append(&open(&plain), &alerts, None));
    let synced = open(&folder.path().join("synced"));
    print("append_and_sync", ALERTS, append(&synced, &alerts, Some(Duration::from_millis(20))));
    let started = Instant::now();
    let outbox = open(&plain);
    print("open", ALERTS, started.elapsed());
    print("recognise", ALERTS, append(&outbox, &alerts, None));
    delivery::run(&folder.path().join("delivered"), &alerts[..20_000]);
}

/// From the outbox to a receiver on this machine.
mod delivery {
    use axum::Router;
    use axum::routing::post;
    use nightlatch::delivery::{Dispatcher, DispatcherOptions, Silences, Surroundings};
    use nightlatch::kafka::{Cluster, Security};
    use nightlatch::serve::Metrics;

    use super::{Alert, Arc, AtomicU64, Duration, Instant, Ordering, Path, append, open, print};

    pub(super) fn run(folder: &Path, alerts: &[Alert]) {
        std::fs::create_dir(folder).expect("a temporary folder");
        let taken = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let counter = taken.clone();
        let hook = post(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::ready("")
        });
        let router = Router::new().route("/", hook);
        runtime.spawn(async move { axum::serve(listener, router).await });

        let secret = folder.join("secret");
        std::fs::write(&secret, "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
            .expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&secret, mode).expect("a file of one's own");
        let text = format!(
            "[alerts]\nstdout = false\n[[destination]]\nname = 'hook'\ntype = 'webhook'\n\
             url = 'http://{address}/'\nsecret_files = ['{}']\nallow_private = true\n",
            secret.display()
        );
        let config = nightlatch::config::parse("bench", &text).expect("a sound configuration");
        let cluster = Cluster {
            brokers: String::new(),
            patience: Duration::ZERO,
            librdkafka: Default::default(),
            security: Security::default(),
        };
        let options = DispatcherOptions {
            active: Arc::new(true.into()),
            drain: Duration::from_secs(5),
            metrics: Metrics::new().expect("metrics").delivery,
            around: Surroundings { cluster, group: "bench".to_owned() },
        };
        let outbox = open(&folder.join("outbox"));
        let destinations = config.destinations();
        let dispatcher =
            Dispatcher::start(outbox.clone(), options, &destinations, Silences::default())
                .expect("a destination that can be read");
        let started = Instant::now();
        append(&outbox, alerts, None);
        let n_alerts = alerts.len() as u64;
        while taken.load(Ordering::Relaxed) < n_alerts {
            std::thread::sleep(Duration::from_millis(1));
        }
        print("webhook", n_alerts, started.elapsed());
        dispatcher.stop();
    }
}
