//! An event with the columns that `benches/workload/json.rs` sends, its text borrowed from the record.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::time;

/// Text of a record: borrowed, but where it has escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// Microseconds since the epoch.
#[derive(Clone, Copy, Default)]
pub(crate) struct Time(pub(crate) i64);

/// The field `details`, which is kept as its JSON text.
pub(crate) trait Details {
    /// Appends that text.
    fn append_to(&self, bytes: &mut Vec<u8>);
}

/// `D`: what a parser has for JSON that is left as it is.
#[derive(Default, serde::Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
pub(crate) struct Event<'a, D> {
    pub(crate) time: Time,
    #[serde(borrow)]
    pub(crate) action: Option<Text<'a>>,
    pub(crate) outcome: Option<Text<'a>>,
    pub(crate) account: Option<Text<'a>>,
    pub(crate) actor: Option<Text<'a>>,
    pub(crate) actor_type: Option<Text<'a>>,
    pub(crate) reason: Option<Text<'a>>,
    pub(crate) ip: Option<Text<'a>>,
    pub(crate) user_agent: Option<Text<'a>>,
    pub(crate) tls_fingerprint: Option<Text<'a>>,
    pub(crate) device: Option<Text<'a>>,
    pub(crate) session: Option<Text<'a>>,
    pub(crate) resource: Option<Text<'a>>,
    pub(crate) resource_label: Option<Text<'a>>,
    pub(crate) recorded_at: Option<Time>,
    pub(crate) ticket: Option<Text<'a>>,
    pub(crate) event_id: Option<Text<'a>>,
    pub(crate) source: Option<Text<'a>>,
    pub(crate) details: Option<D>,
    pub(crate) country: Option<Text<'a>>,
    pub(crate) city: Option<Text<'a>>,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
    pub(crate) asn: Option<i64>,
    pub(crate) as_org: Option<Text<'a>>,
    pub(crate) network: Option<Text<'a>>,
}

/// Number of text columns.
pub(crate) const N_TEXTS: usize = 20;

impl<'a, D> Event<'a, D> {
    /// The text columns, but for `details`.
    pub(crate) fn texts(&self) -> [&Option<Text<'a>>; N_TEXTS] {
        [
            &self.action,
            &self.outcome,
            &self.account,
            &self.actor,
            &self.actor_type,
            &self.reason,
            &self.ip,
            &self.user_agent,
            &self.tls_fingerprint,
            &self.device,
            &self.session,
            &self.resource,
            &self.resource_label,
            &self.ticket,
            &self.event_id,
            &self.source,
            &self.country,
            &self.city,
            &self.as_org,
            &self.network,
        ]
    }
}

/// serde borrows a `Cow` only where it is the field itself, not within an `Option`.
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an RFC 3339 time")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
        time::parse_rfc3339(text).map(Time).ok_or_else(|| E::custom("not an RFC 3339 time"))
    }
}
