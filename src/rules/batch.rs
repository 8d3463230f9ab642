//! The oracle: a rule run by plain DataFusion over a whole table.
//!
//! DataFusion leaves two things open that a stream must decide, so the plan says them:
//! - rows of equal time have no order, yet `lag`, `first_value` and `last_value` depend on it: a hidden
//!   column `_order` (the order of the stream) breaks the ties of every sort below a window;
//! - `lag` has a horizon, and `FILTER` counts for `lag`, `first_value` and `last_value` too, which
//!   DataFusion 55 refuses.
//!
//! And one thing it gets wrong: see [`super::deviation`].

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions::core::expr_fn::{get_field, named_struct};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Window, WindowFunctionDefinition, lit, when,
};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, collect};

use super::context::{self, EVENTS};
use super::diagnosis::Refusal;
use super::positional::Positional;
use super::{Reference, Rule, deviation, qualify};
use crate::Result;
use crate::event::schema;

const ORDER: &str = "_order";

/// Runs one rule by plain DataFusion over a whole table of events in event-time order (batches of
/// [`schema::event_batch`]; the hidden columns are left out).
///
/// The columns are the query's own, the rows in event order.
///
/// # Errors
/// Whatever DataFusion says, with the place in the rule where it is known.
pub async fn run_batch(
    rule: &Rule,
    references: &[Reference],
    events: &[RecordBatch],
) -> Result<RecordBatch> {
    let session = context::session(ordered_schema(), with_order(events), references)?;
    deviation::register(&session);
    let run = async {
        let state = session.state();
        let plan = qualify::logical_plan(&state, &rule.sql).await?;
        let plan = declare_semantics(plan, rule.front.horizon_micros)?;
        let plan = carry_order(state.optimize(&plan)?)?;
        let plan = state.query_planner().create_physical_plan(&plan, &state).await?;
        let plan = break_ties(plan)?;
        let schema = plan.schema();
        let batches = collect(plan, session.task_ctx()).await?;
        in_stream_order(&schema, &batches)
    };
    run.await.map_err(|error: DataFusionError| Refusal::from(error).into_error(rule))
}

fn ordered_schema() -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = schema::events().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(ORDER, DataType::Int64, false)));
    Arc::new(Schema::new(fields))
}

fn with_order(events: &[RecordBatch]) -> Vec<RecordBatch> {
    let mut next = 0i64;
    let number = |batch: &RecordBatch| {
        let end = next + batch.num_rows() as i64;
        let mut columns = batch.columns()[..schema::N_COLUMNS].to_vec();
        columns.push(Arc::new(Int64Array::from_iter_values(next..end)));
        next = end;
        RecordBatch::try_new(ordered_schema(), columns).ok()
    };
    events.iter().filter_map(number).collect()
}

/// Rewrites the windows whose semantics DataFusion does not share.
fn declare_semantics(plan: LogicalPlan, horizon: Option<i64>) -> DataFusionResult<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Window(window) if window.window_expr.iter().any(needs_rewrite) => {
            rewrite_window(&window, horizon).map(Transformed::yes)
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

fn needs_rewrite(expr: &Expr) -> bool {
    positional_of(expr).is_some()
}

fn positional_of(expr: &Expr) -> Option<Positional> {
    let Expr::WindowFunction(function) = expr else { return None };
    Positional::of(function.fun.name())
}

fn rewrite_window(window: &Window, horizon: Option<i64>) -> DataFusionResult<LogicalPlan> {
    let mut windows = Vec::new();
    let mut outputs: Vec<Expr> =
        window.input.schema().columns().into_iter().map(Expr::Column).collect();
    for expr in &window.window_expr {
        let Expr::WindowFunction(function) = expr else {
            return Err(DataFusionError::Plan(format!("`{expr}` is no window function")));
        };
        let name = expr.schema_name().to_string();
        let (inner, output) = match positional_of(expr) {
            Some(positional) => rewrite_function(function, positional, horizon)?,
            None => (expr.clone(), Expr::Column(Column::new_unqualified(name.clone()))),
        };
        if !windows.contains(&inner) {
            windows.push(inner);
        }
        outputs.push(output.alias(name));
    }
    LogicalPlanBuilder::from(window.input.as_ref().clone())
        .window(windows)?
        .project(outputs)?
        .build()
}

/// `f(x) FILTER (WHERE p)` as `f(CASE WHEN p THEN {time, x} END) IGNORE NULLS`: the structure keeps a
/// NULL that counts apart from a row that does not.
fn rewrite_function(
    function: &WindowFunction,
    positional: Positional,
    horizon: Option<i64>,
) -> DataFusionResult<(Expr, Expr)> {
    let mut inner = function.clone();
    inner.fun = WindowFunctionDefinition::WindowUDF(positional.window_function());
    let params = &mut inner.params;
    let ignores_nulls = params.null_treatment == Some(NullTreatment::IgnoreNulls);
    let default = if params.args.len() > 2 { params.args.pop() } else { None };
    let (Some(argument), Some(sort)) = (params.args.first(), params.order_by.first()) else {
        let name = positional.sql_name();
        return Err(DataFusionError::Plan(format!("`{name}` needs an argument and ORDER BY time")));
    };
    let (argument, time) = (argument.clone(), sort.expr.clone());
    let row = named_struct(vec![lit("time"), time.clone(), lit("value"), argument.clone()]);
    let mut counts = params.filter.take().map_or(lit(true), |filter| *filter);
    if ignores_nulls {
        counts = counts.and(argument.is_not_null());
    }
    params.args[0] = when(counts, row).end()?;
    params.null_treatment = Some(NullTreatment::IgnoreNulls);
    let inner = Expr::WindowFunction(Box::new(inner));
    let found = Expr::Column(Column::new_unqualified(inner.schema_name().to_string()));
    let value = get_field(found.clone(), "value");
    let Some(horizon) = horizon.filter(|_| positional == Positional::Lag) else {
        return Ok((inner, value));
    };
    let interval = lit(ScalarValue::new_interval_mdn(0, 0, horizon.saturating_mul(1000)));
    let is_near = get_field(found.clone(), "time").gt_eq(time - interval);
    let default = default.unwrap_or_else(|| lit(ScalarValue::Null));
    let output = when(found.is_not_null().and(is_near), value).otherwise(default)?;
    Ok((inner, output))
}

/// Makes every node of an optimised plan pass the order of the stream on.
fn carry_order(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let carried = plan.transform_up(|node| match node {
        LogicalPlan::TableScan(mut scan) if scan.table_name.table() == EVENTS => {
            if let Some(mut projection) = scan.projection.take() {
                let order = schema::N_COLUMNS;
                if !projection.contains(&order) {
                    projection.push(order);
                }
                let (name, source, filters) = (scan.table_name, scan.source, scan.filters);
                let scan = datafusion::logical_expr::TableScanBuilder::new(name, source)
                    .with_projection(Some(projection))
                    .with_filters(filters)
                    .build()?;
                return Ok(Transformed::yes(LogicalPlan::TableScan(scan)));
            }
            Ok(Transformed::no(LogicalPlan::TableScan(scan)))
        }
        LogicalPlan::Projection(mut projection) => {
            let order = order_column(&projection.input);
            let has_it = projection.schema.fields().iter().any(|field| field.name() == ORDER);
            if let (Some(order), false) = (order, has_it) {
                projection.expr.push(order);
            }
            let plan = LogicalPlanBuilder::from(projection.input.as_ref().clone())
                .project(projection.expr)?
                .build()?;
            Ok(Transformed::yes(plan))
        }
        other => other.recompute_schema().map(Transformed::yes),
    })?;
    Ok(carried.data)
}

fn order_column(plan: &LogicalPlan) -> Option<Expr> {
    let columns = plan.schema().columns();
    columns.into_iter().find(|column| column.name == ORDER).map(Expr::Column)
}

/// Sorts rows of equal keys and time in the order of the stream.
fn break_ties(plan: Arc<dyn ExecutionPlan>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let broken = plan.transform_up(|node| {
        let Some(sort) = node.downcast_ref::<SortExec>() else { return Ok(Transformed::no(node)) };
        let input = sort.input().clone();
        let mut order: Vec<PhysicalSortExpr> = sort.expr().iter().cloned().collect();
        let Ok(tie_breaker) = col(ORDER, &input.schema()) else { return Ok(Transformed::no(node)) };
        order.push(PhysicalSortExpr::new_default(tie_breaker));
        let Some(order) = LexOrdering::new(order) else { return Ok(Transformed::no(node)) };
        let sort =
            SortExec::new(order, input).with_preserve_partitioning(sort.preserve_partitioning());
        Ok(Transformed::yes(Arc::new(sort) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(broken.data)
}

/// One batch, rows in stream order, without the hidden column.
fn in_stream_order(schema: &SchemaRef, batches: &[RecordBatch]) -> DataFusionResult<RecordBatch> {
    let all = concat_batches(schema, batches)?;
    let order = schema.index_of(ORDER)?;
    let by_order = SortColumn { values: all.column(order).clone(), options: None };
    let sorted = take_record_batch(&all, &lexsort_to_indices(&[by_order], None)?)?;
    let visible: Vec<usize> = (0..schema.fields().len()).filter(|index| *index != order).collect();
    Ok(sorted.project(&visible)?)
}
