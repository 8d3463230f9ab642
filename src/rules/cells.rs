//! Arrow columns to the window core's 64-bit cells, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, BooleanBufferBuilder,
    PrimitiveArray, StringViewArray, StringViewBuilder, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::error::ArrowError;

use crate::window::{CellKind, Cells, Interner};

/// The type in which a column's cells are read and written, if the core can hold it at all.
pub(super) fn cell_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
        DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Date64
        | DataType::Time64(_) => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            DataType::UInt64
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
        DataType::Boolean => DataType::Boolean,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8View,
        _ => return None,
    })
}

/// How cells of a type compare; `domain` is the interner's index for texts.
pub(super) fn cell_kind(data_type: &DataType, domain: usize) -> Option<CellKind> {
    Some(match cell_type(data_type)? {
        DataType::Int64 => CellKind::Signed,
        DataType::UInt64 | DataType::Boolean => CellKind::Unsigned,
        DataType::Float64 => CellKind::Float,
        _ => CellKind::Text(domain),
    })
}

/// A column as cells; entries of NULL rows are 0.
pub(super) struct CellColumn {
    pub(super) values: Vec<u64>,
    /// Rows that have a value. A text that a limit kept out has none.
    pub(super) valid: Option<BooleanBuffer>,
    /// Rows whose text a limit kept out, ascending.
    pub(super) refused: Vec<u32>,
    texts: Option<Texts>,
}

/// The texts of a column, of which only the rows that lanes take are interned.
struct Texts {
    array: StringViewArray,
    is_interned: Vec<bool>,
}

impl CellColumn {
    /// Reads a column. The cells of texts are there once [`CellColumn::intern`] has named their rows.
    pub(super) fn read(array: &ArrayRef) -> Result<Self, ArrowError> {
        let Some(target) = cell_type(array.data_type()) else {
            return Err(ArrowError::NotYetImplemented(format!("cells of {}", array.data_type())));
        };
        let array =
            if *array.data_type() == target { array.clone() } else { cast(array, &target)? };
        let valid = array.nulls().map(|nulls| nulls.inner().clone());
        let mut texts = None;
        let values = match target {
            DataType::Int64 => {
                let values = array.as_primitive::<Int64Type>().values();
                values.iter().map(|v| v.cast_unsigned()).collect()
            }
            DataType::UInt64 => array.as_primitive::<UInt64Type>().values().to_vec(),
            DataType::Float64 => {
                array.as_primitive::<Float64Type>().values().iter().map(|v| v.to_bits()).collect()
            }
            DataType::Boolean => array.as_boolean().values().iter().map(u64::from).collect(),
            _ => {
                let is_interned = vec![false; array.len()];
                texts = Some(Texts { array: array.as_string_view().clone(), is_interned });
                vec![0; array.len()]
            }
        };
        Ok(Self { values, valid, refused: Vec::new(), texts })
    }

    /// A column without a value in any row.
    pub(super) fn empty(n_rows: usize) -> Self {
        let valid = Some(BooleanBuffer::new_unset(n_rows));
        Self { values: vec![0; n_rows], valid, refused: Vec::new(), texts: None }
    }

    /// Interns the texts of these rows; gives the number of those that a limit kept out.
    pub(super) fn intern(&mut self, rows: &[u32], interner: &mut Interner) -> u64 {
        let Some(Texts { array, is_interned }) = &mut self.texts else { return 0 };
        let mut refused = Vec::new();
        for &row in rows {
            let index = row as usize;
            if std::mem::replace(&mut is_interned[index], true) || array.is_null(index) {
                continue;
            }
            match interner.intern(array.value(index)) {
                Some(id) => self.values[index] = u64::from(id),
                None => refused.push(row),
            }
        }
        if !refused.is_empty() {
            self.valid = without(self.valid.take(), &refused, self.values.len());
            self.refused.extend(&refused);
            self.refused.sort_unstable();
        }
        refused.len() as u64
    }
}

/// The valid rows less the refused ones.
fn without(valid: Option<BooleanBuffer>, refused: &[u32], n: usize) -> Option<BooleanBuffer> {
    let mut bits: Vec<bool> =
        (0..n).map(|row| valid.as_ref().is_none_or(|v| v.value(row))).collect();
    refused.iter().for_each(|row| bits[*row as usize] = false);
    Some(BooleanBuffer::from(bits))
}

/// Writes a lane's cells as a column of a batch: `rows` says where each of them stands; the other rows
/// are NULL.
pub(super) fn from_cells(
    cells: Cells,
    rows: &[u32],
    n_rows: usize,
    data_type: &DataType,
    texts: Option<&Interner>,
) -> Result<ArrayRef, ArrowError> {
    let nulls = nulls_of(&cells, rows, n_rows);
    let values = if rows.len() == n_rows {
        cells.values
    } else {
        let mut values = vec![0; n_rows];
        rows.iter().zip(cells.values).for_each(|(row, value)| values[*row as usize] = value);
        values
    };
    let array: ArrayRef = match (cell_type(data_type), texts) {
        (Some(DataType::Int64), _) => primitive::<Int64Type>(values, nulls),
        (Some(DataType::UInt64), _) => primitive::<UInt64Type>(values, nulls),
        (Some(DataType::Float64), _) => primitive::<Float64Type>(values, nulls),
        (Some(DataType::Boolean), _) => {
            let bits = BooleanBuffer::collect_bool(n_rows, |row| values[row] != 0);
            Arc::new(BooleanArray::new(bits, nulls))
        }
        (Some(_), Some(texts)) => text_array(&values, nulls.as_ref(), texts),
        _ => new_null_array(data_type, n_rows),
    };
    if array.data_type() == data_type { Ok(array) } else { cast(&array, data_type) }
}

/// Which rows have no value; `None` when all have one.
fn nulls_of(cells: &Cells, rows: &[u32], n_rows: usize) -> Option<NullBuffer> {
    let valid = &cells.valid;
    if rows.len() == n_rows {
        let valid = BooleanBuffer::collect_bool(n_rows, |row| valid[row]);
        return Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0);
    }
    let mut bits = BooleanBufferBuilder::new(n_rows);
    bits.append_n(n_rows, false);
    for (row, _) in rows.iter().zip(valid).filter(|(_, valid)| **valid) {
        bits.set_bit(*row as usize, true);
    }
    Some(NullBuffer::new(bits.finish()))
}

/// Cells as they are: all of these types have 64 bits.
fn primitive<T: ArrowPrimitiveType>(values: Vec<u64>, nulls: Option<NullBuffer>) -> ArrayRef {
    let n_rows = values.len();
    let values = ScalarBuffer::new(Buffer::from_vec(values), 0, n_rows);
    Arc::new(PrimitiveArray::<T>::new(values, nulls))
}

fn text_array(values: &[u64], nulls: Option<&NullBuffer>, texts: &Interner) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        let is_valid = nulls.is_none_or(|nulls| nulls.is_valid(row));
        builder.append_option(is_valid.then(|| texts.text(*value as u32)));
    }
    Arc::new(builder.finish())
}
