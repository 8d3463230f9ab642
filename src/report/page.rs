//! The page around the parts.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Report, map, sections, stories};
use crate::markup::PALETTE;

/// No request to anybody, and no script: what an event says can do nothing.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(super) fn page(report: &Report) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "Nightlatch: what happened" }
                style { (PreEscaped(PALETTE)) (PreEscaped(STYLE)) }
            }
            body {
                h1 { "What happened" }
                (stories::paragraph(report))
                (sections::incidents(report))
                h2 { "Accounts" }
                (stories::stories(report))
                (sections::timeline(report))
                (sections::sources(report))
                h2 { "Where events came from" }
                (map::map(report.observed))
                (sections::rules(report))
                (sections::input(report))
                (sections::again(report))
            }
        }
    }
}
