//! A rule's summary: a sentence with `{column}` placeholders, filled from the newest match.
//!
//! Besides the query's columns a summary knows `{entity}`, `{accounts_total}`, `{ips_total}` and
//! `{matches}`; a column of that name comes first. `{{` and `}}` stand for braces.

use std::borrow::Cow;

use serde_json::Value;

use super::text::{escape, shorten};
use crate::{Error, Result, suggest};

/// Placeholders that every summary may use.
pub(super) const COMMON: [&str; 4] = ["entity", "accounts_total", "ips_total", "matches"];

/// Characters of one value that a summary shows.
const VALUE_CHARS_MAX: usize = 120;

/// What a NULL reads like in a sentence.
const NULL_TEXT: &str = "unknown";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(String),
}

/// A parsed summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

impl Template {
    pub(super) fn parse(template: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if let Some(after_pair) = after.strip_prefix(brace) {
                text.push_str(brace);
                rest = after_pair;
                continue;
            }
            let name;
            (name, rest) = placeholder(brace, after)?;
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(Piece::Placeholder(name.to_owned()));
        }
        text.push_str(rest);
        pieces.push(Piece::Text(text));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Self(pieces))
    }

    /// The sentence, with the value of each placeholder as `lookup` gives it.
    pub(super) fn fill<'v>(&self, lookup: impl Fn(&str) -> Option<Cow<'v, Value>>) -> String {
        let mut sentence = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => sentence.push_str(text),
                Piece::Placeholder(name) => match lookup(name) {
                    Some(value) => sentence.push_str(&readable(&value)),
                    None => sentence.push_str(NULL_TEXT),
                },
            }
        }
        sentence
    }

    fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }
}

/// The name up to the closing brace, and what follows it.
fn placeholder<'t>(brace: &str, after: &'t str) -> Result<(&'t str, &'t str)> {
    if brace == "}" {
        return Err(malformed("a } closes nothing"));
    }
    let (name, rest) = after.split_once('}').ok_or_else(|| malformed("a { is not closed"))?;
    if name.is_empty() || name.contains('{') {
        return Err(malformed("a placeholder is not a column's name"));
    }
    Ok((name, rest))
}

fn malformed(detail: &str) -> Error {
    Error::usage("malformed summary")
        .detail(detail)
        .hint("placeholders are {column}; write {{ and }} for braces")
}

/// Checks a rule's summary against the columns of its query.
///
/// # Errors
/// When braces do not pair, or a placeholder names no column.
pub fn check_summary(template: &str, columns: &[&str]) -> Result<()> {
    let template = Template::parse(template)?;
    let known = |name: &str| columns.contains(&name) || COMMON.contains(&name);
    match template.placeholders().find(|name| !known(name)) {
        Some(name) => Err(unknown(name, columns)),
        None => Ok(()),
    }
}

fn unknown(name: &str, columns: &[&str]) -> Error {
    let error = Error::usage(format!("unknown placeholder {{{name}}} in summary"))
        .detail(format!("the query has the columns {}", columns.join(", ")));
    match suggest(name, columns.iter().copied().chain(COMMON)) {
        Some(near) => error.hint(format!("did you mean {{{near}}}?")),
        None => error.hint(format!("{} can be used as well", COMMON.join(", "))),
    }
}

/// A value as part of a sentence: short, on one line, unable to forge terminal output.
fn readable(value: &Value) -> String {
    let text = match value {
        Value::Null => NULL_TEXT.to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => rounded(number.as_f64().unwrap_or(f64::NAN)),
        Value::Array(items) => items.iter().map(readable).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    shorten(&escape(&text), VALUE_CHARS_MAX).into_owned()
}

/// A float as people write it: two decimals at most, two digits when it is tiny.
fn rounded(float: f64) -> String {
    if float != 0.0 && !(0.01..1e15).contains(&float.abs()) {
        return format!("{float:.1e}");
    }
    let text = format!("{float:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(template: &str, value: Value) -> String {
        let template = Template::parse(template).unwrap();
        template.fill(|name| (name == "x").then_some(Cow::Borrowed(&value)))
    }

    #[test]
    fn values_in_a_sentence() {
        let check = |value, expect: &str| assert_eq!(fill("<{x}>", value), format!("<{expect}>"));
        check(json!(20), "20");
        check(json!(0.934_33), "0.93");
        check(json!(3.0), "3");
        check(json!(0.0), "0");
        check(json!(0.000_123), "1.2e-4");
        check(json!(null), "unknown");
        check(json!(true), "true");
        check(json!(["a", 1]), "a, 1");
        check(json!("{x}"), "{x}");
    }

    #[test]
    fn a_value_cannot_forge_output() {
        assert_eq!(
            fill("{x}", json!("a\u{1b}[2J\nroot logged in")),
            "a\\u{1b}[2J\\nroot logged in"
        );
        assert_eq!(fill("{x}", json!("\u{202e}txt")), "\\u{202e}txt");
        assert_eq!(fill("{x}", json!("x".repeat(4096))).chars().count(), VALUE_CHARS_MAX);
        assert_eq!(fill("{x}", json!("<script>alert(1)</script>")), "<script>alert(1)</script>");
    }

    #[test]
    fn braces() {
        assert_eq!(fill("{{{x}}} {{x}} é{x}é", json!(1)), "{1} {x} é1é");
        assert_eq!(fill("", json!(1)), "");
        assert_eq!(fill("{x}{x}", json!(1)), "11");
    }

    #[test]
    fn errors() {
        let check = |template: &str, expect: &str| {
            let error = check_summary(template, &["time", "failures", "targets"]).unwrap_err();
            assert_eq!(error.to_string(), expect);
        };
        check(
            "{failurs} failed",
            "unknown placeholder {failurs} in summary\n  detail: the query has the columns time, \
             failures, targets\n  hint: did you mean {failures}?",
        );
        check(
            "{country}",
            "unknown placeholder {country} in summary\n  detail: the query has the columns time, \
             failures, targets\n  hint: entity, accounts_total, ips_total, matches can be used as well",
        );
        let hint = "\n  hint: placeholders are {column}; write {{ and }} for braces";
        check("{failures", &format!("malformed summary\n  detail: a {{ is not closed{hint}"));
        check("failures}", &format!("malformed summary\n  detail: a }} closes nothing{hint}"));
        let no_name =
            format!("malformed summary\n  detail: a placeholder is not a column's name{hint}");
        check("{}", &no_name);
        check("{a {failures}", &no_name);
    }

    #[test]
    fn common_placeholders_are_known() {
        assert!(
            check_summary("{failures} {entity} {accounts_total} {matches}", &["failures"]).is_ok()
        );
    }
}
