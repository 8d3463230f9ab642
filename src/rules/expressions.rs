//! Expressions become nodes of the program, each once however many rules ask for it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};
use datafusion::physical_expr::create_physical_expr;

use super::program::{NodeId, NodeKind, Program, SelectionId, node_id, node_name};
use super::utc::for_utc;

impl Program {
    /// The expression's node; its columns are named as [`node_name`] says.
    pub(super) fn expression(
        &mut self,
        expr: Expr,
        selection: SelectionId,
        label: &str,
    ) -> Result<NodeId> {
        let selection = if is_infallible(&expr) { None } else { selection };
        if let Some(&node) = self.expressions.get(&(expr.clone(), selection)) {
            return Ok(node);
        }
        let shared = self.with_shared_conditions(for_utc(expr.clone(), &self.schema(&expr)?)?)?;
        let inputs = inputs_of(&shared);
        let df_schema = self.schema(&shared)?;
        let schema = df_schema.as_arrow();
        let physical =
            create_physical_expr(&shared, &df_schema, &ExecutionProps::new(), &Default::default())?;
        let data_type = physical.data_type(schema)?;
        let input_stages = inputs.iter().map(|input| self.nodes[*input].stage).max().unwrap_or(0);
        let stage = input_stages.max(self.selection_stage(selection));
        let schema = Arc::new(schema.clone());
        let kind = NodeKind::Expression { physical, inputs, schema, selection };
        let node = self.add(kind, data_type, stage, label);
        self.expressions.insert((expr, selection), node);
        Ok(node)
    }

    /// The columns that an expression names.
    fn schema(&self, expr: &Expr) -> Result<DFSchema> {
        let field =
            |input: NodeId| Field::new(node_name(input), self.nodes[input].data_type.clone(), true);
        let fields: Vec<Field> = inputs_of(expr).into_iter().map(field).collect();
        DFSchema::try_from(Schema::new(fields))
    }

    /// Rules ask the same of an event again and again: the largest conditions inside the expression that
    /// cannot fail become columns of their own, which are computed once for all.
    fn with_shared_conditions(&mut self, expr: Expr) -> Result<Expr> {
        let schema = self.schema(&expr)?;
        let shared = expr.map_children(|child| {
            child.transform_down(|part| {
                let is_bare = matches!(part, Expr::Column(_) | Expr::Literal(..));
                let is_condition = !is_bare
                    && is_infallible(&part)
                    && !part.column_refs().is_empty()
                    && part.get_type(&schema)? == DataType::Boolean;
                if !is_condition {
                    return Ok(Transformed::no(part));
                }
                let node = self.expression(part, None, "condition")?;
                let column = Expr::Column(Column::new_unqualified(node_name(node)));
                Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
            })
        })?;
        Ok(shared.data)
    }
}

fn inputs_of(expr: &Expr) -> Vec<NodeId> {
    let mut inputs: Vec<NodeId> =
        expr.column_refs().into_iter().filter_map(|column| node_id(&column.name)).collect();
    inputs.sort_unstable();
    inputs
}

/// Whether an expression can be evaluated on rows that a `WHERE` has excluded: it cannot fail there.
fn is_infallible(expr: &Expr) -> bool {
    let mut infallible = true;
    let walked = expr.apply(|part| {
        infallible &= match part {
            Expr::Column(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::InList(_)
            | Expr::Alias(_) => true,
            Expr::Literal(value, _) => !matches!(value, ScalarValue::Struct(_)),
            Expr::BinaryExpr(binary) => {
                matches!(
                    binary.op,
                    Operator::And
                        | Operator::Or
                        | Operator::Eq
                        | Operator::NotEq
                        | Operator::Lt
                        | Operator::LtEq
                        | Operator::Gt
                        | Operator::GtEq
                        | Operator::IsDistinctFrom
                        | Operator::IsNotDistinctFrom
                )
            }
            _ => false,
        };
        Ok(if infallible { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && infallible
}
