//! The report as text: aligned for a terminal, or as Markdown.

use std::fmt::Write;

use super::report::{Found, KindRow, Report, RuleRow, TrapRow};

/// One table: a title, names of columns, rows. Columns from the given one on are numbers.
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) first_number: usize,
}

/// All tables of a report.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    let mut tables = vec![overview(report), kinds(report)];
    if !report.by_aftermath.is_empty() {
        tables.push(aftermaths(report));
    }
    tables.extend([rules(report), traps(report)]);
    if !report.missed.is_empty() {
        tables.push(missed(report));
    }
    tables
}

fn overview(report: &Report) -> Table {
    let per_day = report.false_per_thousand_account_days.map(|rate| format!("{rate:.4}"));
    let rows = [
        ("logs", report.logs.to_string()),
        ("events", optional(report.events.map(|events| events.to_string()))),
        ("of these benign", optional(report.benign_events.map(|events| events.to_string()))),
        ("takeovers found", found(&report.takeovers)),
        ("wait for the alert: median", wait(report.takeovers.median_seconds)),
        ("wait for the alert: 95th percentile", wait(report.takeovers.p95_seconds)),
        ("other attacks found", found(&report.others)),
        ("alerts", report.alerts.to_string()),
        ("false alerts (medium and above)", report.false_alerts.to_string()),
        (
            "false alerts per million benign events",
            optional(report.false_per_million.map(|rate| format!("{rate:.2}"))),
        ),
        ("false alerts per 1,000 accounts and day", optional(per_day)),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    Table { title: "Overview", head: vec!["", "value"], rows, first_number: 1 }
}

fn kinds(report: &Report) -> Table {
    let row = |row: &KindRow| {
        let (what, all) = if row.takeovers.total > 0 {
            ("takeovers", &row.takeovers)
        } else {
            ("attacks", &row.others)
        };
        let (median, p95) = (wait(all.median_seconds), wait(all.p95_seconds));
        vec![row.kind.clone(), row.evasion.clone(), what.to_owned(), found(all), median, p95]
    };
    Table {
        title: "By kind of attack",
        head: vec!["kind", "evasion", "what", "found", "median wait", "95 %"],
        rows: report.by_kind.iter().map(row).collect(),
        first_number: 3,
    }
}

fn aftermaths(report: &Report) -> Table {
    let rows = report.by_aftermath.iter();
    let rows = rows.map(|row| {
        vec![row.aftermath.clone(), found(&row.takeovers), wait(row.takeovers.median_seconds)]
    });
    Table {
        title: "By what was done after the entry",
        head: vec!["aftermath", "found", "median wait"],
        rows: rows.collect(),
        first_number: 1,
    }
}

fn rules(report: &Report) -> Table {
    let row = |row: &RuleRow| {
        let numbers = [
            row.alerts,
            row.true_alerts,
            row.false_alerts,
            row.takeovers,
            row.takeovers_alone,
            row.others,
            row.others_alone,
        ];
        let mut cells = vec![row.rule.clone(), row.severity.clone()];
        cells.extend(numbers.iter().map(u64::to_string));
        cells
    };
    Table {
        title: "By rule",
        head: vec![
            "rule",
            "severity",
            "alerts",
            "true",
            "false",
            "takeovers",
            "it alone",
            "others",
            "it alone",
        ],
        rows: report.by_rule.iter().map(row).collect(),
        first_number: 2,
    }
}

fn traps(report: &Report) -> Table {
    let row = |row: &TrapRow| {
        let rules: Vec<String> =
            row.rules.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
        let (often, wrong) = (row.occurrences.to_string(), row.false_alerts.to_string());
        vec![row.trap.clone(), rules.join(", "), often, wrong]
    };
    Table {
        title: "False alerts by benign behaviour",
        head: vec!["behaviour", "rules", "occurrences", "false alerts"],
        rows: report.by_trap.iter().map(row).collect(),
        first_number: 2,
    }
}

fn missed(report: &Report) -> Table {
    let rows = report.missed.iter().map(|missed| {
        vec![
            missed.log.to_string(),
            missed.attack.clone(),
            missed.kind.clone(),
            missed.evasion.clone(),
            missed.aftermath.join(" "),
            missed.account.clone().unwrap_or_default(),
        ]
    });
    Table {
        title: "Not found",
        head: vec!["log", "attack", "kind", "evasion", "aftermath", "account"],
        rows: rows.collect(),
        first_number: usize::MAX,
    }
}

fn found(found: &Found) -> String {
    match found.recall {
        Some(recall) => format!("{} of {} ({:.1} %)", found.found, found.total, recall * 100.0),
        None => "none there".to_owned(),
    }
}

/// A wait for people.
pub(super) fn wait(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 120.0 => format!("{seconds:.0} s"),
        Some(seconds) if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        Some(seconds) if seconds < 172_800.0 => format!("{:.1} h", seconds / 3600.0),
        Some(seconds) => format!("{:.1} d", seconds / 86_400.0),
    }
}

fn optional(value: Option<String>) -> String {
    value.unwrap_or_else(|| "unknown".to_owned())
}

/// The report for a terminal.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for table in tables(report) {
        let _ = writeln!(text, "{}\n", table.title);
        let head: Vec<String> = table.head.iter().map(|&name| name.to_owned()).collect();
        let widths = widths(&head, &table.rows);
        for row in std::iter::once(&head).chain(&table.rows) {
            let _ = writeln!(text, "  {}", aligned(row, &widths, table.first_number).trim_end());
        }
        text.push('\n');
    }
    text
}

fn widths(head: &[String], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).chain(head.get(column));
        cells.map(|cell| shown(cell).chars().count()).max().unwrap_or_default()
    };
    (0..head.len()).map(width).collect()
}

fn aligned(row: &[String], widths: &[usize], first_number: usize) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        let cell = shown(cell);
        let _ = if column >= first_number {
            write!(line, "{cell:>width$}  ")
        } else {
            write!(line, "{cell:<width$}  ")
        };
    }
    line
}

/// Names come from files: a terminal obeys none of them.
fn shown(cell: &str) -> String {
    if cell.chars().any(char::is_control) {
        cell.escape_debug().to_string()
    } else {
        cell.to_owned()
    }
}

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    for table in tables(report) {
        let _ = writeln!(text, "## {}\n", table.title);
        let _ = writeln!(text, "| {} |", table.head.join(" | "));
        let rule = |column| if column >= table.first_number { "---:" } else { "---" };
        let rules: Vec<&str> = (0..table.head.len()).map(rule).collect();
        let _ = writeln!(text, "| {} |", rules.join(" | "));
        for row in &table.rows {
            let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text.push('\n');
    }
    text
}

fn escaped(cell: &str) -> String {
    let mut text = String::new();
    for letter in shown(cell).chars() {
        match letter {
            '|' | '\\' | '`' | '*' | '[' | ']' => text.extend(['\\', letter]),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            other => text.push(other),
        }
    }
    text
}
