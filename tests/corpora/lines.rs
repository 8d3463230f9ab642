//! The lines of a log behind the events that an alert lists.
//!
//! An alert lists the last events of its bucket, and some parsers do not say the time. What is missing
//! stands in the lines of the log that name the same source.

use super::assertions::{Alert, Fields};
use super::parsed::Event;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Gives each event its line and, where it has none, its time; then adds the events that an alert counts
/// and does not list.
pub(crate) fn complete(events: &mut Vec<Event>, alerts: &[Alert], log: &str) {
    let mut lines: Vec<&str> = log.lines().collect();
    for event in events.iter_mut() {
        let line = take_best(&mut lines, &event.fields, event.time.as_deref(), 1);
        let Some(line) = line else { continue };
        event.fields.insert("message".to_owned(), line.to_owned());
        if event.time.is_none() {
            event.time = time_of(line, "2024", "Z");
        }
    }
    for alert in alerts {
        let Some(listed) = alert.events.last() else { continue };
        if alert.n_events.is_none_or(|n| n > alert.events.len()) {
            events.extend(unlisted(&mut lines, listed));
        }
    }
}

/// Events like `listed`, one for each line that is as much like it as the lines of listed ones are.
fn unlisted(lines: &mut Vec<&str>, listed: &Fields) -> Vec<Event> {
    let time = listed.get("timestamp");
    let year = time.map_or("2024", |time| &time[..4]);
    let zone = time
        .and_then(|time| time.get(19..))
        .map_or("Z", |end| end.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()));
    let enough = named(listed).count();
    let mut events = Vec::new();
    while let Some(line) = take_best(lines, listed, None, enough) {
        let mut fields = listed.clone();
        fields.remove("timestamp");
        fields.insert("message".to_owned(), line.to_owned());
        events.extend(time_of(line, year, zone).map(|time| Event { fields, time: Some(time) }));
    }
    events
}

/// The values of an event that came from the line itself.
fn named(fields: &Fields) -> impl Iterator<Item = &str> {
    let own = ["source_ip", "target_user", "username", "user", "http_user_agent", "http_path"];
    own.into_iter().filter_map(|name| fields.get(name).map(String::as_str))
}

/// Takes the first line that names the source and most of the other values.
fn take_best<'a>(
    lines: &mut Vec<&'a str>,
    fields: &Fields,
    time: Option<&str>,
    at_least: usize,
) -> Option<&'a str> {
    let source = fields.get("source_ip")?;
    let clock = time.and_then(|time| time.get(11..19));
    let score =
        |line: &str| named(fields).chain(clock).filter(|value| line.contains(value)).count();
    let candidates = lines.iter().enumerate().filter(|(_, line)| line.contains(source.as_str()));
    let best = candidates.map(|(n, line)| (score(line), n)).filter(|(score, _)| *score >= at_least);
    // The first of equals.
    let (_, n) = best.min_by_key(|(score, n)| (usize::MAX - score, *n))?;
    Some(lines.remove(n))
}

/// The time in a line of a log: hours, minutes and seconds behind a date as logs have it.
fn time_of(line: &str, year: &str, zone: &str) -> Option<String> {
    let starts = (0..line.len()).filter(|start| line.is_char_boundary(*start));
    starts.filter_map(|start| time_at(line, start, year, zone)).next()
}

fn time_at(line: &str, start: usize, year: &str, zone: &str) -> Option<String> {
    let (date, rest) = line.split_at(start);
    if date.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut parts = rest.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let second = second.get(..2)?;
    let is_number = |text: &str, longest| {
        (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !is_number(hour, 2) || !is_number(minute, 2) || !is_number(second, 2) {
        return None;
    }
    let (year, month, day) = date_of(date, year)?;
    let number = |text: &str| text.parse::<u32>().ok();
    let (hour, day) = (number(hour)?, number(&day)?);
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute}:{second}{zone}"))
}

/// `2026-01-31`, `2026/01/31`, `31/Jan/2026`, or `Jan 31`, at the end of the text.
fn date_of(text: &str, year: &str) -> Option<(String, usize, String)> {
    let words: Vec<&str> = text
        .trim_end_matches('T')
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty())
        .collect();
    let month = |word: &str| MONTHS.iter().position(|month| *month == word).map(|n| n + 1);
    match words.as_slice() {
        [.., day, name, year] if month(name).is_some() && year.len() == 4 => {
            Some(((*year).to_owned(), month(name)?, (*day).to_owned()))
        }
        [.., name, day] if month(name).is_some() => {
            Some((year.to_owned(), month(name)?, (*day).to_owned()))
        }
        [.., year, number, day] if year.len() == 4 => {
            Some(((*year).to_owned(), number.parse().ok()?, (*day).to_owned()))
        }
        _ => None,
    }
}

#[test]
fn times_are_found_in_lines() {
    let lines = [
        ("Sep  7 12:11:33 host sshd[1]: x", "2020-09-07T12:11:33Z"),
        ("[Dec 21 12:57:01] SECURITY[77]: a:114", "2020-12-21T12:57:01Z"),
        ("2021-11-09  5:13:11 8 [Warning] x", "2021-11-09T05:13:11Z"),
        ("2022/04/02 13:39:51 [info]", "2022-04-02T13:39:51Z"),
        ("{\"time\":\"2022-04-02T13:39:51.5Z\"}", "2022-04-02T13:39:51Z"),
        ("192.0.2.1 - - [12/Jul/2022:11:45:00 -0400] \"POST", "2022-07-12T11:45:00Z"),
        ("WARN: [Jul  2 05:05:24.643] failed ip=192.0.2.1:28050", "2020-07-02T05:05:24Z"),
    ];
    for (line, time) in lines {
        assert_eq!(time_of(line, "2020", "Z").as_deref(), Some(time), "{line}");
    }
    assert_eq!(time_of("from 2001:db8:48::82b:7a19 port 22", "2020", "Z"), None);
}
