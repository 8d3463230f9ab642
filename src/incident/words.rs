//! Numbers, names and times as words of a sentence.

use chrono::DateTime;

use crate::alert::{escape, shorten};
use crate::event::TimeMicros;

/// Characters of one name that are read aloud.
const NAME_CHARS_MAX: usize = 60;

const SECOND_MICROS: i64 = 1_000_000;
const MINUTE_SECONDS: i64 = 60;
const HOUR_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 86_400;

/// `1 account`, `412 accounts`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `1,234`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A name from events: on one line, of bearable length, unable to forge output.
pub(super) fn name(text: &str) -> String {
    shorten(&escape(text), NAME_CHARS_MAX).into_owned()
}

/// `02:10`.
pub(super) fn clock(time: TimeMicros) -> String {
    formatted(time, "%H:%M")
}

/// `02:10 on 8 November 2019`.
pub(super) fn date(time: TimeMicros) -> String {
    formatted(time, "%H:%M on %-d %B %Y")
}

/// The time of day, with the day where it is not that of `since`.
pub(super) fn later(time: TimeMicros, since: TimeMicros) -> String {
    let day = |time: TimeMicros| time.div_euclid(DAY_SECONDS * SECOND_MICROS);
    if day(time) == day(since) { clock(time) } else { formatted(time, "%H:%M on %-d %B") }
}

fn formatted(time: TimeMicros, format: &str) -> String {
    let time = DateTime::from_timestamp_micros(time);
    time.map_or_else(|| "an unknown time".to_owned(), |time| time.format(format).to_string())
}

/// `14 minutes`, rounded to the unit that people would use; `None` for less than half a minute.
pub(super) fn duration(micros: TimeMicros) -> Option<String> {
    let seconds = micros / SECOND_MICROS;
    let in_units = |unit: i64| u64::try_from((seconds + unit / 2) / unit).unwrap_or(0);
    match seconds {
        ..30 => None,
        30..5_400 => Some(counted(in_units(MINUTE_SECONDS), "minute", "minutes")),
        5_400..129_600 => Some(counted(in_units(HOUR_SECONDS), "hour", "hours")),
        _ => Some(counted(in_units(DAY_SECONDS), "day", "days")),
    }
}

/// `a, b and c`.
pub(super) fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations() {
        assert_eq!(counted(1, "account", "accounts"), "1 account");
        assert_eq!(counted(1_234_567, "account", "accounts"), "1,234,567 accounts");
        let minutes = |n: i64| duration(n * 60 * SECOND_MICROS);
        assert_eq!(duration(29 * SECOND_MICROS), None);
        assert_eq!(duration(31 * SECOND_MICROS).unwrap(), "1 minute");
        assert_eq!(minutes(14).unwrap(), "14 minutes");
        assert_eq!(minutes(89).unwrap(), "89 minutes");
        assert_eq!(minutes(91).unwrap(), "2 hours");
        assert_eq!(minutes(60 * 48).unwrap(), "2 days");
    }

    #[test]
    fn lists_and_times() {
        let words = |n: usize| ["a", "b", "c"][..n].iter().map(|w| (*w).to_owned()).collect();
        let check =
            |n, expect: &str| assert_eq!(joined(&Vec::from_iter::<Vec<String>>(words(n))), expect);
        check(0, "");
        check(1, "a");
        check(2, "a and b");
        check(3, "a, b and c");
        assert_eq!(date(0), "00:00 on 1 January 1970");
        assert_eq!(later(60 * SECOND_MICROS, 0), "00:01");
        assert_eq!(later(DAY_SECONDS * SECOND_MICROS, 0), "00:00 on 2 January");
        assert_eq!(clock(i64::MAX), "an unknown time");
    }

    #[test]
    fn names_cannot_forge() {
        assert_eq!(name("a\nb\u{202e}"), "a\\nb\\u{202e}");
        assert_eq!(name(&"x".repeat(500)).chars().count(), NAME_CHARS_MAX);
    }
}
