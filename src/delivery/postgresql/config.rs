//! `type = "postgresql"`: where the database is, and how long it keeps what it gets.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::units;

const PORT: u16 = 5432;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// No timeout is longer.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Partitions are days.
const RETENTION_MIN: Duration = Duration::from_secs(86_400);
/// Of an identifier of PostgreSQL.
const SCHEMA_BYTES_MAX: usize = 63;

/// Whether the way to the server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Always, and the server's certificate and name are checked.
    #[default]
    Require,
    /// Never: password and alerts go in the clear.
    Disable,
}

/// A database that gets every alert and incident as rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresqlConfig {
    /// Name or address of the server, or the folder of its socket, `/run/postgresql`.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// The database; it must be there.
    pub database: String,
    /// The user, who may create tables in the schema.
    pub user: String,
    /// File with the user's password; absent: the server asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Where the tables are; it is made when it is missing.
    #[serde(default = "schema")]
    pub schema: String,
    /// Whether the way to the server is encrypted.
    #[serde(default)]
    pub tls: TlsMode,
    /// Certificate authorities to trust instead of the system's, a PEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// What was told last so long ago is deleted.
    #[serde(with = "units::duration")]
    pub retention: Duration,
    /// How long a connection may take.
    #[serde(default = "connect_timeout", with = "units::duration")]
    pub connect_timeout: Duration,
    /// How long one statement may take.
    #[serde(default = "statement_timeout", with = "units::duration")]
    pub statement_timeout: Duration,
}

fn port() -> u16 {
    PORT
}

fn schema() -> String {
    "nightlatch".to_owned()
}

fn connect_timeout() -> Duration {
    CONNECT_TIMEOUT
}

fn statement_timeout() -> Duration {
    STATEMENT_TIMEOUT
}

impl PostgresqlConfig {
    /// Values that make no sense, each with its key.
    pub(crate) fn problems(&self) -> Vec<(&'static str, Error)> {
        let mut found = Vec::new();
        for (key, text) in
            [("host", &self.host), ("database", &self.database), ("user", &self.user)]
        {
            if text.is_empty() || text.contains('\0') {
                found.push((key, Error::usage(format!("`{key}` is missing"))));
            }
        }
        if !is_schema_name(&self.schema) {
            let hint = format!("use up to {SCHEMA_BYTES_MAX} of a-z, 0-9 and _, and not pg_...");
            found.push(("schema", Error::usage("this is no name for a schema").hint(hint)));
        }
        if self.retention < RETENTION_MIN {
            let error = Error::usage("must be at least \"1 day\"");
            found.push(("retention", error.hint("rows are deleted a day at a time")));
        }
        let timeouts = [
            ("connect_timeout", self.connect_timeout),
            ("statement_timeout", self.statement_timeout),
        ];
        for (key, timeout) in timeouts {
            if timeout < Duration::from_millis(1) || timeout > TIMEOUT_MAX {
                let error = Error::usage("must be from \"1 millisecond\" to \"1 hour\"");
                found.push((key, error));
            }
        }
        if self.tls == TlsMode::Disable && self.ca_file.is_some() {
            let error = Error::usage("an authority to trust, and no TLS: which of them?");
            found.push(("ca_file", error));
        }
        found
    }

    /// The database as errors and logs call it.
    pub(super) fn place(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

fn is_schema_name(name: &str) -> bool {
    name.len() <= SCHEMA_BYTES_MAX
        && !name.starts_with("pg_")
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
