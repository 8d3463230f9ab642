//! Column builders of one event batch, filled a whole row at a time.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int32Array, Int64Array, Int64Builder, RecordBatch, StringViewBuilder,
    TimestampMicrosecondArray, TimestampMicrosecondBuilder, UInt32Array, UInt64Array,
    new_null_array,
};

use super::schema::{self, COLUMNS, ColumnKind, N_COLUMNS, N_SENT};
use super::{Place, TimeMicros};
use crate::{Error, Result};

/// One value of a row; text lies in the record, or in the row's scratch where it had escapes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    Text(&'a str),
    Scratch(usize, usize),
    Time(TimeMicros),
    Float(f64),
    Integer(i64),
}

/// The row being read. It lives as long as the batch, so that no event allocates.
pub(super) struct Row<'a> {
    values: [Value<'a>; N_SENT],
    /// Bit per column: a value, or an explicit null, was seen.
    seen: u32,
    pub(super) scratch: String,
}

const _: () = assert!(N_SENT <= 32, "the row's mask of seen columns has 32 bits");

impl<'a> Row<'a> {
    pub(super) fn new() -> Self {
        Self { values: [Value::Null; N_SENT], seen: 0, scratch: String::new() }
    }

    pub(super) fn clear(&mut self) {
        self.seen = 0;
        self.scratch.clear();
    }

    pub(super) fn has(&self, column: usize) -> bool {
        self.seen & (1 << column) != 0
    }

    pub(super) fn set(&mut self, column: usize, value: Value<'a>) {
        self.values[column] = value;
        self.seen |= 1 << column;
    }

    pub(super) fn set_scratch(&mut self, column: usize, text: &str) {
        let start = self.scratch.len();
        self.scratch.push_str(text);
        self.set(column, Value::Scratch(start, self.scratch.len()));
    }

    pub(super) fn get(&self, column: usize) -> Value<'a> {
        if self.has(column) { self.values[column] } else { Value::Null }
    }

    pub(super) fn text(&self, column: usize) -> Option<&str> {
        self.text_of(self.get(column))
    }

    fn text_of(&self, value: Value<'a>) -> Option<&str> {
        match value {
            Value::Text(text) => Some(text),
            Value::Scratch(start, end) => self.scratch.get(start..end),
            _ => None,
        }
    }
}

enum Builder {
    Time(TimestampMicrosecondBuilder),
    Text(StringViewBuilder),
    Float(Float64Builder),
    Integer(Int64Builder),
}

/// A column; rows without a value are only written when a later row has one.
struct Lazy {
    builder: Builder,
    len: usize,
}

impl Lazy {
    fn new(kind: ColumnKind) -> Self {
        let builder = match kind {
            ColumnKind::Time => Builder::Time(TimestampMicrosecondBuilder::with_capacity(0)),
            ColumnKind::Text | ColumnKind::Json => {
                Builder::Text(StringViewBuilder::with_capacity(0))
            }
            ColumnKind::Float => Builder::Float(Float64Builder::with_capacity(0)),
            ColumnKind::Integer => Builder::Integer(Int64Builder::with_capacity(0)),
        };
        Self { builder, len: 0 }
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows - self.len;
        match &mut self.builder {
            Builder::Time(builder) => builder.append_nulls(missing),
            Builder::Text(builder) => (0..missing).for_each(|_| builder.append_null()),
            Builder::Float(builder) => builder.append_nulls(missing),
            Builder::Integer(builder) => builder.append_nulls(missing),
        }
        self.len = rows;
    }

    fn text(&mut self, row: usize, text: &str) {
        self.pad(row);
        if let Builder::Text(builder) = &mut self.builder {
            builder.append_value(text);
            self.len += 1;
        }
    }

    fn number(&mut self, row: usize, value: Value<'_>) {
        self.pad(row);
        match (&mut self.builder, value) {
            (Builder::Time(builder), Value::Time(time)) => builder.append_value(time),
            (Builder::Float(builder), Value::Float(number)) => builder.append_value(number),
            (Builder::Integer(builder), Value::Integer(number)) => builder.append_value(number),
            _ => return,
        }
        self.len += 1;
    }

    fn finish(&mut self, column: usize, rows: usize) -> ArrayRef {
        if self.len == 0 {
            return new_null_array(schema::event_batch().field(column).data_type(), rows);
        }
        self.pad(rows);
        self.len = 0;
        match &mut self.builder {
            Builder::Time(builder) => Arc::new(builder.finish().with_timezone("+00:00")),
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Float(builder) => Arc::new(builder.finish()),
            Builder::Integer(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Builds event batches ([`schema::event_batch`]); a row goes in whole or not at all.
pub(super) struct EventBuilder {
    columns: Vec<Lazy>,
    times: Vec<TimeMicros>,
    places: Vec<Place>,
    hashes: Vec<u64>,
}

impl EventBuilder {
    pub(super) fn new() -> Self {
        let columns = COLUMNS[..N_SENT].iter().map(|column| Lazy::new(column.kind)).collect();
        Self { columns, times: Vec::new(), places: Vec::new(), hashes: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Appends a row whose required columns are set.
    pub(super) fn append(&mut self, time: TimeMicros, row: &Row<'_>, place: Place, hash: u64) {
        let index = self.len();
        let mut seen = row.seen & !(1 << schema::TIME);
        while seen != 0 {
            let column = seen.trailing_zeros() as usize;
            seen &= seen - 1;
            let value = row.values[column];
            match row.text_of(value) {
                Some(text) => self.columns[column].text(index, text),
                None => self.columns[column].number(index, value),
            }
        }
        self.times.push(time);
        self.places.push(place);
        self.hashes.push(hash);
    }

    /// The batch of all rows; the builder is empty afterwards.
    pub(super) fn finish(&mut self) -> Result<RecordBatch> {
        let rows = self.len();
        let times = TimestampMicrosecondArray::from(std::mem::take(&mut self.times));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(times.with_timezone("+00:00"))];
        let rest = self.columns.iter_mut().enumerate().skip(1);
        columns.extend(rest.map(|(index, column)| column.finish(index, rows)));
        let learned = schema::event_batch();
        let learned = learned.fields()[N_SENT..N_COLUMNS].iter();
        columns.extend(learned.map(|field| new_null_array(field.data_type(), rows)));
        let places = std::mem::take(&mut self.places);
        let origins = places.iter().map(|place| place.origin);
        let partitions = places.iter().map(|place| place.partition);
        let positions = places.iter().map(|place| place.position);
        columns.push(Arc::new(UInt32Array::from_iter_values(origins)));
        columns.push(Arc::new(Int32Array::from_iter_values(partitions)));
        columns.push(Arc::new(Int64Array::from_iter_values(positions)));
        columns.push(Arc::new(UInt64Array::from(std::mem::take(&mut self.hashes))));
        RecordBatch::try_new(schema::event_batch(), columns).map_err(|error| {
            Error::unexpected("event batch cannot be built").detail(error.to_string())
        })
    }
}

const _: () = assert!(schema::TIME == 0, "the builder puts the time first");
