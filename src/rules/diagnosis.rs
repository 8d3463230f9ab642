//! Why a rule is refused: reason, place in the file, hint.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use super::Rule;
use super::statement::{self, Place};
use crate::{Error, suggest};

/// A refusal, before its place is known.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    message: Box<str>,
    detail: Option<String>,
    hint: Option<String>,
    /// Words of the SQL to look for, best first.
    anchors: Vec<String>,
    /// The place, when known.
    span: Option<Place>,
    /// What the first anchor should have named.
    unknown: Option<Unknown>,
}

/// Kinds of names for which the session or the rule know candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Table,
    Window,
}

/// A refusal with a message: lower case, no full stop.
pub(super) fn refuse(message: impl Into<String>) -> Refusal {
    Refusal {
        message: message.into().into_boxed_str(),
        detail: None,
        hint: None,
        anchors: Vec::new(),
        span: None,
        unknown: None,
    }
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

    /// The place itself.
    pub(super) fn span(mut self, place: Place) -> Self {
        self.span = Some(place);
        self
    }

    /// Suggests one of the tables or of the named windows, where the name of one is unknown.
    pub(super) fn suggest_from(self, tables: &[String], windows: &[String]) -> Self {
        let (names, others) = match self.unknown {
            Some(Unknown::Table) => (tables, " A [[reference]] in the configuration adds one."),
            Some(Unknown::Window) => (windows, ""),
            None => return self,
        };
        let name = self.anchors.first().map_or("", String::as_str);
        let hint = match suggest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean `{near}`?"),
            None => format!("There are: {}.{others}", names.join(", ")),
        };
        self.hint(hint)
    }

    /// The error that a person reads.
    pub(super) fn into_error(self, rule: &Rule) -> Error {
        let (line, column) = self.place(rule);
        let mut error = Error::usage(self.message).at(format!("{}:{line}:{column}", rule.path));
        error.detail = self.detail;
        error.hint = self.hint;
        error
    }

    fn place(&self, rule: &Rule) -> Place {
        let beginning = || statement::find(&rule.sql, &["SELECT".to_owned(), "WITH".to_owned()]);
        let end =
            || if self.message.ends_with("the end") { statement::last(&rule.sql) } else { None };
        self.span
            .or_else(|| statement::find(&rule.sql, &self.anchors))
            .or_else(end)
            .or_else(beginning)
            .unwrap_or((1, 1))
    }
}

impl From<arrow::error::ArrowError> for Refusal {
    fn from(error: arrow::error::ArrowError) -> Self {
        refuse(error.to_string())
    }
}

impl From<DataFusionError> for Refusal {
    fn from(error: DataFusionError) -> Self {
        let root = error.find_root();
        let text = root.strip_backtrace();
        let diagnostic = error.iter().find_map(DataFusionError::diagnostic);
        let place = diagnostic.and_then(|diagnostic| diagnostic.span);
        let place = place.map(|span| (span.start.line, span.start.column));
        let mut refusal = match root {
            DataFusionError::SchemaError(schema_error, _) => wrong_column(schema_error),
            _ => KNOWN.iter().find_map(|known| known(&text)).unwrap_or_else(|| as_it_is(&text)),
        };
        refusal.span = refusal.span.or(place).or_else(|| place_in_text(&text));
        refusal
    }
}

/// Messages of DataFusion that can be said better, each with what recognises it.
const KNOWN: [fn(&str) -> Option<Refusal>; 10] = [
    unknown_function,
    unknown_table,
    unknown_window,
    wrong_arguments,
    missing_window,
    equal_names,
    hidden_command,
    frame_of_numbers,
    too_deep,
    syntax_error,
];

fn wrong_column(error: &SchemaError) -> Refusal {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names = || valid_fields.iter().map(|column| column.name.as_str());
            let hint = match suggest(&field.name, names()) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("There are: {}.", names().collect::<Vec<_>>().join(", ")),
            };
            refuse(format!("there is no column `{}`", field.name)).hint(hint).anchor(&field.name)
        }
        SchemaError::AmbiguousReference { field } => {
            let name = &field.name;
            twice(name).hint(format!("Name the table as well: `events.{name}`."))
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => twice(name),
    }
}

fn twice(name: &str) -> Refusal {
    refuse(format!("two columns have the name `{name}`"))
        .hint("Give one of them another name by AS.")
        .anchor(name)
}

fn equal_names(text: &str) -> Option<Refusal> {
    text.contains("require unique expression names").then_some(())?;
    let name = between(text, "expression \"", "\" at position")?;
    let name = name.rsplit(" AS ").next().unwrap_or(name);
    Some(twice(name.rsplit('.').next().unwrap_or(name)))
}

/// `WITH ... INSERT` begins as a query does.
fn hidden_command(text: &str) -> Option<Refusal> {
    let command = between(text, "Query ", " ")?;
    ["INSERT", "UPDATE", "DELETE", "MERGE"].contains(&command).then(|| {
        refuse(format!("`{command}` is no query"))
            .detail("A rule reads events; it changes nothing.")
            .hint("Write SELECT ... FROM events.")
            .anchor(command)
    })
}

/// An interval in a frame over numbers.
fn frame_of_numbers(text: &str) -> Option<Refusal> {
    let (_, unit) = between(text, "Cannot cast string '", "'")?.split_once(' ')?;
    ["MICROSECOND", "SECOND", "MINUTE", "HOUR", "DAY", "MONTH"].contains(&unit).then(|| {
        refuse("a window is not ordered by the event time")
            .hint(
                "Write ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW.",
            )
            .anchor("ORDER")
    })
}

fn unknown_function(text: &str) -> Option<Refusal> {
    let name = between(text, "Invalid function '", "'")?;
    let refusal = refuse(format!("there is no function `{name}`")).anchor(name);
    Some(match between(text, "Did you mean '", "'") {
        Some(near) => refusal.hint(format!("Did you mean `{near}`?")),
        None => refusal,
    })
}

fn unknown_table(text: &str) -> Option<Refusal> {
    let name = between(text, "table '", "' not found")?;
    let name = name.strip_prefix("datafusion.public.").unwrap_or(name);
    let mut refusal = refuse(format!("there is no table `{name}`")).anchor(name);
    refusal.unknown = Some(Unknown::Table);
    Some(refusal)
}

fn unknown_window(text: &str) -> Option<Refusal> {
    let name = between(text, "The window ", " is not defined")?;
    let mut refusal = refuse(format!("there is no window `{name}`")).anchor(name);
    refusal.unknown = Some(Unknown::Window);
    Some(refusal)
}

fn wrong_arguments(text: &str) -> Option<Refusal> {
    let call = between(text, "argument types '", "'")?;
    let (name, types) = call.split_once('(')?;
    let types = types.trim_end_matches(')').replace("Utf8View", "text");
    let refusal = refuse(format!("`{name}` does not take ({types})")).anchor(name);
    let candidates: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("Candidate functions:"))
        .skip(1)
        .map(str::trim)
        .collect();
    Some(refusal.hint(format!("It can be: {}. Cast the argument.", candidates.join(", "))))
}

fn missing_window(text: &str) -> Option<Refusal> {
    text.contains("must appear in the GROUP BY clause").then(|| {
        refuse("an aggregate without a window has no answer before the stream ends").hint(
            "Write count(*) OVER (PARTITION BY ... ORDER BY time RANGE BETWEEN ... PRECEDING AND CURRENT ROW).",
        )
    })
}

fn too_deep(text: &str) -> Option<Refusal> {
    text.contains("RecursionLimitExceeded").then(|| {
        refuse("the query nests too deep").hint("Take parts out of it: WITH name AS (SELECT ...).")
    })
}

/// Words of which a slip of the keyboard often stops the parser.
const KEYWORDS: [&str; 16] = [
    "SELECT",
    "FROM",
    "WHERE",
    "WINDOW",
    "QUALIFY",
    "JOIN",
    "LEFT",
    "ON",
    "AS",
    "AND",
    "OR",
    "OVER",
    "PARTITION",
    "ORDER",
    "BETWEEN",
    "FILTER",
];

fn syntax_error(text: &str) -> Option<Refusal> {
    let expected = between(text, "Expected: ", ", found: ")?;
    let found = text.split(", found: ").nth(1)?;
    let found = found.split(" at Line: ").next()?.trim_end_matches("\")");
    let expected = expected.trim_start_matches("an ").trim_start_matches("a ");
    if found == "EOF" {
        return Some(refuse(format!("expected {expected}, found the end")));
    }
    let refusal = refuse(format!("expected {expected}, found `{found}`"));
    let near = suggest(&found.to_uppercase(), KEYWORDS).filter(|near| *near != found);
    Some(match near {
        Some(near) => refusal.hint(format!("Did you mean `{near}`?")),
        None => refusal,
    })
}

/// DataFusion's message in our shape; what follows its first line may help.
fn as_it_is(text: &str) -> Refusal {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    let refusal = match rest.as_slice() {
        [] => refuse(plain(first)),
        rest => refuse(plain(first)).detail(rest.join(" ")),
    };
    let quoted = ["'", "\""].iter().filter_map(|quote| between(first, quote, quote));
    quoted.fold(refusal, |refusal, text| {
        let word = text.split(' ').next().unwrap_or(text);
        refusal.anchor(text).anchor(word)
    })
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}

/// A first line in lower case, without the names of the program parts that it came through.
fn plain(text: &str) -> String {
    const PREFIXES: [&str; 10] = [
        "Error during planning: ",
        "SQL error: ",
        "Schema error: ",
        "External error: ",
        "Arrow error: ",
        "Parser error: ",
        "This feature is not implemented: ",
        "Internal error: ",
        "ParserError(\"",
        "TokenizerError(\"",
    ];
    let mut text = text.trim();
    for prefix in PREFIXES {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let text = text.split(" at Line: ").next().unwrap_or(text);
    let text = text.trim_end_matches("\")").trim_end_matches(['.', '!']);
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        // `SHOW` is a word of the SQL, `Show` begins a sentence.
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        (None, _) => "the query is refused".to_owned(),
        _ => text.to_owned(),
    }
}

/// `... at Line: 3, Column: 5`, as the SQL parser writes it.
fn place_in_text(text: &str) -> Option<Place> {
    let number = |after: &str| -> Option<u64> {
        let digits = text.split(after).nth(1)?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    };
    Some((number("Line: ")?, number("Column: ")?))
}
