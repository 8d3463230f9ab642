//! What people said of findings: each verdict is kept, the newest counts.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::FindingKind;
use crate::alert::rfc3339;
use crate::event::TimeMicros;

/// So many verdicts are kept of one finding; more are turned away.
pub(crate) const VERDICTS_MAX: i64 = 1000;

/// What a finding was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictLabel {
    /// What the rule is to find.
    TruePositive,
    /// What the rule describes, and nobody is harmed by: a pentest, a shared office.
    Benign,
    /// Not what the rule describes.
    FalsePositive,
}

impl VerdictLabel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TruePositive, Self::Benign, Self::FalsePositive];

    /// `true_positive`, `benign` or `false_positive`.
    pub fn label(self) -> &'static str {
        match self {
            Self::TruePositive => "true_positive",
            Self::Benign => "benign",
            Self::FalsePositive => "false_positive",
        }
    }
}

impl FromSql for VerdictLabel {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        Self::ALL.into_iter().find(|label| label.label() == text).ok_or(FromSqlError::InvalidType)
    }
}

/// A verdict that is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVerdict {
    /// What it was.
    pub verdict: VerdictLabel,
    /// Who says so.
    pub who: String,
    /// Why.
    pub why: String,
    /// The name of the token with which it came.
    pub token: Option<String>,
    /// When, by the clock.
    pub given_at: TimeMicros,
}

/// A verdict that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What it was.
    pub verdict: VerdictLabel,
    /// Who says so.
    pub who: String,
    /// Why.
    pub why: String,
    /// The name of the token with which it came.
    pub token: Option<String>,
    /// When, by the clock, RFC 3339.
    pub given_at: String,
}

/// What became of a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// It counts from now on.
    Taken(Verdict),
    /// There is no such finding.
    Unknown,
    /// There are as many verdicts on it as are kept.
    TooMany,
}

/// Alerts of a rule, and their newest verdicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCounts {
    /// The rule's id.
    pub rule: String,
    /// How many alerts there are.
    pub alerts: u64,
    /// How many of them have which newest verdict, in the order of [`VerdictLabel::ALL`].
    pub verdicts: [u64; 3],
}

impl RuleCounts {
    /// True positives among true and false positives; benign ones say nothing about it. `None`
    /// without any.
    #[allow(clippy::cast_precision_loss)] // numbers of alerts
    pub fn precision(&self) -> Option<f64> {
        let [good, _, bad] = self.verdicts;
        (good + bad > 0).then(|| good as f64 / (good + bad) as f64)
    }
}

pub(super) fn give(
    connection: &mut Connection,
    kind: FindingKind,
    id: &str,
    new: &NewVerdict,
) -> rusqlite::Result<Given> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let find = "SELECT finding FROM findings WHERE kind = ? AND id = ?";
    let found = transaction.query_row(find, params![kind.label(), id], |row| row.get(0));
    let Some(finding) = found.optional()? else { return Ok(Given::Unknown) };
    let finding: i64 = finding;
    let count = "SELECT count(*) FROM verdicts WHERE finding = ?";
    let n_verdicts: i64 = transaction.query_row(count, [finding], |row| row.get(0))?;
    if n_verdicts >= VERDICTS_MAX {
        return Ok(Given::TooMany);
    }
    let label = new.verdict.label();
    transaction.execute(
        "INSERT INTO verdicts (finding, verdict, who, why, token, given_at) \
         VALUES (?, ?, ?, ?, ?, ?)",
        params![finding, label, new.who, new.why, new.token, new.given_at],
    )?;
    transaction
        .execute("UPDATE findings SET verdict = ? WHERE finding = ?", params![label, finding])?;
    transaction.commit()?;
    Ok(Given::Taken(Verdict {
        verdict: new.verdict,
        who: new.who.clone(),
        why: new.why.clone(),
        token: new.token.clone(),
        given_at: rfc3339(new.given_at),
    }))
}

pub(super) fn of(connection: &Connection, finding: i64) -> rusqlite::Result<Vec<Verdict>> {
    let mut select = connection.prepare_cached(
        "SELECT verdict, who, why, token, given_at FROM verdicts WHERE finding = ? ORDER BY number",
    )?;
    let rows = select.query_map([finding], |row| {
        Ok(Verdict {
            verdict: row.get(0)?,
            who: row.get(1)?,
            why: row.get(2)?,
            token: row.get(3)?,
            given_at: rfc3339(row.get(4)?),
        })
    })?;
    rows.collect()
}

pub(super) fn by_rule(connection: &Connection) -> rusqlite::Result<Vec<RuleCounts>> {
    let mut select = connection.prepare_cached(
        "SELECT rule, count(*), sum(verdict IS 'true_positive'), sum(verdict IS 'benign'), \
         sum(verdict IS 'false_positive') FROM findings WHERE kind = 'alert' \
         GROUP BY rule ORDER BY rule",
    )?;
    let rows = select.query_map([], |row| {
        let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        let verdicts = [count(2)?, count(3)?, count(4)?];
        Ok(RuleCounts { rule: row.get(0)?, alerts: count(1)?, verdicts })
    })?;
    rows.collect()
}
