//! The rows: made, written, read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

pub(crate) const BATCH_ROWS: usize = 8192;
const ROW_BYTES: usize = 24;
const SEED: u64 = 2019;
const VALUES_A_KEY: u64 = 8;
const ZIPF_EXPONENT: f64 = 1.1;

/// How often each key comes.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Skew {
    Uniform,
    /// The key number `n` comes in proportion to `1 / n ^ 1.1`.
    Zipf,
}

/// Batches of `time, key, value, failed`, in time order.
pub(crate) struct Table {
    pub(crate) batches: Vec<RecordBatch>,
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// At least 0, below 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The sums of the first weights.
fn cumulative_weights(n_keys: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let weight = |key: usize| 1.0 / ((key + 1) as f64).powf(ZIPF_EXPONENT);
    let add = |key| {
        sum += weight(key);
        sum
    };
    (0..n_keys).map(add).collect()
}

/// Writes rows of `i64 time, u32 key, u32 value, u32 failed, u32 zero`, all little-endian.
pub(crate) fn write(path: &Path, n_rows: usize, n_keys: usize, rate: u32, skew: Skew) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a writable file"));
    let mut random = Random(SEED);
    let weights = match skew {
        Skew::Uniform => Vec::new(),
        Skew::Zipf => cumulative_weights(n_keys),
    };
    for row in 0..n_rows {
        let key = match weights.last() {
            None => random.next() as usize % n_keys,
            Some(total) => {
                let point = random.fraction() * total;
                weights.partition_point(|sum| *sum <= point).min(n_keys - 1)
            }
        };
        let bits = random.next();
        let time = 1_767_225_600_000_000 + row as i64 * 1_000_000 / i64::from(rate);
        let value = key as u64 * VALUES_A_KEY + bits % VALUES_A_KEY;
        let failed = u32::from((bits >> 32).is_multiple_of(10));
        file.write_all(&time.to_le_bytes()).expect("room on the disk");
        for cell in [key as u32, value as u32, failed, 0] {
            file.write_all(&cell.to_le_bytes()).expect("room on the disk");
        }
    }
    file.flush().expect("room on the disk");
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("key", DataType::Int64, false),
        Field::new("value", DataType::Int64, false),
        Field::new("failed", DataType::Int64, false),
    ]))
}

impl Table {
    /// The first rows of a file, raw or Parquet.
    pub(crate) fn read(path: &Path, rows_max: usize) -> Self {
        match path.extension().is_some_and(|extension| extension == "parquet") {
            true => Self::read_parquet(path, rows_max),
            false => Self::read_raw(path, rows_max),
        }
    }

    fn read_raw(path: &Path, rows_max: usize) -> Self {
        let bytes = std::fs::read(path).expect("a file of rows");
        let rows = &bytes[..bytes.len().min(rows_max.saturating_mul(ROW_BYTES))];
        let batch = |rows: &[u8]| {
            let cell = |at: usize| {
                let rows = rows.chunks_exact(ROW_BYTES);
                rows.map(move |row| u32::from_le_bytes(row[at..at + 4].try_into().unwrap()))
            };
            let times = rows.chunks_exact(ROW_BYTES);
            let times = times.map(|row| i64::from_le_bytes(row[..8].try_into().unwrap()));
            let mut columns: Vec<ArrayRef> =
                vec![Arc::new(TimestampMicrosecondArray::from_iter_values(times))];
            let columns_of_cells = [8, 12, 16].map(|at| cell(at).map(i64::from));
            columns.extend(
                columns_of_cells
                    .map(|cells| Arc::new(Int64Array::from_iter_values(cells)) as ArrayRef),
            );
            RecordBatch::try_new(schema(), columns).unwrap()
        };
        Self { batches: rows.chunks(ROW_BYTES * BATCH_ROWS).map(batch).collect() }
    }

    /// Columns by name; `time_micros` may stand for `time`.
    fn read_parquet(path: &Path, rows_max: usize) -> Self {
        let file = File::open(path).expect("a Parquet file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
        let reader = reader.with_batch_size(BATCH_ROWS).with_limit(rows_max).build().unwrap();
        let wanted = schema();
        let batch = |batch: RecordBatch| {
            let columns = wanted.fields().iter().map(|field| {
                let column = batch.column_by_name(field.name());
                let column = column.or_else(|| batch.column_by_name("time_micros"));
                cast(column.expect("the columns of rows"), field.data_type()).unwrap()
            });
            RecordBatch::try_new(wanted.clone(), columns.collect()).unwrap()
        };
        Self { batches: reader.map(|read| batch(read.expect("a sound file"))).collect() }
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// A column of a batch as plain numbers.
pub(crate) fn numbers(batch: &RecordBatch, column: usize) -> &[i64] {
    batch.column(column).as_primitive::<Int64Type>().values()
}
