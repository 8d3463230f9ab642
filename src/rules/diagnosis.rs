//! Why a rule is refused: reason, place in the file, hint.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::Rule;
use crate::{Error, suggest};

/// A refusal, before its place is known.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    /// Words of the SQL to look for, best first.
    anchors: Vec<String>,
    /// Line and column, when known.
    span: Option<(u64, u64)>,
}

/// A refusal with a message: lower case, no full stop.
pub(super) fn refuse(message: impl Into<String>) -> Refusal {
    Refusal { message: message.into(), detail: None, hint: None, anchors: Vec::new(), span: None }
}

impl Refusal {
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A word of the SQL that the refusal is about; the first one that is found gives the place.
    pub(super) fn anchor(mut self, word: impl Into<String>) -> Self {
        self.anchors.push(word.into());
        self
    }

    /// The error that a person reads.
    pub(super) fn into_error(self, rule: &Rule) -> Error {
        let (line, column) =
            self.span.or_else(|| find_word(&rule.sql, &self.anchors)).unwrap_or_else(|| {
                find_word(&rule.sql, &["SELECT".to_owned(), "WITH".to_owned()]).unwrap_or((1, 1))
            });
        let error = Error::usage(self.message).at(format!("{}:{line}:{column}", rule.path));
        let error = match self.detail {
            Some(detail) => error.detail(detail),
            None => error,
        };
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Line and column of the first of the words that stands in the SQL, outside comments and strings.
fn find_word(sql: &str, words: &[String]) -> Option<(u64, u64)> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    words.iter().find_map(|word| {
        let found = tokens.iter().find(|token| {
            matches!(&token.token, Token::Word(own) if own.value.eq_ignore_ascii_case(word))
        })?;
        Some((found.span.start.line, found.span.start.column))
    })
}

impl From<arrow::error::ArrowError> for Refusal {
    fn from(error: arrow::error::ArrowError) -> Self {
        refuse(error.to_string())
    }
}

impl From<DataFusionError> for Refusal {
    fn from(error: DataFusionError) -> Self {
        let text = error.strip_backtrace();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let mut refusal = refuse(plain(first));
        let rest: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
        if !rest.is_empty() {
            refusal = refusal.hint(rest.join(" "));
        }
        let diagnostic = error.iter().find_map(DataFusionError::diagnostic);
        let span = diagnostic.and_then(|diagnostic| diagnostic.span);
        refusal.span = span.map(|span| (span.start.line, span.start.column));
        if refusal.span.is_none() {
            refusal.span = place_in_text(first);
        }
        match error.find_root() {
            DataFusionError::SchemaError(schema_error, _) => refusal.unknown_column(schema_error),
            _ => refusal.unknown_function(first),
        }
    }
}

impl Refusal {
    fn unknown_column(mut self, error: &SchemaError) -> Self {
        if let SchemaError::FieldNotFound { field, valid_fields } = error {
            self.message = format!("there is no column `{}`", field.name);
            self.anchors.push(field.name.clone());
            let names = valid_fields.iter().map(|column| column.name.as_str());
            self.hint = suggest(&field.name, names).map(|near| format!("Did you mean `{near}`?"));
        }
        self
    }

    fn unknown_function(mut self, text: &str) -> Self {
        if let Some(name) =
            text.split("Invalid function '").nth(1).and_then(|t| t.split('\'').next())
        {
            self.message = format!("there is no function `{name}`");
            self.anchors.push(name.to_owned());
        }
        self
    }
}

/// DataFusion's message in our shape.
fn plain(text: &str) -> String {
    let mut text = text.trim();
    for prefix in ["Error during planning: ", "SQL error: ", "Schema error: ", "External error: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let text = text.trim_start_matches("ParserError(\"").trim_end_matches("\")");
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => "the query is refused".to_owned(),
    }
}

/// `... at Line: 3, Column: 5`, as the SQL parser writes it.
fn place_in_text(text: &str) -> Option<(u64, u64)> {
    let number = |after: &str| -> Option<u64> {
        let digits = text.split(after).nth(1)?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    };
    Some((number("Line: ")?, number("Column: ")?))
}
