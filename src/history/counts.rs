//! How many alerts there were, by rule and day.

use rusqlite::Connection;

use crate::event::TimeMicros;

/// A day, in microseconds.
const DAY: TimeMicros = 86_400_000_000;

/// Alerts of one rule that began on one day (UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCount {
    /// The rule's id.
    pub rule: String,
    /// Where the day begins.
    pub day: TimeMicros,
    /// How many.
    pub alerts: u64,
}

pub(super) fn by_day(connection: &Connection, from: TimeMicros) -> rusqlite::Result<Vec<DayCount>> {
    let mut select = connection.prepare_cached(
        "SELECT rule, started_at / ?1, count(*) FROM findings \
         WHERE kind = 'alert' AND started_at >= ?2 GROUP BY 1, 2 ORDER BY 1, 2",
    )?;
    let rows = select.query_map([DAY, from], |row| {
        let day: i64 = row.get(1)?;
        let alerts = row.get::<_, i64>(2)?.unsigned_abs();
        Ok(DayCount { rule: row.get(0)?, day: day.saturating_mul(DAY), alerts })
    })?;
    rows.collect()
}
