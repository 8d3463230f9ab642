//! Options about log files, the same for every command that reads them.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use clap::Args;

use super::Failure;
use crate::config::{Config, InputFormat};
use crate::event::TimeMicros;

/// Log files, and how they are read.
#[derive(Debug, Clone, Args)]
pub(super) struct InputArgs {
    /// Log files, plain, gzip or zstd; `-` is standard input
    #[arg(required = true, value_name = "LOG")]
    pub(super) logs: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) options: LogOptions,
}

/// The same for commands whose arguments are rules.
#[derive(Debug, Clone, Args)]
pub(super) struct OnArgs {
    /// Log files, plain, gzip or zstd; `-` is standard input
    #[arg(long = "on", value_name = "LOG", num_args = 1..)]
    pub(super) logs: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) options: LogOptions,
}

/// How log files are read.
#[derive(Debug, Clone, Args)]
pub(super) struct LogOptions {
    /// Shape of the records [default: `input.format` of the configuration, else native]
    #[arg(long, value_enum)]
    pub(super) format: Option<InputFormat>,
    /// Year of the first syslog line [default: that of the file's own time]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=9999))]
    pub(super) year: Option<i32>,
    /// Time zone of syslog lines, an IANA name [default: UTC]
    #[arg(long, value_name = "TZ", value_parser = parse_zone)]
    pub(super) time_zone: Option<Tz>,
    /// Leave out events before this time (RFC 3339, or a date in UTC): rules do not see them
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub(super) since: Option<TimeMicros>,
    /// Leave out events at this time and after it: rules do not see them
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub(super) until: Option<TimeMicros>,
    /// Take this as the time of reading, which no event may be far ahead of [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub(super) now: Option<TimeMicros>,
}

impl OnArgs {
    /// The log files as other commands have them.
    ///
    /// # Errors
    /// When none is named.
    pub(super) fn input(&self) -> Result<InputArgs, crate::Error> {
        if self.logs.is_empty() {
            return Err(crate::Error::usage("no log is named").hint("add `--on LOG`"));
        }
        Ok(InputArgs { logs: self.logs.clone(), options: self.options.clone() })
    }
}

fn parse_zone(name: &str) -> Result<Tz, String> {
    crate::config::time_zone(name).map_err(|error| error.to_string())
}

/// RFC 3339, or a date or date and time in UTC.
pub(super) fn parse_time(text: &str) -> Result<TimeMicros, String> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_micros());
    let local = |format| NaiveDateTime::parse_from_str(text, format);
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|d| d.and_time(NaiveTime::MIN));
    zoned
        .or_else(|_| {
            let time = local("%Y-%m-%dT%H:%M:%S%.f").or_else(|_| local("%Y-%m-%dT%H:%M"));
            time.or_else(|_| date()).map(|time| time.and_utc().timestamp_micros())
        })
        .map_err(|_| "write a time as 2026-03-01T12:00:00Z or a date as 2026-03-01".to_owned())
}

impl InputArgs {
    /// Puts the options into the configuration, which they override.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), Failure> {
        let input = &mut config.input;
        let options = &self.options;
        input.format = options.format.unwrap_or(input.format);
        input.sshd.year = options.year.or(input.sshd.year);
        if let Some(zone) = options.time_zone {
            zone.name().clone_into(&mut input.sshd.time_zone);
        }
        if let (Some(since), Some(until)) = (options.since, options.until)
            && since >= until
        {
            let error = crate::Error::usage("--since is not before --until: nothing is between");
            return Err(error.into());
        }
        Ok(())
    }

    /// The files as the user wrote them.
    pub(super) fn names(&self) -> Vec<String> {
        self.logs.iter().map(|log| log.display().to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let noon = 1_772_366_400_000_000;
        for text in ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "2026-03-01T12:00"] {
            assert_eq!(parse_time(text), Ok(noon), "{text}");
        }
        assert_eq!(parse_time("2026-03-01"), Ok(noon - 12 * 3_600_000_000));
        for text in ["", "yesterday", "2026-13-01", "12:00"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
