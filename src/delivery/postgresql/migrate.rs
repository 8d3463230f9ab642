//! The tables: numbered migrations, each applied once, by one instance at a time.

use tokio_postgres::{Client, Transaction};

use super::failure::Failure;
use crate::Error;

/// What brings an empty schema to what this program knows; never changed once released, only added to.
const MIGRATIONS: [(&str, &str); 4] = [
    ("alerts", include_str!("migrations/0001_alerts.sql")),
    ("incidents", include_str!("migrations/0002_incidents.sql")),
    ("views", include_str!("migrations/0003_views.sql")),
    ("viewed", include_str!("migrations/0004_viewed.sql")),
];

/// The newest version that this program knows.
fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Brings the schema to the newest version.
pub(super) async fn migrate(client: &mut Client, schema: &str) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    lock(&transaction, schema).await?;
    insist_on_utf8(&transaction).await?;
    // Who may not create schemas may use one that is there.
    let sql = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
    if transaction.query_opt(sql, &[&schema]).await?.is_none() {
        transaction.batch_execute(&format!("CREATE SCHEMA \"{schema}\"")).await?;
    }
    let current = version(&transaction).await?;
    if current > newest() {
        return Err(newer(current).into());
    }
    let missing = (1..).zip(MIGRATIONS).filter(|(number, _)| *number > current);
    for (number, (name, sql)) in missing {
        transaction.batch_execute(sql).await?;
        let insert = "INSERT INTO schema_versions (version, name) VALUES ($1, $2)";
        transaction.execute(insert, &[&number, &name]).await?;
        tracing::info!(
            schema,
            version = number,
            name,
            "PostgreSQL's tables were brought up to date"
        );
    }
    transaction.commit().await?;
    Ok(())
}

/// One instance at a time changes tables of the schema, until its transaction ends.
pub(super) async fn lock(transaction: &Transaction<'_>, schema: &str) -> Result<(), Failure> {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended('nightlatch ' || $1, 0))";
    transaction.execute(sql, &[&schema]).await?;
    Ok(())
}

async fn insist_on_utf8(transaction: &Transaction<'_>) -> Result<(), Failure> {
    let row = transaction.query_one("SELECT current_setting('server_encoding')", &[]).await?;
    let encoding: String = row.try_get(0)?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(Error::unavailable(format!("the database's encoding is {encoding}"))
        .detail("Names from events have characters of every script.")
        .hint("make it anew: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0")
        .into())
}

async fn version(transaction: &Transaction<'_>) -> Result<i32, Failure> {
    let exists = "SELECT to_regclass('schema_versions') IS NOT NULL";
    let has_table: bool = transaction.query_one(exists, &[]).await?.try_get(0)?;
    if !has_table {
        let sql = "CREATE TABLE schema_versions (version integer PRIMARY KEY, name text NOT NULL, \
                   applied_at timestamptz NOT NULL DEFAULT now())";
        transaction.batch_execute(sql).await?;
    }
    let sql = "SELECT coalesce(max(version), 0) FROM schema_versions";
    Ok(transaction.query_one(sql, &[]).await?.try_get(0)?)
}

fn newer(current: i32) -> Error {
    let known = newest();
    Error::unavailable("a newer Nightlatch has made the database's tables")
        .detail(format!("They have version {current}; this program knows versions up to {known}."))
        .hint("use that newer version, or another `schema`")
}
