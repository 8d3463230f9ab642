//! One rule in the program that all rules share.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::Rule;
use super::context;
use super::diagnosis::{Refusal, refuse};
use super::front_matter;
use super::plan::Planner;
use super::program::{NodeId, NodeKind, Program, SelectionId, WindowOutput};
use crate::alert::check_summary;
use crate::event::schema;
use crate::suggest;

/// What one rule takes from the program.
pub(super) struct RulePlan {
    pub(super) selection: SelectionId,
    pub(super) columns: Vec<NodeId>,
    pub(super) schema: SchemaRef,
    /// Every node that the rule stands on.
    pub(super) nodes: Vec<NodeId>,
    /// The aggregates among them, by lane and index of the window in it.
    pub(super) aggregates: BTreeMap<(usize, usize), Vec<usize>>,
}

/// Adds a rule to a program.
///
/// # Errors
/// With what cannot be run exactly, and why.
pub(super) fn plan_rule(
    rule: &Rule,
    program: &mut Program,
    context: &datafusion::execution::context::SessionContext,
) -> std::result::Result<RulePlan, Refusal> {
    let optimised = context::optimised_plan(rule, context)?;
    let mut planner = Planner { program, context, horizon_micros: rule.front.horizon_micros };
    let relation = planner.plan(&optimised)?;
    let fields: Vec<Field> = optimised
        .schema()
        .fields()
        .iter()
        .zip(&relation.columns)
        .map(|(field, node)| Field::new(field.name(), program.nodes[*node].data_type.clone(), true))
        .collect();
    let plan = finish(program, relation.selection, relation.columns, Schema::new(fields));
    check_columns(rule, program, &plan)?;
    Ok(plan)
}

fn finish(
    program: &Program,
    selection: SelectionId,
    columns: Vec<NodeId>,
    schema: Schema,
) -> RulePlan {
    let nodes = program.reachable(&columns, selection);
    let mut aggregates: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for node in &nodes {
        if let NodeKind::Window { lane, output: WindowOutput::Aggregate { window, aggregate } } =
            program.nodes[*node].kind
        {
            aggregates.entry((lane, window)).or_default().push(aggregate);
        }
    }
    RulePlan { selection, columns, schema: Arc::new(schema), nodes, aggregates }
}

/// A rule must give the event time and the column that names its entity.
fn check_columns(
    rule: &Rule,
    program: &mut Program,
    plan: &RulePlan,
) -> std::result::Result<(), Refusal> {
    let time = program.event(schema::TIME, &schema::time_type());
    let names: Vec<&str> = plan.schema.fields().iter().map(|field| field.name().as_str()).collect();
    match names.iter().position(|name| *name == "time") {
        Some(position) if plan.columns[position] == time => {}
        Some(_) => {
            return Err(refuse("`time` is not the event time")
                .detail("The column of that name must be `time` of `events`, unchanged.")
                .hint("Give the other value another name by AS.")
                .anchor("time"));
        }
        None => {
            return Err(refuse("the query does not give the event time as `time`")
                .hint("Add `time` to the SELECT list.")
                .anchor("SELECT"));
        }
    }
    let entity = rule.front.entity.as_str();
    if !names.contains(&entity) {
        let refusal = refuse(format!("the query has no column `{entity}`, which `entity` names"));
        let hint = match suggest(entity, names) {
            Some(near) => format!("Did you mean `{near}`?"),
            None => "Add it to the SELECT list.".to_owned(),
        };
        return Err(refusal.hint(hint).span(front_matter::place_of_key(&rule.sql, "entity")));
    }
    check_summary(&rule.front.summary, &names).map_err(|error| {
        let refusal = refuse(error.message).span(front_matter::place_of_key(&rule.sql, "summary"));
        error.hint.map_or(refusal.clone(), |hint| refusal.hint(hint))
    })
}
