//! `nightlatch alerts list`.

use std::path::PathBuf;

use chrono::DateTime;
use clap::{Args, value_parser};

use super::store::{Found, Store, StoreArgs};
use super::{found, kept};
use crate::Result;
use crate::alert::{Status, escape, shorten};
use crate::cli::input::parse_time;
use crate::cli::{Exit, Outcome, load_config, terminal};
use crate::delivery::record::AlertRecord;
use crate::delivery::table::painted;
use crate::event::TimeMicros;
use crate::history::{Filter, FindingKind, StatusFilter};
use crate::rules::Severity;

const EXAMPLES: &str = "Examples:
  nightlatch alerts list --config nightlatch.toml --open --severity high
  nightlatch alerts list --config nightlatch.toml --incidents --from 2026-03-01
  nightlatch alerts list --history copy.sqlite --account remy.0031 --json | jq .summary
  nightlatch replay log.jsonl --json > alerts.jsonl
  nightlatch alerts list --alerts alerts.jsonl --rule credential_stuffing

Each alert and incident once, as its newest revision says it, newest start first. The history is
read while `run` writes to it, and never changed. --json prints the documents as they were delivered.";

/// Characters of an id that the table shows: enough for `alerts show`.
const ID_CHARS: usize = 8;
/// Widths of the table's last columns, which with the others fill 80.
const RULE_CHARS: usize = 28;
const ENTITY_CHARS: usize = 12;
/// The column of the severity, which may be coloured.
const SEVERITY_COLUMN: usize = 2;
/// Rows of the table without `--limit`.
const ROWS: u32 = 100;
/// More are not for people.
const ROWS_MAX: i64 = 100_000;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Configuration file, whose history is read
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    wanted: Wanted,
    /// At most so many, the newest [default: 100 in the table, all with --json]
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u32).range(1..=ROWS_MAX))]
    limit: Option<u32>,
    /// The alerts as they are, one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Which alerts and incidents are listed; what is absent excludes nothing.
#[derive(Debug, Args)]
struct Wanted {
    /// Only incidents
    #[arg(long)]
    incidents: bool,
    /// Only of this rule; `incident` for incidents
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only of this severity and above
    #[arg(long, value_parser = parse_severity)]
    severity: Option<Severity>,
    /// Only in this state: opened, updated, closed, or open for all that are not closed
    #[arg(long, value_parser = parse_status)]
    status: Option<StatusFilter>,
    /// Only those that are not closed, as --status open
    #[arg(long, conflicts_with = "status")]
    open: bool,
    /// Only those about this entity
    #[arg(long, value_name = "NAME")]
    entity: Option<String>,
    /// Only those that name this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Only those that name this address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Only those that began at this time or later (RFC 3339, or a date in UTC)
    #[arg(long, visible_alias = "from", value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    since: Option<TimeMicros>,
    /// Only those that began before this time
    #[arg(long, visible_alias = "to", value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    until: Option<TimeMicros>,
}

impl Wanted {
    fn status(&self) -> Option<StatusFilter> {
        if self.open { Some(StatusFilter::Open) } else { self.status }
    }

    /// For an alert of a file.
    fn takes(&self, alert: &AlertRecord) -> bool {
        let names = |names: &[String], one: &Option<String>| {
            one.as_ref().is_none_or(|one| *one == alert.entity || names.contains(one))
        };
        let started = DateTime::parse_from_rfc3339(&alert.started_at);
        let started = started.map_or(0, |time| time.timestamp_micros());
        (!self.incidents || alert.incident.is_some())
            && self.rule.as_ref().is_none_or(|rule| *rule == alert.rule)
            && self.severity.is_none_or(|least| alert.severity >= least)
            && self.status().is_none_or(|status| status.takes(alert.status))
            && self.entity.as_ref().is_none_or(|entity| *entity == alert.entity)
            && names(&alert.accounts, &self.account)
            && names(&alert.ips, &self.ip)
            && self.since.is_none_or(|since| started >= since)
            && self.until.is_none_or(|until| started < until)
    }

    /// For the history, a filter for each kind.
    fn filters(&self) -> Vec<Filter> {
        let kinds = FindingKind::ALL.into_iter();
        let kinds = kinds.filter(|kind| !self.incidents || *kind == FindingKind::Incident);
        let filter = |kind| Filter {
            from: self.since,
            to: self.until,
            rule: self.rule.clone(),
            severity_min: self.severity,
            entity: self.entity.clone(),
            account: self.account.clone(),
            ip: self.ip.clone(),
            status: self.status(),
            ..Filter::all(kind)
        };
        kinds.map(filter).collect()
    }
}

fn parse_severity(text: &str) -> Result<Severity, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "write info, low, medium, high or critical".to_owned())
}

fn parse_status(text: &str) -> Result<StatusFilter, String> {
    StatusFilter::parse(text).ok_or_else(|| "write opened, updated, closed or open".to_owned())
}

/// Gives what is wanted, newest first, until `take` wants no more.
fn each(store: &Store, wanted: &Wanted, mut take: impl FnMut(Found) -> Result<bool>) -> Result<()> {
    match store {
        Store::History(reader) => kept::each(reader, wanted.filters(), take),
        Store::File(path) => {
            let all = found::newest(path)?.into_iter();
            for found in all.filter(|found| wanted.takes(&found.alert)) {
                if !take(found)? {
                    break;
                }
            }
            Ok(())
        }
    }
}

pub(super) fn list(args: &ListArgs) -> Outcome {
    let config = load_config(args.config.as_deref())?;
    let store = args.store.open(args.config.as_deref(), &config)?;
    if args.json {
        print_json(&store, args)?
    } else {
        print_table(&store, args)?
    }
    Ok(Exit::Good)
}

fn print_json(store: &Store, args: &ListArgs) -> Result<()> {
    let mut left = args.limit;
    each(store, &args.wanted, |found| {
        terminal::print(&(found.json + "\n"))?;
        left = left.map(|left| left - 1);
        Ok(left != Some(0))
    })
}

fn print_table(store: &Store, args: &ListArgs) -> Result<()> {
    let rows_max = args.limit.unwrap_or(ROWS) as usize;
    let mut table = Table::default();
    each(store, &args.wanted, |found| {
        table.is_cut = table.severities.len() == rows_max;
        if !table.is_cut {
            table.push(&found.alert);
        }
        Ok(!table.is_cut)
    })?;
    terminal::print(&table.text(terminal::stdout_is_coloured()))?;
    terminal::say(&table.count());
    Ok(())
}

#[derive(Default)]
struct Table {
    rows: Vec<[String; 5]>,
    severities: Vec<Severity>,
    n_incidents: usize,
    n_open: usize,
    is_cut: bool,
}

impl Table {
    fn push(&mut self, alert: &AlertRecord) {
        self.rows.push(row(alert));
        self.severities.push(alert.severity);
        self.n_incidents += usize::from(alert.incident.is_some());
        self.n_open += usize::from(alert.status != Status::Closed);
    }

    fn text(&self, is_coloured: bool) -> String {
        let head = ["ID", "STARTED", "SEVERITY", "RULE", "ENTITY"].map(str::to_owned);
        let rows = [&[head], self.rows.as_slice()].concat();
        terminal::painted_columns(&rows, |row, column, cell| {
            let severity = row.checked_sub(1).and_then(|row| self.severities.get(row));
            match severity.filter(|_| is_coloured && column == SEVERITY_COLUMN) {
                Some(severity) => painted(*severity, &cell),
                None => cell,
            }
        })
    }

    fn count(&self) -> String {
        let (n_alerts, n_incidents) = (self.rows.len() - self.n_incidents, self.n_incidents);
        let count =
            format!("{n_alerts} alerts and {n_incidents} incidents, {} of them open", self.n_open);
        if self.is_cut { count + "; there are more, --limit shows them" } else { count }
    }
}

fn row(alert: &AlertRecord) -> [String; 5] {
    let cell = |text: &str, max: usize| shorten(&escape(text), max).into_owned();
    let minute: String = alert.started_at.chars().take(16).collect();
    let id: String = escape(&alert.id).chars().take(ID_CHARS).collect();
    let started = escape(&minute.replace('T', " ")).into_owned();
    // The id of an incident says nothing more; its title does.
    let (what, whom) = match &alert.incident {
        Some(incident) if incident.merged_into.is_some() => {
            (cell(&alert.title, RULE_CHARS), "merged".to_owned())
        }
        Some(_) => (cell(&alert.title, RULE_CHARS), "incident".to_owned()),
        None => (cell(&alert.rule, RULE_CHARS), cell(&alert.entity, ENTITY_CHARS)),
    };
    [id, started, alert.severity.label().to_owned(), what, whom]
}
