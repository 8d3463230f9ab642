//! Text from events, made safe to show: attackers choose account names and user agents.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character can forge what a reader sees: controls, line separators, bidirectional
/// overrides, and characters without any width.
///
/// Joiners (U+200C, U+200D) pass: names in several scripts need them.
pub(super) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with each deceptive character written as `\n`, `\t`, `\r` or `\u{202e}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.extend(c.escape_default()),
            c if is_deceptive(c) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c)); // a String takes every write
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// The text cut to `max` characters, the last one an ellipsis when something is missing.
pub fn shorten(text: &str, max: usize) -> Cow<'_, str> {
    if text.chars().nth(max).is_none() {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().take(max.saturating_sub(1));
    Cow::Owned(kept.chain(std::iter::once('…')).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_untouched() {
        for text in
            ["", "alice@example.org", "<b>\"x\"</b>", "Žofie 日本 \u{1f600} a\u{200d}b", "\\n"]
        {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn deceptive_characters_become_visible() {
        assert_eq!(escape("a\u{1b}[31mb\n\r\t\0"), "a\\u{1b}[31mb\\n\\r\\t\\u{0}");
        assert_eq!(escape("\u{202e}gpj.exe\u{2066}"), "\\u{202e}gpj.exe\\u{2066}");
        assert_eq!(escape("\u{9b}2J\u{7f}\u{2028}\u{feff}"), "\\u{9b}2J\\u{7f}\\u{2028}\\u{feff}");
    }

    #[test]
    fn long_text_is_cut_by_characters() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
    }
}
