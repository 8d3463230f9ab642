//! A webhook receiver: a real HTTP server that keeps what it got.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;

/// One alert revision as it came, with how often.
pub type Revisions = BTreeMap<(String, u64), Vec<Value>>;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything.
    Well,
    /// Says 503 and keeps nothing.
    Down,
    /// Never answers, and keeps nothing.
    Hangs,
}

struct Shared {
    mood: Mood,
    /// Everything in the order in which it came.
    got: Vec<Value>,
    /// Requests, those that got no good answer too.
    n_requests: u64,
}

/// Listens until it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let shared = Shared { mood: Mood::Well, got: Vec::new(), n_requests: 0 };
        let shared = Arc::new(Mutex::new(shared));
        let kept = shared.clone();
        let take = move |_: HeaderMap, body: Bytes| {
            let mood = keep(&kept, &body);
            async move {
                match mood {
                    Mood::Well => StatusCode::NO_CONTENT,
                    Mood::Down => StatusCode::SERVICE_UNAVAILABLE,
                    Mood::Hangs => std::future::pending().await,
                }
            }
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            axum::serve(listener, Router::new().route("/", post(take))).await.unwrap();
        });
        Self { address, shared, _runtime: runtime }
    }

    /// From now on it answers so.
    pub fn set_mood(&self, mood: Mood) {
        self.shared.lock().unwrap().mood = mood;
    }

    /// All that came so far.
    pub fn got(&self) -> Revisions {
        let mut got = Revisions::new();
        for alert in self.in_order() {
            let id = alert["id"].as_str().unwrap().to_owned();
            let revision = alert["revision"].as_u64().unwrap();
            got.entry((id, revision)).or_default().push(alert);
        }
        got
    }

    /// All that came so far, in the order in which it came.
    pub fn in_order(&self) -> Vec<Value> {
        self.shared.lock().unwrap().got.clone()
    }

    /// How many revisions came so far, copies too.
    pub fn n_got(&self) -> usize {
        self.shared.lock().unwrap().got.len()
    }

    /// Requests so far, those that got no good answer too.
    pub fn n_requests(&self) -> u64 {
        self.shared.lock().unwrap().n_requests
    }
}

fn keep(shared: &Mutex<Shared>, body: &[u8]) -> Mood {
    let mut message: Value = serde_json::from_slice(body).unwrap();
    let mut shared = shared.lock().unwrap();
    shared.n_requests += 1;
    if shared.mood == Mood::Well {
        shared.got.push(message["data"].take());
    }
    shared.mood
}
