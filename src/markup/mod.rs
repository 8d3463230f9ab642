//! What our pages share, the report of a replay and the console: text from events made safe to show,
//! numbers and times as people read them, pictures, colours.

pub(crate) mod charts;

use maud::{Markup, html};

use crate::event::TimeMicros;

/// The colours of all pages, light and dark.
pub(crate) const PALETTE: &str = include_str!("palette.css");

/// Text from events for the page, which escapes what HTML obeys: what deceives a reader is visible.
pub(crate) fn shown(text: &str) -> String {
    let safe = crate::alert::escape(text);
    // Code points that are no characters are no HTML either.
    let is_none =
        |c: char| u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    crate::alert::shorten(&safe, TEXT_CHARS_MAX).replace(is_none, "\u{fffd}")
}

/// Longer texts are cut on the page.
const TEXT_CHARS_MAX: usize = 400;

/// A time as people read it, to the second: `2019-11-08 00:50:50`.
pub(crate) fn moment(time: TimeMicros) -> String {
    let text = crate::alert::rfc3339(time.div_euclid(1_000_000) * 1_000_000);
    text.trim_end_matches('Z').replace('T', " ")
}

/// A count with a mark between thousands: `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 account`, `2 accounts`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// Names with commas, and how many are left out.
pub(crate) fn listed(names: &[String], total: u64, max: usize) -> String {
    let mut text: Vec<String> = names.iter().take(max).map(|name| shown(name)).collect();
    let left_out = total.saturating_sub(text.len() as u64);
    if left_out > 0 {
        text.push(format!("and {left_out} more"));
    }
    text.join(", ")
}

/// `and n more`, when a list is cut.
pub(crate) fn more(total: u64, shown: usize, what: &str) -> Markup {
    let left_out = total.saturating_sub(shown as u64);
    html! { @if left_out > 0 { p.soft { "and " (grouped(left_out)) " more " (what) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "account", "accounts"), "1 account");
        assert_eq!(moment(1_772_366_400_123_456), "2026-03-01 12:00:00");
    }

    #[test]
    fn what_deceives_is_visible() {
        assert_eq!(shown("a\u{202e}b\u{fffe}"), "a\\u{202e}b\u{fffd}");
        assert_eq!(shown(&"x".repeat(5000)).chars().count(), TEXT_CHARS_MAX);
    }
}
