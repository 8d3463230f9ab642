//! Learning: the columns are what the documentation says, and a function of the events alone.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that cannot go on fails

mod examples;
mod properties;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use nightlatch::config::LearnConfig;
use nightlatch::event::schema;
use nightlatch::learn::Learner;
use support::logins::{DAY, Event, batch};

pub(crate) const START: i64 = 19_700 * DAY;

pub(crate) fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

pub(crate) fn learner(config: &LearnConfig) -> Learner {
    Learner::new(config).expect("a sound configuration")
}

pub(crate) fn learn(learner: &mut Learner, events: &[Event]) -> RecordBatch {
    learner.learn(&batch(events)).expect("a batch of events")
}

/// What learning filled in, bit for bit.
pub(crate) fn learned(batch: &RecordBatch) -> Vec<String> {
    let columns = &batch.columns()[schema::N_SENT..schema::N_COLUMNS];
    let cell = |column: usize, row: usize| match columns[column].is_null(row) {
        true => "NULL".to_owned(),
        false => match columns[column].as_primitive_opt::<Int64Type>() {
            Some(integers) => integers.value(row).to_string(),
            None => {
                let float = columns[column].as_primitive::<Float64Type>().value(row);
                format!("{float} {:x}", float.to_bits())
            }
        },
    };
    (0..batch.num_rows())
        .map(|row| (0..columns.len()).map(|c| cell(c, row)).collect::<Vec<_>>().join(" | "))
        .collect()
}

pub(crate) fn float(batch: &RecordBatch, name: &str, row: usize) -> Option<f64> {
    let column = batch.column_by_name(name).expect("a column").as_primitive::<Float64Type>();
    column.is_valid(row).then(|| column.value(row))
}

pub(crate) fn integer(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name).expect("a column").as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}
