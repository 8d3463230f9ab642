//! The DataFusion session that rules are planned in.

use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::prelude::SessionConfig;

use super::diagnosis::{Refusal, refuse};
use super::{Reference, Rule, distance, plan, positional, qualify, statement};
use crate::event::schema;
use crate::{Error, Result};

/// Name of the table of events.
pub(super) const EVENTS: &str = "events";

/// A session with `events` (holding `batches`) and the reference tables.
///
/// One partition and no repartitioning: sums of floats then come out the same every time.
pub(super) fn session(
    events_schema: SchemaRef,
    batches: Vec<RecordBatch>,
    references: &[Reference],
) -> Result<SessionContext> {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(false)
        .set_bool("datafusion.sql_parser.collect_spans", true)
        .set_bool("datafusion.optimizer.enable_window_topn", false);
    let context = SessionContext::new_with_config(config);
    // Equal expressions run once here anyway; and DataFusion 55 may replace the keys of one window and
    // not of another in the same node, on which its physical planner then panics.
    context.remove_optimizer_rule("common_sub_expression_eliminate");
    positional::register(&context);
    distance::register(&context);
    register(&context, EVENTS, events_schema, batches)?;
    for reference in references {
        let (schema, batches) = read_csv(reference)?;
        register(&context, &reference.name, schema, batches)?;
    }
    Ok(context)
}

/// An empty `events` table as rules see it.
pub(super) fn planning_session(references: &[Reference]) -> Result<SessionContext> {
    session(schema::events(), Vec::new(), references)
}

/// Parses, plans and optimises a rule.
///
/// # Errors
/// What DataFusion says; what needs the whole log; clocks and chance, which would make two runs over
/// one log differ.
pub(super) fn optimised_plan(
    rule: &Rule,
    context: &SessionContext,
) -> Result<LogicalPlan, Refusal> {
    statement::check(&rule.sql)?;
    let state = context.state();
    let plan = super::block_on(qualify::logical_plan(&state, &rule.sql)).map_err(|error| {
        let windows = statement::named_windows(&rule.sql);
        Refusal::from(error).suggest_from(&table_names(context), &windows)
    })?;
    refuse_commands(&plan)?;
    refuse_clocks(&plan)?;
    plan::refuse_whole_log(&plan)?;
    Ok(state.optimize(&plan)?)
}

fn table_names(context: &SessionContext) -> Vec<String> {
    let catalogs = context.catalog_names().into_iter().filter_map(|name| context.catalog(&name));
    let schemas = catalogs.flat_map(|catalog| {
        catalog.schema_names().into_iter().filter_map(move |name| catalog.schema(&name))
    });
    let mut names: Vec<String> = schemas.flat_map(|schema| schema.table_names()).collect();
    names.sort();
    names
}

/// `SELECT ... INTO` begins as a query does.
fn refuse_commands(plan: &LogicalPlan) -> Result<(), Refusal> {
    match plan {
        LogicalPlan::Ddl(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::Statement(_) => Err(refuse("the statement is no query")
            .detail("A rule reads events; it changes nothing.")
            .hint("Write SELECT ... FROM events.")
            .anchor("INTO")),
        _ => Ok(()),
    }
}

/// Must see the plan before it is optimised: the optimiser replaces `now()` by the time of planning.
fn refuse_clocks(plan: &LogicalPlan) -> Result<(), Refusal> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::ScalarFunction(call) = part
                    && call.func.signature().volatility != Volatility::Immutable
                {
                    found = Some(call.func.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let Some(function) = found else { return Ok(()) };
    let mut refusal = refuse(format!("`{}()` reads a clock or chance", function.name()))
        .detail("The same log must give the same alerts, live and in replay.")
        .hint("Use the event's own `time`.")
        .anchor(function.name());
    for alias in function.aliases() {
        refusal = refusal.anchor(alias);
    }
    Err(refusal)
}

fn register(
    context: &SessionContext,
    name: &str,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<()> {
    let refused = |error: datafusion::error::DataFusionError| {
        Error::usage(format!("the table `{name}` cannot be used")).detail(format!("{error}."))
    };
    let table = MemTable::try_new(schema, vec![batches]).map_err(refused)?;
    let replaced = context.register_table(name, Arc::new(table)).map_err(refused)?;
    match replaced {
        None => Ok(()),
        Some(_) => Err(Error::usage(format!("two tables have the name `{name}`"))
            .hint("Rename the reference table in the configuration.")),
    }
}

fn read_csv(reference: &Reference) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let place = reference.file.display().to_string();
    let refused = |detail: String| {
        Error::usage(format!("the reference table `{}` cannot be read", reference.name))
            .at(place.clone())
            .detail(format!("{detail}."))
            .hint("Name a CSV file with a header row.")
    };
    let format = Format::default().with_header(true);
    let open = || File::open(&reference.file).map_err(|error| refused(error.to_string()));
    let (schema, _) =
        format.infer_schema(open()?, None).map_err(|error| refused(error.to_string()))?;
    let schema = Arc::new(schema);
    let reader = ReaderBuilder::new(schema.clone())
        .with_header(true)
        .build(open()?)
        .map_err(|error| refused(error.to_string()))?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| refused(e.to_string()))?;
    Ok((schema, batches))
}
