//! Comparing tables row by row.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// A table as text, one line a row; floats to ten significant digits, because sums by retraction and
/// sums by slices round differently.
pub fn lines(batch: &RecordBatch) -> Vec<String> {
    let columns: Vec<Vec<String>> = batch.columns().iter().map(cells).collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|cells| cells[row].as_str()).collect::<Vec<_>>().join(" | "))
        .collect()
}

fn cells(column: &ArrayRef) -> Vec<String> {
    if *column.data_type() == DataType::Float64 {
        let floats = column.as_primitive::<Float64Type>();
        let cell = |row| match floats.is_valid(row) {
            true => float(floats.value(row)),
            false => "NULL".to_owned(),
        };
        return (0..floats.len()).map(cell).collect();
    }
    let options = FormatOptions::default().with_null("NULL");
    let format = ArrayFormatter::try_new(column, &options).expect("the type can be shown");
    (0..column.len()).map(|row| format!("{:?}", format.value(row).to_string())).collect()
}

fn float(value: f64) -> String {
    // What is left of a sum that cancelled out is noise.
    if value.abs() < 1e-7 { "0".to_owned() } else { format!("{value:.9e}") }
}
