//! Rows as they arrive, for rules that are told early.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;

use super::dedup::Dedup;
use crate::event::{TimeMicros, schema};
use crate::rules::SLACK_MICROS;
use crate::{Error, Result};

/// Puts rows into an order that never goes back, without waiting for any: a row that comes late gets
/// the newest time so far, and one that comes too late is left out.
pub struct Arrivals {
    dedup: Dedup,
    newest: TimeMicros,
}

/// Rows in the order of their times, all of them newer than those before.
#[derive(Debug)]
pub struct Arrived {
    /// Schema [`crate::event::schema::event_batch`].
    pub batch: RecordBatch,
    /// So many rows at the beginning have a time that is not their own.
    pub n_late: usize,
}

impl Arrivals {
    /// Nothing has come yet. An event id that comes again within the window is left out.
    pub fn new(dedup_window_micros: TimeMicros) -> Self {
        // A late row's time is that of another one.
        let window = dedup_window_micros.saturating_add(SLACK_MICROS);
        let window = if dedup_window_micros > 0 { window } else { 0 };
        Self { dedup: Dedup::new(window), newest: TimeMicros::MIN }
    }

    /// Takes rows that came together; `None` when none of them counts.
    ///
    /// # Errors
    /// Only when arrow refuses the columns, which no input can cause.
    pub fn take(&mut self, batches: &[RecordBatch]) -> Result<Option<Arrived>> {
        let ordered = self.ordered(batches);
        ordered.map_err(|error| {
            Error::unexpected("events cannot be taken as they arrive").detail(error.to_string())
        })
    }

    fn ordered(&mut self, batches: &[RecordBatch]) -> Result<Option<Arrived>, ArrowError> {
        let batch = concat_batches(&schema::event_batch(), batches)?;
        let times = batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>();
        let times = times.values().to_vec();
        let late = self.newest.saturating_add(1);
        let oldest = self.newest.saturating_sub(SLACK_MICROS);
        let mut rows: Vec<u32> = (0..times.len() as u32).collect();
        rows.retain(|row| times[*row as usize] >= oldest);
        rows.sort_by_key(|row| times[*row as usize]);
        rows.retain(|row| {
            let time = times[*row as usize].max(late);
            self.dedup.is_first(&batch, *row as usize, time)
        });
        let Some(newest) = rows.last().map(|row| times[*row as usize].max(late)) else {
            return Ok(None);
        };
        self.newest = newest;
        let n_late = rows.partition_point(|row| times[*row as usize] < late);
        let own = rows.iter().map(|row| times[*row as usize].max(late));
        let own = TimestampMicrosecondArray::from_iter_values(own).with_timezone("+00:00");
        let batch = take_record_batch(&batch, &UInt32Array::from(rows))?;
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns[schema::TIME] = Arc::new(own);
        Ok(Some(Arrived { batch: RecordBatch::try_new(batch.schema(), columns)?, n_late }))
    }
}
