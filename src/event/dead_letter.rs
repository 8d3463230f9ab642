//! The files that records set aside go to: one JSON object a line, with place, reason and bytes.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::reject::Rejection;
use super::{OriginKind, Origins, Place};
use crate::{Error, Result};

/// Where records that are set aside go; a topic stands behind it as well as a file.
pub trait RecordSink: Send {
    /// Takes one record.
    ///
    /// # Errors
    /// When the sink cannot take it.
    fn write(&mut self, origins: &Origins, rejection: &Rejection) -> Result<()>;

    /// Returns once all records are safe.
    ///
    /// # Errors
    /// When the sink cannot promise it.
    fn flush(&mut self) -> Result<()>;
}

/// Sink that writes JSON Lines.
pub struct JsonLines<W> {
    name: String,
    writer: W,
}

impl<W: Write + Send> JsonLines<W> {
    /// A sink over a writer; `name` is how errors call it.
    pub fn new(name: impl Into<String>, writer: W) -> Self {
        Self { name: name.into(), writer }
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn check(&self, result: std::io::Result<()>) -> Result<()> {
        result.map_err(|error| {
            Error::unavailable("record that was set aside cannot be written")
                .at(&self.name)
                .detail(error.to_string())
                .hint("check the disk; the records are in no other place")
        })
    }
}

impl<W: Write + Send> RecordSink for JsonLines<W> {
    fn write(&mut self, origins: &Origins, rejection: &Rejection) -> Result<()> {
        let result = writeln!(self.writer, "{}", letter(origins, rejection));
        self.check(result)
    }

    fn flush(&mut self) -> Result<()> {
        let result = self.writer.flush();
        self.check(result)
    }
}

/// A record that was set aside, as JSON.
pub fn letter(origins: &Origins, rejection: &Rejection) -> Value {
    let mut letter = Map::new();
    letter.insert("place".into(), place_json(origins, rejection.place));
    letter.insert("reason".into(), rejection.reason.label().into());
    letter.insert("message".into(), rejection.message.as_str().into());
    match std::str::from_utf8(&rejection.raw) {
        Ok(text) => letter.insert("raw".into(), text.into()),
        Err(_) => letter.insert("raw_base64".into(), STANDARD.encode(&rejection.raw).into()),
    };
    Value::Object(letter)
}

/// A place under the names that evidence uses.
fn place_json(origins: &Origins, place: Place) -> Value {
    match origins.get(place.origin) {
        Some(origin) if origin.kind == OriginKind::Topic => json!({
            "topic": &*origin.name, "partition": place.partition, "offset": place.position,
        }),
        origin => json!({ "file": origin.map(|origin| &*origin.name), "line": place.position }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::reject::RejectReason;

    fn write(origins: &Origins, place: Place, raw: &[u8]) -> Value {
        let mut sink = JsonLines::new("dead.jsonl", Vec::new());
        let (reason, message) = (RejectReason::InvalidJson, "expected `,`".to_owned());
        sink.write(origins, &Rejection { place, reason, message, raw: raw.to_vec() }).unwrap();
        sink.flush().unwrap();
        let bytes = sink.into_inner();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_letter_names_place_reason_and_bytes() {
        let mut origins = Origins::default();
        let file = origins.intern(OriginKind::File, "a.jsonl");
        let topic = origins.intern(OriginKind::Topic, "events");
        let text = write(&origins, Place { origin: file, partition: 0, position: 7 }, b"{\"a\"\n");
        assert_eq!(
            text,
            json!({"place": {"file": "a.jsonl", "line": 7}, "reason": "invalid_json",
                   "message": "expected `,`", "raw": "{\"a\"\n"})
        );
        let bytes =
            write(&origins, Place { origin: topic, partition: 3, position: 9 }, b"\xff\x00");
        assert_eq!(bytes["place"], json!({"topic": "events", "partition": 3, "offset": 9}));
        assert_eq!((&bytes["raw"], &bytes["raw_base64"]), (&Value::Null, &json!("/wA=")));
    }

    #[test]
    fn a_full_disk_is_told() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let place = Place { origin: 0, partition: 0, position: 1 };
        let rejection =
            Rejection { place, reason: RejectReason::Late, message: String::new(), raw: vec![] };
        let error =
            JsonLines::new("dead.jsonl", Full).write(&Origins::default(), &rejection).unwrap_err();
        assert_eq!((error.place.as_deref(), error.exit_code()), (Some("dead.jsonl"), 69));
    }
}
