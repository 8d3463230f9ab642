//! The TOML comment at the head of a rule file.

use serde::Deserialize;

use super::statement::Place;
use super::{FrontMatter, Severity};
use crate::event::TimeMicros;
use crate::{Error, Result, suggest};

const KEYS: [&str; 13] = [
    "title",
    "severity",
    "entity",
    "quiet",
    "horizon",
    "attack",
    "summary",
    "why",
    "false_positives",
    "blind_spots",
    "validation",
    "runbook",
    "references",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    title: String,
    severity: Severity,
    entity: String,
    quiet: String,
    horizon: Option<String>,
    #[serde(default)]
    attack: Vec<String>,
    summary: String,
    why: Option<String>,
    false_positives: Option<String>,
    blind_spots: Option<String>,
    validation: Option<String>,
    runbook: Option<String>,
    #[serde(default)]
    references: Vec<String>,
}

/// Reads the front matter of a rule file; `path` is for messages.
///
/// # Errors
/// When the comment is missing or is not such TOML; the place is `path:line:column`.
pub(super) fn parse(path: &str, file: &str) -> Result<FrontMatter> {
    let start = file.len() - file.trim_start().len();
    let body = file[start..].strip_prefix("/*").ok_or_else(|| missing(path))?;
    let length = body.find("*/").ok_or_else(|| missing(path).detail("The comment has no end."))?;
    let offset = start + 2;
    let raw: Raw =
        toml::from_str(&body[..length]).map_err(|error| refused(path, file, offset, &error))?;
    let duration = |key: &str, text: &str| {
        parse_duration(text).map_err(|error| {
            let (line, column) = place_of_key(file, key);
            error.at(format!("{path}:{line}:{column}"))
        })
    };
    Ok(FrontMatter {
        quiet_micros: duration("quiet", &raw.quiet)?,
        horizon_micros: raw.horizon.map(|text| duration("horizon", &text)).transpose()?,
        title: raw.title,
        severity: raw.severity,
        entity: raw.entity,
        attack: raw.attack,
        summary: raw.summary,
        why: raw.why,
        false_positives: raw.false_positives,
        blind_spots: raw.blind_spots,
        validation: raw.validation,
        runbook: raw.runbook,
        references: raw.references,
    })
}

fn missing(path: &str) -> Error {
    Error::usage("the rule has no front matter")
        .at(format!("{path}:1:1"))
        .hint("Begin the file with /* title = \"...\" severity = \"high\" entity = \"ip\" quiet = \"30 minutes\" summary = \"...\" */.")
}

fn refused(path: &str, file: &str, offset: usize, error: &toml::de::Error) -> Error {
    let at = error.span().map_or(offset, |span| offset + span.start);
    let message = error.message().lines().next().unwrap_or_default().to_owned();
    let place = place_at(path, file, at);
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    // The names that could stand there are in the hint.
    let reason = if unknown.is_some() { message.split(',').next() } else { None };
    let reason = reason.unwrap_or(&message);
    let refusal = Error::usage(format!("the front matter is refused: {reason}")).at(place);
    match unknown.map(|word| suggest(word, KEYS)) {
        Some(Some(near)) => refusal.hint(format!("Did you mean `{near}`?")),
        Some(None) => refusal.hint(format!("There are: {}.", KEYS.join(", "))),
        None => refusal,
    }
}

fn parse_duration(text: &str) -> Result<TimeMicros> {
    let refusal = || Error::usage(format!("`{text}` is not a duration"));
    let duration = humantime::parse_duration(text)
        .map_err(|_| refusal().hint("Write a number with its unit, such as \"30 minutes\"."))?;
    i64::try_from(duration.as_micros()).map_err(|_| refusal().hint("Use a shorter duration."))
}

/// Line and column of a key of the front matter.
pub(super) fn place_of_key(file: &str, key: &str) -> Place {
    let begins_line = |at: usize| {
        let before = file[..at].rsplit('\n').next().unwrap_or_default();
        before.trim_start_matches("/*").trim().is_empty()
    };
    let at = file.match_indices(key).map(|(at, _)| at).find(|at| begins_line(*at));
    line_and_column(file, at.unwrap_or(0))
}

/// `path:line:column` of a byte offset.
pub(super) fn place_at(path: &str, file: &str, offset: usize) -> String {
    let (line, column) = line_and_column(file, offset);
    format!("{path}:{line}:{column}")
}

fn line_and_column(file: &str, offset: usize) -> Place {
    let before = file.get(..offset).unwrap_or(file);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line as u64, column as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(file: &str) -> String {
        parse("queries/x.sql", file).expect_err("refused").to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_a_suggestion() {
        let text = error_of("/*\ntitle = \"t\"\nseverty = \"high\"\n*/ SELECT 1");
        assert!(text.starts_with("queries/x.sql:3:1: "), "{text}");
        assert!(text.contains("Did you mean `severity`?"), "{text}");
    }

    #[test]
    fn a_bad_duration_names_its_line() {
        let text = error_of(
            "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"ip\"\nsummary = \"s\"\nquiet = \"soon\"\n*/",
        );
        assert!(text.starts_with("queries/x.sql:6:1: `soon` is not a duration"), "{text}");
    }

    #[test]
    fn a_file_without_comment_is_refused() {
        assert!(error_of("SELECT 1").contains("no front matter"));
        assert!(error_of("/* title = ").contains("no end"));
    }
}
