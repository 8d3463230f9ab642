//! What authors of rules wrote, as paragraphs and lists.

use maud::{Markup, html};

use crate::alert::escape;

/// Longer texts are cut.
const LINES_MAX: usize = 100;

/// Numbered lines become a list, other lines one paragraph.
pub(super) fn prose(text: &str) -> Markup {
    let lines: Vec<&str> = text.trim().lines().map(str::trim).take(LINES_MAX).collect();
    let items: Option<Vec<&str>> = lines.iter().map(|line| numbered(line)).collect();
    html! {
        @if let Some(items) = items {
            ol { @for item in items { li { (words(item)) } } }
        } @else {
            p { (words(&lines.join(" "))) }
        }
    }
}

/// What stands behind `1. `.
fn numbered(line: &str) -> Option<&str> {
    let (number, rest) = line.split_once(". ")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(rest)
}

/// Text between backticks is code.
fn words(text: &str) -> Markup {
    let text = escape(text);
    html! {
        @for (number, part) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_code() {
        assert_eq!(
            prose("\n1. See `ip`.\n2. Ask <them>.\n").into_string(),
            "<ol><li>See <code>ip</code>.</li><li>Ask &lt;them&gt;.</li></ol>"
        );
        assert_eq!(prose("One.\nTwo. Three").into_string(), "<p>One. Two. Three</p>");
    }
}
