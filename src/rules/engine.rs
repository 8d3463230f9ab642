//! All rules, running: lanes shared between them, one pass over each batch.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{Field, Schema, SchemaRef, TimestampMicrosecondType};

use super::cells::{self, CellColumn};
use super::context;
use super::diagnosis::{Refusal, refuse};
use super::evaluation::Evaluation;
use super::history::History;
use super::plan::Planner;
use super::program::{Mask, NodeId, NodeKind, Program, SelectionId, WindowOutput};
use super::{LaneStats, Matches, Reference, Rule, RuleStats, StateLimits};
use crate::alert::check_summary;
use crate::event::{TimeMicros, Witness, schema};
use crate::window::Interner;
use crate::window::Lane;
use crate::window::{LaneInput, LaneLimits, LaneOutput, mask_bit};
use crate::{Error, Result, suggest};

/// What one rule takes from the program.
pub(super) struct RulePlan {
    pub(super) selection: SelectionId,
    pub(super) columns: Vec<NodeId>,
    pub(super) schema: SchemaRef,
    /// Every node that the rule stands on.
    pub(super) nodes: Vec<NodeId>,
    /// The windows among them: lane and index of the window in it.
    pub(super) windows: Vec<(usize, usize)>,
}

/// A lane with what is known of the last batch.
struct RunningLane {
    lane: Lane,
    /// Rows of the batch that the lane took in, ascending.
    positions: Vec<u32>,
    /// The node of each result column.
    outputs: Vec<Option<NodeId>>,
}

/// All rules, running on shared lanes.
///
/// Feed it batches in event-time order by [`Engine::process`]; ask for [`Engine::witnesses`] of a match
/// before the next batch.
pub struct Engine {
    rules: Vec<Rule>,
    pub(super) plans: Vec<RulePlan>,
    pub(super) program: Program,
    lanes: Vec<RunningLane>,
    /// Lanes in the order in which they run.
    order: Vec<usize>,
    /// One interner for each node; those of columns that are no text stay empty.
    texts: Vec<Interner>,
    history: History,
    stats: Vec<RuleStats>,
    refused_texts: u64,
}

impl Engine {
    /// Plans the rules; those that cannot run exactly come back as diagnoses, the others run.
    ///
    /// # Errors
    /// When a reference table cannot be read.
    pub fn new(
        rules: Vec<Rule>,
        references: &[Reference],
        limits: StateLimits,
    ) -> Result<(Self, Vec<Error>)> {
        let context = context::planning_session(references)?;
        let mut refused = Vec::new();
        let mut sound = Vec::new();
        for rule in rules {
            // Planned apart first: a refused rule must leave nothing behind in the shared program.
            let trial = || plan_rule(&rule, &mut Program::default(), &context);
            // The planner is known to panic on odd queries: that must stop one rule only.
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(trial)) {
                Ok(Ok(_)) => sound.push(rule),
                Ok(Err(refusal)) => refused.push(refusal.into_error(&rule)),
                Err(_) => refused.push(refuse("the planner broke down on it").into_error(&rule)),
            }
        }
        let mut program = Program::default();
        let mut plans = Vec::new();
        let mut running = Vec::new();
        for rule in sound {
            match plan_rule(&rule, &mut program, &context) {
                Ok(plan) => {
                    plans.push(plan);
                    running.push(rule);
                }
                Err(refusal) => refused.push(refusal.into_error(&rule)),
            }
        }
        Ok((Self::start(running, plans, program, limits), refused))
    }

    fn start(
        rules: Vec<Rule>,
        plans: Vec<RulePlan>,
        program: Program,
        limits: StateLimits,
    ) -> Self {
        let lane_limits = LaneLimits { rows_max: limits.rows_max, keys_max: limits.keys_max };
        let lanes: Vec<RunningLane> = (0..program.lanes.len())
            .map(|lane| RunningLane {
                lane: Lane::new(&program.lane_spec(lane), lane_limits),
                positions: Vec::new(),
                outputs: output_nodes(&program, lane),
            })
            .collect();
        let mut order: Vec<usize> = (0..lanes.len()).collect();
        order.sort_by_key(|lane| program.lanes[*lane].stage);
        let horizons = text_horizons(&program);
        let texts = horizons.iter().map(|h| Interner::new(*h, limits.keys_max)).collect();
        Self {
            stats: vec![RuleStats::default(); rules.len()],
            history: History::default(),
            refused_texts: 0,
            rules,
            plans,
            program,
            lanes,
            order,
            texts,
        }
    }

    /// The rules that run; [`Matches::rule`] indexes them.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The columns of a rule's query.
    pub fn schema(&self, rule: usize) -> SchemaRef {
        self.plans[rule].schema.clone()
    }

    /// Runs one batch (schema [`crate::event::schema::event_batch`]) in event-time order: each
    /// group of equal times whole, no time older than any batch before.
    pub fn process(&mut self, batch: &RecordBatch) -> Vec<Matches> {
        let times = batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>().values();
        let (Some(&oldest), Some(&newest)) = (times.first(), times.last()) else {
            return Vec::new();
        };
        for running in &mut self.lanes {
            running.lane.advance(oldest, &self.texts);
        }
        self.texts.iter_mut().for_each(|texts| texts.advance(oldest, newest));
        self.trim_history();
        let program = std::mem::take(&mut self.program);
        let mut evaluation = Evaluation::new(&program, batch);
        let mut cells = CellCache::default();
        for position in 0..self.order.len() {
            self.run_lane(self.order[position], times, &program, &mut evaluation, &mut cells);
        }
        self.history.push(batch);
        let matches = self.matches(&mut evaluation, batch.num_rows());
        let failures = std::mem::take(&mut evaluation.failures);
        drop(evaluation);
        self.program = program;
        self.count_failures(&failures);
        matches
    }

    /// Keeps the witnesses of the rows that some lane's log still holds.
    fn trim_history(&mut self) {
        let oldest = self.lanes.iter().filter_map(|running| running.lane.oldest_row());
        let oldest = oldest.map(|low| self.history.row_number(low)).min();
        self.history.trim(oldest.unwrap_or(self.history.next_row()));
    }

    fn run_lane(
        &mut self,
        index: usize,
        times: &[TimeMicros],
        program: &Program,
        evaluation: &mut Evaluation<'_>,
        cells: &mut CellCache,
    ) {
        let draft = &program.lanes[index];
        for node in draft.keys.iter().chain(&draft.values) {
            self.refused_texts += cells.load(*node, evaluation, &mut self.texts);
        }
        let mut positions = lane_rows(draft, evaluation, times.len(), cells);
        let mut input = LaneInput::default();
        let first_row = self.history.next_row() as u32;
        input.times.extend(positions.iter().map(|row| times[*row as usize]));
        input.rows.extend(positions.iter().map(|row| first_row.wrapping_add(*row)));
        input.keys = key_parts(&draft.keys, &positions, cells);
        input.masks = mask_columns(&draft.masks, &positions, evaluation, cells, times.len());
        for node in &draft.values {
            let values = &cells.get(*node).values;
            input.values.push(positions.iter().map(|row| values[*row as usize]).collect());
        }
        let running = &mut self.lanes[index];
        let output = running.lane.push(input, &self.texts);
        remove_dropped(&mut positions, &output);
        running.positions = positions;
        for (column, node) in output.columns.iter().zip(&running.outputs) {
            let Some(node) = *node else { continue };
            let mut values = vec![0; times.len()];
            let mut valid = vec![false; times.len()];
            for (cell, row) in running.positions.iter().enumerate() {
                values[*row as usize] = column.values[cell];
                valid[*row as usize] = column.valid[cell];
            }
            let texts = text_domain(program, node).map(|domain| &self.texts[domain]);
            let data_type = &program.nodes[node].data_type;
            if let Ok(array) = cells::from_cells(&values, &valid, data_type, texts) {
                evaluation.set(node, array);
            }
        }
    }

    fn matches(&mut self, evaluation: &mut Evaluation<'_>, n_rows: usize) -> Vec<Matches> {
        let mut all = Vec::new();
        for (rule, plan) in self.plans.iter().enumerate() {
            let rows: Vec<u32> = match evaluation.selection(plan.selection) {
                Some(rows) => rows.set_indices_u32().collect(),
                None => (0..n_rows as u32).collect(),
            };
            self.stats[rule].evaluations += 1;
            self.stats[rule].matches += rows.len() as u64;
            if rows.is_empty() {
                continue;
            }
            let indices = UInt32Array::from(rows.clone());
            let columns: Vec<ArrayRef> =
                plan.columns.iter().map(|node| evaluation.column(*node)).collect();
            let taken: std::result::Result<Vec<ArrayRef>, _> =
                columns.iter().map(|column| take(column, &indices, None)).collect();
            let table = taken.and_then(|t| RecordBatch::try_new(plan.schema.clone(), t));
            match table {
                Ok(columns) => all.push(Matches { rule, rows, columns }),
                Err(_) => self.stats[rule].errors += rows.len() as u64,
            }
        }
        all
    }

    fn count_failures(&mut self, failures: &[(NodeId, u64)]) {
        for (node, count) in failures {
            for (plan, stats) in self.plans.iter().zip(&mut self.stats) {
                if plan.nodes.binary_search(node).is_ok() {
                    stats.errors += count;
                }
            }
        }
    }

    /// The rows inside the frames of `rule` at `row` of the batch that was processed last, in time
    /// order, the row itself among them. Newest `max` rows; the second value counts all.
    pub fn witnesses(&self, rule: usize, row: u32, max: usize) -> (Vec<Witness>, usize) {
        let last_batch = self.history.next_row();
        let mut rows = BTreeSet::new();
        for &(lane, window) in &self.plans[rule].windows {
            let running = &self.lanes[lane];
            let Ok(position) = running.positions.binary_search(&row) else { continue };
            running.lane.visit_frame(window, position, |low| {
                rows.insert(self.history.row_number(low));
            });
        }
        debug_assert!(rows.last().is_none_or(|last| *last < last_batch));
        if let Some(first) = self.history.first_row_of_newest_batch() {
            rows.insert(first + u64::from(row));
        }
        let total = rows.len();
        let newest = rows.into_iter().skip(total.saturating_sub(max));
        (newest.filter_map(|row| self.history.witness(row)).collect(), total)
    }

    /// Sizes of all lanes, and of the evidence kept for them.
    pub fn lane_stats(&self) -> Vec<LaneStats> {
        let mut stats: Vec<LaneStats> = self
            .lanes
            .iter()
            .enumerate()
            .map(|(index, running)| LaneStats {
                name: self.lane_name(index),
                keys: running.lane.n_keys(),
                rows: running.lane.n_rows(),
                bytes: running.lane.bytes(),
                dropped_rows: running.lane.dropped_rows(),
            })
            .collect();
        stats.push(LaneStats {
            name: "evidence".to_owned(),
            keys: 0,
            rows: self.history.n_rows(),
            bytes: self.history.bytes(),
            dropped_rows: 0,
        });
        stats.push(LaneStats {
            name: "texts".to_owned(),
            keys: self.texts.iter().map(Interner::len).sum(),
            rows: 0,
            bytes: self.texts.iter().map(Interner::bytes).sum(),
            dropped_rows: self.refused_texts,
        });
        stats
    }

    /// Counters of all rules, in the order of [`Engine::rules`].
    pub fn rule_stats(&self) -> &[RuleStats] {
        &self.stats
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<&str> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
        f.debug_struct("Engine").field("rules", &ids).finish_non_exhaustive()
    }
}

/// Cells of the columns that lanes use, read once a batch.
#[derive(Default)]
struct CellCache(HashMap<NodeId, CellColumn>);

impl CellCache {
    /// Reads the node's cells; gives the number of texts that a limit kept out.
    fn load(
        &mut self,
        node: NodeId,
        evaluation: &mut Evaluation<'_>,
        texts: &mut [Interner],
    ) -> u64 {
        if self.0.contains_key(&node) {
            return 0;
        }
        let column = evaluation.column(node);
        let cells = cells::to_cells(&column, &mut texts[node]).unwrap_or_else(|_| CellColumn {
            values: vec![0; column.len()],
            valid: Some(BooleanBuffer::new_unset(column.len())),
            refused: Vec::new(),
        });
        let refused = cells.refused.len() as u64;
        self.0.insert(node, cells);
        refused
    }

    fn get(&self, node: NodeId) -> &CellColumn {
        &self.0[&node]
    }
}

/// The rows that enter a lane: those of any of its selections whose key could be read.
fn lane_rows(
    draft: &super::program::LaneDraft,
    evaluation: &mut Evaluation<'_>,
    n_rows: usize,
    cells: &CellCache,
) -> Vec<u32> {
    let mut union: Option<BooleanBuffer> = Some(BooleanBuffer::new_unset(n_rows));
    for selection in &draft.selections {
        union = match (union, evaluation.selection(*selection)) {
            (Some(union), Some(rows)) => Some(&union | &rows),
            _ => None,
        };
    }
    let mut rows: Vec<u32> = match union {
        Some(union) => union.set_indices_u32().collect(),
        None => (0..n_rows as u32).collect(),
    };
    for key in &draft.keys {
        let refused = &cells.get(*key).refused;
        if !refused.is_empty() {
            rows.retain(|row| refused.binary_search(row).is_err());
        }
    }
    rows
}

/// Key parts of each row, then the bit set of those that are NULL.
fn key_parts(keys: &[NodeId], positions: &[u32], cells: &CellCache) -> Vec<u64> {
    let width = keys.len() + 1;
    let mut parts = vec![0; positions.len() * width];
    for (index, key) in keys.iter().enumerate() {
        let CellColumn { values, valid, .. } = cells.get(*key);
        for (row, part) in positions.iter().zip(parts.chunks_exact_mut(width)) {
            let is_valid = valid.as_ref().is_none_or(|valid| valid.value(*row as usize));
            if is_valid {
                part[index] = values[*row as usize];
            } else {
                part[width - 1] |= 1 << index;
            }
        }
    }
    parts
}

fn mask_columns(
    masks: &[Mask],
    positions: &[u32],
    evaluation: &mut Evaluation<'_>,
    cells: &mut CellCache,
    n_rows: usize,
) -> Vec<Vec<u8>> {
    let mut columns = vec![vec![0u8; positions.len()]; masks.len().div_ceil(8)];
    for (index, mask) in masks.iter().enumerate() {
        let (column, bit) = mask_bit(index);
        let mut rows = evaluation.selection(mask.selection);
        if let Some(filter) = mask.filter {
            let own = super::evaluation::true_rows(&evaluation.column(filter));
            rows = Some(rows.map_or(own.clone(), |rows| &rows & &own));
        }
        if let Some(valid) = mask.not_null.and_then(|node| cells.get(node).valid.clone()) {
            rows = Some(rows.map_or(valid.clone(), |rows| &rows & &valid));
        }
        let target = &mut columns[column];
        match rows {
            None => target.iter_mut().for_each(|bits| *bits |= bit),
            Some(rows) if positions.len() == n_rows => {
                rows.set_indices_u32().for_each(|row| target[row as usize] |= bit);
            }
            Some(rows) => {
                for (bits, row) in target.iter_mut().zip(positions) {
                    *bits |= if rows.value(*row as usize) { bit } else { 0 };
                }
            }
        }
    }
    columns
}

fn remove_dropped(positions: &mut Vec<u32>, output: &LaneOutput) {
    let mut index = 0;
    positions.retain(|_| {
        index += 1;
        output.dropped.binary_search(&(index - 1)).is_err()
    });
}

/// The nodes of a lane's result columns, in the order in which the lane gives them.
fn output_nodes(program: &Program, lane: usize) -> Vec<Option<NodeId>> {
    let draft = &program.lanes[lane];
    let mut wanted = Vec::new();
    for (window, (_, aggregates)) in draft.windows.iter().enumerate() {
        let of = |aggregate| WindowOutput::Aggregate { window, aggregate };
        wanted.extend((0..aggregates.len()).map(of));
    }
    wanted.extend((0..draft.lags.len()).map(WindowOutput::Lag));
    let node_of = |wanted: &WindowOutput| {
        program.nodes.iter().position(|node| {
            matches!(&node.kind, NodeKind::Window { lane: own, output } if *own == lane && output == wanted)
        })
    };
    wanted.iter().map(node_of).collect()
}

/// The interner of a window's result: that of the argument it passes on.
fn text_domain(program: &Program, node: NodeId) -> Option<NodeId> {
    let NodeKind::Window { lane, output } = &program.nodes[node].kind else { return None };
    let draft = &program.lanes[*lane];
    let value = match *output {
        WindowOutput::Aggregate { window, aggregate } => draft.windows[window].1[aggregate].value,
        WindowOutput::Lag(index) => draft.lags[index].value,
    };
    draft.values.get(value).copied()
}

/// How long the texts of each node must keep their ids.
fn text_horizons(program: &Program) -> Vec<TimeMicros> {
    let mut horizons = vec![0; program.nodes.len()];
    for draft in &program.lanes {
        let frames = draft.windows.iter().map(|(frame, _)| frame.start_micros);
        let lags = draft.lags.iter().map(|lag| lag.horizon_micros);
        let longest = frames.chain(lags).max().unwrap_or(0);
        for node in draft.keys.iter().chain(&draft.values) {
            horizons[*node] = longest.max(horizons[*node]);
        }
    }
    horizons
}

fn plan_rule(
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
    let mut windows: Vec<(usize, usize)> = Vec::new();
    for node in &nodes {
        if let NodeKind::Window { lane, output: WindowOutput::Aggregate { window, .. } } =
            program.nodes[*node].kind
        {
            windows.push((lane, window));
        }
    }
    windows.sort_unstable();
    windows.dedup();
    RulePlan { selection, columns, schema: Arc::new(schema), nodes, windows }
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
        _ => {
            return Err(refuse("the query does not give the event time as `time`")
                .hint("Add `time` to the SELECT list.")
                .anchor("SELECT"));
        }
    }
    if let Err(error) = check_summary(&rule.front.summary, &names) {
        let refusal = refuse(error.message).anchor("summary");
        return Err(error.hint.map_or(refusal.clone(), |hint| refusal.hint(hint)));
    }
    let entity = rule.front.entity.as_str();
    if !names.contains(&entity) {
        let refusal = refuse(format!("the query has no column `{entity}`, which `entity` names"));
        return Err(match suggest(entity, names) {
            Some(near) => refusal.hint(format!("Did you mean `{near}`?")),
            None => refusal.hint("Add it to the SELECT list."),
        });
    }
    Ok(())
}
