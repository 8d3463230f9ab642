//! Rules over events: decoded, in the order of their times, through the engine.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::kernels::cast::cast;
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::DataType;
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::rules::{Engine, Rule, StateLimits, parse_rule};
use nightlatch::source::{InputId, RawBatch};
use serde_json::Value;

const LIMITS: StateLimits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };

/// A row that a rule lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    /// Index of the rule.
    pub(crate) rule: usize,
    /// Its columns as text; those that are NULL are left out.
    pub(crate) columns: Vec<(String, String)>,
}

impl Match {
    /// The value of a column; `None` for NULL.
    pub(crate) fn get(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_str())
    }
}

/// What the rules let through, row by row.
pub(crate) fn matches(rules: &[String], events: &[Value]) -> Vec<Match> {
    let parsed: Vec<Rule> = rules.iter().enumerate().map(|(n, text)| rule(n, text)).collect();
    let (mut engine, refused) = Engine::new(parsed, &[], LIMITS).unwrap();
    assert!(refused.is_empty(), "{}", refused[0]);
    let batch = in_order(&decoded(events));
    let found = engine
        .process(&batch)
        .unwrap()
        .iter()
        .flat_map(|found| rows(found.rule, &found.columns))
        .collect();
    assert!(engine.rule_stats().iter().all(|stats| stats.errors == 0), "{rules:?}");
    found
}

fn rule(number: usize, text: &str) -> Rule {
    let id = format!("rule_{number}");
    parse_rule(&id, &format!("{id}.sql"), text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn decoded(events: &[Value]) -> RecordBatch {
    let mut raw = RawBatch::new(InputId(0), 0, 0, 0);
    for (position, event) in (0..).zip(events) {
        raw.push(position, event.to_string().as_bytes());
    }
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    let decoded = decoder.decode(&mut raw).unwrap();
    assert!(decoded.rejections.is_empty(), "{:?}", decoded.rejections);
    decoded.batch
}

/// Events of one time stay as they are written.
fn in_order(batch: &RecordBatch) -> RecordBatch {
    let column = |name: &str| SortColumn {
        values: batch.column_by_name(name).unwrap().clone(),
        options: None,
    };
    let order = lexsort_to_indices(&[column("time"), column("_position")], None).unwrap();
    take_record_batch(batch, &order).unwrap()
}

fn rows(rule: usize, batch: &RecordBatch) -> Vec<Match> {
    let texts: Vec<(String, ArrayRef)> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().clone(), cast(column, &DataType::Utf8).unwrap()))
        .collect();
    let value = |row: usize, (name, column): &(String, ArrayRef)| {
        let column = column.as_string::<i32>();
        column.is_valid(row).then(|| (name.clone(), column.value(row).to_owned()))
    };
    let row = |row| texts.iter().filter_map(|column| value(row, column)).collect();
    (0..batch.num_rows()).map(|n| Match { rule, columns: row(n) }).collect()
}
