//! Growing columns of events: what a decoder of batches builds.

use crate::Sink;
use crate::event::{Details, Event, N_TEXTS};

/// Text of all rows, one behind the other. Rows without a value are only written when a later row has one.
#[derive(Default)]
struct TextColumn {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    valid: Vec<bool>,
}

impl TextColumn {
    fn append(&mut self, row: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.ends.resize(row, self.bytes.len() as u32);
        self.valid.resize(row, false);
        write(&mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
        self.valid.push(true);
    }
}

#[derive(Default)]
struct NumberColumn<T> {
    values: Vec<T>,
    valid: Vec<bool>,
}

impl<T: Default + Clone> NumberColumn<T> {
    fn append(&mut self, row: usize, value: Option<T>) {
        let Some(value) = value else { return };
        self.values.resize(row, T::default());
        self.valid.resize(row, false);
        self.values.push(value);
        self.valid.push(true);
    }
}

/// The columns of a batch.
#[derive(Default)]
pub(crate) struct Columns {
    times: Vec<i64>,
    recorded_at: NumberColumn<i64>,
    texts: [TextColumn; N_TEXTS],
    details: TextColumn,
    latitude: NumberColumn<f64>,
    longitude: NumberColumn<f64>,
    asn: NumberColumn<i64>,
}

impl Sink for Columns {
    fn take<D: Details>(&mut self, event: &Event<'_, D>) {
        let row = self.times.len();
        for (column, text) in self.texts.iter_mut().zip(event.texts()) {
            if let Some(text) = text {
                column.append(row, |bytes| bytes.extend_from_slice(text.0.as_bytes()));
            }
        }
        if let Some(details) = &event.details {
            self.details.append(row, |bytes| details.append_to(bytes));
        }
        self.recorded_at.append(row, event.recorded_at.map(|time| time.0));
        self.latitude.append(row, event.latitude);
        self.longitude.append(row, event.longitude);
        self.asn.append(row, event.asn);
        self.times.push(event.time.0);
    }
}

impl Columns {
    /// Bytes of all text, sum of all times, sum of all numbers (degrees as millionths).
    pub(crate) fn checksum(&self) -> String {
        let text_bytes: usize = self.texts.iter().map(|column| column.bytes.len()).sum();
        let times = self.times.iter().chain(&self.recorded_at.values);
        let times: i128 = times.map(|time| i128::from(*time)).sum();
        let degrees = self.latitude.values.iter().chain(&self.longitude.values);
        let degrees: i64 = degrees.map(|degrees| (degrees * 1e6).round() as i64).sum();
        let numbers = degrees + self.asn.values.iter().sum::<i64>();
        format!("{},{times},{numbers}", text_bytes + self.details.bytes.len())
    }
}
