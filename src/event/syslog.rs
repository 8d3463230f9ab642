//! The head of a syslog line: time, host, program, process.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

use super::TimeMicros;
use super::reject::{Refusal, RejectReason};
use super::time;

/// A syslog line in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) stamp: Stamp<'a>,
    pub(super) host: &'a str,
    pub(super) program: &'a str,
    pub(super) pid: Option<u32>,
    pub(super) message: &'a str,
}

/// The time as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp<'a> {
    /// `Nov 30 06:47:01`: neither year nor zone.
    Classic { month: u32, day: u32, second_of_day: u32 },
    /// RFC 3339, with or without a zone.
    Iso(&'a str),
}

/// Splits a line; `None` when it has not the shape of syslog.
pub(super) fn split(line: &str) -> Option<Line<'_>> {
    let line = without_priority(line);
    let (stamp, rest) = stamp(line)?;
    let (host, rest) = rest.trim_start().split_once(' ')?;
    let (tag, message) = rest.split_once(':')?;
    let tag = tag.trim();
    // `last message repeated 2 times` has no tag, and words have no place in one.
    if tag.is_empty() || tag.contains(' ') {
        return None;
    }
    let (program, pid) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((program, pid)) => (program, pid.parse().ok()),
        None => (tag, None),
    };
    Some(Line { stamp, host, program, pid, message: message.strip_prefix(' ').unwrap_or(message) })
}

/// Whether a line has at least the time and the host of syslog.
pub(super) fn has_head(line: &str) -> bool {
    stamp(without_priority(line)).is_some_and(|(_, rest)| rest.trim().contains(' '))
}

fn without_priority(line: &str) -> &str {
    let priority = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match priority {
        Some((digits, rest)) if digits.len() <= 3 && digits.parse::<u32>().is_ok() => rest,
        _ => line,
    }
}

fn stamp(line: &str) -> Option<(Stamp<'_>, &str)> {
    if line.starts_with(|letter: char| letter.is_ascii_digit()) {
        let (stamp, rest) = line.split_once(' ')?;
        let shape = stamp.len() >= 19 && stamp.as_bytes().get(10) == Some(&b'T');
        return shape.then_some((Stamp::Iso(stamp), rest));
    }
    let (head, rest) = line.split_at_checked(15)?;
    let month = month(head.get(..3)?)?;
    let day = head.get(4..6)?.trim_start().parse().ok()?;
    let two =
        |range: std::ops::Range<usize>| head.get(range).and_then(|text| text.parse::<u32>().ok());
    let (hour, minute, second) = (two(7..9)?, two(10..12)?, two(13..15)?);
    let bytes = head.as_bytes();
    let shape = bytes[3] == b' ' && bytes[6] == b' ' && bytes[9] == b':' && bytes[12] == b':';
    let good = shape && rest.starts_with(' ') && hour < 24 && minute < 60 && second <= 60;
    let second_of_day = hour * 3_600 + minute * 60 + second;
    good.then_some((Stamp::Classic { month, day, second_of_day }, rest))
}

fn month(name: &str) -> Option<u32> {
    let names =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    names.iter().position(|known| *known == name).map(|index| index as u32 + 1)
}

/// Gives the lines of one input the year that they lack.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    zone: Tz,
    /// Year and month of the newest line; `None` before the first one.
    newest: Option<(i32, u32)>,
    first_year: Option<i32>,
}

impl Calendar {
    pub(super) fn new(zone: Tz, first_year: Option<i32>) -> Self {
        Self { zone, newest: None, first_year }
    }

    /// The instant of a line; nothing in the input was written after `written_at`.
    pub(super) fn instant(
        &mut self,
        stamp: Stamp<'_>,
        written_at: TimeMicros,
    ) -> Result<TimeMicros, Refusal> {
        let time = match stamp {
            Stamp::Iso(text) => time::parse_rfc3339(text).or_else(|| self.local_iso(text)),
            Stamp::Classic { month, day, second_of_day } => {
                self.classic(month, day, second_of_day, written_at)
            }
        };
        let time = time.filter(|time| (time::EARLIEST..=time::LATEST).contains(time));
        time.ok_or_else(|| Refusal::new(RejectReason::InvalidTime, "no such date or time of day"))
    }

    fn local_iso(&self, text: &str) -> Option<TimeMicros> {
        let time = text.parse::<NaiveDateTime>().ok()?;
        self.in_zone(time)
    }

    fn classic(
        &mut self,
        month: u32,
        day: u32,
        second_of_day: u32,
        written_at: TimeMicros,
    ) -> Option<TimeMicros> {
        let year = match self.newest {
            None => self.start_year(month, day, written_at)?,
            // A month that lies behind is the next year's, but for stragglers of the month before.
            Some((year, 1)) if month == 12 => year - 1,
            Some((year, newest)) if month + 1 < newest => year + 1,
            Some((year, _)) => year,
        };
        let midnight = NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(0, 0, 0)?;
        let time = self.in_zone(midnight + Duration::seconds(i64::from(second_of_day)))?;
        self.newest = self.newest.max(Some((year, month)));
        Some(time)
    }

    /// The newest year in which the first line is not later than the file itself.
    fn start_year(&self, month: u32, day: u32, written_at: TimeMicros) -> Option<i32> {
        if let Some(year) = self.first_year {
            return Some(year);
        }
        let written =
            DateTime::from_timestamp_micros(written_at)?.with_timezone(&self.zone).date_naive();
        let newest = written + Duration::days(1);
        let earliest = newest.year() - 8;
        (earliest..=newest.year()).rev().find(|year| {
            NaiveDate::from_ymd_opt(*year, month, day).is_some_and(|date| date <= newest)
        })
    }

    /// Local time to UTC. An hour that comes twice is the first one; one that is skipped moves on.
    fn in_zone(&self, local: NaiveDateTime) -> Option<TimeMicros> {
        if self.zone == Tz::UTC {
            return Some(local.and_utc().timestamp_micros());
        }
        let hour = Duration::hours(1);
        let found = self.zone.from_local_datetime(&local).earliest();
        let found = found
            .or_else(|| Some(self.zone.from_local_datetime(&(local - hour)).earliest()? + hour));
        found.map(|time| time.timestamp_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> TimeMicros {
        time::parse_rfc3339(text).unwrap()
    }

    fn instants(zone: Tz, first: Option<i32>, written: &str, lines: &[&str]) -> Vec<TimeMicros> {
        let mut calendar = Calendar::new(zone, first);
        let stamps = lines.iter().map(|line| split(line).unwrap().stamp);
        stamps.map(|stamp| calendar.instant(stamp, micros(written)).unwrap()).collect()
    }

    #[test]
    fn parts_of_a_line() {
        let line = split("<38>Nov  3 06:47:01 host sshd-session[42]: a: b").unwrap();
        assert_eq!((line.host, line.program, line.pid), ("host", "sshd-session", Some(42)));
        assert_eq!(line.message, "a: b");
        let line = split("2026-11-22T15:49:16.123456+01:00 host sshd: x").unwrap();
        assert_eq!((line.stamp, line.pid), (Stamp::Iso("2026-11-22T15:49:16.123456+01:00"), None));
        for bad in [
            "",
            "Dec  2 13:14:2",
            "Nov 30 06:47:01",
            "Nov 30 06:47:01 host",
            "Foo 30 06:47:01 host a: b",
            "Nov 30 26:47:01 host a: b",
            "{\"time\":1}",
            "ééééééééééé é",
            "Nov 30 06:47:01 host last message",
        ] {
            assert_eq!(split(bad), None, "{bad}");
        }
        assert!(has_head("Nov 30 06:47:01 host last message repeated 2 times"));
        assert!(!has_head("Dec  2 13:14:2"));
    }

    #[test]
    fn year_from_the_files_own_time() {
        let lines = ["Nov 30 00:00:00 h a: b", "Dec 31 23:59:59 h a: b", "Jan  1 00:00:01 h a: b"];
        let expected =
            ["2025-11-30T00:00:00Z", "2025-12-31T23:59:59Z", "2026-01-01T00:00:01Z"].map(micros);
        assert_eq!(instants(Tz::UTC, None, "2026-11-22T00:00:00Z", &lines), expected);
        let same_year = instants(Tz::UTC, None, "2026-12-01T00:00:00Z", &lines[..1]);
        assert_eq!(same_year, [micros("2026-11-30T00:00:00Z")]);
        let given = instants(Tz::UTC, Some(2015), "2026-11-22T00:00:00Z", &lines);
        assert_eq!(given[2], micros("2016-01-01T00:00:01Z"));
        let leap = instants(Tz::UTC, None, "2026-11-22T00:00:00Z", &["Feb 29 00:00:00 h a: b"]);
        assert_eq!(leap, [micros("2024-02-29T00:00:00Z")]);
    }

    #[test]
    fn straggler_of_the_old_year() {
        let lines = ["Jan  1 00:00:01 h a: b", "Dec 31 23:59:59 h a: b", "Jan  1 00:00:02 h a: b"];
        let expected =
            ["2026-01-01T00:00:01Z", "2025-12-31T23:59:59Z", "2026-01-01T00:00:02Z"].map(micros);
        assert_eq!(instants(Tz::UTC, None, "2026-06-01T00:00:00Z", &lines), expected);
    }

    #[test]
    fn zone_with_summer_time() {
        let lines =
            ["Mar 29 02:30:00 h a: b", "Oct 25 02:30:00 h a: b", "2026-07-01T12:00:00 h a: b"];
        let expected =
            ["2026-03-29T01:30:00Z", "2026-10-25T00:30:00Z", "2026-07-01T10:00:00Z"].map(micros);
        assert_eq!(
            instants(Tz::Europe__Berlin, Some(2026), "2026-11-22T00:00:00Z", &lines),
            expected
        );
    }

    #[test]
    fn impossible_dates() {
        let mut calendar = Calendar::new(Tz::UTC, Some(2025));
        for line in
            ["Feb 29 00:00:00 h a: b", "Apr 31 00:00:00 h a: b", "2026-02-30T00:00:00Z h a: b"]
        {
            let refusal = calendar.instant(split(line).unwrap().stamp, 0).unwrap_err();
            assert_eq!(refusal.reason, RejectReason::InvalidTime, "{line}");
        }
    }
}
