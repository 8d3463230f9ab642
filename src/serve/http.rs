//! The listener for `/metrics`, `/-/healthy` and `/-/ready`, and for the API and the console where there
//! is a history.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::connections::{BoundedListener, CONNECTIONS_MAX, IDLE_MAX};
use super::console::{self, Console};
use super::{Api, Metrics};
use crate::{Error, Result};

/// Whether the process is ready for its work.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
}

impl Health {
    /// Says whether events can be read now.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether events can be read now.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

/// A listener that serves until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    // Dropping the runtime ends every connection.
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Server {
    /// Binds the address and serves in threads of its own.
    ///
    /// # Errors
    /// When the address is taken or not this machine's.
    pub fn start(listen: SocketAddr, metrics: Arc<Metrics>, health: Arc<Health>) -> Result<Self> {
        Self::start_with(listen, metrics, health, None)
    }

    /// As [`Server::start`], with an API and a console.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(
        listen: SocketAddr,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        api: Option<&Api>,
    ) -> Result<Self> {
        let bound = bind(listen).map_err(|error| refused(listen, &error))?;
        let address = bound.local_addr().unwrap_or(listen);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("nightlatch-http")
            .enable_all()
            .build()
            .map_err(|error| refused(listen, &error))?;
        let pages = router(Shared { metrics: metrics.clone(), health: health.clone() });
        let router = match api {
            Some(api) => {
                let console = Console::new(api, metrics, health)?;
                pages.merge(api.router()).merge(console.router())
            }
            None => pages.merge(console::without_history()),
        };
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(bound).map_err(|error| refused(listen, &error))?
        };
        let listener = BoundedListener::new(listener, CONNECTIONS_MAX, IDLE_MAX);
        runtime.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the metrics listener stopped");
            }
        });
        Ok(Self { address, _runtime: runtime })
    }

    /// The address that is really bound (the port was 0, say).
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn refused(listen: SocketAddr, error: &std::io::Error) -> Error {
    Error::unavailable(format!("cannot listen on {listen}"))
        .at("http.listen")
        .detail(error.to_string())
        .hint("stop the program that holds the port, or set another `http.listen`")
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(healthy))
        .route("/healthz", get(healthy))
        .route("/-/ready", get(ready))
        .route("/readyz", get(ready))
        .with_state(shared)
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    shared.metrics.ready.set(i64::from(shared.health.is_ready()));
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], shared.metrics.text())
}

/// Alive is whoever answers: a broker that is away is no reason to be restarted.
async fn healthy() -> &'static str {
    "healthy\n"
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.health.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: no partition is assigned\n")
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_serves_metrics_and_health_and_refuses_a_taken_port() {
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::new().unwrap());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(any, metrics.clone(), health.clone()).unwrap();
        let address = server.address();
        for path in ["/-/healthy", "/healthz"] {
            assert!(get(address, path).starts_with("HTTP/1.1 200"), "{path}");
        }
        for path in ["/-/ready", "/readyz"] {
            health.set_ready(false);
            assert!(get(address, path).starts_with("HTTP/1.1 503"), "{path}");
            assert!(get(address, "/metrics").contains("\nnightlatch_ready 0\n"));
            health.set_ready(true);
            assert!(get(address, "/metrics").contains("\nnightlatch_ready 1\n"));
            assert!(get(address, path).starts_with("HTTP/1.1 200"), "{path}");
        }
        let answer = get(address, "/metrics");
        assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("# HELP nightlatch_build_info"), "{answer}");
        assert!(get(address, "/nowhere").starts_with("HTTP/1.1 404"));
        let welcome = get(address, "/");
        assert!(welcome.starts_with("HTTP/1.1 200") && welcome.contains("[history]"), "{welcome}");
        assert!(welcome.contains("content-security-policy: default-src 'none'"), "{welcome}");

        let error = Server::start(address, metrics, health).unwrap_err();
        assert_eq!(error.exit_code(), 69);
        assert!(error.to_string().contains("http.listen: cannot listen on 127.0.0.1:"), "{error}");
    }
}
