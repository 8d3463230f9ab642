//! What would have kept an alert silent: for each threshold alone, and the smallest change that does.

use serde_json::{Value, json};

use super::filter::{Filter, Operator, Threshold, Tree};
use super::probe::{Line, Seen, SeenRow, Truth};

/// What a threshold would have to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Needed {
    AtLeast(f64),
    MoreThan(f64),
    AtMost(f64),
    LessThan(f64),
    /// Any value that was not seen.
    AnyOther,
    Exactly(f64),
}

impl Needed {
    /// As JSON: the key says how the value is meant.
    pub(crate) fn json(self) -> Value {
        match self {
            Self::AtLeast(value) => json!({"at_least": value}),
            Self::MoreThan(value) => json!({"more_than": value}),
            Self::AtMost(value) => json!({"at_most": value}),
            Self::LessThan(value) => json!({"less_than": value}),
            Self::AnyOther => json!({"any_other": true}),
            Self::Exactly(value) => json!({"exactly": value}),
        }
    }

    /// A value of the kind in which the threshold is written; `None` where there is no nearest one.
    pub(crate) fn nearest(self, threshold: &Threshold) -> Option<f64> {
        match self {
            Self::AtLeast(value) if threshold.is_whole() => Some(value.ceil()),
            Self::MoreThan(value) if threshold.is_whole() => Some(value.floor() + 1.0),
            Self::AtMost(value) if threshold.is_whole() => Some(value.floor()),
            Self::LessThan(value) if threshold.is_whole() => Some(value.ceil() - 1.0),
            Self::AtLeast(value) | Self::AtMost(value) | Self::Exactly(value) => Some(value),
            Self::MoreThan(_) | Self::LessThan(_) | Self::AnyOther => None,
        }
    }

    /// How far the threshold moves, against its own size.
    fn cost(self, threshold: &Threshold) -> f64 {
        let there = match self {
            Self::AnyOther => threshold.value + 1.0,
            Self::AtLeast(value)
            | Self::MoreThan(value)
            | Self::AtMost(value)
            | Self::LessThan(value)
            | Self::Exactly(value) => self.nearest(threshold).unwrap_or(value),
        };
        (there - threshold.value).abs() / threshold.value.abs().max(1.0)
    }

    /// What is needed on one row to make `line` against zero false.
    fn on_row(operator: Operator, Line { at_zero, slope }: Line) -> Option<Self> {
        if slope == 0.0 {
            return None;
        }
        let zero = -at_zero / slope + 0.0; // never -0
        let rises = slope > 0.0;
        Some(match (operator, rises) {
            (Operator::Greater, true) | (Operator::Less, false) => Self::AtMost(zero),
            (Operator::Greater, false) | (Operator::Less, true) => Self::AtLeast(zero),
            (Operator::GreaterOrEqual, true) | (Operator::LessOrEqual, false) => {
                Self::LessThan(zero)
            }
            (Operator::GreaterOrEqual, false) | (Operator::LessOrEqual, true) => {
                Self::MoreThan(zero)
            }
            (Operator::Equal, _) => Self::AnyOther,
            (Operator::NotEqual, _) => Self::Exactly(zero),
        })
    }

    /// What is needed on both of two rows.
    fn and(self, other: Self) -> Option<Self> {
        let value = |needed: Self| match needed {
            Self::AtLeast(v) | Self::MoreThan(v) | Self::AtMost(v) | Self::LessThan(v) => v,
            Self::Exactly(v) => v,
            Self::AnyOther => f64::NAN,
        };
        let (a, b) = (value(self), value(other));
        let up = |n| matches!(n, Self::AtLeast(_) | Self::MoreThan(_));
        let down = |n| matches!(n, Self::AtMost(_) | Self::LessThan(_));
        let strict = |n| matches!(n, Self::MoreThan(_) | Self::LessThan(_));
        let stronger = match (self, other) {
            (one, two) if up(one) && up(two) => a > b || (a == b && strict(one)),
            (one, two) if down(one) && down(two) => a < b || (a == b && strict(one)),
            (Self::AnyOther, Self::AnyOther) => true,
            (Self::Exactly(_), Self::Exactly(_)) if a == b => true,
            _ => return None,
        };
        Some(if stronger { self } else { other })
    }
}

/// Why a threshold alone cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cannot {
    /// The rule fires by another condition all the same.
    OtherCondition,
    /// No value of it makes its condition false.
    NoValue,
    /// The rows do not hold what would have to be known.
    NotKnown,
}

impl Cannot {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::OtherCondition => "another condition fires all the same",
            Self::NoValue => "no single value makes its condition false",
            Self::NotKnown => "the alert does not hold what its condition asks for",
        }
    }
}

/// What one threshold would have to be, all others as they are, so that none of the rows matches.
pub(crate) fn alone(filter: &Filter, number: usize, rows: &[SeenRow]) -> Result<Needed, Cannot> {
    let threshold = &filter.thresholds[number];
    for row in rows {
        let truth = |leaf: usize| {
            if leaf == threshold.leaf { Truth::False } else { row.leaves[leaf].truth }
        };
        match truth_of(&filter.tree, &truth) {
            Truth::False => {}
            Truth::True => return Err(Cannot::OtherCondition),
            Truth::Unknown => return Err(Cannot::NotKnown),
        }
    }
    // What is concluded to be true has no sides.
    let is_unknown = |seen: &Seen| seen.truth == Truth::Unknown || seen.left.is_none();
    if rows.iter().any(|row| is_unknown(&row.leaves[threshold.leaf])) {
        return Err(Cannot::NotKnown);
    }
    needed(filter, number, rows).ok_or(Cannot::NoValue)
}

/// What a threshold would have to be so that its condition is true on none of the rows.
fn needed(filter: &Filter, number: usize, rows: &[SeenRow]) -> Option<Needed> {
    let threshold = &filter.thresholds[number];
    let operator = filter.leaves[threshold.leaf].comparison.as_ref()?.operator;
    let mut all: Option<Needed> = None;
    for row in rows.iter().filter(|row| row.leaves[threshold.leaf].truth == Truth::True) {
        let needed = Needed::on_row(operator, row.lines[number]?)?;
        all = Some(match all {
            Some(others) => others.and(needed)?,
            None => needed,
        });
    }
    all
}

/// Whether the tree is true, as SQL has it but that NULL is false.
pub(super) fn truth_of(tree: &Tree, truth: &dyn Fn(usize) -> Truth) -> Truth {
    let (parts, decides) = match tree {
        Tree::Leaf(leaf) => return truth(*leaf),
        Tree::All(parts) => (parts, Truth::False),
        Tree::Any(parts) => (parts, Truth::True),
    };
    let truths: Vec<Truth> = parts.iter().map(|part| truth_of(part, truth)).collect();
    if truths.contains(&decides) {
        decides
    } else if truths.contains(&Truth::Unknown) {
        Truth::Unknown
    } else if decides == Truth::True {
        Truth::False
    } else {
        Truth::True
    }
}

/// One threshold of a set of changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    /// Index of the threshold.
    pub(crate) threshold: usize,
    pub(crate) needed: Needed,
}

/// Changes that together keep the alert silent, and what they cost.
struct Plan {
    steps: Vec<Step>,
    cost: f64,
}

/// The smallest change of thresholds that lets none of the rows match: of AND one part must fail, of OR
/// all. `None`: thresholds cannot.
pub(crate) fn cheapest(filter: &Filter, rows: &[SeenRow]) -> Option<Vec<Step>> {
    plan(filter, &filter.tree, rows).map(|plan| plan.steps)
}

fn plan(filter: &Filter, tree: &Tree, rows: &[SeenRow]) -> Option<Plan> {
    let never =
        rows.iter().all(|row| truth_of(tree, &|leaf| row.leaves[leaf].truth) == Truth::False);
    if never {
        return Some(Plan { steps: Vec::new(), cost: 0.0 });
    }
    let cheaper = |a: &Plan, b: &Plan| a.cost.total_cmp(&b.cost);
    match tree {
        Tree::All(parts) => {
            parts.iter().filter_map(|part| plan(filter, part, rows)).min_by(cheaper)
        }
        Tree::Any(parts) => {
            let all: Option<Vec<Plan>> =
                parts.iter().map(|part| plan(filter, part, rows)).collect();
            let all = all?;
            let cost = all.iter().map(|plan| plan.cost).sum();
            Some(Plan { steps: all.into_iter().flat_map(|plan| plan.steps).collect(), cost })
        }
        Tree::Leaf(leaf) => {
            if rows.iter().any(|row| row.leaves[*leaf].truth == Truth::Unknown) {
                return None;
            }
            let own = filter.thresholds.iter().enumerate().filter(|(_, one)| one.leaf == *leaf);
            let plans = own.filter_map(|(number, threshold)| {
                let needed = needed(filter, number, rows)?;
                let step = Step { threshold: number, needed };
                Some(Plan { steps: vec![step], cost: needed.cost(threshold) })
            });
            plans.min_by(cheaper)
        }
    }
}
