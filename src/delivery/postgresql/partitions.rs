//! The days: a partition of each table of alerts for each day, made when the first alert of the day
//! comes and dropped once nothing of it was told for the retention.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{Days, NaiveDate, Utc};
use tokio_postgres::{Client, Transaction};

use super::failure::Failure;
use super::migrate::lock;

const TABLES: [&str; 3] = ["alerts", "alert_evidence", "alert_accounts"];
const DAY_FORMAT: &str = "%Y%m%d";
/// Whoever reads a dashboard meanwhile is waited for no longer.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '5s'";

/// Makes the partitions of days that have none.
pub(super) async fn make(
    client: &mut Client,
    schema: &str,
    days: &BTreeSet<NaiveDate>,
) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    lock(&transaction, schema).await?;
    for day in days {
        for table in TABLES {
            make_one(&transaction, table, *day).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// A table is made beside its parent and attached: who reads the parent is not locked out.
async fn make_one(
    transaction: &Transaction<'_>,
    table: &str,
    day: NaiveDate,
) -> Result<(), Failure> {
    let name = partition(table, day);
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    let is_there: bool = transaction.query_one(sql, &[&name]).await?.try_get(0)?;
    if is_there {
        return Ok(());
    }
    let next = day + Days::new(1);
    let sql = format!(
        "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
         ALTER TABLE {table} ATTACH PARTITION {name} \
         FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')"
    );
    Ok(transaction.batch_execute(&sql).await?)
}

/// Deletes what was told last longer ago than `retention`; the answer is how many days and incidents.
pub(super) async fn drop_old(
    client: &mut Client,
    schema: &str,
    retention: Duration,
) -> Result<(u64, u64), Failure> {
    let mut n_days = 0;
    for day in days_before(client, retention).await? {
        n_days += u64::from(drop_day(client, schema, day, retention).await?);
    }
    let sql = "DELETE FROM incidents WHERE stored_at < now() - make_interval(secs => $1)";
    let n_incidents = client.execute(sql, &[&retention.as_secs_f64()]).await?;
    Ok((n_days, n_incidents))
}

/// Days that were over before the retention began.
async fn days_before(client: &Client, retention: Duration) -> Result<Vec<NaiveDate>, Failure> {
    let first_kept = (Utc::now() - retention).date_naive();
    let sql = "SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid \
               WHERE i.inhparent = to_regclass('alerts')";
    let mut days = Vec::new();
    for row in client.query(sql, &[]).await? {
        let name: String = row.try_get(0)?;
        let day =
            name.strip_prefix("alerts_").map(|day| NaiveDate::parse_from_str(day, DAY_FORMAT));
        days.extend(day.and_then(Result::ok).filter(|day| *day < first_kept));
    }
    days.sort_unstable();
    Ok(days)
}

/// Drops a day unless something of it was told since.
async fn drop_day(
    client: &mut Client,
    schema: &str,
    day: NaiveDate,
    retention: Duration,
) -> Result<bool, Failure> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK_TIMEOUT).await?;
    lock(&transaction, schema).await?;
    let sql = format!(
        "SELECT coalesce(max(stored_at) < now() - make_interval(secs => $1), true) FROM {}",
        partition("alerts", day)
    );
    let is_old: bool =
        transaction.query_one(&sql, &[&retention.as_secs_f64()]).await?.try_get(0)?;
    if is_old {
        for table in TABLES {
            let sql = format!("DROP TABLE IF EXISTS {}", partition(table, day));
            transaction.batch_execute(&sql).await?;
        }
    }
    transaction.commit().await?;
    Ok(is_old)
}

fn partition(table: &str, day: NaiveDate) -> String {
    format!("{table}_{}", day.format(DAY_FORMAT))
}
