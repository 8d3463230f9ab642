//! Reading the file: all problems at once, each with line, column, key and a way out.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, check, parts};
use crate::{Error, suggest};

/// Reads and checks a configuration file. Paths in it stay as written: relative to the working
/// directory.
///
/// # Errors
/// Every problem of the file.
pub fn load(path: &Path) -> Result<Config, Vec<Error>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        vec![
            Error::usage("the configuration file cannot be read")
                .at(&name)
                .detail(error.to_string())
                .hint("`nightlatch config show` prints a complete one to start from"),
        ]
    })?;
    parse(&name, &text)
}

/// Reads and checks the text of a configuration file; `name` is for messages.
///
/// # Errors
/// Every problem of the text.
pub fn parse(name: &str, text: &str) -> Result<Config, Vec<Error>> {
    let source = Source { name, text };
    let root = source.table()?;
    let mut table = root.clone();
    let mut problems = Vec::new();
    let destinations = parts::destinations(&source, &root, table.get_mut(), &mut problems);
    let config: Option<Config> = recover(&source, &root, &mut table, &[], &mut problems);
    let config = config.map(|config| Config { destination: destinations, ..config });
    let contradictions = config.iter().flat_map(check::problems);
    problems.extend(contradictions.map(|(keys, error)| {
        let start = find(root.get_ref(), keys);
        (start, error.at(source.place(start, &keys.join("."))))
    }));
    sound(config, problems)
}

/// Decodes a file of another shape in the same way: every problem at once, with its place.
pub(crate) fn parse_as<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Vec<Error>> {
    let source = Source { name, text };
    let root = source.table()?;
    let mut problems = Vec::new();
    let decoded = recover(&source, &root, &mut root.clone(), &[], &mut problems);
    sound(decoded, problems)
}

/// Where each problem starts, if that is known.
pub(super) type Problems = Vec<(Option<usize>, Error)>;

fn sound<T>(decoded: Option<T>, mut problems: Problems) -> Result<T, Vec<Error>> {
    problems.sort_by_key(|(start, _)| *start);
    match decoded {
        Some(decoded) if problems.is_empty() => Ok(decoded),
        _ => Err(problems.into_iter().map(|(_, error)| error).collect()),
    }
}

/// Decodes a table; without each key that is wrong the rest is looked at again. `elsewhere` are keys
/// that are known too, for suggestions.
pub(super) fn recover<T: DeserializeOwned>(
    source: &Source<'_>,
    root: &Spanned<DeTable<'_>>,
    table: &mut Spanned<DeTable<'_>>,
    elsewhere: &[String],
    problems: &mut Problems,
) -> Option<T> {
    loop {
        match T::deserialize(toml::de::Deserializer::from(table.clone())) {
            Ok(decoded) => return Some(decoded),
            Err(error) => {
                let start = error.span().map(|span| span.start);
                problems.push((start, source.problem(root.get_ref(), &error, elsewhere)));
                if !start.is_some_and(|start| remove(table.get_mut(), start)) {
                    return None;
                }
            }
        }
    }
}

/// The keys that a type takes, as serde knows them.
pub(super) fn keys_of<T: DeserializeOwned>() -> Vec<String> {
    let error = toml::from_str::<T>("'?' = 0").err();
    let message = error.map(|error| error.message().to_owned()).unwrap_or_default();
    unknown(&message).into_iter().flat_map(|(_, known)| known).map(str::to_owned).collect()
}

/// The file, for places.
pub(super) struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'a> Source<'a> {
    fn table(&self) -> Result<Spanned<DeTable<'a>>, Vec<Error>> {
        let (table, syntax) = DeTable::parse_recoverable(self.text);
        if syntax.is_empty() {
            return Ok(table);
        }
        Err(syntax.iter().map(|error| self.syntax(error)).collect())
    }

    fn syntax(&self, error: &toml::de::Error) -> Error {
        Error::usage("this is no TOML")
            .at(self.place(error.span().map(|span| span.start), ""))
            .detail(error.message().to_owned())
    }

    fn problem(&self, table: &DeTable<'_>, error: &toml::de::Error, elsewhere: &[String]) -> Error {
        let start = error.span().map(|span| span.start);
        let path = start.map(|start| key_path(table, start)).unwrap_or_default();
        let place = self.place(start, &path);
        let message = error.message().trim_end();
        match unknown(message) {
            Some((key, mut known)) => {
                known.extend(elsewhere.iter().map(String::as_str));
                unknown_key(key, &known).at(place)
            }
            None => {
                let error = Error::usage("a value is not what the key takes")
                    .at(place)
                    .detail(message.to_owned());
                match missing(message) {
                    Some(key) => error.hint(format!(
                        "add `{key} = ...`; nightlatch.example.toml has every key with its meaning"
                    )),
                    None => error,
                }
            }
        }
    }

    /// `file:line:column (key)`, with as much as is known.
    pub(super) fn place(&self, start: Option<usize>, key: &str) -> String {
        let position = start.and_then(|start| self.text.get(..start)).map(|before| {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!(":{line}:{column}")
        });
        let key = if key.is_empty() { String::new() } else { format!(" ({key})") };
        format!("{}{}{key}", self.name, position.unwrap_or_default())
    }
}

fn unknown_key(key: &str, known: &[&str]) -> Error {
    let error = Error::usage(format!("unknown key `{key}`"));
    match suggest(key, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("known here: {}", known.join(", "))),
    }
}

/// The key of serde's message: ``missing field `a` ``.
fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// The key and the known ones of serde's message: ``unknown field `a`, expected one of `b`, `c` ``.
pub(super) fn unknown(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once("`, ")?;
    Some((key, rest.split('`').skip(1).step_by(2).collect()))
}

/// Dotted path of the innermost key whose name or value is at `offset`.
fn key_path(table: &DeTable<'_>, offset: usize) -> String {
    let mut path = Vec::new();
    walk(table, offset, &mut path);
    path.join(".")
}

fn walk(table: &DeTable<'_>, offset: usize, path: &mut Vec<String>) {
    let Some((key, value)) = table.iter().find(|(key, value)| holds(key, value, offset)) else {
        return;
    };
    path.push(key.get_ref().to_string());
    match value.get_ref() {
        DeValue::Table(inner) => walk(inner, offset, path),
        DeValue::Array(items) => {
            for item in items.iter() {
                if let DeValue::Table(inner) = item.get_ref()
                    && holds_inside(item, inner, offset)
                {
                    walk(inner, offset, path);
                }
            }
        }
        _ => {}
    }
}

/// A table that is written `[a.b]` has the span of its header alone, so its keys count too.
fn holds(
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    at: usize,
) -> bool {
    let inside = match value.get_ref() {
        DeValue::Table(inner) => holds_inside(value, inner, at),
        DeValue::Array(items) => items.iter().any(|item| match item.get_ref() {
            DeValue::Table(inner) => holds_inside(item, inner, at),
            _ => item.span().contains(&at),
        }),
        _ => false,
    };
    key.span().contains(&at) || value.span().contains(&at) || inside
}

fn holds_inside(value: &Spanned<DeValue<'_>>, inner: &DeTable<'_>, at: usize) -> bool {
    value.span().contains(&at) || inner.iter().any(|(key, value)| holds(key, value, at))
}

/// Takes out the innermost key at `offset`; false when there is none.
fn remove(table: &mut DeTable<'_>, offset: usize) -> bool {
    let found = table.iter().find(|(key, value)| holds(key, value, offset));
    let Some((key, _)) = found.map(|(key, value)| (key.clone(), value)) else { return false };
    let inner_removed = match table.get_mut(&key).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => remove(inner, offset),
        _ => false,
    };
    inner_removed || table.remove(&key).is_some()
}

/// Where the value of a key path starts, if the file has it.
fn find(table: &DeTable<'_>, keys: &[&str]) -> Option<usize> {
    let (first, rest) = keys.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    match (rest, value.get_ref()) {
        ([], _) => Some(key.span().start),
        (_, DeValue::Table(inner)) => find(inner, rest).or(Some(key.span().start)),
        _ => Some(key.span().start),
    }
}
