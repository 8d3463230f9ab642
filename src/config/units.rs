//! Durations, sizes and free-form properties as people write them.

use std::time::Duration;

use crate::event::TimeMicros;

/// The longest duration that a key takes: ten years of 366 days, far from any overflow.
const DURATION_MAX: Duration = Duration::from_secs(3660 * 24 * 3600);

/// A duration of the configuration in microseconds.
pub fn micros(duration: Duration) -> TimeMicros {
    TimeMicros::try_from(duration.as_micros()).unwrap_or(TimeMicros::MAX)
}

/// A duration such as `"5 minutes"`.
pub(crate) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::duration_text(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).map_err(D::Error::custom)
    }
}

/// A size such as `"64 KiB"`.
pub(super) mod size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::config) fn serialize<S: Serializer>(
        value: &u64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::size_text(*value))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_size(&text).map_err(D::Error::custom)
    }
}

/// Properties whose values may be written as text, number or boolean.
pub(super) mod properties {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string, a number or a boolean")]
    enum Property {
        Text(String),
        Integer(i64),
        Float(f64),
        Boolean(bool),
    }

    impl Property {
        fn into_text(self) -> String {
            match self {
                Self::Text(text) => text,
                Self::Integer(number) => number.to_string(),
                Self::Float(number) => number.to_string(),
                Self::Boolean(truth) => truth.to_string(),
            }
        }
    }

    pub(in crate::config) fn serialize<S: Serializer>(
        value: &BTreeMap<String, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, String>, D::Error> {
        let raw = BTreeMap::<String, Property>::deserialize(deserializer)?;
        Ok(raw.into_iter().map(|(key, value)| (key, value.into_text())).collect())
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    // The one unit that the library knows by its short name alone.
    let plain = text.trim().replace("milliseconds", "ms").replace("millisecond", "ms");
    let duration = humantime::parse_duration(&plain)
        .map_err(|error| format!("`{text}` is no duration ({error}); write e.g. \"5 minutes\""))?;
    if duration > DURATION_MAX {
        return Err(format!("`{text}` is longer than ten years"));
    }
    Ok(duration)
}

fn duration_text(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let seconds = duration.as_secs();
    let whole = UNITS.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) if duration.subsec_nanos() == 0 => plural(seconds / unit, name),
        _ if seconds == 0
            && !duration.is_zero()
            && duration.subsec_nanos().is_multiple_of(1_000_000) =>
        {
            plural(u64::from(duration.subsec_millis()), "millisecond")
        }
        _ => humantime::format_duration(duration).to_string(),
    }
}

fn plural(count: u64, name: &str) -> String {
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

/// Units of size, largest first; the decimal ones are read and never written.
const SIZE_UNITS: [(&str, u64, bool); 7] = [
    ("GiB", 1 << 30, true),
    ("MiB", 1 << 20, true),
    ("KiB", 1 << 10, true),
    ("GB", 1_000_000_000, false),
    ("MB", 1_000_000, false),
    ("kB", 1000, false),
    ("B", 1, true),
];

fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write e.g. \"64 KiB\" or \"1 MiB\"");
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at_checked(digits).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim_start();
    let (_, bytes, _) =
        SIZE_UNITS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?;
    number.checked_mul(*bytes).ok_or_else(wrong)
}

fn size_text(bytes: u64) -> String {
    let (name, unit, _) = SIZE_UNITS
        .iter()
        .find(|(_, unit, written)| *written && bytes >= *unit && bytes.is_multiple_of(*unit))
        .unwrap_or(&("B", 1, true));
    format!("{} {name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_written() {
        for text in ["1 second", "90 seconds", "5 minutes", "1 hour", "30 days", "1m 1s 5ms"] {
            let parsed = parse_duration(text).unwrap();
            assert_eq!(parse_duration(&duration_text(parsed)).unwrap(), parsed, "{text}");
        }
        assert_eq!(duration_text(Duration::from_secs(60)), "1 minute");
        assert_eq!(duration_text(Duration::ZERO), "0s");
    }

    #[test]
    fn durations_need_a_unit_and_an_end() {
        for text in ["", "5", "five minutes", "-1 minute", "100 years"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_read_back_as_written() {
        let cases = [("1 MiB", 1 << 20), ("64KiB", 65536), ("10 MB", 10_000_000), ("7 b", 7)];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(parse_size(&size_text(bytes)), Ok(bytes), "{text}");
        }
        for text in ["", "12", "MiB", "1.5 MiB", "1 XB", "99999999999999999999 B", "é"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
