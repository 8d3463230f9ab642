//! JSON to columns by this crate's decoder and by arrow-json: events a second of one thread, in the lines
//! that `benches/run` reads. Its peers sonic-rs, simd-json and serde_json are in `benches/peers/rust`.
//!
//! `cargo bench --bench json_columns -- [--engine nightlatch|arrow-json] [--case small|big]`

#![allow(clippy::expect_used)] // a benchmark may stop at the first error

#[path = "workload/json.rs"]
mod json;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use nightlatch::event::decode::{DecodeLimits, Decoder, Format};
use nightlatch::event::schema;
use nightlatch::source::{InputId, RawBatch};

use json::{big, small};

const EVENTS: u64 = 8_192;
const MEASURED: Duration = Duration::from_secs(1);
const NOW: i64 = 2_000_000_000_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let wants = |name: &str, value: &str| option(name).is_none_or(|wanted| wanted == value);
    for (case, event) in [("small", small as fn(u64) -> String), ("big", big)] {
        if !wants("--case", case) {
            continue;
        }
        let events: Vec<String> = (0..EVENTS).map(event).collect();
        if wants("--engine", "nightlatch") {
            measure(case, "nightlatch", &events, nightlatch(&events));
        }
        if wants("--engine", "arrow-json") {
            measure(case, "arrow-json", &events, arrow_json(&events));
        }
    }
}

/// The best of as many passes as fit: the others were disturbed.
fn measure(case: &str, engine: &str, events: &[String], mut pass: impl FnMut() -> RecordBatch) {
    let started = Instant::now();
    let mut best = Duration::MAX;
    while started.elapsed() < MEASURED {
        let began = Instant::now();
        black_box(pass());
        best = best.min(began.elapsed());
    }
    let events_per_second = EVENTS as f64 / best.as_secs_f64();
    println!("b3\t{case}\t{engine}\tevents_per_second\t{events_per_second:.0}");
    println!("b3\t{case}\t{engine}\tchecksum\t{}", checksum(&pass(), &sent(events)));
}

fn nightlatch(events: &[String]) -> impl FnMut() -> RecordBatch {
    let mut raw = RawBatch::new(InputId(0), 0, 0, NOW);
    for (index, event) in events.iter().enumerate() {
        raw.push(index as i64, event.as_bytes());
    }
    let mut decoder = Decoder::new(Format::Native, DecodeLimits::default());
    move || decoder.decode(&mut raw).expect("columns of a benchmark").batch
}

/// arrow-json has no column that keeps JSON as its text: `details` becomes a struct.
fn arrow_json(events: &[String]) -> impl FnMut() -> RecordBatch {
    let bytes = events.join("\n").into_bytes();
    let mut decoder = ReaderBuilder::new(schema_of(&sent(events)))
        .with_batch_size(events.len())
        .build_decoder()
        .expect("a decoder for the columns");
    move || {
        let read = decoder.decode(&bytes).expect("events of a benchmark");
        assert_eq!(read, bytes.len());
        decoder.flush().expect("columns of a benchmark").expect("rows")
    }
}

/// The fields of the events, which are all columns.
fn sent(events: &[String]) -> Vec<String> {
    let event: serde_json::Map<_, _> = serde_json::from_str(&events[0]).expect("an object");
    event.into_iter().map(|(name, _)| name).collect()
}

fn schema_of(names: &[String]) -> SchemaRef {
    let flags = Arc::new(Field::new("item", DataType::Int64, true));
    let details = DataType::Struct(
        vec![
            Field::new("flags", DataType::List(flags), true),
            Field::new("text", DataType::Utf8View, true),
        ]
        .into(),
    );
    let fields = names.iter().map(|name| match name.as_str() {
        "details" => Field::new("details", details.clone(), true),
        _ => schema::events().field_with_name(name).expect("a column").clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

/// Bytes of all text, sum of all times, sum of all numbers (degrees as millionths), of the columns `names`.
fn checksum(batch: &RecordBatch, names: &[String]) -> String {
    let (mut text_bytes, mut times, mut numbers) = (0, 0_i128, 0_i64);
    for name in names {
        let column = batch.column_by_name(name).expect("a column");
        match column.data_type() {
            DataType::Timestamp(..) => {
                let values = column.as_primitive::<TimestampMicrosecondType>();
                times += values.iter().flatten().map(i128::from).sum::<i128>();
            }
            DataType::Float64 => {
                let values = column.as_primitive::<Float64Type>();
                numbers += values.iter().flatten().map(millionths).sum::<i64>();
            }
            DataType::Int64 => {
                numbers += column.as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
            }
            DataType::Struct(_) => text_bytes += json_bytes(column),
            _ => {
                text_bytes += column.as_string_view().iter().flatten().map(str::len).sum::<usize>()
            }
        }
    }
    format!("{text_bytes},{times},{numbers}")
}

fn millionths(degrees: f64) -> i64 {
    (degrees * 1e6).round() as i64
}

/// Bytes of a struct's rows as JSON.
fn json_bytes(column: &dyn Array) -> usize {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(&RecordBatch::from(column.as_struct())).expect("JSON of a struct");
    writer.finish().expect("JSON of a struct");
    writer.into_inner().iter().filter(|byte| **byte != b'\n').count()
}
