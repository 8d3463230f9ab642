//! Pages of findings, newest first, by a key that never moves: what comes in meanwhile neither shifts
//! nor repeats what is still to be read.

use rusqlite::Connection;
use rusqlite::types::Value;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{FindingKind, VerdictLabel};
use crate::alert::{Status, rfc3339};
use crate::event::TimeMicros;
use crate::rules::Severity;

/// A page ends early when its documents reach so much.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// Which states a page takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// One alone.
    Only(Status),
    /// All but closed ones.
    Open,
}

impl StatusFilter {
    /// `opened`, `updated`, `closed`, or `open` for all that are not closed.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Status::Opened, Status::Updated, Status::Closed];
        match text {
            "open" => Some(Self::Open),
            _ => all.into_iter().find(|one| one.label() == text).map(Self::Only),
        }
    }

    /// Whether it takes this state.
    pub fn takes(self, status: Status) -> bool {
        match self {
            Self::Only(one) => one == status,
            Self::Open => status != Status::Closed,
        }
    }
}

/// Which findings are asked for; what is absent excludes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Alerts or incidents.
    pub kind: FindingKind,
    /// Those that started at or after this time.
    pub from: Option<TimeMicros>,
    /// Those that started before this time.
    pub to: Option<TimeMicros>,
    /// Those of a rule.
    pub rule: Option<String>,
    /// Those of this severity or above.
    pub severity_min: Option<Severity>,
    /// Those about an entity.
    pub entity: Option<String>,
    /// Those that name an account.
    pub account: Option<String>,
    /// Those that name an address.
    pub ip: Option<String>,
    /// Those in a state.
    pub status: Option<StatusFilter>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

impl Filter {
    /// Everything of one kind.
    pub fn all(kind: FindingKind) -> Self {
        Self {
            kind,
            from: None,
            to: None,
            rule: None,
            severity_min: None,
            entity: None,
            account: None,
            ip: None,
            status: None,
            after: None,
        }
    }
}

/// Where a page ended. As text 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    started_at: TimeMicros,
    finding: i64,
}

impl Cursor {
    /// Reads it back.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let (started_at, finding) = text.split_at_checked(16)?;
        let number = |digits| u64::from_str_radix(digits, 16).ok().map(u64::cast_signed);
        Some(Self { started_at: number(started_at)?, finding: number(finding)? })
    }

    /// As text.
    pub fn text(self) -> String {
        format!("{:016x}{:016x}", self.started_at.cast_unsigned(), self.finding.cast_unsigned())
    }
}

/// One finding of a page.
#[derive(Debug, Serialize)]
pub struct PageItem {
    /// When it first came, by the clock, RFC 3339.
    pub received_at: String,
    /// When its newest revision came.
    pub revised_at: String,
    /// The newest verdict.
    pub verdict: Option<VerdictLabel>,
    /// The newest revision as it was delivered.
    pub document: Box<RawValue>,
}

/// A page, and where the next one begins.
#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub items: Vec<PageItem>,
    /// `None` at the end.
    pub next: Option<Cursor>,
}

/// An SQL statement that grows, with its parameters.
struct Statement {
    text: String,
    parameters: Vec<Value>,
}

impl Statement {
    fn and(&mut self, condition: &str, parameters: impl IntoIterator<Item = Value>) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
        self.parameters.extend(parameters);
    }
}

/// `x` is the table whose order the page has: the names of an account or address, or the findings.
fn statement(filter: &Filter, limit: usize) -> Statement {
    let columns = "x.started_at, x.finding, f.received_at, f.revised_at, f.verdict, d.document";
    let documents = "CROSS JOIN documents AS d ON d.finding = x.finding";
    let kind = Value::from(filter.kind.label().to_owned());
    let name = match (&filter.account, &filter.ip) {
        (Some(account), _) => Some(("account", account)),
        (None, Some(ip)) => Some(("ip", ip)),
        (None, None) => None,
    };
    let mut statement = match name {
        Some((role, name)) => Statement {
            text: format!(
                "SELECT {columns} FROM names AS x CROSS JOIN findings AS f ON f.finding = x.finding \
                 {documents} WHERE x.type = ? AND x.name = ? AND x.kind = ?"
            ),
            parameters: vec![role.to_owned().into(), name.clone().into(), kind],
        },
        None => Statement {
            text: format!(
                "SELECT {} FROM findings AS x {documents} WHERE x.kind = ?",
                columns.replace("f.", "x.")
            ),
            parameters: vec![kind],
        },
    };
    conditions(&mut statement, filter, if name.is_some() { "f" } else { "x" });
    statement.text.push_str(" ORDER BY x.started_at DESC, x.finding DESC LIMIT ?");
    statement.parameters.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    statement
}

fn conditions(statement: &mut Statement, filter: &Filter, findings: &str) {
    let texts = [("rule", &filter.rule), ("entity", &filter.entity)];
    for (column, text) in texts {
        if let Some(text) = text {
            statement.and(&format!("{findings}.{column} = ?"), [text.clone().into()]);
        }
    }
    if let Some(least) = filter.severity_min {
        statement.and(&format!("{findings}.severity >= ?"), [(least as i64).into()]);
    }
    match filter.status {
        Some(StatusFilter::Only(status)) => {
            statement.and(&format!("{findings}.status = ?"), [status.label().to_owned().into()]);
        }
        Some(StatusFilter::Open) => {
            statement.and(&format!("{findings}.status <> 'closed'"), []);
        }
        None => {}
    }
    if let (Some(_), Some(ip)) = (&filter.account, &filter.ip) {
        let has_ip = "EXISTS (SELECT 1 FROM names AS n WHERE n.type = 'ip' AND n.name = ? \
                      AND n.kind = x.kind AND n.started_at = x.started_at AND n.finding = x.finding)";
        statement.and(has_ip, [ip.clone().into()]);
    }
    if let Some(from) = filter.from {
        statement.and("x.started_at >= ?", [from.into()]);
    }
    if let Some(to) = filter.to {
        statement.and("x.started_at < ?", [to.into()]);
    }
    if let Some(after) = filter.after {
        let place = [after.started_at.into(), after.finding.into()];
        statement.and("(x.started_at, x.finding) < (?, ?)", place);
    }
}

/// Reads at most `limit` findings.
pub(super) fn read(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
) -> rusqlite::Result<Page> {
    // One more says whether there is a next page.
    let statement = statement(filter, limit.saturating_add(1));
    let mut prepared = connection.prepare_cached(&statement.text)?;
    let mut rows = prepared.query(rusqlite::params_from_iter(&statement.parameters))?;
    let mut page = Page { items: Vec::new(), next: None };
    let (mut last, mut n_bytes) = (None, 0);
    while let Some(row) = rows.next()? {
        if page.items.len() >= limit || n_bytes >= PAGE_BYTES_MAX {
            page.next = last;
            break;
        }
        last = Some(Cursor { started_at: row.get(0)?, finding: row.get(1)? });
        let document: String = row.get(5)?;
        n_bytes += document.len();
        page.items.push(PageItem {
            received_at: rfc3339(row.get(2)?),
            revised_at: rfc3339(row.get(3)?),
            verdict: row.get(4)?,
            document: raw(document, 5)?,
        });
    }
    Ok(page)
}

/// A document as it stands; one that a damaged file has spoilt is an error.
pub(super) fn raw(document: String, column: usize) -> rusqlite::Result<Box<RawValue>> {
    RawValue::from_string(document).map_err(|error| {
        let text = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, text, Box::new(error))
    })
}

/// How SQLite goes about a page, for tests.
#[cfg(test)]
pub(super) fn plan(connection: &Connection, filter: &Filter) -> Vec<String> {
    let statement = statement(filter, 100);
    let mut prepared =
        connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.text)).unwrap();
    let parameters = rusqlite::params_from_iter(&statement.parameters);
    let rows = prepared.query_map(parameters, |row| row.get(3)).unwrap();
    rows.map(Result::unwrap).collect()
}
