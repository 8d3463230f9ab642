//! One finding with all that is known of it.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{FindingKind, Verdict, VerdictLabel, page, verdicts};
use crate::alert::rfc3339;
use crate::delivery::record::EvidenceRecord;

/// So many revisions are shown, the newest ones.
const REVISIONS_MAX: i64 = 1000;

/// When a revision came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevisionRow {
    /// 1, 2, ...
    pub revision: i64,
    /// `opened`, `updated` or `closed`.
    pub status: String,
    /// Event time of its newest match, RFC 3339.
    pub updated_at: String,
    /// When it came, by the clock.
    pub received_at: String,
}

/// One finding with all that is known of it.
#[derive(Debug, Serialize)]
pub struct Details {
    /// When it first came, by the clock, RFC 3339.
    pub received_at: String,
    /// When its newest revision came.
    pub revised_at: String,
    /// The newest verdict.
    pub verdict: Option<VerdictLabel>,
    /// The newest revision as it was delivered.
    pub document: Box<RawValue>,
    /// Where the events stand that made it, by time.
    pub evidence: Vec<EvidenceRecord>,
    /// The newest 1,000 that came, in order; an instance that stood by has not seen all.
    pub revisions: Vec<RevisionRow>,
    /// All verdicts, the newest last: it counts.
    pub verdicts: Vec<Verdict>,
}

pub(super) fn read(
    connection: &Connection,
    kind: FindingKind,
    id: &str,
) -> rusqlite::Result<Option<Details>> {
    let mut find = connection.prepare_cached(
        "SELECT f.finding, f.received_at, f.revised_at, f.verdict, d.document \
         FROM findings AS f JOIN documents AS d ON d.finding = f.finding \
         WHERE f.kind = ? AND f.id = ?",
    )?;
    let found = find.query_row(params![kind.label(), id], |row| {
        let details = Details {
            received_at: rfc3339(row.get(1)?),
            revised_at: rfc3339(row.get(2)?),
            verdict: row.get(3)?,
            document: page::raw(row.get(4)?, 4)?,
            evidence: Vec::new(),
            revisions: Vec::new(),
            verdicts: Vec::new(),
        };
        Ok((row.get::<_, i64>(0)?, details))
    });
    let Some((finding, mut details)) = found.optional()? else { return Ok(None) };
    details.evidence = evidence_of(connection, finding)?;
    details.revisions = revisions_of(connection, finding)?;
    details.verdicts = verdicts::of(connection, finding)?;
    Ok(Some(details))
}

/// The document of the incident that has this alert.
pub(super) fn incident_of(
    connection: &Connection,
    alert: &str,
) -> rusqlite::Result<Option<Box<RawValue>>> {
    let mut select = connection.prepare_cached(
        "SELECT d.document FROM members AS m JOIN findings AS f ON f.finding = m.finding \
         JOIN documents AS d ON d.finding = m.finding WHERE m.alert = ? \
         ORDER BY json_extract(d.document, '$.merged_into') IS NULL DESC, f.started_at DESC LIMIT 1",
    )?;
    select.query_row([alert], |row| page::raw(row.get(0)?, 0)).optional()
}

/// Kinds and ids of findings whose id begins so, at most `limit` of each kind.
pub(super) fn beginning(
    connection: &Connection,
    start: &str,
    limit: u32,
) -> rusqlite::Result<Vec<(FindingKind, String)>> {
    // Whatever is between both texts begins with the first one.
    let mut select = connection.prepare_cached(
        "SELECT id FROM findings WHERE kind = ?1 AND id BETWEEN ?2 AND ?2 || '~' ORDER BY id LIMIT ?3",
    )?;
    let mut found = Vec::new();
    for kind in FindingKind::ALL {
        let ids = select.query_map(params![kind.label(), start, limit], |row| row.get(0))?;
        for id in ids {
            found.push((kind, id?));
        }
    }
    Ok(found)
}

fn evidence_of(connection: &Connection, finding: i64) -> rusqlite::Result<Vec<EvidenceRecord>> {
    let mut select = connection.prepare_cached(
        "SELECT source, file, line, topic, partition, \"offset\", time, event_id FROM evidence \
         WHERE finding = ? ORDER BY position",
    )?;
    select.query_map([finding], evidence)?.collect()
}

fn evidence(row: &Row<'_>) -> rusqlite::Result<EvidenceRecord> {
    Ok(EvidenceRecord {
        source: row.get(0)?,
        file: row.get(1)?,
        line: row.get(2)?,
        topic: row.get(3)?,
        partition: row.get(4)?,
        offset: row.get(5)?,
        time: row.get(6)?,
        event_id: row.get(7)?,
    })
}

fn revisions_of(connection: &Connection, finding: i64) -> rusqlite::Result<Vec<RevisionRow>> {
    let mut select = connection.prepare_cached(
        "SELECT revision, status, updated_at, received_at FROM revisions \
         WHERE finding = ? ORDER BY revision DESC LIMIT ?",
    )?;
    let rows = select.query_map([finding, REVISIONS_MAX], |row| {
        Ok(RevisionRow {
            revision: row.get(0)?,
            status: row.get(1)?,
            updated_at: rfc3339(row.get(2)?),
            received_at: rfc3339(row.get(3)?),
        })
    });
    let mut rows = rows?.collect::<rusqlite::Result<Vec<_>>>()?;
    rows.reverse();
    Ok(rows)
}
