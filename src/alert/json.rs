//! JSON as it leaves the program: one object a line, with nothing in it that a terminal obeys.

use std::io::{self, Write};

use arrow::array::{Array, RecordBatch};
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::ser::Formatter;

use super::text::is_deceptive;
use super::value::json_value;

/// Compact JSON that writes deceptive characters as `\u` escapes: the same JSON to every parser.
struct SafeFormatter;

impl Formatter for SafeFormatter {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_deceptive) {
            let (plain, found) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = found.chars();
            chars.next().map_or(Ok(()), |c| write_escaped(writer, c))?;
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

fn write_escaped<W: ?Sized + Write>(writer: &mut W, c: char) -> io::Result<()> {
    c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))
}

/// Writes a value as JSON without a line feed.
pub(crate) fn write_json(value: &impl Serialize, writer: &mut dyn Write) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(writer, SafeFormatter);
    value.serialize(&mut serializer).map_err(io::Error::from)
}

/// Writes each row of a batch as one line of JSON, columns in their order, NULLs as `null`.
///
/// # Errors
/// Whatever the writer says.
pub fn write_json_lines(batch: &RecordBatch, writer: &mut dyn Write) -> io::Result<()> {
    for row in 0..batch.num_rows() {
        write_json(&Row { batch, row }, writer)?;
        writer.write_all(b"\n")?;
    }
    Ok(())
}

struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.batch.num_columns()))?;
        for (field, column) in self.batch.schema_ref().fields().iter().zip(self.batch.columns()) {
            let column: &dyn Array = column.as_ref();
            map.serialize_entry(field.name(), &json_value(column, self.row))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringViewArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn rows_as_lines() {
        let columns: [(&str, ArrayRef); 3] = [
            (
                "time",
                Arc::new(TimestampMicrosecondArray::from(vec![0, 1_000]).with_timezone("+00:00")),
            ),
            (
                "b",
                Arc::new(StringViewArray::from(vec![Some("x\"\u{9b}\u{202e}\u{e0041}\n"), None])),
            ),
            ("a", Arc::new(Int64Array::from(vec![None, Some(-1)]))),
        ];
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true))).unwrap();
        let mut out = Vec::new();
        write_json_lines(&batch, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"time":"1970-01-01T00:00:00Z","b":"x\"\u009b\u202e\udb40\udc41\n","a":null}"#,
                "\n",
                r#"{"time":"1970-01-01T00:00:00.001Z","b":null,"a":-1}"#,
                "\n",
            )
        );
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["b"], "x\"\u{9b}\u{202e}\u{e0041}\n");
    }

    #[test]
    fn a_full_disk_is_reported() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = write_json(&"x", &mut Full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
