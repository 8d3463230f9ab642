//! The file: made for its owner alone, with the newest schema, and looked at again when it may be
//! another one.

use std::cmp::Ordering;
use std::fs::{Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::unusable;
use crate::{Error, Result};

/// How long one writer waits for another.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The steps from an empty file to the newest schema; `user_version` says how many were taken.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/0001_begin.sql"),
    include_str!("schema/0002_evidence.sql"),
    include_str!("schema/0003_members.sql"),
];
/// Statements that a connection keeps prepared.
const STATEMENTS_MAX: usize = 64;

/// A connection, and which file it has.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    identity: (u64, u64),
}

impl Opened {
    /// Whether the path still names the file that this connection has.
    pub(super) fn is_current(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|metadata| identity(&metadata) == self.identity)
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Opens the file, makes it where there is none, and brings its schema up to date.
///
/// # Errors
/// When it cannot be used: damaged, locked, somebody else's, or of a newer version.
pub(super) fn open(path: &Path) -> Result<Opened> {
    let metadata = make(path).map_err(|error| unreachable(path, &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags);
    let mut connection = opened.map_err(|error| unusable(path, &error))?;
    prepare(&connection).map_err(|error| unusable(path, &error))?;
    migrate(&mut connection, path)?;
    Ok(Opened { connection, identity: identity(&metadata) })
}

/// Opens a file that is there, to read it; whoever writes to it meanwhile is not held up.
///
/// # Errors
/// When there is none, or when it cannot be used: damaged, somebody else's, or of another version.
pub(super) fn open_to_read(path: &Path) -> Result<Opened> {
    let metadata = path.metadata().map_err(|error| unreadable(path, &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        let is_history = has_findings(&connection)?;
        Ok((is_history, version(&connection)?, connection))
    });
    let (is_history, done, connection) = opened.map_err(|error| unusable(path, &error))?;
    if !is_history {
        return Err(Error::usage("the file holds no history")
            .at(path.display().to_string())
            .hint("`history.file` of the configuration names it; `run` begins it"));
    }
    match done.cmp(&MIGRATIONS.len()) {
        Ordering::Less => Err(Error::usage("the history was written by an older version")
            .at(path.display().to_string())
            .hint("`nightlatch run` brings it up to date when it opens it")),
        Ordering::Equal => Ok(Opened { connection, identity: identity(&metadata) }),
        Ordering::Greater => Err(newer(path, done)),
    }
}

/// Its -wal and -shm files get the same mode.
fn make(path: &Path) -> std::io::Result<Metadata> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path)?.metadata()
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    if version(connection)? == 0 {
        // It must come first: what is deleted goes back to the file system.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // A commit is safe from a crash of the program; from one of the machine once the log is synced.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What retention deletes is overwritten.
    connection.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
    connection.pragma_update(None, "trusted_schema", false)
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
        .map(|n| n as usize)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let failed = |error: rusqlite::Error| unusable(path, &error);
    if version(connection).map_err(failed)? == MIGRATIONS.len() {
        return Ok(());
    }
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begun.map_err(failed)?;
    // Another one may have been faster.
    let done = version(&transaction).map_err(failed)?;
    if done > MIGRATIONS.len() {
        return Err(newer(path, done));
    }
    if done == 0 && has_tables(&transaction).map_err(failed)? {
        return Err(Error::usage("this is a database of another program")
            .at(path.display().to_string())
            .hint("set another `history.file`"));
    }
    for (number, statements) in (1_u32..).zip(MIGRATIONS).skip(done) {
        let taken = transaction.execute_batch(statements);
        let taken = taken.and_then(|()| transaction.pragma_update(None, "user_version", number));
        taken.map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn newer(path: &Path, done: usize) -> Error {
    Error::usage("the history was written by a newer version of nightlatch")
        .at(path.display().to_string())
        .detail(format!("its schema is {done}, this program knows {}", MIGRATIONS.len()))
        .hint("run the newer version, or set another `history.file`")
}

fn has_findings(connection: &Connection) -> rusqlite::Result<bool> {
    let count = "SELECT count(*) FROM sqlite_master \
                 WHERE type = 'table' AND name IN ('findings', 'documents', 'verdicts')";
    connection.query_row(count, [], |row| row.get::<_, i64>(0)).map(|n_tables| n_tables == 3)
}

fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_master)", [], |row| row.get(0))
}

/// The log of what was committed and is not in the file itself yet.
pub(super) fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::usage("the history cannot be read")
        .at(path.display().to_string())
        .detail(error.to_string())
        .hint("`run` begins it once its configuration has a section `[history]`")
}

/// An error of the file system.
pub(super) fn unreachable(path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable("the history cannot be used")
        .at(path.display().to_string())
        .detail(error.to_string())
        .hint("`history.file` must be on a local disk, in a folder that this user may write to")
}
