//! MMDB files: those of MaxMind and DB-IP, and the flat ones of others. The shape of each record tells
//! which it is.

use std::fmt;
use std::net::IpAddr;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::answer::{Answer, Draft, asn};
use super::data_file::DataFile;
use crate::{Error, Result};

const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The format puts the marker into the last bytes of the file.
const METADATA_BYTES_MAX: usize = 128 * 1024;
/// Records that are looked at before a file is trusted.
const SAMPLE: usize = 1000;

/// Whether these are the bytes of an MMDB.
pub(super) fn is_mmdb(bytes: &[u8]) -> bool {
    let end = bytes.get(bytes.len().saturating_sub(METADATA_BYTES_MAX)..).unwrap_or_default();
    memchr::memmem::rfind(end, MARKER).is_some()
}

/// An open MMDB.
pub(super) struct Mmdb {
    reader: Reader<Vec<u8>>,
    is_v6: bool,
}

impl Mmdb {
    /// Opens a file and reads some of its records.
    ///
    /// # Errors
    /// When its structure or one of the records cannot be read.
    pub(super) fn open(file: &mut DataFile) -> Result<Self> {
        let bytes = std::mem::take(&mut file.bytes);
        let reader = Reader::from_source(bytes).map_err(|error| corrupt(file, &error))?;
        let is_v6 = reader.metadata().ip_version == 6;
        Ok(Self { reader, is_v6 })
    }

    pub(super) fn build_epoch(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// Reads the first records. Says whether one had a place, and whether one had an operator.
    pub(super) fn sample(&self, file: &DataFile) -> Result<(bool, bool)> {
        let all = self.reader.networks(WithinOptions::default());
        let (mut has_place, mut has_operator) = (false, false);
        for record in all.map_err(|error| corrupt(file, &error))?.take(SAMPLE) {
            let decoded = record.and_then(|found| found.decode::<Record>());
            let record = decoded.map_err(|error| corrupt(file, &error))?;
            let answer = record.map(|record| record.0.finish()).unwrap_or_default();
            has_place |= answer.place.is_some();
            has_operator |= answer.operator.is_some();
        }
        Ok((has_place, has_operator))
    }

    /// What the file says of an address.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub(super) fn find(&self, address: IpAddr) -> Result<Option<Answer>, MaxMindDbError> {
        if address.is_ipv6() && !self.is_v6 {
            return Ok(None);
        }
        let record = self.reader.lookup(address)?.decode::<Record>()?;
        Ok(record.map(|record| record.0.finish()))
    }
}

fn corrupt(file: &DataFile, error: &MaxMindDbError) -> Error {
    file.refuse(None, "an MMDB file is damaged")
        .detail(error.to_string())
        .hint("download it again, and replace it by a rename")
}

/// A record of any layout.
struct Record(Draft);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut draft = Draft::default();
        let mut country_code = None;
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "country" => draft.country = map.next_value::<Nested>()?.text("iso_code"),
                "country_code" => country_code = map.next_value::<Nested>()?.text(""),
                "city" => draft.city = map.next_value::<Nested>()?.text("en"),
                "location" => location(&mut draft, &map.next_value()?),
                "latitude" | "lat" => draft.latitude = map.next_value::<Nested>()?.number(""),
                "longitude" | "lng" | "lon" => {
                    draft.longitude = map.next_value::<Nested>()?.number("");
                }
                "accuracy_radius" | "radius" => {
                    draft.accuracy_km = map.next_value::<Nested>()?.number("");
                }
                "autonomous_system_number" | "asn" => {
                    draft.asn = map.next_value::<Nested>()?.text("").as_deref().and_then(asn);
                }
                "autonomous_system_organization" | "as_name" | "as_org" => {
                    draft.organisation = map.next_value::<Nested>()?.text("");
                }
                "traits" => traits(&mut draft, &map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        // Where both are there, one is a code and the other may be a name.
        draft.country = country_code.or(draft.country);
        Ok(Record(draft))
    }
}

fn location(draft: &mut Draft, value: &Nested) {
    draft.latitude = value.number("latitude");
    draft.longitude = value.number("longitude");
    draft.accuracy_km = value.number("accuracy_radius");
}

fn traits(draft: &mut Draft, value: &Nested) {
    let number = value.text("autonomous_system_number");
    draft.asn = draft.asn.or(number.as_deref().and_then(asn));
    draft.organisation =
        draft.organisation.take().or_else(|| value.text("autonomous_system_organization"));
}

/// A scalar under the empty name, or the scalars of a map (those of a map `names` in it, too).
#[derive(Default)]
struct Nested(Vec<(String, Scalar)>);

enum Scalar {
    Text(String),
    Number(f64),
    Integer(u64),
}

impl Nested {
    fn one(scalar: Scalar) -> Self {
        Self(vec![(String::new(), scalar)])
    }

    /// The scalar of a name, or one that stands alone.
    fn get(&self, name: &str) -> Option<&Scalar> {
        let named = |(own, _): &&(String, Scalar)| own == name || own.is_empty();
        self.0.iter().find(named).map(|(_, scalar)| scalar)
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(match self.get(name)? {
            Scalar::Text(text) => text.clone(),
            Scalar::Number(number) => number.to_string(),
            Scalar::Integer(number) => number.to_string(),
        })
    }

    fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Number(number) => Some(*number),
            Scalar::Integer(number) => Some(*number as f64),
        }
    }
}

/// Names that are kept of a map; its other values are passed over.
const NAMES: [&str; 7] = [
    "iso_code",
    "en",
    "latitude",
    "longitude",
    "accuracy_radius",
    "autonomous_system_number",
    "autonomous_system_organization",
];

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NestedVisitor { depth: 0 })
    }
}

/// A map may hold a map `names`, but that none.
struct NestedVisitor {
    depth: u8,
}

impl<'de> serde::de::DeserializeSeed<'de> for NestedVisitor {
    type Value = Nested;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Nested, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NestedVisitor {
    type Value = Nested;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, a number or a map")
    }

    fn visit_str<E>(self, text: &str) -> Result<Nested, E> {
        Ok(Nested::one(Scalar::Text(text.to_owned())))
    }

    /// As its digits say: 8.68 of 32 bits is not 8.680000305175781.
    fn visit_f32<E>(self, number: f32) -> Result<Nested, E> {
        let digits = number.to_string();
        Ok(Nested::one(Scalar::Number(digits.parse().unwrap_or(f64::from(number)))))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Nested, E> {
        Ok(Nested::one(Scalar::Number(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Nested, E> {
        Ok(Nested::one(Scalar::Integer(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Nested, E> {
        Ok(Nested::one(Scalar::Number(number as f64)))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Nested, E> {
        Ok(Nested::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Nested, E> {
        Ok(Nested::default())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Nested, E> {
        Ok(Nested::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Nested, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Nested::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Nested, A::Error> {
        let mut found = Nested::default();
        while let Some(key) = map.next_key::<&str>()? {
            if key == "names" && self.depth == 0 {
                found.0.extend(map.next_value_seed(Self { depth: 1 })?.0);
            } else if let Some(name) = NAMES.iter().find(|name| **name == key) {
                let inner: Nested = map.next_value_seed(Self { depth: 1 })?;
                let scalars = inner.0.into_iter().filter(|(own, _)| own.is_empty());
                found.0.extend(scalars.map(|(_, scalar)| ((*name).to_owned(), scalar)));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        // A value of the empty name would stand for all names.
        found.0.retain(|(name, _)| !name.is_empty());
        Ok(found)
    }
}
