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

/// Listens until it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    got: Arc<Mutex<Revisions>>,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let got: Arc<Mutex<Revisions>> = Arc::default();
        let kept = got.clone();
        let take = move |_: HeaderMap, body: Bytes| {
            let kept = kept.clone();
            async move {
                let message: Value = serde_json::from_slice(&body).unwrap();
                let alert = message["data"].clone();
                let id = alert["id"].as_str().unwrap().to_owned();
                let revision = alert["revision"].as_u64().unwrap();
                kept.lock().unwrap().entry((id, revision)).or_default().push(alert);
                StatusCode::NO_CONTENT
            }
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            axum::serve(listener, Router::new().route("/", post(take))).await.unwrap();
        });
        Self { address, got, _runtime: runtime }
    }

    /// All that came so far.
    pub fn got(&self) -> Revisions {
        self.got.lock().unwrap().clone()
    }
}
