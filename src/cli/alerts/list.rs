//! `nightlatch alerts list`.

use std::path::PathBuf;

use chrono::DateTime;
use clap::Args;

use super::found::{Found, newest};
use crate::alert::{escape, shorten};
use crate::cli::input::parse_time;
use crate::cli::{Exit, Outcome, terminal};
use crate::delivery::record::AlertRecord;
use crate::event::TimeMicros;
use crate::rules::Severity;

const EXAMPLES: &str = "Examples:
  nightlatch replay log.jsonl --json > alerts.jsonl
  nightlatch alerts list --alerts alerts.jsonl
  nightlatch alerts list --alerts alerts.jsonl --severity high --account remy.0031
  nightlatch alerts list --alerts alerts.jsonl --since 2019-11-08 --json | jq .summary

Each alert and incident once, as its newest revision says it, by start.";

/// Characters of an id that the table shows: enough for `alerts show`.
const ID_CHARS: usize = 8;
/// Widths of the table's last columns, which with the others fill 80.
const RULE_CHARS: usize = 28;
const ENTITY_CHARS: usize = 12;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ListArgs {
    /// File of alerts, one JSON object a line
    #[arg(long, value_name = "FILE")]
    alerts: PathBuf,
    /// Only of this rule; `incident` for incidents
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only of this severity and above
    #[arg(long, value_parser = parse_severity)]
    severity: Option<Severity>,
    /// Only those that name this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Only those that name this address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Only those that are not closed
    #[arg(long)]
    open: bool,
    /// Only those that began at this time or later (RFC 3339, or a date in UTC)
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    since: Option<TimeMicros>,
    /// Only those that began before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    until: Option<TimeMicros>,
    /// The alerts as they are, one JSON object a line
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    fn wants(&self, alert: &AlertRecord) -> bool {
        let names = |names: &[String], one: &Option<String>| {
            one.as_ref().is_none_or(|one| *one == alert.entity || names.contains(one))
        };
        let started = DateTime::parse_from_rfc3339(&alert.started_at);
        let started = started.map_or(0, |time| time.timestamp_micros());
        self.rule.as_ref().is_none_or(|rule| *rule == alert.rule)
            && self.severity.is_none_or(|least| alert.severity >= least)
            && names(&alert.accounts, &self.account)
            && names(&alert.ips, &self.ip)
            && !(self.open && alert.status == crate::alert::Status::Closed)
            && self.since.is_none_or(|since| started >= since)
            && self.until.is_none_or(|until| started < until)
    }
}

fn parse_severity(text: &str) -> Result<Severity, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "write info, low, medium, high or critical".to_owned())
}

pub(super) fn list(args: &ListArgs) -> Outcome {
    let mut all = newest(&args.alerts)?;
    all.retain(|found| args.wants(&found.alert));
    if args.json {
        let lines: Vec<String> = all.into_iter().map(|found| found.line + "\n").collect();
        terminal::print(&lines.concat())?;
        return Ok(Exit::Good);
    }
    let mut rows = vec![["ID", "STARTED", "SEVERITY", "RULE", "ENTITY"].map(str::to_owned)];
    rows.extend(all.iter().map(row));
    terminal::print(&terminal::columns(&rows))?;
    let open = all.iter().filter(|found| found.alert.status != crate::alert::Status::Closed);
    let incidents = all.iter().filter(|found| found.alert.incident.is_some()).count();
    let (alerts, open) = (all.len() - incidents, open.count());
    terminal::say(&format!("{alerts} alerts and {incidents} incidents, {open} of them open"));
    Ok(Exit::Good)
}

fn row(found: &Found) -> [String; 5] {
    let alert = &found.alert;
    let cell = |text: &str, max: usize| shorten(&escape(text), max).into_owned();
    let minute: String = alert.started_at.chars().take(16).collect();
    let id: String = escape(&alert.id).chars().take(ID_CHARS).collect();
    let started = escape(&minute.replace('T', " ")).into_owned();
    // The id of an incident says nothing more; its title does.
    let (what, whom) = match &alert.incident {
        Some(_) => (cell(&alert.title, RULE_CHARS), "incident".to_owned()),
        None => (cell(&alert.rule, RULE_CHARS), cell(&alert.entity, ENTITY_CHARS)),
    };
    [id, started, alert.severity.label().to_owned(), what, whom]
}
