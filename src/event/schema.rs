//! The `events` table: the columns that rules see, and the hidden ones that carry where a row came from.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Type of every time column: microseconds since the epoch, UTC.
///
/// Microseconds hold the years 0001 to 9999 of RFC 3339; nanoseconds would end in 2262.
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

/// What a column of the native event holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// An instant.
    Time,
    /// Text.
    Text,
    /// A 64-bit float.
    Float,
    /// A 64-bit integer.
    Integer,
    /// Any JSON value, kept as its text.
    Json,
}

/// One column of the `events` table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name in JSON and in SQL.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether a row may lack it (after defaults are filled in).
    pub nullable: bool,
}

const fn column(name: &'static str, kind: ColumnKind, nullable: bool) -> Column {
    Column { name, kind, nullable }
}

const fn text(name: &'static str) -> Column {
    column(name, ColumnKind::Text, true)
}

const fn float(name: &'static str) -> Column {
    column(name, ColumnKind::Float, true)
}

const fn integer(name: &'static str) -> Column {
    column(name, ColumnKind::Integer, true)
}

/// Number of columns that rules see.
pub const N_COLUMNS: usize = N_SENT + 22;

/// Number of columns that a sender may set: the first ones. The others are what `learn` knows, and a
/// sender's field of such a name is an unknown field.
pub const N_SENT: usize = 31;

/// All columns that rules see, in order. `time` is column 0.
pub const COLUMNS: [Column; N_COLUMNS] = [
    column("time", ColumnKind::Time, false),
    column("action", ColumnKind::Text, false),
    column("outcome", ColumnKind::Text, false),
    column("account", ColumnKind::Text, false),
    column("actor", ColumnKind::Text, false),
    column("actor_type", ColumnKind::Text, false),
    text("reason"),
    text("ip"),
    text("user_agent"),
    text("tls_fingerprint"),
    text("device"),
    text("session"),
    text("resource"),
    text("resource_label"),
    column("recorded_at", ColumnKind::Time, true),
    text("ticket"),
    text("event_id"),
    text("source"),
    column("details", ColumnKind::Json, true),
    text("country"),
    text("city"),
    column("latitude", ColumnKind::Float, true),
    column("longitude", ColumnKind::Float, true),
    column("asn", ColumnKind::Integer, true),
    text("as_org"),
    text("network"),
    text("ip_prefix"),
    text("agent"),
    text("os"),
    text("device_type"),
    float("accuracy_km"),
    // What `learn` fills in.
    integer("ip_accounts"),
    integer("prefix_accounts"),
    integer("asn_accounts"),
    integer("ip_devices"),
    float("ip_success_ratio"),
    float("prefix_success_ratio"),
    float("asn_success_ratio"),
    float("device_known_days"),
    float("ip_known_days"),
    float("prefix_known_days"),
    float("asn_known_days"),
    float("country_known_days"),
    float("agent_known_days"),
    float("hour_usual"),
    float("account_age_days"),
    float("days_since_last_login"),
    integer("staff_accounts_usual"),
    integer("peer_accounts_usual"),
    float("service_failure_ratio"),
    float("service_failure_ratio_usual"),
    float("risk"),
    float("risk_usual"),
];

/// Index of a column of [`COLUMNS`] by name.
pub const fn index_of(name: &str) -> usize {
    let mut index = 0;
    while index < N_COLUMNS {
        if same_text(COLUMNS[index].name, name) {
            return index;
        }
        index += 1;
    }
    panic!("no such column")
}

const fn same_text(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// `time`.
pub const TIME: usize = index_of("time");
/// `account`.
pub const ACCOUNT: usize = index_of("account");
/// `ip`.
pub const IP: usize = index_of("ip");
/// `event_id`.
pub const EVENT_ID: usize = index_of("event_id");
/// `source`.
pub const SOURCE: usize = index_of("source");
/// Hidden `_origin`: UInt32, index into [`super::Origins`].
pub const ORIGIN: usize = N_COLUMNS;
/// Hidden `_partition`: Int32, partition of a topic, 0 for a file.
pub const PARTITION: usize = N_COLUMNS + 1;
/// Hidden `_position`: Int64, offset in the partition or line in the file (the first line is 1).
pub const POSITION: usize = N_COLUMNS + 2;
/// Hidden `_hash`: UInt64, hash of the record's bytes (XXH3), the last tie-breaker that does not depend on place.
pub const HASH: usize = N_COLUMNS + 3;

fn arrow_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Time => time_type(),
        ColumnKind::Text | ColumnKind::Json => DataType::Utf8View,
        ColumnKind::Float => DataType::Float64,
        ColumnKind::Integer => DataType::Int64,
    }
}

fn visible_fields() -> Vec<Field> {
    COLUMNS.iter().map(|c| Field::new(c.name, arrow_type(c.kind), c.nullable)).collect()
}

static EVENTS: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(visible_fields())));

static EVENT_BATCH: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = visible_fields();
    fields.push(Field::new("_origin", DataType::UInt32, false));
    fields.push(Field::new("_partition", DataType::Int32, false));
    fields.push(Field::new("_position", DataType::Int64, false));
    fields.push(Field::new("_hash", DataType::UInt64, false));
    Arc::new(Schema::new(fields))
});

/// Schema of the table `events` as rules see it.
pub fn events() -> SchemaRef {
    EVENTS.clone()
}

/// Schema of a batch between decode and the engine: [`events`] and the hidden columns.
pub fn event_batch() -> SchemaRef {
    EVENT_BATCH.clone()
}
