//! Whether alerts are what a test expects of them.

use serde_json::Value;

/// What differs, as lines for people; empty when each pattern fits an alert of its own and no
/// alert is left over.
pub(super) fn differences(patterns: &[Value], alerts: &[Value]) -> Vec<String> {
    let pairs = pair_up(patterns, alerts);
    let mut lines = Vec::new();
    for (pattern, _) in patterns.iter().zip(&pairs).filter(|(_, alert)| alert.is_none()) {
        lines.push(format!("- expected {pattern}"));
    }
    for (index, alert) in alerts.iter().enumerate() {
        if pairs.contains(&Some(index)) {
            continue;
        }
        lines.push(format!("+ found    {}", brief(alert)));
        let nearest = patterns.iter().zip(&pairs).filter(|(_, alert)| alert.is_none());
        let missing = nearest.map(|(pattern, _)| mismatches("", pattern, alert));
        lines.extend(missing.min_by_key(Vec::len).unwrap_or_default());
    }
    lines
}

/// For each pattern the alert it is paired with; as many pairs as there can be.
fn pair_up(patterns: &[Value], alerts: &[Value]) -> Vec<Option<usize>> {
    let mut owner = vec![None; alerts.len()];
    for pattern in 0..patterns.len() {
        claim(pattern, patterns, alerts, &mut owner, &mut vec![false; alerts.len()]);
    }
    let place = |pattern| owner.iter().position(|own| *own == Some(pattern));
    (0..patterns.len()).map(place).collect()
}

/// Finds an alert for a pattern, if need be by moving the pattern that holds it to another.
fn claim(
    pattern: usize,
    patterns: &[Value],
    alerts: &[Value],
    owner: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for alert in 0..alerts.len() {
        if tried[alert] || !mismatches("", &patterns[pattern], &alerts[alert]).is_empty() {
            continue;
        }
        tried[alert] = true;
        let free = owner[alert].is_none_or(|held| claim(held, patterns, alerts, owner, tried));
        if free {
            owner[alert] = Some(pattern);
            return true;
        }
    }
    false
}

/// Where an alert is not what the pattern says: scalars must be equal, every element of an array
/// must be found, an object's fields must fit.
fn mismatches(path: &str, pattern: &Value, found: &Value) -> Vec<String> {
    let differs = || vec![format!("  {path}: expected {pattern}, found {}", shortened(found))];
    match (pattern, found) {
        (Value::Object(fields), Value::Object(own)) => fields
            .iter()
            .flat_map(|(key, field)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                mismatches(&path, field, own.get(key).unwrap_or(&Value::Null))
            })
            .collect(),
        (Value::Array(items), Value::Array(own)) => {
            let held = |item| own.iter().any(|one| mismatches("", item, one).is_empty());
            if items.iter().all(held) { Vec::new() } else { differs() }
        }
        (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => {
            Vec::new()
        }
        _ if pattern == found => Vec::new(),
        _ => differs(),
    }
}

/// The fields of an alert that tell it from others.
fn brief(alert: &Value) -> Value {
    const FIELDS: [&str; 7] =
        ["rule", "entity_type", "entity", "started_at", "accounts", "summary", "matches"];
    let fields =
        FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), alert.get(*name)?.clone())));
    Value::Object(fields.collect())
}

fn shortened(value: &Value) -> String {
    const CHARS_MAX: usize = 200;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(patterns: Value, alerts: Value, n_differences: usize) {
        let lists = [patterns, alerts].map(|list| list.as_array().unwrap().clone());
        let found = differences(&lists[0], &lists[1]);
        assert_eq!(found.len(), n_differences, "{found:#?}");
    }

    #[test]
    fn scalars_are_equal_arrays_contain_and_objects_are_subsets() {
        let alert = json!({"entity": "a", "accounts": ["x", "y"], "values": {"n": 3, "m": 1.0}});
        check(json!([{"accounts": ["y"], "values": {"n": 3.0}}]), json!([alert]), 0);
        check(json!([{"entity": "b"}]), json!([alert]), 3);
        check(json!([{"accounts": ["z"]}]), json!([alert]), 3);
        check(json!([{"values": {"k": 1}}]), json!([alert]), 3);
    }

    #[test]
    fn every_alert_and_every_pattern_counts() {
        check(json!([]), json!([{"entity": "a"}]), 1);
        check(json!([{"entity": "a"}]), json!([]), 1);
        check(json!([]), json!([]), 0);
    }

    #[test]
    fn a_loose_pattern_leaves_the_alert_that_a_strict_one_needs() {
        let alerts = json!([{"rule": "r", "entity": "a"}, {"rule": "r", "entity": "b"}]);
        check(json!([{"rule": "r"}, {"entity": "a"}]), alerts, 0);
    }
}
