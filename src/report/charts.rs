//! The chart of the input.

use std::fmt::Write;

use maud::{Markup, html};

use super::grouped;
use super::observed::Bin;
use crate::event::TimeMicros;
use crate::markup::charts::{Axis, picture};

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
