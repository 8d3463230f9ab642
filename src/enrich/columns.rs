//! Columns of a batch as they are filled: what the sender gave stays.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, Int64Array, Int64Builder,
    RecordBatch, StringViewArray, StringViewBuilder, UInt32Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::take;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::error::ArrowError;

use super::facts::Facts;

/// The columns of a batch while they are filled.
pub(super) struct Columns {
    columns: Vec<ArrayRef>,
    n_rows: usize,
}

impl Columns {
    pub(super) fn new(batch: &RecordBatch) -> Self {
        Self { columns: batch.columns().to_vec(), n_rows: batch.num_rows() }
    }

    pub(super) fn into_columns(self) -> Vec<ArrayRef> {
        self.columns
    }

    pub(super) fn text(&self, index: usize) -> &StringViewArray {
        self.columns[index].as_string_view()
    }

    pub(super) fn integers(&self, index: usize) -> &Int64Array {
        self.columns[index].as_primitive::<Int64Type>()
    }

    pub(super) fn floats(&self, index: usize) -> &Float64Array {
        self.columns[index].as_primitive::<Float64Type>()
    }

    /// Whether the sender gave a value on any row.
    pub(super) fn is_given(&self, index: usize) -> bool {
        self.columns[index].null_count() < self.n_rows
    }

    /// The rows that lack a value in one of the columns; `None` stands for all.
    pub(super) fn lacking(&self, indices: &[usize]) -> Option<BooleanBuffer> {
        if indices.iter().any(|index| !self.is_given(*index)) {
            return None;
        }
        let mut lacking = BooleanBuffer::new_unset(self.n_rows);
        for nulls in indices.iter().filter_map(|index| self.columns[*index].nulls()) {
            lacking = &lacking | &!nulls.inner();
        }
        Some(lacking)
    }

    /// Fills the NULLs of a column with `values[key]`.
    pub(super) fn fill(
        &mut self,
        index: usize,
        values: &dyn Array,
        keys: &UInt32Array,
    ) -> Result<(), ArrowError> {
        let own = &self.columns[index];
        if own.null_count() == 0 {
            return Ok(());
        }
        let found = take(values, keys, None)?;
        self.columns[index] = if self.is_given(index) {
            let given = own.nulls().map(|nulls| nulls.inner().clone());
            let given = given.unwrap_or_else(|| BooleanBuffer::new_set(self.n_rows));
            zip(&BooleanArray::new(given, None), own, &found)?
        } else {
            found
        };
        Ok(())
    }
}

/// The keys of the rows that pass.
pub(super) fn keep(keys: &UInt32Array, passes: impl Fn(usize, u32) -> bool) -> UInt32Array {
    (0..keys.len())
        .map(|row| Some(keys.value(row)).filter(|key| keys.is_valid(row) && passes(row, *key)))
        .collect()
}

/// One value for each of the distinct addresses of a batch, or for each of its agents.
pub(super) fn texts<'a, T>(
    all: &'a [T],
    value: impl Fn(&'a T) -> Option<&'a str>,
) -> StringViewArray {
    let mut builder = StringViewBuilder::with_capacity(all.len());
    all.iter().for_each(|one| builder.append_option(value(one)));
    builder.finish()
}

/// See [`texts`].
pub(super) fn floats(
    all: &[Option<Arc<Facts>>],
    value: impl Fn(&Facts) -> Option<f64>,
) -> Float64Array {
    let mut builder = Float64Builder::with_capacity(all.len());
    all.iter().for_each(|facts| builder.append_option(facts.as_deref().and_then(&value)));
    builder.finish()
}

/// See [`texts`].
pub(super) fn integers(
    all: &[Option<Arc<Facts>>],
    value: impl Fn(&Facts) -> Option<i64>,
) -> Int64Array {
    let mut builder = Int64Builder::with_capacity(all.len());
    all.iter().for_each(|facts| builder.append_option(facts.as_deref().and_then(&value)));
    builder.finish()
}
