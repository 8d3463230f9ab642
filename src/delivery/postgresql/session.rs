//! One connection to the server, used from a thread that may block.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use native_tls::{Certificate, Protocol, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use tokio_postgres::config::SslMode;

use super::config::{PostgresqlConfig, TlsMode};
use super::failure::Failure;
use crate::config::secret::{Secret, place};
use crate::{Error, Result};

/// How often somebody who waits looks whether the program is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A dead way to the server is noticed after about so long.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// A unit of work has a handful of statements; together they may take so many times the limit of one.
const STATEMENTS: u32 = 4;

/// How to reach the server.
pub(super) struct Access {
    options: tokio_postgres::Config,
    tls: MakeTlsConnector,
    setup: String,
    connect_timeout: Duration,
    work_timeout: Duration,
    halt: Arc<AtomicBool>,
}

impl Access {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// When one cannot be used.
    pub(super) fn new(config: &PostgresqlConfig, halt: &Arc<AtomicBool>) -> Result<Self> {
        let mut options = tokio_postgres::Config::new();
        options
            .host(&config.host)
            .port(config.port)
            .dbname(&config.database)
            .user(&config.user)
            .application_name("nightlatch")
            .connect_timeout(config.connect_timeout)
            .keepalives_idle(KEEPALIVE)
            .ssl_mode(match config.tls {
                TlsMode::Require => SslMode::Require,
                TlsMode::Disable => SslMode::Disable,
            });
        if let Some(path) = &config.password_file {
            options.password(Secret::of_key("destination.password_file", path)?.expose());
        }
        let milliseconds = config.statement_timeout.as_millis();
        Ok(Self {
            options,
            tls: connector(config.ca_file.as_deref())?,
            // Names in statements are those of the schema, whatever else the database holds.
            setup: format!(
                "SET search_path = \"{}\"; SET statement_timeout = {milliseconds}; \
                 SET TIME ZONE 'UTC'; SET client_min_messages = warning",
                config.schema
            ),
            connect_timeout: config.connect_timeout,
            work_timeout: config.statement_timeout * STATEMENTS,
            halt: halt.clone(),
        })
    }

    /// Connects.
    pub(super) fn open(&self) -> Result<Session, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("nightlatch-postgresql")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::unexpected("cannot start the thread of a connection")
                    .detail(error.to_string())
            })?;
        let connected = async {
            let (client, connection) = self.options.connect(self.tls.clone()).await?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!("a connection to PostgreSQL ended: {error}");
                }
            });
            client.batch_execute(&self.setup).await?;
            Ok(client)
        };
        let client = runtime.block_on(limited(connected, self.connect_timeout, &self.halt));
        match client {
            Ok(client) => Ok(Session {
                client,
                runtime: Some(runtime),
                timeout: self.work_timeout,
                halt: self.halt.clone(),
            }),
            Err(failure) => {
                runtime.shutdown_background();
                Err(failure)
            }
        }
    }
}

/// The authorities of the file, or those of the system.
fn connector(ca_file: Option<&Path>) -> Result<MakeTlsConnector> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    if let Some(path) = ca_file {
        builder.disable_built_in_roots(true);
        for certificate in certificates(path)? {
            builder.add_root_certificate(certificate);
        }
    }
    let connector = builder
        .build()
        .map_err(|error| Error::unexpected("TLS cannot be set up").detail(error.to_string()))?;
    Ok(MakeTlsConnector::new(connector))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>> {
    let wrong = |detail: String| {
        Error::usage("the certificates cannot be used")
            .at(place("destination.ca_file", path))
            .detail(detail)
            .hint("it is a PEM file: -----BEGIN CERTIFICATE----- ...")
    };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let found = Certificate::stack_from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("no certificate stands in it".to_owned()));
    }
    Ok(found)
}

/// A connection, and the thread that serves it.
pub(super) struct Session {
    client: Client,
    /// `None` while it is dropped.
    runtime: Option<Runtime>,
    timeout: Duration,
    halt: Arc<AtomicBool>,
}

impl Session {
    /// Whether the server has gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Does some work with the connection, within the time that it may take.
    pub(super) fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(runtime) = &self.runtime else {
            return Err(Error::unexpected("the connection is gone").into());
        };
        runtime.block_on(limited(work(&mut self.client), self.timeout, &self.halt))
    }
}

/// It may be dropped where blocking is not allowed.
impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Ends the waiting when the time is over or when the program is to stop.
async fn limited<T>(
    work: impl Future<Output = Result<T, Failure>>,
    timeout: Duration,
    halt: &AtomicBool,
) -> Result<T, Failure> {
    let halted = async {
        while !halt.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        done = tokio::time::timeout(timeout, work) => done.unwrap_or_else(|_| Err(silent(timeout))),
        () = halted => Err(Error::unavailable("PostgreSQL was not waited for any longer").into()),
    }
}

fn silent(timeout: Duration) -> Failure {
    let seconds = timeout.as_secs_f64();
    Error::unavailable("PostgreSQL does not answer")
        .detail(format!("nothing came within {seconds} seconds"))
        .hint("look at the server and at the way to it; `connect_timeout` and `statement_timeout`")
        .into()
}
