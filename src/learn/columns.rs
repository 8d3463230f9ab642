//! The columns that learning fills in.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int64Builder, RecordBatch};

use crate::event::schema;
use crate::{Error, Result};

macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident: $builder:ident, $type:ty;)*) => {
        /// What is known about one event; a field for each column, in the order of the schema.
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        pub(super) struct Known {
            $($(#[$doc])* pub(super) $name: Option<$type>,)*
        }

        /// Builders of the columns.
        #[derive(Debug)]
        pub(super) struct Columns {
            $($name: $builder,)*
        }

        impl Columns {
            pub(super) fn new(n_rows: usize) -> Self {
                Self { $($name: $builder::with_capacity(n_rows),)* }
            }

            pub(super) fn push(&mut self, known: &Known) {
                $(self.$name.append_option(known.$name);)*
            }

            fn finish(mut self) -> Vec<ArrayRef> {
                vec![$(Arc::new(self.$name.finish()),)*]
            }
        }

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

columns! {
    ip_accounts: Int64Builder, i64;
    prefix_accounts: Int64Builder, i64;
    asn_accounts: Int64Builder, i64;
    ip_devices: Int64Builder, i64;
    ip_success_ratio: Float64Builder, f64;
    prefix_success_ratio: Float64Builder, f64;
    asn_success_ratio: Float64Builder, f64;
    device_known_days: Float64Builder, f64;
    ip_known_days: Float64Builder, f64;
    prefix_known_days: Float64Builder, f64;
    asn_known_days: Float64Builder, f64;
    country_known_days: Float64Builder, f64;
    agent_known_days: Float64Builder, f64;
    hour_usual: Float64Builder, f64;
    account_age_days: Float64Builder, f64;
    days_since_last_login: Float64Builder, f64;
    staff_accounts_usual: Int64Builder, i64;
    peer_accounts_usual: Int64Builder, i64;
    service_failure_ratio: Float64Builder, f64;
    service_failure_ratio_usual: Float64Builder, f64;
    risk: Float64Builder, f64;
    risk_usual: Float64Builder, f64;
}

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
