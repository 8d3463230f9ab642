//! PostgreSQL: alerts and incidents as rows, for dashboards and for whoever asks in SQL.
//!
//! The highest revision of each is stored, so what comes twice changes nothing. A batch is one
//! transaction; when the server refuses a row for what is in it, the batch's rows go one by one.

mod config;
mod document;
mod failure;
mod migrate;
mod partitions;
mod session;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use chrono::{NaiveDate, Utc};
use tokio_postgres::Client;

use super::batch::{BatchDestination, Item, Position, Refusal};
use crate::{Error, Result};
pub use config::{PostgresqlConfig, TlsMode};
use document::Document;
use failure::Failure;
use session::{Access, Session};

/// How often old days are looked for, and how soon again when that failed.
const CLEAN_EVERY: Duration = Duration::from_secs(3600);
const CLEAN_AGAIN: Duration = Duration::from_secs(60);

/// A database that gets alerts.
pub(crate) struct Postgresql {
    config: PostgresqlConfig,
    access: Access,
    session: Option<Session>,
    /// Days that have partitions, as far as this session knows.
    days: BTreeSet<NaiveDate>,
    /// When old days are looked for next.
    clean_at: Instant,
}

impl Postgresql {
    /// Reads the password and the certificates; connects to nobody. `halt` ends all waiting.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(crate) fn new(config: &PostgresqlConfig, halt: &Arc<AtomicBool>) -> Result<Self> {
        Ok(Self {
            access: Access::new(config, halt)?,
            config: config.clone(),
            session: None,
            days: BTreeSet::new(),
            clean_at: Instant::now(),
        })
    }

    fn is_connected(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.is_closed())
    }

    fn connect(&mut self) -> Result<(), Failure> {
        self.forget();
        let mut session = self.access.open()?;
        let schema = self.config.schema.as_str();
        session.run(async |client| migrate::migrate(client, schema).await)?;
        self.session = Some(session);
        Ok(())
    }

    /// After a failure nothing is known about the connection.
    fn forget(&mut self) {
        self.session = None;
        self.days.clear();
    }

    fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if !self.is_connected() {
            self.connect()?;
        }
        match &mut self.session {
            Some(session) => session.run(work),
            None => Err(Error::unexpected("the connection is gone").into()),
        }
    }

    /// Old days go; when that fails it is told, tried again, and holds up no alert.
    fn clean(&mut self) {
        self.clean_at = Instant::now() + CLEAN_EVERY;
        let (schema, retention) = (self.config.schema.clone(), self.config.retention);
        let cleaned =
            self.run(async |client| partitions::drop_old(client, &schema, retention).await);
        match cleaned {
            Ok((0, 0)) => {}
            Ok((days, incidents)) => {
                self.days.clear();
                tracing::info!(days, incidents, "deleted from PostgreSQL after the retention");
            }
            Err(failure) => {
                self.clean_at = Instant::now() + CLEAN_AGAIN;
                let error = self.told(failure);
                tracing::warn!("old rows in PostgreSQL are not deleted for now: {error}");
            }
        }
    }

    /// The batch in one transaction; or, when a row of it is refused, each row in one of its own.
    fn store(&mut self, documents: &[Document]) -> Result<Vec<Refusal>, Failure> {
        self.make_days(documents)?;
        let all: Vec<&Document> = documents.iter().collect();
        match self.run(async |client| store::store(client, &all).await) {
            Ok(()) => return Ok(Vec::new()),
            Err(failure) if failure.content().is_none() => return Err(failure),
            Err(_) => {}
        }
        let mut refusals = Vec::new();
        for document in documents {
            if let Err(failure) = self.run(async |client| store::store(client, &[document]).await) {
                let reason = failure.content().ok_or(failure)?;
                refusals.push(Refusal { index: document.index, reason });
            }
        }
        Ok(refusals)
    }

    fn make_days(&mut self, documents: &[Document]) -> Result<(), Failure> {
        let alerts = documents.iter().filter(|document| !document.is_incident);
        let days = alerts.map(|alert| alert.started_at.date_naive());
        let missing: BTreeSet<NaiveDate> = days.filter(|day| !self.days.contains(day)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let schema = self.config.schema.clone();
        self.run(async |client| partitions::make(client, &schema, &missing).await)?;
        self.days.extend(missing);
        Ok(())
    }

    fn told(&mut self, failure: Failure) -> Error {
        self.forget();
        failure.told(&self.config.place())
    }
}

impl BatchDestination for Postgresql {
    /// Not when old days are to be looked for: a destination is asked again and again, alerts or none.
    fn is_ready(&self) -> bool {
        Instant::now() < self.clean_at
    }

    /// Makes the tables and looks for old days. Deliveries connect by themselves, so that each that
    /// fails is counted.
    fn begin(&mut self) -> Result<Option<Position>> {
        self.clean();
        Ok(None)
    }

    fn deliver(&mut self, items: &[Item]) -> Result<Vec<Refusal>> {
        let (documents, mut refusals) = document::read(items, Utc::now());
        if !documents.is_empty() {
            let refused = self.store(&documents).map_err(|failure| self.told(failure))?;
            refusals.extend(refused);
        }
        Ok(refusals)
    }

    fn pause(&mut self) {
        self.forget();
    }
}
