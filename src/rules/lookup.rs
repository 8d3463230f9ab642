//! Joins with small reference tables: at most one row for each event.

use std::collections::HashMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, SortField};

use super::program::{NodeId, SelectionId};

/// Whether two rows of a table may have one key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubles {
    Allowed,
    Refused,
}

/// What a NULL among the keys is equal to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    /// Nothing.
    Differ,
    /// Maybe anything, as `NOT IN` has it.
    Match,
}

/// A reference table, indexed by the join's key.
pub(super) struct Lookup {
    /// The event side of the key.
    pub(super) keys: Vec<NodeId>,
    /// The rows for which the event side is evaluated.
    pub(super) selection: SelectionId,
    table: RecordBatch,
    rows: HashMap<OwnedRow, u32>,
    converter: RowConverter,
    key_types: Vec<DataType>,
    nulls: Nulls,
    has_null: bool,
}

impl Lookup {
    /// Indexes a table; `None` when two rows have the same key.
    ///
    /// # Errors
    /// When the key's types cannot be compared.
    pub(super) fn new(
        keys: Vec<NodeId>,
        selection: SelectionId,
        table: RecordBatch,
        table_keys: &[ArrayRef],
        doubles: Doubles,
        nulls: Nulls,
    ) -> Result<Option<Self>, ArrowError> {
        let key_types: Vec<DataType> = table_keys.iter().map(|k| k.data_type().clone()).collect();
        let fields = key_types.iter().map(|t| SortField::new(t.clone())).collect();
        let converter = RowConverter::new(fields)?;
        let mut rows = HashMap::new();
        let converted = converter.convert_columns(table_keys)?;
        let mut has_null = false;
        for (index, row) in converted.iter().enumerate() {
            if table_keys.iter().any(|key| key.is_null(index)) {
                has_null = true;
                continue;
            }
            let is_double = rows.insert(row.owned(), index as u32).is_some();
            if is_double && doubles == Doubles::Refused {
                return Ok(None);
            }
        }
        Ok(Some(Self { keys, selection, table, rows, converter, key_types, nulls, has_null }))
    }

    pub(super) fn table(&self) -> &RecordBatch {
        &self.table
    }

    /// The keys that find rows, and how NULL counts, as bytes.
    pub(super) fn keys_text(&self) -> Vec<u8> {
        let mut found: Vec<(&OwnedRow, &u32)> = self.rows.iter().collect();
        found.sort_unstable();
        let nulls = self.nulls == Nulls::Match;
        let mut text = format!("{:?} {nulls} {}", self.key_types, self.has_null).into_bytes();
        for (key, row) in found {
            text.extend_from_slice(key.row().as_ref());
            text.extend_from_slice(&row.to_le_bytes());
        }
        text
    }

    pub(super) fn column_type(&self, column: usize) -> DataType {
        self.table.column(column).data_type().clone()
    }

    /// For each event the row of the table, if there is one.
    pub(super) fn find(&self, keys: &[ArrayRef]) -> Result<UInt32Array, ArrowError> {
        let cast_keys: Vec<ArrayRef> =
            keys.iter().zip(&self.key_types).map(|(k, t)| cast(k, t)).collect::<Result<_, _>>()?;
        let converted = self.converter.convert_columns(&cast_keys)?;
        let rows = converted.iter().enumerate().map(|(index, row)| {
            let is_null = cast_keys.iter().any(|key| key.is_null(index));
            let found = if is_null { None } else { self.rows.get(&row.owned()).copied() };
            found.or_else(|| self.row_for_null(is_null))
        });
        Ok(rows.collect())
    }

    /// Some row, when a NULL on either side may be equal to what is looked for.
    fn row_for_null(&self, is_null: bool) -> Option<u32> {
        let matches = self.has_null || (is_null && self.table.num_rows() > 0);
        (self.nulls == Nulls::Match && matches).then_some(0)
    }

    /// A column of the table at the rows found.
    pub(super) fn column(
        &self,
        found: &UInt32Array,
        column: usize,
    ) -> Result<ArrayRef, ArrowError> {
        take(self.table.column(column), found, None)
    }

    /// Which rows were found.
    pub(super) fn found(rows: &UInt32Array) -> Result<BooleanArray, ArrowError> {
        arrow::compute::is_not_null(rows)
    }
}
