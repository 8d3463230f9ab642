//! Columns of one batch, each computed once when something first asks for it.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;

use super::lookup::Lookup;
use super::program::{Condition, NodeId, NodeKind, Program, SelectionId};

/// The columns, selections and lookups of one batch.
pub(super) struct Evaluation<'a> {
    program: &'a Program,
    batch: &'a RecordBatch,
    columns: Vec<Option<ArrayRef>>,
    selections: Vec<Option<BooleanBuffer>>,
    lookups: Vec<Option<UInt32Array>>,
    /// Rows on which each expression failed.
    pub(super) failures: Vec<(NodeId, u64)>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(program: &'a Program, batch: &'a RecordBatch) -> Self {
        Self {
            columns: vec![None; program.nodes.len()],
            selections: vec![None; program.selections.len()],
            lookups: vec![None; program.lookups.len()],
            failures: Vec::new(),
            program,
            batch,
        }
    }

    /// Puts in a column that a lane has computed.
    pub(super) fn set(&mut self, node: NodeId, column: ArrayRef) {
        self.columns[node] = Some(column);
    }

    /// The column of a node; NULL on rows outside its selection.
    pub(super) fn column(&mut self, node: NodeId) -> ArrayRef {
        if let Some(column) = &self.columns[node] {
            return column.clone();
        }
        let kind = &self.program.nodes[node].kind;
        let column = match kind {
            NodeKind::Event(index) => self.batch.column(*index).clone(),
            NodeKind::Expression { physical, inputs, schema, selection } => {
                self.expression(node, physical, (inputs, schema), *selection)
            }
            NodeKind::Lookup { lookup, column } => {
                let found = self.lookup(*lookup);
                let column = self.program.lookups[*lookup].column(&found, *column);
                column.unwrap_or_else(|_| self.nulls(node))
            }
            // Lanes run by stage, before anything asks for their results.
            NodeKind::Window { .. } => self.nulls(node),
        };
        self.columns[node] = Some(column.clone());
        column
    }

    fn nulls(&self, node: NodeId) -> ArrayRef {
        arrow::array::new_null_array(&self.program.nodes[node].data_type, self.batch.num_rows())
    }

    /// The rows of a selection; `None` stands for all.
    pub(super) fn selection(&mut self, selection: SelectionId) -> Option<BooleanBuffer> {
        let id = selection?;
        if let Some(rows) = &self.selections[id] {
            return Some(rows.clone());
        }
        let (parent, condition) =
            (self.program.selections[id].parent, self.program.selections[id].condition);
        let parent = self.selection(parent);
        // Many rules look for what most batches have none of: nothing more is computed for them then.
        let rows = match parent {
            Some(parent) if is_empty(&parent) => parent,
            Some(parent) => &self.fulfils(condition) & &parent,
            None => self.fulfils(condition),
        };
        self.selections[id] = Some(rows.clone());
        Some(rows)
    }

    fn fulfils(&mut self, condition: Condition) -> BooleanBuffer {
        match condition {
            Condition::True(node) => true_rows(&self.column(node)),
            Condition::Found(lookup, wanted) => {
                let found = Lookup::found(&self.lookup(lookup));
                let found = found.map_or(BooleanBuffer::new_unset(self.batch.num_rows()), |f| {
                    f.values().clone()
                });
                if wanted { found } else { !&found }
            }
        }
    }

    fn lookup(&mut self, lookup: usize) -> UInt32Array {
        if let Some(found) = &self.lookups[lookup] {
            return found.clone();
        }
        let program = self.program;
        let keys: Vec<ArrayRef> =
            program.lookups[lookup].keys.iter().map(|key| self.column(*key)).collect();
        let found = program.lookups[lookup]
            .find(&keys)
            .unwrap_or_else(|_| UInt32Array::new_null(self.batch.num_rows()));
        self.lookups[lookup] = Some(found.clone());
        found
    }

    fn expression(
        &mut self,
        node: NodeId,
        physical: &Arc<dyn PhysicalExpr>,
        (inputs, schema): (&[NodeId], &SchemaRef),
        selection: SelectionId,
    ) -> ArrayRef {
        let rows = self.selection(selection);
        if rows.as_ref().is_some_and(is_empty) {
            return self.nulls(node);
        }
        let columns: Vec<ArrayRef> = inputs.iter().map(|input| self.column(*input)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.batch.num_rows()));
        let table = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
        debug_assert!(table.is_ok(), "{node}: {table:?}");
        let Ok(table) = table else { return self.nulls(node) };
        match evaluate(physical, &table, rows.as_ref()) {
            Ok(column) => column,
            // One bad row must not take its batch along: row by row, the failing ones give NULL.
            Err(_) => self.row_by_row(node, physical, &table, rows.as_ref()),
        }
    }

    fn row_by_row(
        &mut self,
        node: NodeId,
        physical: &Arc<dyn PhysicalExpr>,
        table: &RecordBatch,
        rows: Option<&BooleanBuffer>,
    ) -> ArrayRef {
        let null = arrow::array::new_null_array(&self.program.nodes[node].data_type, 1);
        let mut failures = 0;
        let cells: Vec<ArrayRef> = (0..table.num_rows())
            .map(|row| {
                if rows.is_some_and(|rows| !rows.value(row)) {
                    return null.clone();
                }
                evaluate(physical, &table.slice(row, 1), None).unwrap_or_else(|_| {
                    failures += 1;
                    null.clone()
                })
            })
            .collect();
        self.failures.push((node, failures));
        let cells: Vec<&dyn Array> = cells.iter().map(AsRef::as_ref).collect();
        arrow::compute::concat(&cells).unwrap_or_else(|_| self.nulls(node))
    }
}

fn evaluate(
    physical: &Arc<dyn PhysicalExpr>,
    table: &RecordBatch,
    rows: Option<&BooleanBuffer>,
) -> Result<ArrayRef, DataFusionError> {
    let value = match rows {
        None => physical.evaluate(table)?,
        Some(rows) => physical.evaluate_selection(table, &BooleanArray::new(rows.clone(), None))?,
    };
    value.into_array(table.num_rows())
}

/// Whether no row is in it.
pub(super) fn is_empty(rows: &BooleanBuffer) -> bool {
    rows.count_set_bits() == 0
}

/// The rows where a boolean column is true: neither false nor NULL.
pub(super) fn true_rows(column: &ArrayRef) -> BooleanBuffer {
    let Some(column) = column.as_boolean_opt() else {
        return BooleanBuffer::new_unset(column.len());
    };
    match column.nulls() {
        Some(nulls) => column.values() & nulls.inner(),
        None => column.values().clone(),
    }
}
