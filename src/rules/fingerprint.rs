//! What a node or a lane computes, as a text that does not depend on how the program numbers things or
//! on which other rules there are: state of an earlier process fits where the fingerprint is the same.

use std::collections::HashMap;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;
use sha2::{Digest, Sha256};

use super::lookup::Lookup;
use super::program::{
    Condition, LaneDraft, Mask, NodeId, NodeKind, Program, SelectionId, WindowOutput, node_id,
};
use crate::event::schema;
use crate::window::{AggregateSpec, CellKind, Function};

/// Fingerprints of all nodes and lanes of a program, by their index.
pub(super) struct Fingerprints {
    pub(super) nodes: Vec<String>,
    pub(super) lanes: Vec<String>,
}

impl Fingerprints {
    pub(super) fn of(program: &Program) -> Self {
        let mut walk = Walk {
            program,
            expressions: program.expressions(),
            nodes: vec![None; program.nodes.len()],
            lookups: vec![None; program.lookups.len()],
        };
        Self {
            nodes: (0..program.nodes.len()).map(|node| walk.node(node)).collect(),
            lanes: program.lanes.iter().map(|draft| walk.lane(draft)).collect(),
        }
    }
}

/// Hash of the parts; where one ends and the next begins counts.
fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

struct Walk<'a> {
    program: &'a Program,
    expressions: HashMap<NodeId, &'a Expr>,
    nodes: Vec<Option<String>>,
    lookups: Vec<Option<String>>,
}

impl Walk<'_> {
    fn node(&mut self, node: NodeId) -> String {
        if let Some(known) = &self.nodes[node] {
            return known.clone();
        }
        let program = self.program;
        let data_type = program.nodes[node].data_type.to_string();
        let own = match &program.nodes[node].kind {
            NodeKind::Event(index) => {
                let name = schema::COLUMNS.get(*index).map_or("", |column| column.name);
                digest(&["event", name, &data_type])
            }
            NodeKind::Expression { selection, .. } => {
                let expression = self.expressions.get(&node).copied().cloned();
                let text = expression.map_or_else(String::new, |expr| self.expression(expr));
                digest(&["expression", &text, &self.selection(*selection), &data_type])
            }
            NodeKind::Lookup { lookup, column } => {
                digest(&["lookup", &self.lookup(*lookup), &column.to_string(), &data_type])
            }
            NodeKind::Window { lane, output } => {
                digest(&["window", &self.window(&program.lanes[*lane], *output), &data_type])
            }
        };
        self.nodes[node] = Some(own.clone());
        own
    }

    fn optional(&mut self, node: Option<NodeId>) -> String {
        node.map_or_else(String::new, |node| self.node(node))
    }

    /// Part by part from the leaves on, because the text of a nested expression may lack parentheses.
    fn expression(&mut self, expr: Expr) -> String {
        let mut name = |part: &Expr| match part {
            Expr::Column(column) => match node_id(&column.name) {
                Some(node) => self.node(node),
                None => digest(&["column", &column.name]),
            },
            Expr::Literal(value, _) => {
                digest(&["literal", &format!("{value:?}"), &value.data_type().to_string()])
            }
            other => digest(&["part", &other.to_string()]),
        };
        let named = expr.transform_up(|part| {
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name(&part)))))
        });
        named.map_or_else(|error| error.to_string(), |named| named.data.to_string())
    }

    fn selection(&mut self, selection: SelectionId) -> String {
        let Some(id) = selection else { return "all".to_owned() };
        let program = self.program;
        let parent = self.selection(program.selections[id].parent);
        match program.selections[id].condition {
            Condition::True(node) => digest(&["true", &parent, &self.node(node)]),
            Condition::Found(lookup, wanted) => {
                digest(&["found", &parent, &self.lookup(lookup), &wanted.to_string()])
            }
        }
    }

    fn lookup(&mut self, index: usize) -> String {
        if let Some(known) = &self.lookups[index] {
            return known.clone();
        }
        let lookup = &self.program.lookups[index];
        let keys: Vec<String> = lookup.keys.iter().map(|key| self.node(*key)).collect();
        let selection = self.selection(lookup.selection);
        let own = digest(&[&keys.join(" "), &selection, &content(lookup)]);
        self.lookups[index] = Some(own.clone());
        own
    }

    fn mask(&mut self, mask: Mask) -> String {
        let selection = self.selection(mask.selection);
        digest(&["mask", &selection, &self.optional(mask.filter), &self.optional(mask.not_null)])
    }

    /// One result of a lane, whatever else the lane computes.
    fn window(&mut self, draft: &LaneDraft, output: WindowOutput) -> String {
        let keys = self.keys(draft);
        match output {
            WindowOutput::Aggregate { window, aggregate } => {
                let (frame, aggregates) = &draft.windows[window];
                let spec = aggregates[aggregate];
                let mask = self.mask(draft.masks[spec.mask]);
                let valid = spec.valid.map_or_else(String::new, |v| self.mask(draft.masks[v]));
                let value = self.optional(draft.values.get(spec.value).copied());
                // The value of a count of rows is any.
                let value = if spec.function == Function::Count { String::new() } else { value };
                let function = function(spec.function);
                digest(&[&keys, &format!("{frame:?}"), &function, &mask, &valid, &value])
            }
            WindowOutput::Lag(index) => {
                let lag = draft.lags[index];
                let mask = self.mask(draft.masks[lag.mask]);
                let value = self.node(draft.values[lag.value]);
                let horizon = lag.horizon_micros;
                let rest = format!("{} {horizon} {:?} {}", lag.n, lag.default, lag.ignores_nulls);
                digest(&[&keys, "lag", &rest, &mask, &value])
            }
        }
    }

    fn keys(&mut self, draft: &LaneDraft) -> String {
        draft.keys.iter().map(|key| self.node(*key)).collect::<Vec<_>>().join(" ")
    }

    /// All that a lane's state holds, in the order in which it holds it.
    fn lane(&mut self, draft: &LaneDraft) -> String {
        let keys = self.keys(draft);
        let masks: Vec<String> = draft.masks.iter().map(|mask| self.mask(*mask)).collect();
        let values: Vec<String> = draft.values.iter().map(|value| self.node(*value)).collect();
        let windows: Vec<String> = draft
            .windows
            .iter()
            .map(|(frame, aggregates)| {
                let aggregates: Vec<String> = aggregates.iter().map(aggregate).collect();
                format!("{frame:?} {}", aggregates.join(" "))
            })
            .collect();
        digest(&[
            &draft.stage.to_string(),
            &keys,
            &masks.join(" "),
            &values.join(" "),
            &windows.join(" "),
            &format!("{:?}", draft.lags),
        ])
    }
}

fn aggregate(spec: &AggregateSpec) -> String {
    format!("{} {} {} {:?};", function(spec.function), spec.mask, spec.value, spec.valid)
}

/// The function without the number of its interner, which is that of its argument.
fn function(function: Function) -> String {
    let unnumbered = |kind| match kind {
        CellKind::Text(_) => CellKind::Text(0),
        other => other,
    };
    let function = match function {
        Function::Smallest(kind) => Function::Smallest(unnumbered(kind)),
        Function::Largest(kind) => Function::Largest(unnumbered(kind)),
        other => other,
    };
    format!("{function:?}")
}

/// The rows of a reference table and the keys that find them.
fn content(lookup: &Lookup) -> String {
    let mut hasher = Sha256::new();
    let table = lookup.table();
    hasher.update(format!("{:?}", table.schema().fields()));
    let options = FormatOptions::default();
    for column in table.columns() {
        let Ok(cells) = ArrayFormatter::try_new(column.as_ref(), &options) else { continue };
        for row in 0..column.len() {
            let cell = column.is_valid(row).then(|| cells.value(row).to_string());
            hasher.update(format!("{cell:?}"));
        }
    }
    hasher.update(lookup.keys_text());
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
