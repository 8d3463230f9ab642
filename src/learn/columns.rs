//! The columns that learning fills in.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer};

use crate::event::schema;
use crate::{Error, Result};

macro_rules! columns {
    ($($name:ident: $type:ty, $array:ident;)*) => {
        /// What is known about one event; a field for each column, in the order of the schema.
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        pub(super) struct Known {
            $(pub(super) $name: Option<$type>,)*
        }

        /// The columns so far.
        #[derive(Debug)]
        pub(super) struct Columns {
            $($name: Vec<$type>,)*
            /// For each row a bit for each column: it has a value.
            valid: Vec<u32>,
        }

        impl Columns {
            pub(super) fn new(n_rows: usize) -> Self {
                Self { $($name: Vec::with_capacity(n_rows),)* valid: Vec::with_capacity(n_rows) }
            }

            pub(super) fn push(&mut self, known: &Known) {
                let (mut valid, mut bit) = (0, 1);
                $(
                    self.$name.push(known.$name.unwrap_or_default());
                    valid |= if known.$name.is_some() { bit } else { 0 };
                    bit <<= 1;
                )*
                let _ = bit;
                self.valid.push(valid);
            }

            fn finish(self) -> Vec<ArrayRef> {
                let (valid, mut column) = (self.valid, 0..u32::BITS);
                let mut nulls = || {
                    let bit = 1 << column.next().unwrap_or_default();
                    NullBuffer::new(BooleanBuffer::collect_bool(valid.len(), |row| {
                        valid[row] & bit != 0
                    }))
                };
                vec![$(Arc::new($array::new(self.$name.into(), Some(nulls()))),)*]
            }
        }

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

columns! {
    ip_accounts: i64, Int64Array;
    prefix_accounts: i64, Int64Array;
    asn_accounts: i64, Int64Array;
    ip_devices: i64, Int64Array;
    ip_success_ratio: f64, Float64Array;
    prefix_success_ratio: f64, Float64Array;
    asn_success_ratio: f64, Float64Array;
    device_known_days: f64, Float64Array;
    ip_known_days: f64, Float64Array;
    prefix_known_days: f64, Float64Array;
    asn_known_days: f64, Float64Array;
    country_known_days: f64, Float64Array;
    agent_known_days: f64, Float64Array;
    hour_usual: f64, Float64Array;
    account_age_days: f64, Float64Array;
    days_since_last_login: f64, Float64Array;
    staff_accounts_usual: i64, Int64Array;
    peer_accounts_usual: i64, Int64Array;
    service_failure_ratio: f64, Float64Array;
    service_failure_ratio_usual: f64, Float64Array;
    risk: f64, Float64Array;
    risk_usual: f64, Float64Array;
}

const _: () =
    assert!(schema::N_COLUMNS - schema::N_SENT <= 32, "a row's valid columns have 32 bits");

impl Columns {
    /// The batch with these columns in the place of those it had.
    ///
    /// # Errors
    /// When the batch is no event batch.
    pub(super) fn fill(self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = batch.columns().to_vec();
        for (place, column) in columns.iter_mut().skip(schema::N_SENT).zip(self.finish()) {
            *place = column;
        }
        RecordBatch::try_new(batch.schema(), columns).map_err(|error| {
            Error::unexpected("what was learned does not fit the events").detail(error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_schema() {
        let names: Vec<_> = schema::COLUMNS[schema::N_SENT..].iter().map(|c| c.name).collect();
        assert_eq!(NAMES, names);
    }
}
