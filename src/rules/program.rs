//! The columns that all rules together compute, as one graph without repetition.
//!
//! A node is a column over the rows of a batch; a selection is a subset of the rows. Equal expressions
//! and equal windows of different rules are one node, so they run once.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

use super::lookup::Lookup;
use crate::event::schema;
use crate::window::Frame;
use crate::window::{AggregateSpec, Function, LagSpec, LaneSpec};

/// Index of a [`Node`].
pub(super) type NodeId = usize;
/// Index of a [`Selection`]; `None` stands for all rows.
pub(super) type SelectionId = Option<usize>;

/// A column.
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) data_type: DataType,
    /// What it is, for people.
    pub(super) label: String,
    /// How many passes through lanes must have been made before it can be computed.
    pub(super) stage: usize,
}

/// How a column comes about.
pub(super) enum NodeKind {
    /// A column of the event batch.
    Event(usize),
    /// A scalar expression over other nodes, evaluated on the rows of a selection.
    Expression {
        physical: Arc<dyn PhysicalExpr>,
        inputs: Vec<NodeId>,
        /// The inputs as columns of a table, which is what `physical` takes.
        schema: SchemaRef,
        selection: SelectionId,
    },
    /// A result of a lane.
    Window { lane: usize, output: WindowOutput },
    /// A column of a reference table, looked up by key.
    Lookup { lookup: usize, column: usize },
}

/// Which result of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WindowOutput {
    Aggregate { window: usize, aggregate: usize },
    Lag(usize),
}

/// A subset of rows: those of the parent for which the condition is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Selection {
    pub(super) parent: SelectionId,
    pub(super) condition: Condition,
}

/// What a row must fulfil.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Condition {
    /// The boolean column is true.
    True(NodeId),
    /// A lookup found a row, or (`false`) did not.
    Found(usize, bool),
}

/// Which rows an aggregate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mask {
    pub(super) selection: SelectionId,
    /// `FILTER (WHERE ...)`.
    pub(super) filter: Option<NodeId>,
    /// The argument that must not be NULL.
    pub(super) not_null: Option<NodeId>,
}

/// A lane in the making.
pub(super) struct LaneDraft {
    pub(super) stage: usize,
    pub(super) keys: Vec<NodeId>,
    /// The rows that enter: those of any of these.
    pub(super) selections: Vec<SelectionId>,
    pub(super) masks: Vec<Mask>,
    pub(super) values: Vec<NodeId>,
    pub(super) windows: Vec<(Frame, Vec<AggregateSpec>)>,
    pub(super) lags: Vec<LagSpec>,
}

impl LaneDraft {
    /// How far back its longest frame or lag looks.
    pub(super) fn horizon_micros(&self) -> i64 {
        let frames = self.windows.iter().map(|(frame, _)| frame.start_micros);
        frames.chain(self.lags.iter().map(|lag| lag.horizon_micros)).max().unwrap_or(0)
    }
}

/// An aggregate as a rule asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AggregateRequest {
    pub(super) function: Function,
    pub(super) frame: Frame,
    pub(super) selection: SelectionId,
    pub(super) filter: Option<NodeId>,
    pub(super) argument: Option<NodeId>,
    pub(super) ignores_nulls: bool,
}

/// A `lag` as a rule asks for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LagRequest {
    pub(super) n: usize,
    pub(super) horizon_micros: i64,
    pub(super) selection: SelectionId,
    pub(super) filter: Option<NodeId>,
    pub(super) argument: NodeId,
    pub(super) default: Option<u64>,
    pub(super) ignores_nulls: bool,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Program {
    pub(super) nodes: Vec<Node>,
    pub(super) selections: Vec<Selection>,
    pub(super) lookups: Vec<Lookup>,
    pub(super) lanes: Vec<LaneDraft>,
    events: HashMap<usize, NodeId>,
    pub(super) expressions: HashMap<(Expr, SelectionId), NodeId>,
    windows: HashMap<(usize, usize, usize, bool), NodeId>,
}

/// Name of a node as a column of the expressions over it.
pub(super) fn node_name(node: NodeId) -> String {
    format!("n{node}")
}

/// The node of such a name.
pub(super) fn node_id(name: &str) -> Option<NodeId> {
    name.strip_prefix('n')?.parse().ok()
}

impl Program {
    pub(super) fn add(
        &mut self,
        kind: NodeKind,
        data_type: DataType,
        stage: usize,
        label: &str,
    ) -> NodeId {
        self.nodes.push(Node { kind, data_type, stage, label: label.to_owned() });
        self.nodes.len() - 1
    }

    /// The column of the event batch.
    pub(super) fn event(&mut self, index: usize, data_type: &DataType) -> NodeId {
        if let Some(&node) = self.events.get(&index) {
            return node;
        }
        let label = schema::COLUMNS[index].name;
        let node = self.add(NodeKind::Event(index), data_type.clone(), 0, label);
        self.events.insert(index, node);
        node
    }

    /// The column of a lookup.
    pub(super) fn lookup_column(&mut self, lookup: usize, column: usize) -> NodeId {
        let data_type = self.lookups[lookup].column_type(column);
        let stage = self.lookup_stage(lookup);
        self.add(NodeKind::Lookup { lookup, column }, data_type, stage, "reference")
    }

    fn lookup_stage(&self, lookup: usize) -> usize {
        let keys = self.lookups[lookup].keys.iter().map(|key| self.nodes[*key].stage);
        keys.max().unwrap_or(0).max(self.selection_stage(self.lookups[lookup].selection))
    }

    /// The expressions as they were written, over columns of the names that [`node_name`] gives.
    pub(super) fn expressions(&self) -> HashMap<NodeId, &Expr> {
        self.expressions.iter().map(|((expr, _), node)| (*node, expr)).collect()
    }

    /// The rows of `parent` that fulfil the condition.
    pub(super) fn select(&mut self, parent: SelectionId, condition: Condition) -> SelectionId {
        let selection = Selection { parent, condition };
        let found = self.selections.iter().position(|other| *other == selection);
        Some(found.unwrap_or_else(|| {
            self.selections.push(selection);
            self.selections.len() - 1
        }))
    }

    pub(super) fn selection_stage(&self, selection: SelectionId) -> usize {
        let Some(id) = selection else { return 0 };
        let Selection { parent, condition } = self.selections[id];
        let own = match condition {
            Condition::True(node) => self.nodes[node].stage,
            Condition::Found(lookup, _) => self.lookup_stage(lookup),
        };
        own.max(self.selection_stage(parent))
    }

    fn mask_stage(&self, selection: SelectionId, nodes: &[Option<NodeId>]) -> usize {
        let stages = nodes.iter().flatten().map(|node| self.nodes[*node].stage);
        stages.max().unwrap_or(0).max(self.selection_stage(selection))
    }

    /// The lane of a partition key at a stage.
    fn lane(&mut self, keys: &[NodeId], stage: usize, selection: SelectionId) -> usize {
        let found = self.lanes.iter().position(|lane| lane.stage == stage && lane.keys == keys);
        let lane = found.unwrap_or_else(|| {
            self.lanes.push(LaneDraft {
                stage,
                keys: keys.to_vec(),
                selections: Vec::new(),
                masks: Vec::new(),
                values: Vec::new(),
                windows: Vec::new(),
                lags: Vec::new(),
            });
            self.lanes.len() - 1
        });
        add_unique(&mut self.lanes[lane].selections, selection);
        lane
    }

    /// The node of an aggregate over a window.
    pub(super) fn aggregate(
        &mut self,
        keys: &[NodeId],
        request: &AggregateRequest,
        data_type: DataType,
        label: &str,
    ) -> NodeId {
        let inputs: Vec<Option<NodeId>> =
            keys.iter().map(|key| Some(*key)).chain([request.filter, request.argument]).collect();
        let stage = self.mask_stage(request.selection, &inputs);
        let lane = self.lane(keys, stage, request.selection);
        let draft = &mut self.lanes[lane];
        let respects_nulls = !request.ignores_nulls;
        let not_null = request.argument.filter(|_| !respects_nulls);
        let mask = Mask { selection: request.selection, filter: request.filter, not_null };
        let mask = add_unique(&mut draft.masks, mask);
        let value = request.argument.map_or(0, |node| add_unique(&mut draft.values, node));
        let valid = request.argument.filter(|_| respects_nulls).map(|node| {
            let mask = Mask { selection: None, filter: None, not_null: Some(node) };
            add_unique(&mut draft.masks, mask)
        });
        let spec = AggregateSpec { function: request.function, mask, value, valid };
        let window = match draft.windows.iter().position(|(frame, _)| *frame == request.frame) {
            Some(window) => window,
            None => {
                draft.windows.push((request.frame, Vec::new()));
                draft.windows.len() - 1
            }
        };
        let aggregate = add_unique(&mut draft.windows[window].1, spec);
        let output = WindowOutput::Aggregate { window, aggregate };
        self.window_node((lane, window, aggregate, false), output, data_type, stage, label)
    }

    /// The node of a `lag`.
    pub(super) fn lag(
        &mut self,
        keys: &[NodeId],
        request: &LagRequest,
        data_type: DataType,
        label: &str,
    ) -> NodeId {
        let inputs: Vec<Option<NodeId>> = keys
            .iter()
            .map(|key| Some(*key))
            .chain([request.filter, Some(request.argument)])
            .collect();
        let stage = self.mask_stage(request.selection, &inputs);
        let lane = self.lane(keys, stage, request.selection);
        let draft = &mut self.lanes[lane];
        let mask = Mask { selection: request.selection, filter: request.filter, not_null: None };
        let valid = Mask { selection: None, filter: None, not_null: Some(request.argument) };
        let spec = LagSpec {
            n: request.n,
            horizon_micros: request.horizon_micros,
            mask: add_unique(&mut draft.masks, mask),
            value: add_unique(&mut draft.values, request.argument),
            valid: add_unique(&mut draft.masks, valid),
            default: request.default,
            ignores_nulls: request.ignores_nulls,
        };
        let index = add_unique(&mut draft.lags, spec);
        self.window_node((lane, index, 0, true), WindowOutput::Lag(index), data_type, stage, label)
    }

    fn window_node(
        &mut self,
        key: (usize, usize, usize, bool),
        output: WindowOutput,
        data_type: DataType,
        stage: usize,
        label: &str,
    ) -> NodeId {
        if let Some(&node) = self.windows.get(&key) {
            return node;
        }
        let node = self.add(NodeKind::Window { lane: key.0, output }, data_type, stage + 1, label);
        self.windows.insert(key, node);
        node
    }

    /// Everything that the nodes and selections stand on, themselves included.
    pub(super) fn reachable(&self, nodes: &[NodeId], selection: SelectionId) -> Vec<NodeId> {
        let mut seen = vec![false; self.nodes.len()];
        nodes.iter().for_each(|node| self.visit(*node, &mut seen));
        self.visit_selection(selection, &mut seen);
        (0..seen.len()).filter(|node| seen[*node]).collect()
    }

    fn visit(&self, node: NodeId, seen: &mut [bool]) {
        if std::mem::replace(&mut seen[node], true) {
            return;
        }
        match &self.nodes[node].kind {
            NodeKind::Event(_) => {}
            NodeKind::Expression { inputs, selection, .. } => {
                inputs.iter().for_each(|input| self.visit(*input, seen));
                self.visit_selection(*selection, seen);
            }
            NodeKind::Lookup { lookup, .. } => self.visit_lookup(*lookup, seen),
            NodeKind::Window { lane, output } => self.visit_window(*lane, *output, seen),
        }
    }

    fn visit_window(&self, lane: usize, output: WindowOutput, seen: &mut [bool]) {
        let draft = &self.lanes[lane];
        let (mask, value) = match output {
            WindowOutput::Aggregate { window, aggregate } => {
                let spec = draft.windows[window].1[aggregate];
                (spec.mask, spec.value)
            }
            WindowOutput::Lag(index) => (draft.lags[index].mask, draft.lags[index].value),
        };
        draft.keys.iter().for_each(|key| self.visit(*key, seen));
        let Mask { selection, filter, not_null } = draft.masks[mask];
        [filter, not_null].iter().flatten().for_each(|node| self.visit(*node, seen));
        self.visit_selection(selection, seen);
        if let Some(value) = draft.values.get(value) {
            self.visit(*value, seen);
        }
    }

    fn visit_lookup(&self, lookup: usize, seen: &mut [bool]) {
        self.lookups[lookup].keys.iter().for_each(|key| self.visit(*key, seen));
        self.visit_selection(self.lookups[lookup].selection, seen);
    }

    fn visit_selection(&self, selection: SelectionId, seen: &mut [bool]) {
        let Some(id) = selection else { return };
        match self.selections[id].condition {
            Condition::True(node) => self.visit(node, seen),
            Condition::Found(lookup, _) => self.visit_lookup(lookup, seen),
        }
        self.visit_selection(self.selections[id].parent, seen);
    }

    /// The lanes whose results a lane takes in.
    pub(super) fn lanes_below(&self, lane: usize) -> Vec<usize> {
        let draft = &self.lanes[lane];
        let mut seen = vec![false; self.nodes.len()];
        draft.keys.iter().chain(&draft.values).for_each(|node| self.visit(*node, &mut seen));
        for Mask { selection, filter, not_null } in &draft.masks {
            [filter, not_null].into_iter().flatten().for_each(|node| self.visit(*node, &mut seen));
            self.visit_selection(*selection, &mut seen);
        }
        let windows = (0..seen.len()).filter(|node| seen[*node]);
        let mut lanes: Vec<usize> = windows
            .filter_map(|node| match self.nodes[node].kind {
                NodeKind::Window { lane, .. } => Some(lane),
                _ => None,
            })
            .collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes
    }

    /// How far back the results of a lane at a row can depend on earlier rows.
    pub(super) fn reach_micros(&self, lane: usize) -> i64 {
        let below = self.lanes_below(lane).into_iter().map(|below| self.reach_micros(below)).max();
        self.lanes[lane].horizon_micros().saturating_add(below.unwrap_or(0))
    }

    /// What the window core is to compute for a lane.
    pub(super) fn lane_spec(&self, lane: usize) -> LaneSpec {
        let draft = &self.lanes[lane];
        LaneSpec {
            n_key_columns: draft.keys.len(),
            n_masks: draft.masks.len(),
            n_values: draft.values.len(),
            windows: draft.windows.clone(),
            lags: draft.lags.clone(),
        }
    }
}

/// Index of the item, added when it is new.
fn add_unique<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    items.iter().position(|other| *other == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}
