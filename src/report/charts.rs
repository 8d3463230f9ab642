//! Charts as inline SVG: colours come from the page's style, so they are readable in both themes.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::observed::Bin;
use super::{Document, grouped, moment, shown};
use crate::event::TimeMicros;

/// Width of the charts, in units of the picture.
const WIDTH: f64 = 860.0;
/// What is left of the axis: names and numbers.
const LEFT: f64 = 220.0;
/// Dots on the timeline; of more, the gravest are shown.
pub(super) const DOTS_MAX: usize = 3000;

/// Where a time stands between the edges of a chart.
struct Axis {
    from: TimeMicros,
    to: TimeMicros,
    left: f64,
}

impl Axis {
    #[allow(clippy::cast_precision_loss)] // a place on a page
    fn x(&self, time: TimeMicros) -> f64 {
        let length = (self.to.saturating_sub(self.from)).max(1) as f64;
        let part = time.saturating_sub(self.from) as f64 / length;
        self.left + part.clamp(0.0, 1.0) * (WIDTH - self.left - 20.0)
    }

    /// Three marks below a chart: more would touch each other beside long names of rules.
    fn marks(&self, height: f64) -> String {
        let mut marks = String::new();
        let half = self.to.saturating_sub(self.from) / 2;
        for (number, anchor) in (0..).zip(["start", "middle", "end"]) {
            let time = self.from.saturating_add(half.saturating_mul(number));
            let x = self.x(time);
            let _ = write!(
                marks,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{height}\"/>\
                 <text class=\"soft\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                height + 16.0,
                moment(time).get(..16).unwrap_or_default()
            );
        }
        marks
    }
}

/// A row for each rule, a dot for each alert where it began, dark as it is grave.
pub(super) fn timeline(
    alerts: &[&Document],
    rules: &[&str],
    span: (TimeMicros, TimeMicros),
) -> Markup {
    const ROW: f64 = 18.0;
    #[allow(clippy::cast_precision_loss)] // few rows
    let height = rules.len() as f64 * ROW;
    let axis = Axis { from: span.0, to: span.1, left: LEFT };
    let mut shapes = axis.marks(height);
    for (row, rule) in rules.iter().enumerate() {
        let y = row as f64 * ROW + ROW / 2.0;
        let name = html! { (shown(rule)) }.into_string();
        let _ = write!(
            shapes,
            "<text x=\"{}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>",
            LEFT - 10.0,
            y + 4.0
        );
    }
    for alert in alerts.iter().take(DOTS_MAX) {
        let Some(row) = rules.iter().position(|rule| **rule == alert.rule) else { continue };
        let _ = write!(
            shapes,
            "<circle class=\"s{}\" cx=\"{:.1}\" cy=\"{:.0}\" r=\"5\"/>",
            alert.rank(),
            axis.x(alert.started()),
            row as f64 * ROW + ROW / 2.0
        );
    }
    picture("Alerts over time, by rule", height + 24.0, &shapes)
}

/// Events over time, and those that failed below them.
pub(super) fn rates(width_micros: TimeMicros, bins: &[(TimeMicros, Bin)]) -> Markup {
    const HEIGHT: f64 = 140.0;
    let (Some((from, _)), Some((last, _))) = (bins.first(), bins.last()) else { return html! {} };
    let axis = Axis { from: *from, to: last.saturating_add(width_micros), left: 70.0 };
    let most = bins.iter().map(|(_, bin)| bin.events).max().unwrap_or(1).max(1);
    let mut shapes = axis.marks(HEIGHT);
    let _ = write!(
        shapes,
        "<text class=\"soft\" x=\"62\" y=\"12\" text-anchor=\"end\">{}</text>\
         <text class=\"soft\" x=\"62\" y=\"{HEIGHT}\" text-anchor=\"end\">0</text>",
        grouped(most)
    );
    let share = |count: u64| HEIGHT * count as f64 / most as f64;
    for class in ["bar", "bad"] {
        let _ = write!(shapes, "<path class=\"{class}\" d=\"");
        for (time, bin) in bins {
            let high = share(if class == "bar" { bin.events } else { bin.failures });
            let x = axis.x(*time);
            let wide = (axis.x(time.saturating_add(width_micros)) - x).max(0.5);
            let _ = write!(shapes, "M{x:.1} {HEIGHT}v-{high:.1}h{wide:.1}v{high:.1}z");
        }
        shapes.push_str("\"/>");
    }
    picture("Events over time", HEIGHT + 24.0, &shapes)
}

/// A line for each name, as long as its number.
pub(super) fn bars(title: &str, rows: &[(&str, u64)]) -> Markup {
    const ROW: f64 = 20.0;
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let mut shapes = String::new();
    for (row, (name, count)) in rows.iter().enumerate() {
        let y = row as f64 * ROW;
        let long = (WIDTH - LEFT - 100.0) * *count as f64 / most as f64;
        let name = html! { (shown(name)) }.into_string();
        let _ = write!(
            shapes,
            "<text x=\"{}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>\
             <rect class=\"bar\" x=\"{LEFT}\" y=\"{:.0}\" width=\"{long:.1}\" height=\"14\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            LEFT - 10.0,
            y + 14.0,
            y + 3.0,
            LEFT + long + 8.0,
            y + 14.0,
            grouped(*count)
        );
    }
    picture(title, rows.len() as f64 * ROW + 6.0, &shapes)
}

/// Shapes of ours: every text in them is escaped already.
pub(super) fn picture(title: &str, height: f64, shapes: &str) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-label=(title) {
            (PreEscaped(shapes))
        }
    }
}
