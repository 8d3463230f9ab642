//! All rules, running: lanes shared between them, one pass over each batch.

use std::sync::OnceLock;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};

use super::cells;
use super::checkpoint::{PartEntry, SEAL_ROWS, TextPart, unsealed};
use super::context;
use super::diagnosis::refuse;
use super::evaluation::Evaluation;
use super::fingerprint::Fingerprints;
use super::history::History;
use super::lane_input::{CellCache, key_parts, lane_rows, mask_columns, remove_refused};
use super::program::{NodeId, NodeKind, Program, WindowOutput};
use super::rule_plan::{RulePlan, plan_rule};
use super::{LaneStats, Matches, Reference, Rule, RuleStats, StateLimits};
use crate::event::{TimeMicros, schema};
use crate::store::{Spill, SpillStats};
use crate::window::{Interner, Lane, LaneInput, LaneLimits, LaneOutput};
use crate::{Error, Result};

/// A lane with what is known of the last batch.
pub(super) struct RunningLane {
    pub(super) lane: Lane,
    /// Rows of the batch that the lane took in, ascending.
    pub(super) positions: Vec<u32>,
    /// The node of each result column.
    outputs: Vec<Option<NodeId>>,
    /// Blocks of rows that a checkpoint has written and that never change again.
    pub(super) sealed: Vec<PartEntry>,
    /// Waits for events that the other lanes have seen.
    pub(super) is_rebuilding: bool,
}

/// All rules, running on shared lanes.
///
/// Feed it batches in event-time order by [`Engine::process`]; ask for [`Engine::witnesses`] of a match
/// before the next batch.
pub struct Engine {
    rules: Vec<Rule>,
    pub(super) plans: Vec<RulePlan>,
    pub(super) program: Program,
    pub(super) lanes: Vec<RunningLane>,
    pub(super) lane_limits: LaneLimits,
    /// Lanes in the order in which they run.
    pub(super) order: Vec<usize>,
    /// One interner for each node; those of columns that are no text stay empty.
    pub(super) texts: Vec<Interner>,
    /// Blocks that checkpoints have written of each.
    pub(super) text_parts: Vec<Vec<TextPart>>,
    pub(super) history: History,
    stats: Vec<RuleStats>,
    pub(super) refused_texts: u64,
    pub(super) fingerprints: OnceLock<Fingerprints>,
    /// Earlier events were seen by an earlier process; only lanes that are rebuilt want them. The lowest
    /// of all times when nothing was taken back.
    pub(super) known_until: TimeMicros,
    /// Rows of the last batch that came before those that rules have seen.
    pub(super) n_reread: u32,
    /// Where old rows go when memory is short.
    pub(super) spill: Option<Spill>,
    /// What came in the way; nothing that is told after it could be believed.
    pub(super) failure: Option<Error>,
    keeps_evidence: bool,
}

impl RunningLane {
    /// Whether enough rows have come since the last block for another one.
    pub(super) fn is_sealable(&self) -> bool {
        let (from, end) = unsealed(&self.lane, &self.sealed);
        end - from >= SEAL_ROWS
    }
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
        Self::planned(rules, references, limits, |_| {})
    }

    /// The same, with a change to the program before it starts.
    pub(super) fn planned(
        rules: Vec<Rule>,
        references: &[Reference],
        limits: StateLimits,
        change: impl FnOnce(&mut Program),
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
        change(&mut program);
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
                sealed: Vec::new(),
                is_rebuilding: false,
            })
            .collect();
        let mut order: Vec<usize> = (0..lanes.len()).collect();
        order.sort_by_key(|lane| program.lanes[*lane].stage);
        let horizons = text_horizons(&program);
        let texts = horizons.iter().map(|h| Interner::new(*h, limits.keys_max)).collect();
        Self {
            text_parts: vec![Vec::new(); program.nodes.len()],
            lane_limits,
            fingerprints: OnceLock::new(),
            known_until: TimeMicros::MIN,
            n_reread: 0,
            spill: None,
            failure: None,
            keeps_evidence: true,
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

    /// Lets the disk have the old rows that memory has no room for. Ask for it before the first batch,
    /// and before [`Engine::restore`]. It changes no result.
    pub fn spill_to(&mut self, spill: Spill) {
        self.lanes.iter_mut().for_each(|running| running.lane.spill_to(spill.stream()));
        self.history.spill_to(spill.stream());
        self.spill = Some(spill);
    }

    /// From now on no row can be evidence.
    pub(super) fn keep_no_evidence(&mut self) {
        self.keeps_evidence = false;
    }

    /// The rules that run; [`Matches::rule`] indexes them.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The columns of a rule's query.
    pub fn schema(&self, rule: usize) -> SchemaRef {
        self.plans[rule].schema.clone()
    }

    /// The columns of `events` that a rule's rows or conditions stand on.
    pub fn columns_used(&self, rule: usize) -> Vec<&'static str> {
        let nodes = self.plans[rule].nodes.iter();
        let event = |node: &NodeId| match self.program.nodes[*node].kind {
            NodeKind::Event(index) => Some(schema::COLUMNS[index].name),
            _ => None,
        };
        nodes.filter_map(event).collect()
    }

    /// Runs one batch (schema [`crate::event::schema::event_batch`]) in event-time order: each
    /// group of equal times whole, no time older than any batch before.
    ///
    /// After [`Engine::restore`] events of the time before are for lanes that are rebuilt only.
    ///
    /// # Errors
    /// When rows do not come back from the disk: see [`Engine::spill_to`]. The engine is of no use then.
    pub fn process(&mut self, batch: &RecordBatch) -> Result<Vec<Matches>> {
        self.check()?;
        let matches = self.process_all(batch).and_then(|matches| {
            self.keep_within_memory()?;
            Ok(matches)
        });
        self.failure = matches.as_ref().err().cloned();
        matches
    }

    /// # Errors
    /// When rows did not come back before.
    pub(super) fn check(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn process_all(&mut self, batch: &RecordBatch) -> Result<Vec<Matches>> {
        let times = batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>().values();
        let n_known = times.partition_point(|time| *time < self.known_until);
        if n_known == 0 {
            self.n_reread = 0;
            return self.run(batch);
        }
        if self.is_rebuilding() {
            self.reread(&batch.slice(0, n_known))?;
        }
        self.n_reread = n_known as u32;
        let mut matches = self.run(&batch.slice(n_known, batch.num_rows() - n_known))?;
        for rows in matches.iter_mut().map(|matches| &mut matches.rows) {
            rows.iter_mut().for_each(|row| *row += self.n_reread);
        }
        Ok(matches)
    }

    /// Runs all lanes and rules.
    fn run(&mut self, batch: &RecordBatch) -> Result<Vec<Matches>> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        self.lanes.iter_mut().for_each(|running| running.is_rebuilding = false);
        let program = std::mem::take(&mut self.program);
        let mut evaluation = Evaluation::new(&program, batch);
        let ran = self.run_lanes(batch, &program, &mut evaluation, |_| true);
        let matches = ran.map(|()| self.matches(&mut evaluation, batch.num_rows()));
        let failures = std::mem::take(&mut evaluation.failures);
        drop(evaluation);
        self.program = program;
        self.count_failures(&failures);
        matches
    }

    /// Runs the lanes that are rebuilt, and no rule.
    fn reread(&mut self, batch: &RecordBatch) -> Result<()> {
        let program = std::mem::take(&mut self.program);
        let mut evaluation = Evaluation::new(&program, batch);
        let ran = self.run_lanes(batch, &program, &mut evaluation, |running| running.is_rebuilding);
        drop(evaluation);
        self.program = program;
        ran
    }

    fn run_lanes(
        &mut self,
        batch: &RecordBatch,
        program: &Program,
        evaluation: &mut Evaluation<'_>,
        takes_part: impl Fn(&RunningLane) -> bool,
    ) -> Result<()> {
        let times = batch.column(schema::TIME).as_primitive::<TimestampMicrosecondType>().values();
        let (Some(&oldest), Some(&newest)) = (times.first(), times.last()) else { return Ok(()) };
        for running in self.lanes.iter_mut().filter(|running| takes_part(running)) {
            running.lane.advance(oldest, &self.texts)?;
        }
        self.texts.iter_mut().for_each(|texts| texts.advance(oldest, newest));
        self.trim_history()?;
        let mut cells = CellCache::default();
        for position in 0..self.order.len() {
            let lane = self.order[position];
            if takes_part(&self.lanes[lane]) {
                self.run_lane(lane, times, program, evaluation, &mut cells)?;
            }
        }
        if self.keeps_evidence {
            self.history.push(batch);
        } else {
            self.history.skip(batch.num_rows());
        }
        Ok(())
    }

    fn run_lane(
        &mut self,
        index: usize,
        times: &[TimeMicros],
        program: &Program,
        evaluation: &mut Evaluation<'_>,
        cells: &mut CellCache,
    ) -> Result<()> {
        let draft = &program.lanes[index];
        let mut positions = lane_rows(draft, evaluation, times.len());
        if positions.is_empty() {
            // The columns are NULL everywhere, as those of a lane that has not run.
            self.lanes[index].positions.clear();
            return Ok(());
        }
        for node in draft.keys.iter().chain(&draft.values) {
            self.refused_texts += cells.load(*node, &positions, evaluation, &mut self.texts);
        }
        remove_refused(&draft.keys, &mut positions, cells);
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
        let output = running.lane.push(input, &self.texts)?;
        remove_dropped(&mut positions, &output);
        running.positions = positions;
        for (column, node) in output.columns.into_iter().zip(&running.outputs) {
            let Some(node) = *node else { continue };
            let texts = text_domain(program, node).map(|domain| &self.texts[domain]);
            let data_type = &program.nodes[node].data_type;
            let array =
                cells::from_cells(column, &running.positions, times.len(), data_type, texts);
            if let Ok(array) = array {
                evaluation.set(node, array);
            }
        }
        Ok(())
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
                rows_on_disk: running.lane.n_rows_on_disk(),
                dropped_rows: running.lane.dropped_rows(),
            })
            .collect();
        stats.push(LaneStats {
            name: "evidence".to_owned(),
            keys: 0,
            rows: self.history.n_rows(),
            bytes: self.history.bytes(),
            rows_on_disk: self.history.n_rows_on_disk(),
            dropped_rows: 0,
        });
        stats.push(LaneStats {
            name: "texts".to_owned(),
            keys: self.texts.iter().map(Interner::len).sum(),
            rows: 0,
            bytes: self.texts.iter().map(Interner::bytes).sum(),
            rows_on_disk: 0,
            dropped_rows: self.refused_texts,
        });
        stats
    }

    /// What went to the disk and came back.
    pub fn spill_stats(&self) -> SpillStats {
        self.spill.as_ref().map(Spill::stats).unwrap_or_default()
    }

    /// Whether two rules let the same rows through, by the same parts of the program.
    #[cfg(test)]
    pub(crate) fn select_alike(&self, one: usize, other: usize) -> bool {
        self.plans[one].selection == self.plans[other].selection
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
        let longest = draft.horizon_micros();
        for node in draft.keys.iter().chain(&draft.values) {
            horizons[*node] = longest.max(horizons[*node]);
        }
    }
    horizons
}
