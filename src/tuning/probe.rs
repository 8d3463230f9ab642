//! The conditions of a rule's last filter as columns of its own answer: whether each is true, both sides
//! of each comparison, and how a side moves with the number in it. DataFusion evaluates them on the row
//! that fired, over the same windows.

use std::collections::HashMap;
use std::ops::ControlFlow;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef, TimeUnit};
use datafusion::execution::context::SessionContext;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Select, SelectItem, UnaryOperator, VisitMut, VisitorMut,
};
use serde_json::{Map, Value};

use super::filter::{
    Clause, Filter, Leaf, Threshold, Tree, has_subquery, mentions, reach, replace,
};
use crate::alert::json_value;
use crate::event::TimeMicros;
use crate::rules::{Rule, block_on};

/// Name of the table that holds one row of a rule's answer.
const FIRED: &str = "fired";

/// Begins the name of every probe.
const PREFIX: &str = "nightlatch_probe_";

/// Whether a column is a probe, rather than one of the rule's own.
pub(crate) fn is_probe(column: &str) -> bool {
    column.starts_with(PREFIX)
}

fn test_name(leaf: usize) -> String {
    format!("{PREFIX}test_{leaf}")
}

fn left_name(leaf: usize) -> String {
    format!("{PREFIX}left_{leaf}")
}

fn right_name(leaf: usize) -> String {
    format!("{PREFIX}right_{leaf}")
}

fn side_name(threshold: usize, value: usize) -> String {
    format!("{PREFIX}side_{threshold}_{value}")
}

/// Numbers that a threshold is replaced by, to see how its side moves.
const TRIALS: [f64; 3] = [0.0, 1.0, 2.0];

/// A probe: the name of its column, and what it computes.
type Column = (String, Expr);

/// The probes of one leaf.
fn columns(filter: &Filter, leaf: usize) -> Vec<Column> {
    let parts = &filter.leaves[leaf];
    if has_subquery(&parts.test) {
        return Vec::new();
    }
    let mut columns = vec![(test_name(leaf), parts.test.clone())];
    let Some(comparison) = &parts.comparison else { return columns };
    columns.push((left_name(leaf), comparison.left.clone()));
    columns.push((right_name(leaf), comparison.right.clone()));
    let own = filter.thresholds.iter().enumerate().filter(|(_, one)| one.leaf == leaf);
    for (number, threshold) in own {
        let side = if threshold.on_the_left { &comparison.left } else { &comparison.right };
        if is_number(side) {
            continue;
        }
        columns.extend(TRIALS.iter().enumerate().map(|(trial, value)| {
            let mut side = side.clone();
            replace(&mut side, threshold, *value);
            (side_name(number, trial), side)
        }));
    }
    columns
}

/// Whether the side is the number itself.
fn is_number(side: &Expr) -> bool {
    match side {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
            is_number(inner)
        }
        Expr::Value(_) => true,
        _ => false,
    }
}

/// The rule with all probes as further columns; same id, same version, same matches.
pub(crate) fn probed(rule: &Rule, filter: &Filter) -> Rule {
    let mut query = filter.query.clone();
    let mut names = Vec::new();
    if let Some(select) = reach(&mut query, &filter.steps) {
        let aliases = aliases(select);
        for (leaf, parts) in filter.leaves.iter().enumerate() {
            for (name, mut expr) in columns(filter, leaf) {
                if parts.clause == Clause::Qualify {
                    let _ = expr.visit(&mut Resolve { aliases: &aliases }); // never breaks off
                }
                let alias = Ident::new(name.clone());
                select.projection.push(SelectItem::ExprWithAlias { expr, alias });
                names.push(name);
            }
        }
    }
    // The queries that read this one hand the probes on.
    for outer in 0..filter.steps.len() {
        let Some(select) = reach(&mut query, &filter.steps[..outer]) else { continue };
        if !select.projection.iter().any(is_wildcard) {
            let columns = names.iter().map(|name| Expr::Identifier(Ident::new(name.clone())));
            select.projection.extend(columns.map(SelectItem::UnnamedExpr));
        }
    }
    Rule { sql: query.to_string(), ..rule.clone() }
}

fn is_wildcard(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}

/// A name as SQL compares it.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// What each alias of the SELECT list stands for.
fn aliases(select: &Select) -> HashMap<String, Expr> {
    let named = select.projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } => Some((folded(alias), expr.clone())),
        _ => None,
    });
    named.collect()
}

/// QUALIFY may name a column of the SELECT list, which another column of that list may not.
struct Resolve<'a> {
    aliases: &'a HashMap<String, Expr>,
}

impl VisitorMut for Resolve<'_> {
    type Break = ();

    // After its parts: what is put in is of the query's input, and means what it says.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && let Some(meant) = self.aliases.get(&folded(name))
        {
            *expr = Expr::Nested(Box::new(meant.clone()));
        }
        ControlFlow::Continue(())
    }
}

/// Whether a condition is true on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    /// False or NULL: either way it lets nothing through.
    False,
    /// The row does not hold what it asks for.
    Unknown,
}

/// One leaf on one row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) truth: Truth,
    /// The value of the left side; `None`: not known.
    pub(crate) left: Option<Value>,
    pub(crate) right: Option<Value>,
    /// Left less right, of times in seconds.
    pub(crate) difference: Option<f64>,
    /// Left by right.
    pub(crate) ratio: Option<f64>,
    /// Both sides are times.
    pub(crate) is_time: bool,
}

/// How left less right depends on a threshold: `at_zero + slope * threshold`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) at_zero: f64,
    pub(crate) slope: f64,
}

/// All leaves on one row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeenRow {
    pub(crate) time: TimeMicros,
    /// The rule's own columns.
    pub(crate) values: Map<String, Value>,
    pub(crate) leaves: Vec<Seen>,
    /// For each threshold; `None` where it is not known, or no straight line.
    pub(crate) lines: Vec<Option<Line>>,
}

/// Reads the probes of a row.
pub(crate) fn read(filter: &Filter, batch: &RecordBatch, row: usize) -> SeenRow {
    let mut leaves: Vec<Seen> =
        (0..filter.leaves.len()).map(|leaf| seen(batch, row, leaf)).collect();
    conclude(&filter.tree, &mut leaves);
    let thresholds = filter.thresholds.iter().enumerate();
    let lines = thresholds.map(|(number, one)| line(batch, row, number, one)).collect();
    let own = batch.schema_ref().fields().iter().zip(batch.columns());
    let own = own.filter(|(field, _)| !is_probe(field.name()));
    let values = own.map(|(field, column)| (field.name().clone(), json_value(column, row)));
    let time = batch.column_by_name("time").and_then(|column| micros(column.as_ref(), row));
    SeenRow { time: time.unwrap_or_default(), values: values.collect(), leaves, lines }
}

/// What the whole filter asks for is true on every row that fired, known or not.
fn conclude(tree: &Tree, leaves: &mut [Seen]) {
    match tree {
        Tree::Leaf(leaf) if leaves[*leaf].truth == Truth::Unknown => {
            leaves[*leaf].truth = Truth::True;
        }
        Tree::All(parts) => parts.iter().for_each(|part| conclude(part, leaves)),
        Tree::Leaf(_) | Tree::Any(_) => {}
    }
}

fn seen(batch: &RecordBatch, row: usize, leaf: usize) -> Seen {
    let column = |name: String| batch.column_by_name(&name).map(AsRef::as_ref);
    let truth = match column(test_name(leaf)).map(AsArray::as_boolean_opt) {
        Some(Some(test)) if test.is_valid(row) && test.value(row) => Truth::True,
        Some(_) => Truth::False,
        None => Truth::Unknown,
    };
    let (left, right) = (column(left_name(leaf)), column(right_name(leaf)));
    let value = |side: Option<&dyn Array>| side.map(|side| json_value(side, row));
    let times = left.zip(right).and_then(|(l, r)| micros(l, row).zip(micros(r, row)));
    let numbers = left.zip(right).and_then(|(l, r)| number(l, row).zip(number(r, row)));
    #[allow(clippy::cast_precision_loss)] // 285 years are exact to the microsecond
    let seconds = times.map(|(left, right)| left.saturating_sub(right) as f64 / 1e6);
    Seen {
        truth,
        left: value(left),
        right: value(right),
        difference: seconds.or(numbers.map(|(left, right)| left - right)),
        ratio: numbers.filter(|(_, right)| *right != 0.0).map(|(left, right)| left / right),
        is_time: times.is_some(),
    }
}

fn line(batch: &RecordBatch, row: usize, number_of: usize, threshold: &Threshold) -> Option<Line> {
    let at = |name: String| number(batch.column_by_name(&name)?.as_ref(), row);
    let side = match TRIALS.iter().enumerate().map(|(t, _)| at(side_name(number_of, t))).collect() {
        // The side is the number itself.
        None if batch.column_by_name(&side_name(number_of, 0)).is_none() => vec![0.0, 1.0, 2.0],
        None => return None,
        Some::<Vec<f64>>(values) => values,
    };
    let (at_zero, slope) = (*side.first()?, side.get(1)? - side.first()?);
    let bend = side.get(2)? - side.get(1)? - slope;
    if bend.abs() > 1e-9 * slope.abs().max(1.0) {
        return None;
    }
    if threshold.on_the_left {
        let other = at(right_name(threshold.leaf))?;
        Some(Line { at_zero: at_zero - other, slope })
    } else {
        let other = at(left_name(threshold.leaf))?;
        Some(Line { at_zero: other - at_zero, slope: -slope })
    }
}

/// A number of any type.
fn number(array: &dyn Array, row: usize) -> Option<f64> {
    let is_number = array.data_type().is_numeric();
    let cell =
        if is_number { cast(&array.slice(row, 1), &DataType::Float64).ok()? } else { return None };
    let cell = cell.as_primitive::<Float64Type>();
    cell.is_valid(0).then(|| cell.value(0)).filter(|value| value.is_finite())
}

/// An instant of any unit.
fn micros(array: &dyn Array, row: usize) -> Option<TimeMicros> {
    let DataType::Timestamp(_, zone) = array.data_type() else { return None };
    let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    let cell = cast(&array.slice(row, 1), &micros).ok()?;
    let cell = cast(&cell, &DataType::Int64).ok()?;
    let cell = cell.as_primitive::<Int64Type>();
    cell.is_valid(0).then(|| cell.value(0))
}

/// The same from an alert: the probes that the columns in it can answer, on the row it tells of.
///
/// `row` holds the values of all columns by name. `None` when they answer nothing.
pub(crate) fn of_alert(
    filter: &Filter,
    schema: &SchemaRef,
    row: &Map<String, Value>,
) -> Option<SeenRow> {
    let fired = one_row(schema, row)?;
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut columns = columns_of(&fired);
    let n_own = columns.len();
    let context = SessionContext::new();
    context.register_batch(FIRED, fired).ok()?;
    let mut filter_query = filter.query.clone();
    // Queries around the filter may give its columns other names.
    let select = reach(&mut filter_query, &filter.steps).filter(|_| filter.steps.is_empty())?;
    for (leaf, parts) in filter.leaves.iter().enumerate() {
        if is_answerable(select, parts, &names) {
            columns.extend(answers(&context, self::columns(filter, leaf)).unwrap_or_default());
        }
    }
    if columns.len() == n_own {
        return None;
    }
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    Some(read(filter, &batch.ok()?, 0))
}

type Answer = (String, arrow::array::ArrayRef);

fn columns_of(batch: &RecordBatch) -> Vec<Answer> {
    let fields = batch.schema_ref().fields().iter().zip(batch.columns());
    fields.map(|(field, column)| (field.name().clone(), column.clone())).collect()
}

/// What the alert says, in the types of the rule's columns.
fn one_row(schema: &SchemaRef, row: &Map<String, Value>) -> Option<RecordBatch> {
    let mut reader = arrow::json::ReaderBuilder::new(schema.clone()).build_decoder().ok()?;
    reader.serialize(&[row]).ok()?;
    reader.flush().ok()?
}

fn answers(context: &SessionContext, columns: Vec<Column>) -> Option<Vec<Answer>> {
    let items: Vec<String> =
        columns.iter().map(|(name, expr)| format!("{expr} AS {name}")).collect();
    if items.is_empty() {
        return None;
    }
    let query = format!("SELECT {} FROM {FIRED}", items.join(", "));
    let run = async { context.sql(&query).await?.collect().await };
    let batches = block_on(run).ok()?;
    let batch = batches.iter().find(|batch| batch.num_rows() == 1)?;
    Some(columns_of(batch))
}

/// Whether the columns of an alert mean in the condition what they mean in the alert.
fn is_answerable(select: &Select, leaf: &Leaf, columns: &[&str]) -> bool {
    let aliases = aliases(select);
    let passed_on: Vec<String> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(folded(name)),
            _ => None,
        })
        .collect();
    let wildcard = select.projection.iter().any(is_wildcard);
    let is_there = |name: &Ident| {
        let name = folded(name);
        let by_alias = leaf.clause == Clause::Qualify && aliases.contains_key(&name);
        let as_it_is = !aliases.contains_key(&name) && (wildcard || passed_on.contains(&name));
        columns.contains(&&*name) && (by_alias || as_it_is)
    };
    !mentions(&leaf.test, |part| match part {
        Expr::Identifier(name) => !is_there(name),
        Expr::CompoundIdentifier(_) => true,
        Expr::Function(function) => function.over.is_some(),
        other => has_subquery(other),
    })
}
