//! Each library as its documents say that it is fastest.

use std::borrow::Cow;
use std::error::Error;

use serde_json::value::RawValue;
use simd_json::prelude::*;
use simd_json::tape::Value;
use simd_json::{Buffers, INPUT_PADDING, Tape};
use sonic_rs::LazyValue;

use crate::Sink;
use crate::event::{Details, Event, Text, Time};
use crate::time;

pub(crate) trait Parser {
    /// Reads one record, checked to be UTF-8, and gives the event to `sink`.
    fn parse(&mut self, record: &[u8], sink: &mut impl Sink) -> Result<(), Box<dyn Error>>;
}

pub(crate) struct SerdeJson;

impl Parser for SerdeJson {
    fn parse(&mut self, record: &[u8], sink: &mut impl Sink) -> Result<(), Box<dyn Error>> {
        let event: Event<'_, &RawValue> = serde_json::from_slice(record)?;
        sink.take(&event);
        Ok(())
    }
}

impl Details for &RawValue {
    fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.get().as_bytes());
    }
}

pub(crate) struct SonicRs;

impl Parser for SonicRs {
    fn parse(&mut self, record: &[u8], sink: &mut impl Sink) -> Result<(), Box<dyn Error>> {
        let event: Event<'_, LazyValue<'_>> = sonic_rs::from_slice(record)?;
        sink.take(&event);
        Ok(())
    }
}

impl Details for LazyValue<'_> {
    fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.as_raw_str().as_bytes());
    }
}

/// By its tape, with all buffers used again: faster than its serde. It writes into its input, so that each
/// record is copied, and it does not keep the text of JSON, so that `details` is written anew.
pub(crate) struct SimdJson {
    record: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for SimdJson {
    fn default() -> Self {
        Self { record: Vec::new(), buffers: Buffers::new(2048), tape: Tape(Vec::new()) }
    }
}

impl Parser for SimdJson {
    fn parse(&mut self, record: &[u8], sink: &mut impl Sink) -> Result<(), Box<dyn Error>> {
        self.record.clear();
        self.record.extend_from_slice(record);
        self.record.resize(record.len() + INPUT_PADDING, 0);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        simd_json::fill_tape_padded(&mut self.record, record.len(), &mut self.buffers, &mut tape)?;
        sink.take(&event(tape.as_value())?);
        self.tape = tape.reset();
        Ok(())
    }
}

struct Taped<'t, 'i>(Value<'t, 'i>);

impl Default for Taped<'_, '_> {
    fn default() -> Self {
        Self(Value::null())
    }
}

impl Details for Taped<'_, '_> {
    fn append_to(&self, bytes: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = self.0.write(bytes);
    }
}

fn event<'t, 'i>(value: Value<'t, 'i>) -> Result<Event<'i, Taped<'t, 'i>>, Box<dyn Error>> {
    let object = value.as_object().ok_or("no object")?;
    let mut event = Event::default();
    for (name, value) in object.iter() {
        match name {
            "time" => event.time = time(value)?,
            "action" => event.action = text(value)?,
            "outcome" => event.outcome = text(value)?,
            "account" => event.account = text(value)?,
            "actor" => event.actor = text(value)?,
            "actor_type" => event.actor_type = text(value)?,
            "reason" => event.reason = text(value)?,
            "ip" => event.ip = text(value)?,
            "user_agent" => event.user_agent = text(value)?,
            "tls_fingerprint" => event.tls_fingerprint = text(value)?,
            "device" => event.device = text(value)?,
            "session" => event.session = text(value)?,
            "resource" => event.resource = text(value)?,
            "resource_label" => event.resource_label = text(value)?,
            "recorded_at" => event.recorded_at = Some(time(value)?),
            "ticket" => event.ticket = text(value)?,
            "event_id" => event.event_id = text(value)?,
            "source" => event.source = text(value)?,
            "details" => event.details = Some(Taped(value)),
            "country" => event.country = text(value)?,
            "city" => event.city = text(value)?,
            "latitude" => event.latitude = Some(value.cast_f64().ok_or("no number")?),
            "longitude" => event.longitude = Some(value.cast_f64().ok_or("no number")?),
            "asn" => event.asn = Some(value.as_i64().ok_or("no integer")?),
            "as_org" => event.as_org = text(value)?,
            "network" => event.network = text(value)?,
            _ => {}
        }
    }
    Ok(event)
}

fn text<'i>(value: Value<'_, 'i>) -> Result<Option<Text<'i>>, Box<dyn Error>> {
    if value.is_null() {
        return Ok(None);
    }
    Ok(Some(Text(Cow::Borrowed(value.into_string().ok_or("no string")?))))
}

fn time(value: Value<'_, '_>) -> Result<Time, Box<dyn Error>> {
    let text = value.into_string().ok_or("no string")?;
    Ok(Time(time::parse_rfc3339(text).ok_or("no RFC 3339 time")?))
}
