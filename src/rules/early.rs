//! Which rules may be told before the time of their events is over.
//!
//! A rule qualifies when rows that are still to come can only make it truer: then a match over some of
//! the rows is a match over all of them (a monotone query in the sense of Ameloot et al., "Relational
//! transducers for declarative networking", J. ACM 60(2), 2013). Its conditions compare counts and
//! extremes with what does not change, in the direction in which they grow.

use std::collections::HashMap;

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::engine::Engine;
use super::program::{Condition, NodeId, NodeKind, Program, SelectionId, WindowOutput, node_id};
use super::rule_plan::RulePlan;
use super::{Reference, Rule, StateLimits};
use crate::Result;
use crate::event::{TimeMicros, schema};
use crate::window::{Frame, Function};

/// A row that comes so far behind the newest one counts as if it were as new; one that comes later is
/// left out of the early pass. Frames begin so much later, so that no such row stays too long.
pub(crate) const SLACK_MICROS: TimeMicros = 2_000_000;
/// Longer frames would be kept twice for a minute's gain.
const FRAME_MAX_MICROS: TimeMicros = 7 * 86_400_000_000;

/// Rules that are told early, in an engine of their own that keeps no evidence.
pub struct EarlyEngine {
    /// Runs over rows as they arrive.
    pub engine: Engine,
    /// For each of its rules the index in the engine whose answer is exact.
    pub rules: Vec<usize>,
}

impl Engine {
    /// The rules that may be told early, over frames that begin a little later; `None` without any.
    ///
    /// # Errors
    /// When a reference table cannot be read.
    pub fn early(
        &self,
        references: &[Reference],
        limits: StateLimits,
    ) -> Result<Option<EarlyEngine>> {
        let rules: Vec<usize> =
            (0..self.rules().len()).filter(|rule| self.why_not_early(*rule).is_none()).collect();
        let chosen: Vec<Rule> = rules.iter().map(|rule| self.rules()[*rule].clone()).collect();
        if chosen.is_empty() {
            return Ok(None);
        }
        // All of them were planned before.
        let (mut engine, _) = Self::planned(chosen, references, limits, shorten_frames)?;
        engine.keep_no_evidence();
        Ok(Some(EarlyEngine { engine, rules }))
    }

    /// Why a rule cannot be told early; `None` when it can.
    pub(super) fn why_not_early(&self, rule: usize) -> Option<&'static str> {
        let (program, plan) = (&self.program, &self.plans[rule]);
        let analysis = Analysis { program, expressions: program.expressions() };
        let entity = plan.schema.index_of(&self.rules()[rule].front.entity);
        match entity.map(|column| analysis.change(plan.columns[column])) {
            Ok(Change::Fixed) => analysis.why_not(plan),
            _ => Some("more events may change its entity"),
        }
    }
}

/// Lets frames begin later.
fn shorten_frames(program: &mut Program) {
    let windows = program.lanes.iter_mut().flat_map(|lane| &mut lane.windows);
    for (frame, _) in windows {
        frame.start_micros = frame.end_micros.max(frame.start_micros - SLACK_MICROS);
    }
}

/// What rows that are added can do to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Nothing.
    Fixed,
    /// It grows, or was NULL before. Of a condition: it becomes true, and stays so.
    Grows,
    /// It shrinks, or was NULL before.
    Shrinks,
    /// It is not known.
    Unknown,
}

impl Change {
    fn reversed(self) -> Self {
        match self {
            Self::Grows => Self::Shrinks,
            Self::Shrinks => Self::Grows,
            other => other,
        }
    }

    /// Of a sum.
    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fixed, change) | (change, Self::Fixed) => change,
            (one, other) if one == other => one,
            _ => Self::Unknown,
        }
    }

    /// Of a condition that holds when this value is large.
    fn when_large(self) -> Self {
        if self == Self::Shrinks { Self::Unknown } else { self }
    }
}

struct Analysis<'a> {
    program: &'a Program,
    expressions: HashMap<NodeId, &'a Expr>,
}

impl Analysis<'_> {
    fn why_not(&self, plan: &RulePlan) -> Option<&'static str> {
        plan.nodes.iter().find_map(|node| self.why_not_known(*node)).or_else(|| {
            let holds = self.stays_true(plan.selection);
            (!holds).then_some("a condition may become false when more events come")
        })
    }

    /// Why a column has no value, or another one, when a row has just come.
    fn why_not_known(&self, node: NodeId) -> Option<&'static str> {
        let is_time =
            |node: &NodeId| matches!(self.program.nodes[*node].kind, NodeKind::Event(schema::TIME));
        match &self.program.nodes[node].kind {
            NodeKind::Event(column) => (*column >= schema::N_SENT)
                .then_some("what is learned is known when earlier events have come"),
            NodeKind::Expression { inputs, .. } => {
                inputs.iter().any(is_time).then_some("it computes with `time`")
            }
            NodeKind::Lookup { .. } => None,
            NodeKind::Window { lane, output } => {
                let draft = &self.program.lanes[*lane];
                let (value, frame) = match *output {
                    WindowOutput::Lag(_) => return Some("`lag` asks for the row before"),
                    WindowOutput::Aggregate { window, aggregate } => {
                        let (frame, aggregates) = &draft.windows[window];
                        let spec = aggregates[aggregate];
                        let takes_value = spec.function != Function::Count;
                        (draft.values.get(spec.value).filter(|_| takes_value), *frame)
                    }
                };
                if draft.stage > 0 {
                    return Some("a window counts results of another window");
                }
                let uses_time = draft.keys.iter().chain(value).any(is_time);
                if uses_time {
                    Some("a window takes `time` as a value")
                } else {
                    why_not_frame(frame)
                }
            }
        }
    }

    /// Whether a row that is let through now is let through when more rows have come.
    fn stays_true(&self, selection: SelectionId) -> bool {
        let Some(id) = selection else { return true };
        let selection = self.program.selections[id];
        let holds = match selection.condition {
            Condition::True(node) => {
                matches!(self.change(node), Change::Fixed | Change::Grows)
            }
            Condition::Found(lookup, _) => {
                let keys = &self.program.lookups[lookup].keys;
                keys.iter().all(|key| self.change(*key) == Change::Fixed)
            }
        };
        holds && self.stays_true(selection.parent)
    }

    fn change(&self, node: NodeId) -> Change {
        match &self.program.nodes[node].kind {
            NodeKind::Event(_) => Change::Fixed,
            NodeKind::Lookup { lookup, .. } => {
                let keys = &self.program.lookups[*lookup].keys;
                let is_fixed = keys.iter().all(|key| self.change(*key) == Change::Fixed);
                if is_fixed { Change::Fixed } else { Change::Unknown }
            }
            NodeKind::Expression { .. } => {
                self.expressions.get(&node).map_or(Change::Unknown, |expr| self.change_of(expr))
            }
            NodeKind::Window { lane, output: WindowOutput::Aggregate { window, aggregate } } => {
                match self.program.lanes[*lane].windows[*window].1[*aggregate].function {
                    Function::Count | Function::CountDistinct | Function::Largest(_) => {
                        Change::Grows
                    }
                    Function::Smallest(_) => Change::Shrinks,
                    _ => Change::Unknown,
                }
            }
            NodeKind::Window { .. } => Change::Unknown,
        }
    }

    fn change_of(&self, expr: &Expr) -> Change {
        match expr {
            Expr::Column(column) => {
                node_id(&column.name).map_or(Change::Unknown, |node| self.change(node))
            }
            Expr::Literal(..) => Change::Fixed,
            Expr::Alias(alias) => self.change_of(&alias.expr),
            Expr::IsTrue(inner) => self.change_of(inner),
            Expr::IsNotNull(inner) => match self.change_of(inner) {
                Change::Shrinks => Change::Grows,
                change => change,
            },
            Expr::Cast(cast) if cast.field.data_type().is_numeric() => self.cast(&cast.expr),
            Expr::BinaryExpr(binary) => self.binary(binary),
            other => self.if_fixed(other),
        }
    }

    /// A number as another type of number.
    fn cast(&self, expr: &Expr) -> Change {
        let is_number = match expr {
            Expr::Column(column) => node_id(&column.name)
                .is_some_and(|node| self.program.nodes[node].data_type.is_numeric()),
            _ => false,
        };
        if is_number { self.change_of(expr) } else { self.if_fixed(expr) }
    }

    fn binary(&self, BinaryExpr { left, op, right }: &BinaryExpr) -> Change {
        let (left, right) = (self.change_of(left), self.change_of(right));
        match op {
            Operator::Plus => left.plus(right),
            Operator::Minus => left.plus(right.reversed()),
            Operator::Gt | Operator::GtEq => left.plus(right.reversed()).when_large(),
            Operator::Lt | Operator::LtEq => right.plus(left.reversed()).when_large(),
            Operator::And | Operator::Or => left.plus(right).when_large(),
            _ if (left, right) == (Change::Fixed, Change::Fixed) => Change::Fixed,
            _ => Change::Unknown,
        }
    }

    fn if_fixed(&self, expr: &Expr) -> Change {
        let is_fixed = expr.column_refs().iter().all(|column| {
            node_id(&column.name).is_some_and(|node| self.change(node) == Change::Fixed)
        });
        if is_fixed { Change::Fixed } else { Change::Unknown }
    }
}

fn why_not_frame(frame: Frame) -> Option<&'static str> {
    if frame.start_micros - frame.end_micros <= SLACK_MICROS {
        return Some("a window is as short as events may be out of order");
    }
    (frame.start_micros > FRAME_MAX_MICROS).then_some("a window is longer than a week")
}
