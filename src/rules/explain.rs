//! What a rule costs and what it shares: the text of `rules explain`.

use std::fmt::Write as _;

use super::engine::Engine;
use super::program::{LaneDraft, NodeKind, WindowOutput};
use crate::window::{AggregateSpec, Function};

/// Bytes of a hash table's entry that is not its payload, at the usual load.
const TABLE_OVERHEAD: usize = 4;
/// Time, slot, row number and link to the key's previous row.
const ROW_BYTES: usize = 20;
/// A link for each distinct count, its marks, and an entry in its table where no value comes twice.
const DISTINCT_BYTES: usize = 25;
/// Columns of a row that may be evidence, with texts of the usual lengths.
const EVIDENCE_BYTES: usize = 150;

impl Engine {
    /// Stage and partition key of a lane, such as `1:ip`.
    pub(super) fn lane_name(&self, lane: usize) -> String {
        let draft = &self.program.lanes[lane];
        let keys: Vec<&str> =
            draft.keys.iter().map(|key| self.program.nodes[*key].label.as_str()).collect();
        let keys = if keys.is_empty() { "(all)".to_owned() } else { keys.join(",") };
        format!("{}:{keys}", draft.stage + 1)
    }

    /// What `rules explain` prints for one rule: lanes, windows, what is shared with which rules,
    /// bytes a key and an event.
    pub fn explain(&self, rule: usize) -> String {
        let mut text = String::new();
        let front = &self.rules()[rule];
        let _ = writeln!(text, "{} (version {})", front.id, front.version);
        let _ = writeln!(text, "  {}", front.front.title);
        let mut lanes: Vec<usize> =
            self.plans[rule].nodes.iter().filter_map(|n| self.lane_of(*n)).collect();
        lanes.sort_unstable();
        lanes.dedup();
        if lanes.is_empty() {
            let _ = writeln!(text, "  no window: 0 bytes of state");
        }
        for lane in lanes {
            self.explain_lane(rule, lane, &mut text);
        }
        if self.has_evidence(rule) {
            let _ = writeln!(
                text,
                "  {EVIDENCE_BYTES} bytes an event in the windows, or so, as evidence (once for all rules)"
            );
        }
        let _ = match self.why_not_early(rule) {
            None => writeln!(text, "  told early with `alerts.early`"),
            Some(why) => writeln!(text, "  not told early: {why}"),
        };
        text
    }

    /// Whether rows of its windows may be evidence.
    fn has_evidence(&self, rule: usize) -> bool {
        self.plans[rule].aggregates.iter().any(|((lane, window), aggregates)| {
            let (frame, specs) = &self.program.lanes[*lane].windows[*window];
            let is_logged = |aggregate: &usize| specs[*aggregate].function != Function::Newest;
            !frame.is_history() && aggregates.iter().any(is_logged)
        })
    }

    fn lane_of(&self, node: usize) -> Option<usize> {
        match self.program.nodes[node].kind {
            NodeKind::Window { lane, .. } => Some(lane),
            _ => None,
        }
    }

    fn explain_lane(&self, rule: usize, lane: usize, text: &mut String) {
        let draft = &self.program.lanes[lane];
        let (event_bytes, key_bytes) = cost_bytes(draft);
        let _ = writeln!(text, "  lane {}", self.lane_name(lane));
        let _ = writeln!(
            text,
            "    {event_bytes} bytes an event in the window, {key_bytes} bytes a key (all rules of the lane)"
        );
        for (node, parts) in self.program.nodes.iter().enumerate() {
            let NodeKind::Window { lane: own, output } = parts.kind else { continue };
            if own != lane || self.plans[rule].nodes.binary_search(&node).is_err() {
                continue;
            }
            let _ = writeln!(text, "    {}", parts.label);
            let _ = writeln!(text, "      {}", frame_text(draft, output));
            let sharers = self.sharers(rule, node);
            if !sharers.is_empty() {
                let _ = writeln!(text, "      shared with {}", sharers.join(", "));
            }
        }
        let others = self.lane_sharers(rule, lane);
        if !others.is_empty() {
            let _ = writeln!(text, "    lane shared with {}", others.join(", "));
        }
    }

    fn sharers(&self, rule: usize, node: usize) -> Vec<&str> {
        let others = self.plans.iter().zip(self.rules()).enumerate();
        others
            .filter(|(other, (plan, _))| *other != rule && plan.nodes.binary_search(&node).is_ok())
            .map(|(_, (_, rule))| rule.id.as_str())
            .collect()
    }

    fn lane_sharers(&self, rule: usize, lane: usize) -> Vec<&str> {
        let others = self.plans.iter().zip(self.rules()).enumerate();
        others
            .filter(|(other, (plan, _))| {
                *other != rule && plan.nodes.iter().any(|node| self.lane_of(*node) == Some(lane))
            })
            .map(|(_, (_, rule))| rule.id.as_str())
            .collect()
    }
}

fn frame_text(draft: &LaneDraft, output: WindowOutput) -> String {
    match output {
        WindowOutput::Aggregate { window, aggregate } => {
            let (frame, aggregates) = &draft.windows[window];
            let end = match frame.end_micros {
                0 => "the row".to_owned(),
                micros => format!("{} before it", duration(micros)),
            };
            let kept = match aggregates[aggregate].function {
                Function::Newest if frame.end_micros > 1 => {
                    "keeps one row a key, and the rows that the frame does not reach yet"
                }
                Function::Newest => "keeps one row a key",
                _ => "keeps the rows of the frame",
            };
            format!("from {} before the row to {end}; {kept}", duration(frame.start_micros))
        }
        WindowOutput::Lag(index) => {
            let lag = draft.lags[index];
            format!("the {} newest rows of a key within {}", lag.n, duration(lag.horizon_micros))
        }
    }
}

/// In the largest unit that divides it: what the rule's author is likely to have written.
fn duration(micros: i64) -> String {
    let units = [
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "min"),
        (1_000_000, "s"),
        (1_000, "ms"),
    ];
    let whole = units.iter().find(|(unit, _)| micros % unit == 0 && micros != 0);
    whole.map_or(format!("{micros} us"), |(unit, name)| format!("{} {name}", micros / unit))
}

/// Bytes of a lane for each event in its longest window, and for each key.
fn cost_bytes(draft: &LaneDraft) -> (usize, usize) {
    let aggregates = || draft.windows.iter().flat_map(|(_, aggregates)| aggregates);
    // Rows wait in the log until a frame that ends before the row lets them in.
    let waits = draft.windows.iter().any(|(frame, _)| frame.end_micros > 1);
    let keeps_rows = waits || aggregates().any(|a| a.function != Function::Newest);
    let n_distinct = aggregates().filter(|a| a.function == Function::CountDistinct).count();
    let n_queues = aggregates().filter(|a| is_queue(a)).count();
    let event = ROW_BYTES
        + draft.masks.len().div_ceil(8)
        + draft.values.len() * 8
        + n_distinct * DISTINCT_BYTES
        + n_queues * 16;
    let states: usize = aggregates().map(state_bytes).sum();
    let lags: usize = draft.lags.iter().map(|lag| 16 + lag.n * 24).sum();
    let key = (draft.keys.len() + 1) * 8 + 4 + 4 + TABLE_OVERHEAD + 8 + states + lags;
    (if keeps_rows { event } else { 0 }, key)
}

fn is_queue(aggregate: &AggregateSpec) -> bool {
    matches!(aggregate.function, Function::Smallest(_) | Function::Largest(_) | Function::First)
}

fn state_bytes(aggregate: &AggregateSpec) -> usize {
    match aggregate.function {
        Function::Count | Function::CountDistinct => 4,
        Function::IntegerSum => 16,
        Function::FloatSum | Function::Average => 32,
        Function::DeviationSample | Function::DeviationPopulation => 24,
        Function::Smallest(_) | Function::Largest(_) | Function::First => 32,
        Function::Newest => 32,
    }
}
