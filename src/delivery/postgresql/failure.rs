//! What went wrong with the database, and whether a row is the reason.

use std::error::Error as _;

use tokio_postgres::error::{DbError, SqlState};

use crate::Error;
use crate::alert::{escape, shorten};

const REASON_CHARS_MAX: usize = 500;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server or the way to it.
    Database(tokio_postgres::Error),
    /// What this program says itself.
    Own(Error),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl Failure {
    /// The reason, when it is a row's content: it would fail again.
    pub(super) fn content(&self) -> Option<String> {
        let Self::Database(error) = self else { return None };
        let said = error.as_db_error()?;
        let code = said.code();
        // Data exceptions, limits of the program, a value that is missing. A missing partition has
        // another code of the last one's class, and is no row's fault.
        let is_content = code.code().starts_with("22")
            || code.code().starts_with("54")
            || *code == SqlState::NOT_NULL_VIOLATION;
        is_content.then(|| words(said))
    }

    /// For people; `place` is the database.
    pub(super) fn told(self, place: &str) -> Error {
        let error = match self {
            Self::Own(error) if error.place.is_some() => return error,
            Self::Own(error) => return error.at(place),
            Self::Database(error) => error,
        };
        let (said, hint) = match error.as_db_error() {
            Some(said) => (words(said), hint(said.code())),
            None => {
                let said = chain(&error);
                let hint = hint_of_connection(&said);
                (said, hint)
            }
        };
        let told = Error::unavailable("PostgreSQL does not take alerts").at(place).detail(said);
        match hint {
            Some(hint) => told.hint(hint),
            None => told,
        }
    }
}

/// Without the server's details, which show rows.
fn words(said: &DbError) -> String {
    let message = escape(said.message()).into_owned();
    format!("{} (SQLSTATE {})", shorten(&message, REASON_CHARS_MAX), said.code().code())
}

fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    shorten(&escape(&text), REASON_CHARS_MAX).into_owned()
}

fn hint(code: &SqlState) -> Option<&'static str> {
    let hint = match code.code() {
        "28P01" | "28000" => "the server refuses this user: check `user` and `password_file`",
        "3D000" => "make the database first: docs/postgresql.md",
        "42501" => "give the user its rights: docs/postgresql.md",
        "53100" => "the server's disk is full: free room, or shorten `retention`",
        "53300" => "raise `max_connections` of the server",
        "57014" => "the server was slower than `statement_timeout`, or somebody holds a lock",
        _ => return None,
    };
    Some(hint)
}

fn hint_of_connection(said: &str) -> Option<&'static str> {
    if said.contains("certificate verify failed") {
        Some(
            "`ca_file` does not hold the authority of the server's certificate, or it names another host",
        )
    } else if said.contains("server does not support TLS") {
        Some("give the server a certificate (`ssl = on`), or accept `tls = \"disable\"`")
    } else if said.contains("password missing") {
        Some("the server wants a password: name its file, `password_file`")
    } else {
        None
    }
}
