//! Times as senders write them: RFC 3339 text, or a number since the epoch.

use super::TimeMicros;

/// 0001-01-01T00:00:00Z.
pub const EARLIEST: TimeMicros = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z.
pub const LATEST: TimeMicros = 253_402_300_799_999_999;

const MICROS: i64 = 1_000_000;

/// Reads RFC 3339: any offset, any number of fractional digits (cut after microseconds), `t`, `z`
/// and a space in lower case or not. A leap second is the first second of the next minute.
pub fn parse_rfc3339(text: &str) -> Option<TimeMicros> {
    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_at_checked(19)?;
    let separators = head[4] == b'-' && head[7] == b'-' && head[13] == b':' && head[16] == b':';
    if !separators || !matches!(head[10], b'T' | b't' | b' ') {
        return None;
    }
    let year = digits(&head[..4])?;
    let (month, day) = (digits(&head[5..7])?, digits(&head[8..10])?);
    let (hour, minute, second) =
        (digits(&head[11..13])?, digits(&head[14..16])?, digits(&head[17..])?);
    let date_good =
        year >= 1 && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if !date_good || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_micros, zone) = fraction(tail)?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    in_range((seconds - offset_seconds(zone)?) * MICROS + fraction_micros)
}

/// A whole number since the epoch: seconds, milli-, micro- or nanoseconds, told by its magnitude.
pub fn from_integer(number: i64) -> Option<TimeMicros> {
    let micros = match number.unsigned_abs() {
        0..100_000_000_000 => number * MICROS,
        100_000_000_000..100_000_000_000_000 => number * 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => number.div_euclid(1_000),
    };
    in_range(micros)
}

/// A number with a fraction since the epoch, told by its magnitude as [`from_integer`] does.
pub fn from_float(number: f64) -> Option<TimeMicros> {
    let scale = match number.abs() {
        size if size < 1e11 => 1e6,
        size if size < 1e14 => 1e3,
        size if size < 1e17 => 1.0,
        _ => 1e-3,
    };
    let micros = (number * scale).round();
    // Out of an i64's range the cast saturates, and the saturated value is out of range as well.
    if micros.is_finite() { in_range(micros as i64) } else { None }
}

fn in_range(micros: TimeMicros) -> Option<TimeMicros> {
    (EARLIEST..=LATEST).contains(&micros).then_some(micros)
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// The microseconds of `.123456789`, and what stands behind it.
fn fraction(tail: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = tail.split_first() else { return Some((0, tail)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (fraction, zone) = rest.split_at(length);
    let kept = &fraction[..length.min(6)];
    let scale = 10_i64.pow(6 - kept.len() as u32);
    Some((digits(kept)? * scale, zone))
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), hour @ .., b':', m1, m2] if hour.len() == 2 => {
            let (hours, minutes) = (digits(hour)?, digits(&[*m1, *m2])?);
            let seconds = hours * 3_600 + minutes * 60;
            let good = hours <= 23 && minutes <= 59;
            good.then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
///
/// The year is counted from March, so that the leap day comes last and months have a regular length.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc3339_forms() {
        let check =
            |text: &str, micros: Option<i64>| assert_eq!(parse_rfc3339(text), micros, "{text}");
        check("1970-01-01T00:00:00Z", Some(0));
        check("1970-01-01t00:00:00z", Some(0));
        check("1970-01-01 00:00:00.5Z", Some(500_000));
        check("1970-01-01T00:00:00.1234567Z", Some(123_456));
        check("1970-01-01T01:00:00+01:00", Some(0));
        check("1969-12-31T23:30:00-00:30", Some(0));
        check("2016-12-31T23:59:60Z", Some(1_483_228_800_000_000));
        check("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000));
        check("0001-01-01T00:00:00Z", Some(EARLIEST));
        check("9999-12-31T23:59:59.999999Z", Some(LATEST));
        for bad in [
            "",
            "2023-02-29T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:61Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+0100",
            "2024-01-01T00:00:00ZZ",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "+024-01-01T00:00:00Z",
            "2024-01-01T00:00:00é",
            "ééééééééééé",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn numbers_by_magnitude() {
        let same = Some(1_700_000_000_123_456);
        assert_eq!(from_integer(1_700_000_000), Some(1_700_000_000_000_000));
        assert_eq!(from_integer(1_700_000_000_123), Some(1_700_000_000_123_000));
        assert_eq!(from_integer(1_700_000_000_123_456), same);
        assert_eq!(from_integer(1_700_000_000_123_456_789), same);
        assert_eq!(from_float(1_700_000_000.123_456), same);
        assert_eq!(from_float(1_700_000_000_123.456), same);
        assert_eq!(from_integer(-1), Some(-1_000_000));
        assert_eq!(from_integer(-62_135_596_800), Some(EARLIEST));
        assert_eq!(from_integer(-62_135_596_801), None);
        assert_eq!(from_integer(i64::MIN), from_integer(i64::MIN + 1));
        assert_eq!(from_float(f64::INFINITY), None);
        assert_eq!(from_float(1e300), None);
    }

    proptest! {
        #[test]
        fn same_as_chrono(micros in EARLIEST..=LATEST, offset in -86_340_i32..86_340) {
            use chrono::{DateTime, FixedOffset, SecondsFormat};
            let offset = offset / 60 * 60;
            let zone = FixedOffset::east_opt(offset).unwrap();
            let moment = DateTime::from_timestamp_micros(micros).unwrap().with_timezone(&zone);
            let text = moment.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            // At both ends the local year may have five digits or none at all.
            prop_assume!(text.len() <= 32 && !text.starts_with(['-', '+']) && !text.starts_with("0000"));
            prop_assert_eq!(parse_rfc3339(&text), Some(micros));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
