//! Where events came from, on a map that needs nobody's tiles.
//!
//! The outline of the land is Natural Earth's at 1:110 million, in the public domain
//! (naturalearthdata.com, by way of the package `world-atlas`), without the Antarctic, to half a degree.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::observed::Observed;
use super::{counted, grouped};

/// The land as an SVG path: two units a degree, from 180 west and 84 north.
const LAND: &str = include_str!("land.path");
/// Points on the map; of more, the fullest are shown.
const POINTS_MAX: usize = 500;

/// The map, or why there is none.
pub(super) fn map(observed: &Observed) -> Markup {
    if observed.placed() == 0 {
        return html! {
            p.soft { "No event has a position. Columns " code { "latitude" } " and " code { "longitude" }
                " come from the sender, or from a data file in " code { "[enrich]" } "." }
        };
    }
    let places = observed.places();
    let most = places.first().map_or(1, |(_, _, count)| *count);
    let mut points = String::new();
    for (latitude, longitude, count) in places.iter().take(POINTS_MAX) {
        // The area tells the number.
        let radius = 1.5 + 9.0 * (*count as f64 / most as f64).sqrt();
        let (x, y) = ((longitude + 180.0) * 2.0, (84.0 - latitude) * 2.0);
        let _ = write!(points, "<circle class=\"point\" cx=\"{x}\" cy=\"{y}\" r=\"{radius:.1}\"/>");
    }
    let hidden = places.len().saturating_sub(POINTS_MAX) as u64;
    html! {
        svg.map viewBox="0 0 720 290" role="img" aria-label="Where events came from" {
            path.land d=(LAND) {}
            (PreEscaped(points))
        }
        p.soft {
            (counted(observed.placed(), "event has", "events have")) " a position, in "
            (counted(places.len() as u64, "place", "places")) " of one degree"
            @if hidden > 0 { "; " (grouped(hidden)) " more with fewer events are not drawn" }
            ". Land: Natural Earth, public domain."
        }
    }
}
