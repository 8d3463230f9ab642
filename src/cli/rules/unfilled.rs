//! Which rules use columns that no data file fills.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::enrich::unfilled_columns;
use crate::rules::Engine;

/// Of each rule that has some, the columns that are NULL unless the sender gives them.
pub(super) fn by_rule(engine: &Engine, config: &Config) -> BTreeMap<String, Vec<&'static str>> {
    let unfilled = unfilled_columns(&config.enrich);
    let of_rule = |(index, rule): (usize, &crate::rules::Rule)| {
        let used = engine.columns_used(index);
        let columns = unfilled.iter().filter(|column| used.contains(column));
        (rule.id.clone(), columns.copied().collect::<Vec<_>>())
    };
    let rules = engine.rules().iter().enumerate().map(of_rule);
    rules.filter(|(_, columns)| !columns.is_empty()).collect()
}

/// A note for people, when there is something to say.
pub(super) fn note(by_rule: &BTreeMap<String, Vec<&'static str>>) -> Option<String> {
    if by_rule.is_empty() {
        return None;
    }
    let lines: String = by_rule
        .iter()
        .map(|(rule, columns)| format!("\n  {rule}: {}", columns.join(", ")))
        .collect();
    Some(format!(
        "note: some rules use columns that are NULL unless the sender gives them, because `[enrich]` names \
         no data file for them; they run all the same{lines}\n"
    ))
}
