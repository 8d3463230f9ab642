//! Native JSON: one object, read straight into a row without a tree in between.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use super::builder::{Row, Value};
use super::decode::{DecodeLimits, UnknownFields};
use super::reject::{Refusal, RejectReason};
use super::schema::{self, ColumnKind, N_SENT};
use super::time;

/// The columns that a record may set.
const COLUMNS: &[schema::Column] = schema::COLUMNS.split_at(N_SENT).0;

/// Nesting of `details`.
const DEPTH_MAX: usize = 64;
const NEAR_MISSES_MAX: usize = 32;
/// Stands for "no column" in the prediction of the next field.
const NONE: usize = N_SENT;

/// Reader of native events.
pub(super) struct Json {
    pub(super) unknown: UnknownFields,
    /// Which column followed which in the record before: senders write fields in one order.
    followers: [usize; N_SENT + 1],
    /// Hashes of this record's unknown names, to find one that comes twice.
    unknown_names: Vec<u64>,
}

impl Default for Json {
    fn default() -> Self {
        let unknown_names = Vec::new();
        Self { unknown: UnknownFields::default(), followers: [0; N_SENT + 1], unknown_names }
    }
}

impl Json {
    pub(super) fn read<'a>(
        &mut self,
        text: &'a str,
        row: &mut Row<'a>,
        limits: &DecodeLimits,
    ) -> Result<(), Refusal> {
        self.unknown_names.clear();
        let mut refusal = None;
        let object = Object { json: self, row, limits, refusal: &mut refusal };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let result = object.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        match (refusal, result) {
            (Some(refusal), _) => Err(refusal),
            (None, Err(error)) => {
                Err(Refusal::new(RejectReason::InvalidJson, syntax_message(&error)))
            }
            (None, Ok(())) => self.check_unknown_names(),
        }
    }

    fn check_unknown_names(&mut self) -> Result<(), Refusal> {
        self.unknown_names.sort_unstable();
        match self.unknown_names.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(Refusal::new(RejectReason::DuplicateField, "an unknown field comes twice")),
            false => Ok(()),
        }
    }

    fn column(&mut self, last: usize, name: &str) -> Option<usize> {
        let guess = self.followers[last];
        if COLUMNS[guess].name == name {
            return Some(guess);
        }
        let found = COLUMNS.iter().position(|column| column.name == name)?;
        self.followers[last] = found;
        Some(found)
    }

    fn note_unknown(&mut self, name: &str) {
        self.unknown.total += 1;
        self.unknown_names.push(XxHash3_64::oneshot(name.as_bytes()));
        let misses = &mut self.unknown.near_misses;
        if misses.len() >= NEAR_MISSES_MAX || name.len() > 32 || misses.contains_key(name) {
            return;
        }
        if let Some(column) = near_miss(name) {
            misses.insert(name.to_owned(), column);
        }
    }
}

/// The column that a name may mean: short names must be closer than [`crate::suggest`] asks for.
fn near_miss(name: &str) -> Option<&'static str> {
    let folded = name.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
    let column = crate::suggest(&folded, COLUMNS.iter().map(|column| column.name))?;
    let close = strsim::damerau_levenshtein(&folded, column) <= column.len() / 4;
    close.then_some(column)
}

fn syntax_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // A record is one line: what is of use is the column.
    let text = text.replace(" at line 1 column ", " at byte ");
    text.replacen("EOF", "end of record", 1)
}

struct Object<'r, 'a> {
    json: &'r mut Json,
    row: &'r mut Row<'a>,
    limits: &'r DecodeLimits,
    refusal: &'r mut Option<Refusal>,
}

impl<'a> DeserializeSeed<'a> for Object<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Object<'_, '_> {
    fn no_object<E: serde::de::Error>(self, got: &str) -> Result<(), E> {
        let message = format!("expected a JSON object, got {got}");
        *self.refusal = Some(Refusal::new(RejectReason::NotAnObject, message));
        Err(E::custom(""))
    }
}

impl<'a> Visitor<'a> for Object<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut last = NONE;
        while let Some(column) = map.next_key_seed(Key { json: &mut *self.json, last })? {
            let Some(column) = column else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if self.row.has(column) {
                let message = format!("field `{}` comes twice", COLUMNS[column].name);
                *self.refusal = Some(Refusal::new(RejectReason::DuplicateField, message));
                return Err(A::Error::custom(""));
            }
            last = column;
            let field = Field {
                column,
                row: &mut *self.row,
                limits: self.limits,
                refusal: &mut *self.refusal,
            };
            if COLUMNS[column].kind == ColumnKind::Json {
                field.json(map.next_value()?)?;
            } else {
                map.next_value_seed(field)?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, _: A) -> Result<(), A::Error> {
        self.no_object("an array")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.no_object("a string")
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.no_object("a number")
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.no_object("a number")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.no_object("a number")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.no_object("a boolean")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.no_object("null")
    }
}

/// Reads a name: the column, or `None` for an unknown one.
struct Key<'r> {
    json: &'r mut Json,
    last: usize,
}

impl<'a> DeserializeSeed<'a> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let column = self.json.column(self.last, name);
        if column.is_none() {
            self.json.note_unknown(name);
        }
        Ok(column)
    }
}

/// Reads the value of a column.
struct Field<'r, 'a> {
    column: usize,
    row: &'r mut Row<'a>,
    limits: &'r DecodeLimits,
    refusal: &'r mut Option<Refusal>,
}

impl<'a> Field<'_, 'a> {
    fn refuse<E: serde::de::Error>(self, reason: RejectReason, message: String) -> Result<(), E> {
        *self.refusal = Some(Refusal::new(reason, message));
        Err(E::custom(""))
    }

    fn wrong_type<E: serde::de::Error>(self, got: &str) -> Result<(), E> {
        let column = &COLUMNS[self.column];
        let (expected, hint) = match (column.kind, got) {
            (ColumnKind::Text, "a number") => ("a string", "\nhint: write the number in quotes"),
            (ColumnKind::Text, _) => ("a string", ""),
            (ColumnKind::Float, "a string") => {
                ("a number", "\nhint: write the number without quotes")
            }
            (ColumnKind::Float, _) => ("a number", ""),
            (ColumnKind::Integer, "a string") => {
                ("an integer", "\nhint: write the number without quotes")
            }
            (ColumnKind::Integer, _) => ("an integer", ""),
            (ColumnKind::Time | ColumnKind::Json, _) => ("an RFC 3339 string or a number", ""),
        };
        let message = format!("field `{}`: expected {expected}, got {got}{hint}", column.name);
        self.refuse(RejectReason::WrongType, message)
    }

    fn time<E: serde::de::Error>(self, time: Option<i64>, got: &dyn fmt::Display) -> Result<(), E> {
        match time {
            Some(time) => {
                self.row.set(self.column, Value::Time(time));
                Ok(())
            }
            None => {
                let name = COLUMNS[self.column].name;
                let message = format!(
                    "field `{name}`: cannot read {got} as a time\nhint: RFC 3339 with a zone, such as \
                     2026-01-31T12:00:00Z, or a number since 1970; years 0001 to 9999"
                );
                self.refuse(RejectReason::InvalidTime, message)
            }
        }
    }

    fn check_length<E: serde::de::Error>(self, text: &str) -> Result<Self, E> {
        let (name, max) = (COLUMNS[self.column].name, self.limits.string_bytes_max);
        if text.len() <= max {
            return Ok(self);
        }
        let message = format!(
            "field `{name}`: {} bytes, more than {max}\nhint: raise input.string_bytes_max",
            text.len()
        );
        self.refuse(RejectReason::StringTooLong, message)?;
        Err(E::custom(""))
    }

    /// `details` stays the text that was sent.
    fn json<E: serde::de::Error>(self, value: &'a RawValue) -> Result<(), E> {
        let (text, max) = (value.get(), self.limits.details_bytes_max);
        let name = COLUMNS[self.column].name;
        if text.len() > max {
            let message = format!(
                "field `{name}`: {} bytes, more than {max}\nhint: raise input.details_bytes_max",
                text.len()
            );
            return self.refuse(RejectReason::DetailsTooLong, message);
        }
        // Few brackets cannot nest deep; counting them is much faster than following them.
        let n_opening = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
        if n_opening > DEPTH_MAX && depth(text) > DEPTH_MAX {
            let message = format!("field `{name}`: nested deeper than {DEPTH_MAX}");
            return self.refuse(RejectReason::TooDeep, message);
        }
        let value = if text == "null" { Value::Null } else { Value::Text(text) };
        self.row.set(self.column, value);
        Ok(())
    }
}

/// Deepest nesting of valid JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl<'a> DeserializeSeed<'a> for Field<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Field<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'a str) -> Result<(), E> {
        match COLUMNS[self.column].kind {
            ColumnKind::Text => {
                let field = self.check_length(text)?;
                field.row.set(field.column, Value::Text(text));
                Ok(())
            }
            ColumnKind::Time => self.time(time::parse_rfc3339(text), &Quoted(text)),
            _ => self.wrong_type("a string"),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match COLUMNS[self.column].kind {
            ColumnKind::Text => {
                let field = self.check_length(text)?;
                field.row.set_scratch(field.column, text);
                Ok(())
            }
            ColumnKind::Time => self.time(time::parse_rfc3339(text), &Quoted(text)),
            _ => self.wrong_type("a string"),
        }
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.row.set(self.column, Value::Null);
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.wrong_type("a boolean")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        match COLUMNS[self.column].kind {
            ColumnKind::Time => self.time(time::from_integer(number), &number),
            ColumnKind::Integer => {
                self.row.set(self.column, Value::Integer(number));
                Ok(())
            }
            ColumnKind::Float => self.visit_f64(number as f64),
            _ => self.wrong_type("a number"),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        match (i64::try_from(number), COLUMNS[self.column].kind) {
            (Ok(number), _) => self.visit_i64(number),
            (Err(_), ColumnKind::Float) => self.visit_f64(number as f64),
            (Err(_), ColumnKind::Time) => self.time(None, &number),
            (Err(_), ColumnKind::Integer) => {
                let message = format!("field `{}`: {number} is too big", COLUMNS[self.column].name);
                self.refuse(RejectReason::OutOfRange, message)
            }
            _ => self.wrong_type("a number"),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        match COLUMNS[self.column].kind {
            ColumnKind::Time => self.time(time::from_float(number), &number),
            ColumnKind::Float => {
                self.row.set(self.column, Value::Float(number));
                Ok(())
            }
            ColumnKind::Integer => self.wrong_type("a number with a fraction"),
            _ => self.wrong_type("a number"),
        }
    }

    fn visit_seq<A: SeqAccess<'a>>(self, _: A) -> Result<(), A::Error> {
        self.wrong_type("an array")
    }

    fn visit_map<A: MapAccess<'a>>(self, _: A) -> Result<(), A::Error> {
        self.wrong_type("an object")
    }
}

/// Text in quotes, cut to what a message can hold.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`", self.0.chars().take(64).collect::<String>())
    }
}
