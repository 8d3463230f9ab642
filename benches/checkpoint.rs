//! Checkpoint and restore of an engine with ten million events in its windows: how long the stages stand
//! still, how much is written, how long a restart takes. One thread; the files stay in the page cache.
//!
//! Run by `cargo bench --bench checkpoint`; without `--bench` (as `cargo test` does) a hundredth of it.

#![allow(clippy::unwrap_used)] // a benchmark that cannot go on fails

#[path = "workload/allocator.rs"]
mod allocator;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array, new_null_array,
};
use nightlatch::event::schema;
use nightlatch::rules::{Engine, EngineManifest, Rule, StateLimits, parse_rule};
use nightlatch::store::{BlockReader, BlockWriter};

const BATCH_ROWS: usize = 8192;
const MICROS_BETWEEN: i64 = 200;
const HEAD: &str = "/*\ntitle = \"t\"\nseverity = \"low\"\nentity = \"account\"\nquiet = \"1 minute\"\nsummary = \"s\"\n*/\n";
/// Every event is in a frame of each key.
const BY_ADDRESS: &str = "SELECT time, account, \
    count(*) FILTER (WHERE outcome = 'failure') OVER recent AS failures, \
    count(DISTINCT account) OVER recent AS accounts FROM events \
    WINDOW recent AS (PARTITION BY ip ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) \
    QUALIFY failures > 1000000";
const BY_ACCOUNT: &str = "SELECT time, account, \
    count(*) OVER recent AS events, min(time) OVER recent AS first, \
    count(DISTINCT device) OVER recent AS devices, \
    last_value(ip) OVER recent AS address FROM events \
    WINDOW recent AS (PARTITION BY account ORDER BY time RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) \
    QUALIFY events > 1000000";

fn rules() -> Vec<Rule> {
    let rule = |(name, text): (&str, &str)| parse_rule(name, name, &format!("{HEAD}{text}"));
    [("address.sql", BY_ADDRESS), ("account.sql", BY_ACCOUNT)].map(rule).map(Result::unwrap).into()
}

fn engine() -> Engine {
    let limits = StateLimits { rows_max: usize::MAX, keys_max: usize::MAX };
    let (engine, refused) = Engine::new(rules(), &[], limits).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    engine
}

/// SplitMix64 (Steele, Lea and Flood 2014).
fn random(row: u64) -> u64 {
    let mut z = row.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Logins of 100,000 accounts from 50,000 addresses.
fn batch(first: u64) -> RecordBatch {
    let rows = first..first + BATCH_ROWS as u64;
    let text = |value: &dyn Fn(u64) -> String| -> ArrayRef {
        Arc::new(rows.clone().map(|row| Some(value(random(row)))).collect::<StringViewArray>())
    };
    let schema = schema::event_batch();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "time" => {
                let times = rows.clone().map(|row| row as i64 * MICROS_BETWEEN);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("+00:00"))
            }
            "action" => text(&|_| "login".to_owned()),
            "outcome" => text(&|r| if r % 5 == 0 { "failure" } else { "success" }.to_owned()),
            "account" | "actor" => text(&|r| format!("account-{:06}", r % 100_000)),
            "actor_type" => text(&|_| "customer".to_owned()),
            "ip" => text(&|r| format!("192.0.{}.{}", (r >> 20) % 200, (r >> 30) % 250)),
            "device" => text(&|r| format!("device-{:06}-{}", r % 100_000, (r >> 40) % 3)),
            "event_id" => text(&|r| format!("{r:016x}")),
            "_origin" => Arc::new(UInt32Array::from(vec![0; BATCH_ROWS])),
            "_partition" => Arc::new(Int32Array::from(vec![0; BATCH_ROWS])),
            "_position" => Arc::new(Int64Array::from_iter_values(rows.clone().map(|r| r as i64))),
            "_hash" => Arc::new(UInt64Array::from(vec![0; BATCH_ROWS])),
            _ => new_null_array(field.data_type(), BATCH_ROWS),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

struct Run {
    engine: Engine,
    folder: tempfile::TempDir,
    n_rows: u64,
    n_segments: u64,
}

impl Run {
    fn feed(&mut self, n_rows: u64) {
        let end = self.n_rows + n_rows;
        while self.n_rows < end {
            self.engine.process(&batch(self.n_rows)).unwrap();
            self.n_rows += BATCH_ROWS as u64;
        }
    }

    fn checkpoint(&mut self, what: &str) -> EngineManifest {
        let usable: HashSet<u64> = (0..self.n_segments).collect();
        let start = Instant::now();
        let mut writer = BlockWriter::create(self.folder.path(), self.n_segments, usable).unwrap();
        let manifest = self.engine.checkpoint(&mut writer).unwrap();
        let (elapsed, n_bytes) = (start.elapsed(), writer.n_bytes());
        writer.finish().unwrap();
        self.n_segments += 1;
        println!("checkpoint, {what}: {elapsed:.2?}, {:.1} MB", n_bytes as f64 / 1e6);
        manifest
    }
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let n_rows: u64 = if is_bench { 10_000_000 } else { 100_000 };
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run { engine: engine(), folder, n_rows: 0, n_segments: 0 };
    run.feed(n_rows);
    for lane in run.engine.lane_stats() {
        println!("{}: {} keys, {} rows, {} bytes", lane.name, lane.keys, lane.rows, lane.bytes);
    }
    run.checkpoint("whole");
    run.feed(n_rows / 100);
    run.checkpoint("one in a hundred events new");
    let manifest = run.checkpoint("nothing new");
    let manifest = serde_json::to_string(&manifest).unwrap();
    println!("manifest: {} bytes", manifest.len());
    let mut restored = engine();
    let start = Instant::now();
    let manifest: EngineManifest = serde_json::from_str(&manifest).unwrap();
    let known_until = run.n_rows as i64 * MICROS_BETWEEN;
    let outcome = restored.restore(&manifest, &BlockReader::new(run.folder.path()), known_until);
    let restored_after = start.elapsed();
    println!("restore: {restored_after:.2?}, lanes {:?}", outcome.kept);
    println!("b7\t{n_rows}-events\tnightlatch\tseconds\t{:.2}", restored_after.as_secs_f64());
    assert!(outcome.rebuilding.is_empty(), "{:?}", outcome.rebuilding);
}
