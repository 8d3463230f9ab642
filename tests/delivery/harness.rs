//! A receiver that answers as a test wants, and a dispatcher in a folder of its own.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use nightlatch::Result;
use nightlatch::alert::{Alert, Evidence, EvidencePlace, Status, Values};
use nightlatch::config::{DestinationConfig, WhenFull};
use nightlatch::delivery::outbox::{Outbox, OutboxLimits};
use nightlatch::delivery::{Dispatcher, DispatcherOptions, Silences, Surroundings};
use nightlatch::kafka::{Cluster, Security};
use nightlatch::rules::Severity;
use nightlatch::serve::Metrics;
use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The answer's status.
    pub(crate) status: u16,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Number of the alert, and revision.
    pub(crate) fn revision(&self) -> (u64, u64) {
        let data = &self.json()["data"];
        let number = u64::from_str_radix(data["id"].as_str().unwrap(), 16).unwrap();
        (number, data["revision"].as_u64().unwrap())
    }
}

/// How to answer: a status, a header, and how long to wait before.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) header: Option<(&'static str, &'static str)>,
    pub(crate) hang: Duration,
}

pub(crate) fn status(status: u16) -> Reply {
    Reply { status, ..Reply::default() }
}

type Answer = dyn Fn(&Arrived, &[Arrived]) -> Reply + Send + Sync;

#[derive(Clone)]
struct Shared {
    arrived: Arc<Mutex<Vec<Arrived>>>,
    answer: Arc<Answer>,
}

/// A server that keeps what arrives.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Shared,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    /// On a free port. `answer` sees the request and what came before it.
    pub(crate) fn start(
        answer: impl Fn(&Arrived, &[Arrived]) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer)
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        answer: impl Fn(&Arrived, &[Arrived]) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared { arrived: Arc::default(), answer: Arc::new(answer) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(arrive).with_state(shared.clone());
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.shared.arrived.lock().unwrap().clone()
    }

    /// Numbers and revisions that were taken, in the order of their answers.
    pub(crate) fn taken(&self) -> Vec<(u64, u64)> {
        let arrived = self.arrived();
        arrived.iter().filter(|one| one.status < 300).map(Arrived::revision).collect()
    }
}

async fn arrive(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut one = Arrived {
        at: Instant::now(),
        path: uri.path().to_owned(),
        headers,
        body: body.to_vec(),
        status: 0,
    };
    let reply = {
        let mut arrived = shared.arrived.lock().unwrap();
        let reply = (shared.answer)(&one, &arrived);
        one.status = if reply.hang.is_zero() { reply.status } else { 0 };
        // A hanging request has taken nothing.
        one.status = if one.status == 0 { 599 } else { one.status };
        arrived.push(one);
        reply
    };
    tokio::time::sleep(reply.hang).await;
    let status = StatusCode::from_u16(reply.status).unwrap();
    match reply.header {
        Some(header) => (status, [header], "a word about it\u{1b}[31m").into_response(),
        None => (status, "a word about it\u{1b}[31m").into_response(),
    }
}

/// An outbox and a dispatcher.
pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) outbox: Outbox,
    pub(crate) active: Arc<AtomicBool>,
    pub(crate) metrics: Arc<Metrics>,
    /// `host:port` of the broker, where a test has one.
    pub(crate) brokers: String,
    pub(crate) group: String,
    dispatcher: Option<Dispatcher>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let outbox = open(&folder.path().join("outbox"));
        Self {
            folder,
            outbox,
            active: Arc::new(AtomicBool::new(true)),
            metrics: Arc::new(Metrics::new().unwrap()),
            brokers: "127.0.0.1:1".to_owned(),
            group: "test".to_owned(),
            dispatcher: None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that only its owner can read.
    pub(crate) fn secret_file(&self, name: &str, secret: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A webhook named `soc`, with the keys that a test adds.
    pub(crate) fn webhook(&self, url: &str, more: &str) -> Vec<DestinationConfig> {
        let secret = self.secret_file("secret", &secret(1));
        destinations(&format!(
            "[[destination]]\nname = 'soc'\ntype = 'webhook'\nurl = '{url}'\n\
             secret_files = ['{}']\nallow_private = true\n\
             retry_first = '10 ms'\nretry_max = '100 ms'\n{more}\n",
            secret.display()
        ))
    }

    pub(crate) fn start(&mut self, destinations: &[DestinationConfig]) {
        self.try_start(destinations, Silences::default()).unwrap();
    }

    pub(crate) fn try_start(
        &mut self,
        destinations: &[DestinationConfig],
        silences: Silences,
    ) -> Result<()> {
        let options = DispatcherOptions {
            active: self.active.clone(),
            drain: Duration::from_secs(5),
            metrics: self.metrics.delivery.clone(),
            around: self.surroundings(),
        };
        let outbox = self.outbox.clone();
        self.dispatcher = Some(Dispatcher::start(outbox, options, destinations, silences)?);
        Ok(())
    }

    fn surroundings(&self) -> Surroundings {
        let cluster = Cluster {
            brokers: self.brokers.clone(),
            patience: Duration::from_secs(30),
            librdkafka: Default::default(),
            security: Security::default(),
        };
        Surroundings { cluster, group: self.group.clone() }
    }

    pub(crate) fn dispatcher(&mut self) -> &mut Dispatcher {
        self.dispatcher.as_mut().unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.dispatcher.take().unwrap().stop();
    }

    /// As a crash leaves it: nothing more is said, and the folder is opened again.
    pub(crate) fn crash(&mut self) {
        drop(self.dispatcher.take());
        self.outbox = open(&self.path("outbox"));
    }

    pub(crate) fn set_active(&self, active: bool) {
        self.active.store(active, Ordering::Relaxed);
    }

    pub(crate) fn append(&self, revisions: impl IntoIterator<Item = (u64, u64)>) {
        let alerts: Vec<Alert> = revisions.into_iter().map(alert).collect();
        self.outbox.append(&alerts).unwrap();
    }

    pub(crate) fn outcome(&self, destination: &str, outcome: &str) -> u64 {
        self.metrics.delivery.deliveries.with_label_values(&[destination, outcome]).get()
    }

    /// Lines of a file of JSON Lines beside the outbox.
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path("outbox").join(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub(crate) fn open(folder: &Path) -> Outbox {
    let limits = OutboxLimits {
        bytes_max: 1 << 30,
        when_full: WhenFull::Block,
        stop: Arc::default(),
        alive: Arc::default(),
    };
    Outbox::open(folder, &limits).unwrap()
}

/// The destinations of a configuration file.
pub(crate) fn destinations(text: &str) -> Vec<DestinationConfig> {
    let kafka = "[kafka]\nbrokers = 'x:1'\ntopics = ['events']\n";
    let text = format!("{kafka}[alerts]\nstdout = false\n{text}");
    let config = nightlatch::config::parse("test.toml", &text);
    config.unwrap_or_else(|errors| panic!("{}", errors[0])).destinations()
}

pub(crate) fn secret(number: u8) -> String {
    format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode([number; 32]))
}

/// A revision of alert `number`, due at `number` seconds.
pub(crate) fn alert((number, revision): (u64, u64)) -> Alert {
    let failures: ArrayRef = Arc::new(Int64Array::from(vec![417]));
    let values = RecordBatch::try_from_iter([("failures", failures)]).unwrap();
    let at = i64::try_from(number).unwrap() * 1_000_000;
    Alert {
        at,
        id: format!("{number:032x}").into(),
        revision,
        status: if revision == 1 { Status::Opened } else { Status::Updated },
        rule: "credential_stuffing".into(),
        rule_version: "0123456789ab".into(),
        title: "Credential stuffing from one address".into(),
        severity: Severity::High,
        entity_type: "ip".into(),
        entity: format!("203.0.113.{}", number % 200).into(),
        started_at: at,
        updated_at: at + 1,
        accounts: vec!["ann@example.org".into()],
        accounts_total: 1,
        ips: vec!["203.0.113.9".into()],
        ips_total: 1,
        summary: "417 failed logins".to_owned(),
        values: Values::read(&values, 0, "ip".into()),
        matches: revision,
        evidence: vec![Evidence {
            time: at,
            event_id: None,
            source: None,
            place: EvidencePlace::Topic { topic: "logins".into(), partition: 3, offset: 77 },
        }],
        evidence_total: 1,
        attack: Arc::new(["T1110.004".into()]),
        enrichment: Arc::default(),
        early: false,
        incident: None,
    }
}
