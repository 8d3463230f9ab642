//! Rows: documents become rows of all tables in one transaction.

use serde_json::Value;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Transaction};

use super::document::Document;
use super::failure::Failure;

const ALERTS: &str = include_str!("statements/alerts.sql");
const INCIDENTS: &str = include_str!("statements/incidents.sql");
/// Tables of an alert's lists, and how they are filled.
const OF_ALERTS: [(&str, &str); 2] = [
    ("alert_evidence", include_str!("statements/alert_evidence.sql")),
    ("alert_accounts", include_str!("statements/alert_accounts.sql")),
];
/// Tables of an incident's lists, and how they are filled.
const OF_INCIDENTS: [(&str, &str); 3] = [
    ("incident_alerts", include_str!("statements/incident_alerts.sql")),
    ("incident_accounts", include_str!("statements/incident_accounts.sql")),
    ("incident_steps", include_str!("statements/incident_steps.sql")),
];

/// Stores all of them, or none. What the database has in this or a higher revision stays as it is.
pub(super) async fn store(client: &mut Client, documents: &[&Document]) -> Result<(), Failure> {
    let (incidents, alerts): (Vec<&Document>, Vec<&Document>) =
        documents.iter().copied().partition(|document| document.is_incident);
    let transaction = client.transaction().await?;
    store_alerts(&transaction, alerts).await?;
    store_incidents(&transaction, incidents).await?;
    transaction.commit().await?;
    Ok(())
}

async fn store_alerts(
    transaction: &Transaction<'_>,
    alerts: Vec<&Document>,
) -> Result<(), Failure> {
    let taken = upsert(transaction, ALERTS, alerts).await?;
    let starts = || taken.iter().map(|alert| alert.started_at);
    let (Some(first), Some(last)) = (starts().min(), starts().max()) else { return Ok(()) };
    for (table, fill) in OF_ALERTS {
        // The times let the server look at these days' partitions alone.
        let clear = format!(
            "DELETE FROM {table} WHERE alert_id = ANY($1) AND started_at BETWEEN $2 AND $3"
        );
        transaction.execute(&clear, &[&ids(&taken), &first, &last]).await?;
        transaction.execute(fill, &[&json(&taken)]).await?;
    }
    Ok(())
}

async fn store_incidents(
    transaction: &Transaction<'_>,
    incidents: Vec<&Document>,
) -> Result<(), Failure> {
    let taken = upsert(transaction, INCIDENTS, incidents).await?;
    if taken.is_empty() {
        return Ok(());
    }
    for (table, fill) in OF_INCIDENTS {
        let clear = format!("DELETE FROM {table} WHERE incident_id = ANY($1)");
        transaction.execute(&clear, &[&ids(&taken)]).await?;
        transaction.execute(fill, &[&json(&taken)]).await?;
    }
    Ok(())
}

/// Those that are newer than what was there.
async fn upsert<'d>(
    transaction: &Transaction<'_>,
    statement: &str,
    mut documents: Vec<&'d Document>,
) -> Result<Vec<&'d Document>, Failure> {
    if documents.is_empty() {
        return Ok(documents);
    }
    let rows = transaction.query(statement, &[&json(&documents)]).await?;
    let taken = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    documents.retain(|document| taken.contains(&document.id));
    Ok(documents)
}

fn json<'d>(documents: &[&'d Document]) -> Json<Vec<&'d Value>> {
    Json(documents.iter().map(|document| &document.json).collect())
}

fn ids<'d>(documents: &[&'d Document]) -> Vec<&'d str> {
    documents.iter().map(|document| document.id.as_str()).collect()
}
