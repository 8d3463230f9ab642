//! Charts as inline SVG: colours come from the page's style, so they are readable in both themes.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::{grouped, moment, shown};
use crate::event::TimeMicros;

/// Width of the charts, in units of the picture.
const WIDTH: f64 = 860.0;
/// What is left of the axis: names and numbers.
const LEFT: f64 = 220.0;
/// Dots on the timeline.
pub(crate) const DOTS_MAX: usize = 3000;

/// Where a time stands between the edges of a chart.
pub(crate) struct Axis {
    pub(crate) from: TimeMicros,
    pub(crate) to: TimeMicros,
    pub(crate) left: f64,
}

impl Axis {
    #[allow(clippy::cast_precision_loss)] // a place on a page
    pub(crate) fn x(&self, time: TimeMicros) -> f64 {
        let length = (self.to.saturating_sub(self.from)).max(1) as f64;
        let part = time.saturating_sub(self.from) as f64 / length;
        self.left + part.clamp(0.0, 1.0) * (WIDTH - self.left - 20.0)
    }

    /// Three marks below a chart: more would touch each other beside long names of rules.
    pub(crate) fn marks(&self, height: f64) -> String {
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

/// Something that happened, on a timeline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dot {
    /// Index of its row.
    pub(crate) row: usize,
    pub(crate) time: TimeMicros,
    /// 0 for what is not known, 1 for `info` to 5 for `critical`.
    pub(crate) rank: usize,
}

/// A row for each name, a dot for each that happened, dark as it is grave.
pub(crate) fn timeline(
    title: &str,
    rows: &[&str],
    dots: impl Iterator<Item = Dot>,
    span: (TimeMicros, TimeMicros),
) -> Markup {
    const ROW: f64 = 18.0;
    #[allow(clippy::cast_precision_loss)] // few rows
    let height = rows.len() as f64 * ROW;
    let axis = Axis { from: span.0, to: span.1, left: LEFT };
    let mut shapes = axis.marks(height);
    for (row, name) in rows.iter().enumerate() {
        let y = row as f64 * ROW + ROW / 2.0;
        let name = html! { (shown(name)) }.into_string();
        let _ = write!(
            shapes,
            "<text x=\"{}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>",
            LEFT - 10.0,
            y + 4.0
        );
    }
    for dot in dots.take(DOTS_MAX) {
        let _ = write!(
            shapes,
            "<circle class=\"s{}\" cx=\"{:.1}\" cy=\"{:.0}\" r=\"5\"/>",
            dot.rank,
            axis.x(dot.time),
            dot.row as f64 * ROW + ROW / 2.0
        );
    }
    picture(title, height + 24.0, &shapes)
}

/// A line for each name, as long as its number.
pub(crate) fn bars(title: &str, rows: &[(&str, u64)]) -> Markup {
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

/// Numbers one after the other as small columns, the newest on the right.
pub(crate) fn sparkline(title: &str, counts: &[u64]) -> Markup {
    const HEIGHT: f64 = 20.0;
    const STEP: f64 = 6.0;
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let mut path = String::new();
    for (number, count) in counts.iter().enumerate() {
        let high = if *count == 0 { 0.6 } else { (HEIGHT * *count as f64 / most as f64).max(2.0) };
        let x = number as f64 * STEP;
        let _ = write!(path, "M{x} {HEIGHT}v-{high:.1}h{}v{high:.1}z", STEP - 1.5);
    }
    let view = format!("0 0 {} {HEIGHT}", counts.len() as f64 * STEP);
    html! {
        svg.spark viewBox=(view) role="img" aria-label=(title) { path.bar d=(path) {} }
    }
}

/// Shapes of ours: every text in them is escaped already.
pub(crate) fn picture(title: &str, height: f64, shapes: &str) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-label=(title) {
            (PreEscaped(shapes))
        }
    }
}
