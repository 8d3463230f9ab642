//! What passes by on its way to the rules: events over time, and where they came from.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, TimestampMicrosecondType};

use crate::Result;
use crate::event::{Origins, TimeMicros};
use crate::pipeline::{Consumer, ConsumerManifest};
use crate::serve::Metrics;
use crate::store::BlockWriter;

/// Bins of time; when there are more, two become one.
const BINS_MAX: usize = 480;
/// The first width of a bin.
const MINUTE_MICROS: TimeMicros = 60_000_000;
/// Positions are counted by whole degrees.
const COLUMNS: usize = 360;
const ROWS: usize = 180;

/// Events in one stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bin {
    /// All events.
    pub(super) events: u64,
    /// Those with the outcome `failure`.
    pub(super) failures: u64,
}

/// What was seen of the events; of a size that does not grow with them.
#[derive(Debug)]
pub struct Observed {
    width_micros: TimeMicros,
    bins: BTreeMap<TimeMicros, Bin>,
    span: Option<(TimeMicros, TimeMicros)>,
    /// Events by degree of longitude in degrees of latitude, from the north.
    cells: Vec<u64>,
    /// Events with a position.
    placed: u64,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            width_micros: MINUTE_MICROS,
            bins: BTreeMap::new(),
            span: None,
            cells: vec![0; COLUMNS * ROWS],
            placed: 0,
        }
    }
}

impl Observed {
    /// Looks at a batch in the order of time.
    fn see(&mut self, batch: &RecordBatch) {
        self.see_times(batch);
        self.see_places(batch);
    }

    fn see_times(&mut self, batch: &RecordBatch) {
        let times = batch.column_by_name("time");
        let times = times.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let outcomes = batch.column_by_name("outcome");
        let outcomes = outcomes.and_then(|column| column.as_string_view_opt());
        let (Some(times), Some(outcomes)) = (times, outcomes) else { return };
        for (time, outcome) in times.iter().zip(outcomes) {
            if let Some(time) = time {
                self.count(time, outcome == Some("failure"));
            }
        }
    }

    fn count(&mut self, time: TimeMicros, is_failure: bool) {
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
        let bin = self.bins.entry(time.div_euclid(self.width_micros)).or_default();
        bin.events += 1;
        bin.failures += u64::from(is_failure);
        while self.bins.len() > BINS_MAX || self.reaches_too_far() {
            self.widen();
        }
    }

    /// Whether first and last bin are further apart than the page is wide.
    fn reaches_too_far(&self) -> bool {
        match (self.bins.first_key_value(), self.bins.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last - first >= BINS_MAX as i64,
            _ => false,
        }
    }

    fn widen(&mut self) {
        self.width_micros = self.width_micros.saturating_mul(2);
        for (key, bin) in std::mem::take(&mut self.bins) {
            let wide = self.bins.entry(key.div_euclid(2)).or_default();
            wide.events += bin.events;
            wide.failures += bin.failures;
        }
    }

    fn see_places(&mut self, batch: &RecordBatch) {
        let column = |name| batch.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        let (Some(latitudes), Some(longitudes)) = (column("latitude"), column("longitude")) else {
            return;
        };
        if latitudes.null_count() == latitudes.len() {
            return;
        }
        for (latitude, longitude) in latitudes.iter().zip(longitudes) {
            if let Some(cell) = latitude.zip(longitude).and_then(cell) {
                self.cells[cell] += 1;
                self.placed += 1;
            }
        }
    }

    /// First and last event time.
    pub(super) fn span(&self) -> Option<(TimeMicros, TimeMicros)> {
        self.span
    }

    /// The width of a bin, and the bins by their beginning.
    pub(super) fn bins(&self) -> (TimeMicros, impl Iterator<Item = (TimeMicros, Bin)>) {
        let width = self.width_micros;
        (width, self.bins.iter().map(move |(key, bin)| (key.saturating_mul(width), *bin)))
    }

    /// Middles of the cells with events, latitude and longitude in degrees, the fullest first.
    pub(super) fn places(&self) -> Vec<(f64, f64, u64)> {
        let used = self.cells.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut places: Vec<_> = used
            .map(|(cell, count)| {
                let (row, column) = (cell / COLUMNS, cell % COLUMNS);
                (89.5 - row as f64, column as f64 - 179.5, *count)
            })
            .collect();
        // Stable: equal counts stay in the order of the cells.
        places.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        places
    }

    /// Events with a position.
    pub(super) fn placed(&self) -> u64 {
        self.placed
    }
}

/// The cell of a position; `None` for what is none.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 359 and 0 to 179
fn cell((latitude, longitude): (f64, f64)) -> Option<usize> {
    let is_position = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    let row = ((90.0 - latitude) as usize).min(ROWS - 1);
    let column = ((longitude + 180.0) as usize).min(COLUMNS - 1);
    is_position.then_some(row * COLUMNS + column)
}

/// A consumer that lets another one work, and looks on.
pub struct Observing<'a, C> {
    /// Who does the work.
    pub consumer: &'a mut C,
    /// Who looks on; `None`: nobody.
    pub observed: Option<Observed>,
}

impl<C: Consumer> Consumer for Observing<'_, C> {
    fn take(&mut self, batch: &RecordBatch, origins: &Origins) -> Result<()> {
        if let Some(observed) = &mut self.observed {
            observed.see(batch);
        }
        self.consumer.take(batch, origins)
    }

    fn advance(&mut self, stream_time: TimeMicros) -> Result<()> {
        self.consumer.advance(stream_time)
    }

    fn settle(&mut self) -> Result<()> {
        self.consumer.settle()
    }

    fn finish(&mut self) -> Result<()> {
        self.consumer.finish()
    }

    fn suspend(&mut self) -> Result<()> {
        self.consumer.suspend()
    }

    fn checkpoint(&mut self, blocks: &mut BlockWriter) -> Result<Option<ConsumerManifest>> {
        self.consumer.checkpoint(blocks)
    }

    fn found(&self) -> u64 {
        self.consumer.found()
    }

    fn reader_gone(&self) -> bool {
        self.consumer.reader_gone()
    }

    fn measure(&self, metrics: &Metrics) {
        self.consumer.measure(metrics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_stay_few_and_lose_nothing() {
        let mut observed = Observed::default();
        for minute in 0..100_000 {
            observed.count(minute * MINUTE_MICROS, minute % 4 == 0);
        }
        let (_, bins) = observed.bins();
        let bins: Vec<_> = bins.collect();
        assert!(bins.len() <= BINS_MAX, "{}", bins.len());
        assert_eq!(bins.iter().map(|(_, bin)| bin.events).sum::<u64>(), 100_000);
        assert_eq!(bins.iter().map(|(_, bin)| bin.failures).sum::<u64>(), 25_000);
        observed.count(TimeMicros::MAX, false);
        observed.count(TimeMicros::MIN, false);
        let (_, bins) = observed.bins();
        assert_eq!(bins.map(|(_, bin)| bin.events).sum::<u64>(), 100_002);
    }

    #[test]
    fn positions_are_on_the_earth() {
        assert_eq!(cell((90.0, -180.0)), Some(0));
        assert_eq!(cell((-90.0, 180.0)), Some(COLUMNS * ROWS - 1));
        for nowhere in [(91.0, 0.0), (0.0, 180.5), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(cell(nowhere), None, "{nowhere:?}");
        }
    }
}
