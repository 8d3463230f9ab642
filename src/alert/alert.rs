//! What an alert says: one revision of one episode.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use super::json::write_json;
use super::value::{json_value, rfc3339};
use crate::event::{Origin, OriginKind, Place, TimeMicros};
use crate::incident::IncidentPart;
use crate::rules::Severity;

/// Where an episode stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The first match; revision 1, and 0 where it is told early.
    Opened,
    /// Matches came since the last revision.
    Updated,
    /// The quiet time has passed; the last revision.
    Closed,
}

impl Status {
    /// `opened`, `updated` or `closed`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

/// One revision of one episode. A consumer keeps the highest `revision` of each `id`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Alert {
    /// 32 hexadecimal digits: a hash of rule, rule version, entity and the piece of time in which it
    /// starts.
    #[serde(serialize_with = "text")]
    pub id: Arc<str>,
    /// 1, 2, ...; 0 of an early alert.
    pub revision: u64,
    /// What this revision reports.
    pub status: Status,
    /// Told before all events of its time were there; the exact alert follows under the same id. Only
    /// written when it is so.
    #[serde(skip_serializing_if = "is_false")]
    pub early: bool,
    /// The event time at which this revision was due: revisions come in this order. Not written.
    #[serde(skip)]
    pub at: TimeMicros,
    /// The rule's id.
    #[serde(serialize_with = "text")]
    pub rule: Arc<str>,
    /// The rule's version.
    #[serde(serialize_with = "text")]
    pub rule_version: Arc<str>,
    /// The rule's title.
    #[serde(serialize_with = "text")]
    pub title: Arc<str>,
    /// The rule's severity.
    pub severity: Severity,
    /// The query's column that names the episode.
    #[serde(serialize_with = "text")]
    pub entity_type: Arc<str>,
    /// Its value.
    #[serde(serialize_with = "text")]
    pub entity: Arc<str>,
    /// Time of the first matching event.
    #[serde(serialize_with = "time")]
    pub started_at: TimeMicros,
    /// Time of the newest matching event.
    #[serde(serialize_with = "time")]
    pub updated_at: TimeMicros,
    /// Accounts concerned, in the order in which they appeared, capped.
    #[serde(serialize_with = "texts")]
    pub accounts: Vec<Arc<str>>,
    /// How many accounts are concerned.
    pub accounts_total: usize,
    /// Addresses concerned, in the order in which they appeared, capped.
    #[serde(serialize_with = "texts")]
    pub ips: Vec<Arc<str>>,
    /// How many addresses are concerned.
    pub ips_total: usize,
    /// The rule's summary, filled from the newest match.
    pub summary: String,
    /// The query's other columns at the newest match.
    pub values: Values,
    /// Rows that the rule's query let through.
    pub matches: u64,
    /// Events that made it fire, in the order of time, event id, source and place, capped.
    pub evidence: Vec<Evidence>,
    /// How many events made it fire.
    pub evidence_total: usize,
    /// MITRE ATT&CK technique ids.
    #[serde(serialize_with = "texts")]
    pub attack: Arc<[Arc<str>]>,
    /// Versions of the data files behind columns such as `country`, by kind; left out without files.
    #[serde(serialize_with = "versions", skip_serializing_if = "no_versions")]
    pub enrichment: Arc<BTreeMap<&'static str, String>>,
    /// What an incident has beyond an alert; an alert has none.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Box<IncidentPart>>,
}

impl Alert {
    /// The alert as one line of JSON without the line feed: the bytes that every destination sends.
    ///
    /// Deceptive characters (see [`super::escape`]) are `\u` escapes in it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        let _ = write_json(self, &mut bytes); // a Vec takes every write; every key is text
        bytes
    }
}

/// The query's columns at one row, but for `time` and the entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    schema: SchemaRef,
    /// One value a column of the schema.
    row: Arc<[Value]>,
    entity: Arc<str>,
}

impl Values {
    /// Reads one row of a query's answer, whose column `entity` names the episode.
    pub fn read(columns: &RecordBatch, row: usize, entity: Arc<str>) -> Self {
        let values = columns.columns().iter().map(|column| json_value(column.as_ref(), row));
        Self { schema: columns.schema(), row: values.collect(), entity }
    }

    /// Those of a document that comes from no query.
    pub(crate) fn none() -> Self {
        Self::restore(std::iter::empty(), Arc::default(), Arc::default())
    }

    /// The same row again, from names and values of all columns.
    pub(super) fn restore(
        names: impl Iterator<Item = String>,
        row: Arc<[Value]>,
        entity: Arc<str>,
    ) -> Self {
        // Only the names are ever asked for.
        let fields = names.map(|name| Field::new(name, DataType::Null, true));
        Self { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), row, entity }
    }

    /// Names and values in the order of the query.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.columns().filter(|(name, _)| *name != "time" && *name != &*self.entity)
    }

    /// Names and values of all columns, `time` and the entity among them.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, &Value)> {
        let names = self.schema.fields().iter().map(|field| field.name().as_str());
        names.zip(self.row.iter())
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// One event that made an alert fire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// Event time.
    pub time: TimeMicros,
    /// The sender's id of the event.
    pub event_id: Option<Arc<str>>,
    /// The system that sent it.
    pub source: Option<Arc<str>>,
    /// Where to read it again.
    pub place: EvidencePlace,
}

/// Where the raw event stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvidencePlace {
    /// A line of a file, counted from 1.
    File {
        /// Path as the user wrote it.
        file: Arc<str>,
        /// Line.
        line: i64,
    },
    /// A message of a topic.
    Topic {
        /// Topic.
        topic: Arc<str>,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
}

impl EvidencePlace {
    /// The place with its origin's name; an origin that nobody knows is an empty file name.
    pub(super) fn new(place: Place, origin: Option<&Origin>) -> Self {
        let Place { partition, position, .. } = place;
        match origin {
            Some(Origin { kind: OriginKind::Topic, name }) => {
                Self::Topic { topic: name.clone(), partition, offset: position }
            }
            Some(Origin { kind: OriginKind::File, name }) => {
                Self::File { file: name.clone(), line: position }
            }
            None => Self::File { file: "".into(), line: position },
        }
    }
}

impl std::fmt::Display for EvidencePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Topic { topic, partition, offset } => write!(f, "{topic}/{partition}@{offset}"),
        }
    }
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(source) = &self.source {
            map.serialize_entry("source", &**source)?;
        }
        match &self.place {
            EvidencePlace::File { file, line } => {
                map.serialize_entry("file", &**file)?;
                map.serialize_entry("line", line)?;
            }
            EvidencePlace::Topic { topic, partition, offset } => {
                map.serialize_entry("topic", &**topic)?;
                map.serialize_entry("partition", partition)?;
                map.serialize_entry("offset", offset)?;
            }
        }
        map.serialize_entry("time", &rfc3339(self.time))?;
        if let Some(event_id) = &self.event_id {
            map.serialize_entry("event_id", &**event_id)?;
        }
        map.end()
    }
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn texts<S: Serializer>(texts: &impl AsRef<[Arc<str>]>, serializer: S) -> Result<S::Ok, S::Error> {
    let texts = texts.as_ref();
    let mut sequence = serializer.serialize_seq(Some(texts.len()))?;
    texts.iter().try_for_each(|text| sequence.serialize_element(&**text))?;
    sequence.end()
}

fn versions<S: Serializer>(
    versions: &Arc<BTreeMap<&'static str, String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(versions.iter())
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so
fn is_false(value: &bool) -> bool {
    !value
}

fn no_versions(versions: &Arc<BTreeMap<&'static str, String>>) -> bool {
    versions.is_empty()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so
fn time<S: Serializer>(time: &TimeMicros, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}
