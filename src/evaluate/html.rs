//! The report as one page with plots: nothing is loaded from anywhere, everything is escaped.

use std::fmt::Write;

use super::report::Report;
use super::table::{tables, wait};

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Nightlatch: what the alerts are worth</title>
<style>
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #fff; --line: #d8dee6;
  --good: #1f7a4d; --bad: #b3261e; --bar: #2f6fb3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --paper: #14181e;
  --line: #333c48; --good: #5cc48f; --bad: #ff8a80; --bar: #78b0ec; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--soft); font-weight: 600; } .number { text-align: right; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.bar { fill: var(--bar); } .rest { fill: var(--line); } .bad { fill: var(--bad); }
.curve { fill: none; stroke: var(--bar); stroke-width: 2; } .axis { stroke: var(--line); }
svg .soft { fill: var(--soft); }
</style>
</head>
<body>
<h1>What the alerts are worth</h1>
"#;

/// The page.
pub fn page(report: &Report) -> String {
    let mut page = HEAD.to_owned();
    plot(&mut page, "Takeovers and other attacks found, by kind", &recalls(report));
    plot(&mut page, "Takeovers found within a time", &waits(report));
    plot(&mut page, "False alerts by benign behaviour", &false_by_trap(report));
    plot(&mut page, "False alerts by rule", &false_by_rule(report));
    for table in tables(report) {
        let _ =
            write!(page, "<h2>{}</h2>\n<div class=\"scroll\"><table>\n<tr>", escape(table.title));
        for (column, name) in table.head.iter().enumerate() {
            cell(&mut page, "th", name, column >= table.first_number);
        }
        page.push_str("</tr>\n");
        for row in &table.rows {
            page.push_str("<tr>");
            for (column, value) in row.iter().enumerate() {
                cell(&mut page, "td", value, column >= table.first_number);
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</table></div>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn cell(page: &mut String, tag: &str, value: &str, is_number: bool) {
    let class = if is_number { " class=\"number\"" } else { "" };
    let _ = write!(page, "<{tag}{class}>{}</{tag}>", escape(value));
}

fn plot(page: &mut String, title: &str, svg: &str) {
    if !svg.is_empty() {
        let _ = writeln!(page, "<h2>{}</h2>\n{svg}", escape(title));
    }
}

/// One line of a bar chart.
struct Bar {
    name: String,
    /// Hundredths of the whole width.
    percent: f64,
    is_bad: bool,
    text: String,
}

fn recalls(report: &Report) -> String {
    let bars = report.by_kind.iter().map(|row| {
        let found = if row.takeovers.total > 0 { &row.takeovers } else { &row.others };
        Bar {
            name: format!("{} ({})", row.kind, row.evasion),
            percent: found.recall.unwrap_or_default() * 100.0,
            is_bad: found.found < found.total,
            text: format!("{} of {}", found.found, found.total),
        }
    });
    chart(&bars.collect::<Vec<_>>())
}

fn false_by_trap(report: &Report) -> String {
    let rows: Vec<(&str, u64)> =
        report.by_trap.iter().map(|row| (row.trap.as_str(), row.false_alerts)).collect();
    counts(&rows)
}

fn false_by_rule(report: &Report) -> String {
    let rows: Vec<(&str, u64)> =
        report.by_rule.iter().map(|row| (row.rule.as_str(), row.false_alerts)).collect();
    counts(&rows)
}

fn counts(rows: &[(&str, u64)]) -> String {
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1) as f64;
    let bars = rows.iter().map(|&(name, count)| Bar {
        name: name.to_owned(),
        percent: count as f64 / most * 100.0,
        is_bad: true,
        text: count.to_string(),
    });
    chart(&bars.collect::<Vec<_>>())
}

fn chart(bars: &[Bar]) -> String {
    const NAME: f64 = 330.0;
    const WIDTH: f64 = 420.0;
    let height = bars.len() * 20 + 6;
    let mut svg = String::new();
    if bars.is_empty() {
        return svg;
    }
    let _ = writeln!(svg, "<svg viewBox=\"0 0 860 {height}\" width=\"860\" role=\"img\">");
    for (number, bar) in bars.iter().enumerate() {
        let y = number * 20 + 3;
        let length = WIDTH * bar.percent.clamp(0.0, 100.0) / 100.0;
        let class = if bar.is_bad { "bad" } else { "bar" };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"rest\" x=\"{NAME}\" y=\"{y}\" width=\"{WIDTH}\" height=\"14\"/>\
             <rect class=\"{class}\" x=\"{NAME}\" y=\"{y}\" width=\"{length:.1}\" height=\"14\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            NAME - 8.0,
            y + 11,
            escape(&bar.name),
            NAME + WIDTH + 8.0,
            y + 11,
            escape(&bar.text),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// How many takeovers were found within a time; the scale of time is logarithmic.
fn waits(report: &Report) -> String {
    const MARKS: [f64; 6] = [1.0, 10.0, 60.0, 600.0, 3600.0, 86_400.0];
    let total = report.takeovers.total as f64;
    if report.latencies_seconds.is_empty() {
        return String::new();
    }
    let x = |seconds: f64| 60.0 + seconds.clamp(1.0, 1e6).ln() / 1e6_f64.ln() * 720.0;
    let y = |count: f64| 220.0 - count / total * 200.0;
    let mut svg = "<svg viewBox=\"0 0 860 260\" width=\"860\" role=\"img\">\n".to_owned();
    for mark in MARKS {
        let (at, name) = (x(mark), wait(Some(mark)));
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"20\" y2=\"220\"/>\
             <text class=\"soft\" x=\"{at:.1}\" y=\"238\" text-anchor=\"middle\">{name}</text>"
        );
    }
    for percent in [0.0, 50.0, 95.0, 100.0] {
        let at = 220.0 - percent * 2.0;
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"60\" x2=\"780\" y1=\"{at}\" y2=\"{at}\"/>\
             <text class=\"soft\" x=\"54\" y=\"{}\" text-anchor=\"end\">{percent} %</text>",
            at + 4.0
        );
    }
    let mut path = format!("M60 {:.1}", y(0.0));
    for (number, &seconds) in report.latencies_seconds.iter().enumerate() {
        let _ = write!(path, "H{:.1}V{:.1}", x(seconds), y(number as f64 + 1.0));
    }
    let _ = write!(svg, "<path class=\"curve\" d=\"{path}H780\"/>\n</svg>");
    svg
}

/// Text as HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
