//! A rule with another number in the place of a threshold.

use super::filter::{Filter, Threshold, replace};
use crate::rules::Rule;

/// The rule under another name, with `value` for the threshold.
pub(crate) fn variant(
    rule: &Rule,
    filter: &Filter,
    threshold: &Threshold,
    value: f64,
    id: String,
) -> Rule {
    let mut query = filter.query.clone();
    replace(&mut query, threshold, value);
    Rule { id, sql: query.to_string(), ..rule.clone() }
}
