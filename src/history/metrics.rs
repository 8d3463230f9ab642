//! What there is to know about the history.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Gauge, GaugeVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};
use rusqlite::Connection;

use super::{FindingKind, file};
use crate::serve::metrics::{gauge, raise};

/// Metrics of the history and of the API; a clone is the same ones.
#[derive(Debug, Clone)]
pub struct HistoryMetrics {
    /// Findings that are kept, by kind.
    pub findings: IntGaugeVec,
    /// Bytes of the file and its log.
    pub bytes: IntGauge,
    /// When the finding came that is deleted next.
    pub oldest_seconds: Gauge,
    /// Findings deleted, by the limit that says so.
    pub deleted: IntCounterVec,
    /// 1 when the file could not be looked after.
    pub failed: IntGauge,
    /// Verdicts given, by rule and verdict.
    pub verdicts: IntCounterVec,
    /// True positives among true and false positives, by rule.
    pub precision: GaugeVec,
    /// Requests to the API, by status.
    pub requests: IntCounterVec,
    /// How long they took.
    pub duration: HistogramVec,
    /// Rules whose precision is shown.
    pub(crate) judged: Arc<Mutex<HashSet<String>>>,
}

impl HistoryMetrics {
    /// Takes over what stands in the file.
    pub(super) fn set_sizes(&self, connection: &Connection, path: &Path) -> rusqlite::Result<()> {
        let count = "SELECT count(*) FROM findings WHERE kind = ?";
        for kind in FindingKind::ALL {
            let n: i64 = connection.query_row(count, [kind.label()], |row| row.get(0))?;
            self.findings.with_label_values(&[kind.label()]).set(n);
        }
        let oldest = "SELECT min(revised_at) FROM findings";
        let oldest: Option<i64> = connection.query_row(oldest, [], |row| row.get(0))?;
        #[allow(clippy::cast_precision_loss)] // microseconds of our time as seconds
        self.oldest_seconds.set(oldest.unwrap_or(0) as f64 / 1e6);
        let files = [path.to_owned(), file::log_path(path)];
        let n_bytes = files.iter().filter_map(|path| path.metadata().ok()).map(|one| one.len());
        self.bytes.set(gauge(usize::try_from(n_bytes.sum::<u64>()).unwrap_or(usize::MAX)));
        Ok(())
    }

    /// Takes over the verdicts. Their number only rises while the program runs, even when retention
    /// deletes some.
    pub(super) fn set_verdicts(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut given = connection.prepare_cached(
            "SELECT f.rule, v.verdict, count(*) FROM verdicts AS v \
             JOIN findings AS f ON f.finding = v.finding GROUP BY 1, 2",
        )?;
        let mut rows = given.query([])?;
        while let Some(row) = rows.next()? {
            let (rule, verdict): (String, String) = (row.get(0)?, row.get(1)?);
            let counter = self.verdicts.with_label_values(&[&*rule, &*verdict]);
            raise(&counter, row.get::<_, i64>(2)?.unsigned_abs());
        }
        self.set_precision(connection)
    }

    fn set_precision(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut ratio = connection.prepare_cached(
            "SELECT rule, avg(verdict = 'true_positive') FROM findings INDEXED BY findings_judged \
             WHERE verdict IS NOT NULL AND verdict <> 'benign' GROUP BY rule",
        )?;
        let mut rows = ratio.query([])?;
        let mut judged = HashSet::new();
        while let Some(row) = rows.next()? {
            let rule: String = row.get(0)?;
            self.precision.with_label_values(&[&*rule]).set(row.get(1)?);
            judged.insert(rule);
        }
        let mut before = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in before.difference(&judged) {
            // One that is not there is not shown either.
            let _ = self.precision.remove_label_values(&[&**rule]);
        }
        *before = judged;
        Ok(())
    }
}
