//! From one rule's SQL to nodes of the [`Program`]: a walk over DataFusion's optimised logical plan.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, ScalarValue};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Projection, TableScan, Window};

use super::context::EVENTS;
use super::diagnosis::{Refusal, refuse};
use super::lookup::{Doubles, Lookup, Nulls};
use super::program::{Condition, NodeId, Program, SelectionId, node_name};
use super::window_plan;
use crate::event::schema;

/// The columns of a plan node, in the order of its schema, and the rows that it lets through.
pub(super) struct Relation {
    pub(super) columns: Vec<NodeId>,
    pub(super) selection: SelectionId,
}

/// Adds rules to a program.
pub(super) struct Planner<'a> {
    pub(super) program: &'a mut Program,
    pub(super) context: &'a SessionContext,
    /// How far `lag` may look back.
    pub(super) horizon_micros: Option<i64>,
}

impl Planner<'_> {
    /// The relation that an optimised plan computes.
    ///
    /// # Errors
    /// With what cannot be run exactly, and why.
    pub(super) fn plan(&mut self, plan: &LogicalPlan) -> Result<Relation, Refusal> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.plan(&alias.input),
            LogicalPlan::Filter(filter) => {
                let input = self.plan(&filter.input)?;
                self.filter(input, &filter.predicate, filter.input.schema())
            }
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            other => Err(unsupported(other)),
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Relation, Refusal> {
        if scan.table_name.table() != EVENTS {
            return Err(refuse(
                "a rule reads the table `events`; a reference table can only be joined to it",
            )
            .anchor(scan.table_name.table()));
        }
        let all: Vec<usize> = (0..schema::N_COLUMNS).collect();
        let indices = scan.projection.as_ref().unwrap_or(&all);
        let events = schema::events();
        let columns = indices
            .iter()
            .map(|index| self.program.event(*index, events.field(*index).data_type()))
            .collect();
        let mut relation = Relation { columns, selection: None };
        for predicate in &scan.filters {
            relation = self.filter(relation, predicate, &scan.projected_schema)?;
        }
        Ok(relation)
    }

    fn filter(
        &mut self,
        input: Relation,
        predicate: &Expr,
        schema: &DFSchema,
    ) -> Result<Relation, Refusal> {
        let node = self.expression(predicate, schema, &input)?;
        let selection = self.program.select(input.selection, Condition::True(node));
        Ok(Relation { columns: input.columns, selection })
    }

    fn projection(&mut self, projection: &Projection) -> Result<Relation, Refusal> {
        let input = self.plan(&projection.input)?;
        let schema = projection.input.schema();
        let columns = projection
            .expr
            .iter()
            .map(|expr| self.expression(expr, schema, &input))
            .collect::<Result<_, _>>()?;
        Ok(Relation { columns, selection: input.selection })
    }

    fn window(&mut self, window: &Window) -> Result<Relation, Refusal> {
        let input = self.plan(&window.input)?;
        let mut columns = input.columns.clone();
        for expr in &window.window_expr {
            let data_type = window.schema.field(columns.len()).data_type().clone();
            let Expr::WindowFunction(function) = expr.clone().unalias() else {
                return Err(refuse(format!("`{expr}` is no window function")));
            };
            columns.push(self.window_function(&function, window, &input, data_type)?);
        }
        Ok(Relation { columns, selection: input.selection })
    }

    fn window_function(
        &mut self,
        function: &WindowFunction,
        window: &Window,
        input: &Relation,
        data_type: DataType,
    ) -> Result<NodeId, Refusal> {
        let schema = window.input.schema();
        let params = &function.params;
        let name = window_plan::name_of(function);
        self.check_order(function, schema, input)?;
        let keys = params
            .partition_by
            .iter()
            .map(|key| self.cell_expression(key, schema, input))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.len() > 32 {
            return Err(refuse("a window has more than 32 partition keys").anchor(name));
        }
        let filter = params
            .filter
            .as_ref()
            .map(|filter| self.expression(filter, schema, input))
            .transpose()?;
        let argument = match params.args.first() {
            Some(Expr::Literal(value, _)) if !value.is_null() && name == "count" => None,
            Some(argument) => Some(self.cell_expression(argument, schema, input)?),
            None => None,
        };
        let call = window_plan::Call {
            function,
            keys,
            selection: input.selection,
            filter,
            argument,
            data_type,
            ignores_nulls: params.null_treatment == Some(NullTreatment::IgnoreNulls),
        };
        window_plan::add(self, call)
    }

    /// A window must be ordered by the event time, ascending: the order in which the stream comes.
    fn check_order(
        &mut self,
        function: &WindowFunction,
        schema: &DFSchema,
        input: &Relation,
    ) -> Result<(), Refusal> {
        let name = window_plan::name_of(function);
        let order = &function.params.order_by;
        let time = self.program.event(schema::TIME, &schema::time_type());
        let refusal = || {
            refuse(format!("the window of `{name}` is not ordered by the event time"))
                .detail("Rows come in the order of `time`; any other order needs the whole log.")
                .hint("Write ORDER BY time RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW.")
                .anchor(name)
        };
        let [sort] = order.as_slice() else { return Err(refusal()) };
        let node = self.expression(&sort.expr, schema, input)?;
        if node != time || !sort.asc { Err(refusal()) } else { Ok(()) }
    }

    /// An expression whose values the window core can hold.
    fn cell_expression(
        &mut self,
        expr: &Expr,
        schema: &DFSchema,
        input: &Relation,
    ) -> Result<NodeId, Refusal> {
        let node = self.expression(expr, schema, input)?;
        let data_type = &self.program.nodes[node].data_type;
        match super::cells::cell_type(data_type) {
            Some(_) => Ok(node),
            None => Err(refuse(format!("a window cannot hold values of type {data_type}"))
                .hint("Cast it to text, a number or a timestamp.")),
        }
    }

    /// The node of a scalar expression over a relation.
    pub(super) fn expression(
        &mut self,
        expr: &Expr,
        schema: &DFSchema,
        input: &Relation,
    ) -> Result<NodeId, Refusal> {
        let expr = expr.clone().unalias_nested().data;
        if let Expr::Column(column) = &expr {
            return Ok(input.columns[schema.index_of_column(column)?]);
        }
        refuse_subquery(&expr)?;
        let label = expr.to_string();
        let rewritten = expr.transform(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            let node = input.columns[schema.index_of_column(column)?];
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(node_name(node)))))
        })?;
        Ok(self.program.expression(rewritten.data, input.selection, &label)?)
    }

    /// The cell of a constant, as the window core would hold it. Texts are not possible.
    pub(super) fn constant(&self, value: &ScalarValue) -> Option<u64> {
        match value {
            ScalarValue::Int64(Some(value)) => Some(value.cast_unsigned()),
            ScalarValue::UInt64(Some(value)) => Some(*value),
            ScalarValue::Float64(Some(value)) => Some(value.to_bits()),
            ScalarValue::Boolean(Some(value)) => Some(u64::from(*value)),
            ScalarValue::TimestampMicrosecond(Some(value), _) => Some(value.cast_unsigned()),
            _ => None,
        }
    }

    fn join(&mut self, join: &Join) -> Result<Relation, Refusal> {
        let (left_reads, right_reads) = (reads_events(&join.left), reads_events(&join.right));
        let (events_left, kind) = match (left_reads, right_reads, join.join_type) {
            (true, false, JoinType::Inner) => (true, Kind::Required),
            (false, true, JoinType::Inner) => (false, Kind::Required),
            (true, false, JoinType::Left) => (true, Kind::Optional),
            (false, true, JoinType::Right) => (false, Kind::Optional),
            (true, false, JoinType::LeftSemi) => (true, Kind::Present),
            (true, false, JoinType::LeftAnti) if join.null_aware => (true, Kind::NotIn),
            (true, false, JoinType::LeftAnti) => (true, Kind::Absent),
            _ => return Err(unsupported_join(join)),
        };
        if join.filter.is_some() || join.on.is_empty() {
            return Err(refuse("a reference table can only be joined by equal keys")
                .hint("Write JOIN staff ON staff.name = events.actor.")
                .anchor("JOIN"));
        }
        let (events, table) =
            if events_left { (&join.left, &join.right) } else { (&join.right, &join.left) };
        let input = self.plan(events)?;
        let lookup = self.lookup(join, events.schema(), &input, table, events_left, kind)?;
        Ok(self.joined(input, lookup, table.schema().fields().len(), events_left, kind))
    }

    fn joined(
        &mut self,
        input: Relation,
        lookup: usize,
        n_columns: usize,
        events_left: bool,
        kind: Kind,
    ) -> Relation {
        let selection = match kind {
            Kind::Required | Kind::Present => {
                self.program.select(input.selection, Condition::Found(lookup, true))
            }
            Kind::Absent | Kind::NotIn => {
                self.program.select(input.selection, Condition::Found(lookup, false))
            }
            Kind::Optional => input.selection,
        };
        let mut columns = input.columns;
        if matches!(kind, Kind::Required | Kind::Optional) {
            let found: Vec<NodeId> =
                (0..n_columns).map(|c| self.program.lookup_column(lookup, c)).collect();
            columns =
                if events_left { [columns, found].concat() } else { [found, columns].concat() };
        }
        Relation { columns, selection }
    }

    fn lookup(
        &mut self,
        join: &Join,
        schema: &DFSchema,
        input: &Relation,
        table: &LogicalPlan,
        events_left: bool,
        kind: Kind,
    ) -> Result<usize, Refusal> {
        let mut keys = Vec::new();
        let mut table_keys = Vec::new();
        for (left, right) in &join.on {
            let (event, reference) = if events_left { (left, right) } else { (right, left) };
            keys.push(self.expression(event, schema, input)?);
            table_keys.push(reference.clone());
        }
        let (table, table_keys) = self.collect(table, &table_keys)?;
        let doubles = match kind {
            Kind::Required | Kind::Optional => Doubles::Refused,
            Kind::Present | Kind::Absent | Kind::NotIn => Doubles::Allowed,
        };
        let nulls = if matches!(kind, Kind::NotIn) { Nulls::Match } else { Nulls::Differ };
        let lookup = Lookup::new(keys, input.selection, table, &table_keys, doubles, nulls)?;
        let lookup = lookup.ok_or_else(|| {
            refuse("two rows of the reference table have the same key")
                .detail("Each event may find one row, else it would count more than once.")
                .hint("Remove the double row, or select DISTINCT keys from the table.")
                .anchor("JOIN")
        })?;
        self.program.lookups.push(lookup);
        Ok(self.program.lookups.len() - 1)
    }

    /// Runs the part of the plan that reads reference tables only.
    fn collect(
        &self,
        plan: &LogicalPlan,
        keys: &[Expr],
    ) -> Result<(arrow::array::RecordBatch, Vec<arrow::array::ArrayRef>), Refusal> {
        let n_columns = plan.schema().fields().len();
        let mut exprs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        exprs.extend(keys.iter().enumerate().map(|(i, key)| key.clone().alias(format!("_key{i}"))));
        let builder = datafusion::logical_expr::LogicalPlanBuilder::from(plan.clone());
        let plan = builder.project(exprs)?.build()?;
        let collect = async {
            let frame = datafusion::dataframe::DataFrame::new(self.context.state(), plan);
            let schema = frame.schema().inner().clone();
            let batches = frame.collect().await?;
            Ok::<_, datafusion::error::DataFusionError>((schema, batches))
        };
        let (schema, batches) = super::block_on(collect)?;
        let all = arrow::compute::concat_batches(&schema, &batches)?;
        let keys = all.columns()[n_columns..].to_vec();
        let indices: Vec<usize> = (0..n_columns).collect();
        Ok((all.project(&indices)?, keys))
    }
}

/// What a join does to the events.
#[derive(Clone, Copy)]
enum Kind {
    Required,
    Optional,
    Present,
    Absent,
    /// Absent as `NOT IN` has it: what is compared with NULL is not known to be absent.
    NotIn,
}

/// Refuses what has no answer before the log ends: the optimiser would hide what was written.
///
/// # Errors
/// With the part of the query that it is.
pub(super) fn refuse_whole_log(plan: &LogicalPlan) -> Result<(), Refusal> {
    if !reads_events(plan) {
        return Err(refuse("the query does not read `events`")
            .hint("Write FROM events; reference tables are joined to it.")
            .anchor("FROM")
            .anchor("SELECT"));
    }
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        let needs_all = matches!(
            node,
            LogicalPlan::Aggregate(_)
                | LogicalPlan::Distinct(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::Limit(_)
                | LogicalPlan::Union(_)
                | LogicalPlan::RecursiveQuery(_)
        );
        if needs_all && reads_events(node) {
            found = Some(unsupported(node));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    found.map_or(Ok(()), Err)
}

/// What the optimiser could not turn into a join.
fn refuse_subquery(expr: &Expr) -> Result<(), Refusal> {
    let is_subquery = |part: &Expr| {
        matches!(part, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_))
    };
    if expr.exists(|part| Ok(is_subquery(part)))? {
        return Err(refuse("a subquery inside an expression cannot run on a stream").hint(
            "Join the reference table by a key, or write WHERE ... IN (SELECT ...) of its own.",
        ));
    }
    Ok(())
}

fn reads_events(plan: &LogicalPlan) -> bool {
    plan.exists(|part| {
        Ok(matches!(part, LogicalPlan::TableScan(scan) if scan.table_name.table() == EVENTS))
    })
    .unwrap_or(true)
}

fn unsupported_join(join: &Join) -> Refusal {
    let kind = join.join_type.to_string().to_uppercase();
    let refusal = if reads_events(&join.left) && reads_events(&join.right) {
        refuse("events are joined with events")
            .detail(
                "Each event would wait for all others; only small reference tables can be joined.",
            )
            .hint("Use a window over `events`.")
    } else {
        refuse(format!("this {kind} join cannot run on a stream"))
            .hint("Use JOIN, LEFT JOIN, IN or NOT IN with a reference table.")
    };
    refusal.anchor("JOIN").anchor("EXISTS").anchor("IN").anchor("FROM")
}

fn unsupported(plan: &LogicalPlan) -> Refusal {
    let (what, hint, anchor) = match plan {
        LogicalPlan::Aggregate(aggregate) => (
            if aggregate.group_expr.is_empty() {
                "an aggregate without a window has no answer before the stream ends"
            } else {
                "GROUP BY has no answer before the stream ends"
            },
            "Use a window: count(*) OVER (PARTITION BY ... ORDER BY time RANGE BETWEEN ... PRECEDING AND CURRENT ROW).",
            "GROUP",
        ),
        LogicalPlan::Distinct(distinct) if matches!(**distinct.input(), LogicalPlan::Union(_)) => {
            return unsupported(distinct.input());
        }
        LogicalPlan::Distinct(_) => (
            "DISTINCT over a stream needs state without end",
            "Leave it out: matches of one entity become one alert.",
            "DISTINCT",
        ),
        LogicalPlan::RecursiveQuery(_) => (
            "WITH RECURSIVE over events has no answer before the stream ends",
            "Use windows, one over the results of another.",
            "RECURSIVE",
        ),
        LogicalPlan::Sort(_) => (
            "ORDER BY needs the whole log",
            "Leave it out: rows come in the order of `time`.",
            "ORDER",
        ),
        LogicalPlan::Limit(_) => (
            "LIMIT depends on where the stream begins",
            "Leave it out; QUALIFY chooses rows.",
            "LIMIT",
        ),
        LogicalPlan::Union(_) => {
            ("UNION is not supported", "Write one rule for each part.", "UNION")
        }
        LogicalPlan::EmptyRelation(_) => (
            "the query can never give a row",
            "Look for a condition that contradicts itself.",
            "WHERE",
        ),
        _ => (
            "this part of the query cannot run on a stream",
            "Use SELECT ... FROM events with windows.",
            "SELECT",
        ),
    };
    refuse(what).hint(hint).anchor(anchor)
}
