//! The window core: one lane a thread, each with its share of the keys.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use nightlatch::window::{
    AggregateSpec, Frame, Function, Interner, Lane, LaneInput, LaneLimits, LaneSpec,
};

use super::Checksum;
use super::table::{BATCH_ROWS, Table, numbers};

const FRAME_MICROS: i64 = 5 * 60 * 1_000_000;

fn spec() -> LaneSpec {
    let aggregate = |function, value| AggregateSpec { function, mask: 0, value, valid: None };
    let aggregates = vec![
        aggregate(Function::Count, 0),
        aggregate(Function::IntegerSum, 1),
        aggregate(Function::CountDistinct, 0),
    ];
    let frame = Frame { start_micros: FRAME_MICROS, end_micros: 0 };
    LaneSpec {
        n_key_columns: 1,
        n_masks: 1,
        n_values: 2,
        windows: vec![(frame, aggregates)],
        lags: Vec::new(),
    }
}

/// Splits the keys over the threads.
pub(crate) fn run(table: &Table, n_threads: usize) -> Checksum {
    std::thread::scope(|scope| {
        let share = |thread| scope.spawn(move || run_share(table, thread as i64, n_threads as i64));
        let shares: Vec<_> = (0..n_threads).map(share).collect();
        shares
            .into_iter()
            .map(|share| share.join().unwrap())
            .fold(Checksum::default(), |a, b| a + b)
    })
}

fn run_share(table: &Table, share: i64, n_shares: i64) -> Checksum {
    let limits = LaneLimits { rows_max: usize::MAX, keys_max: usize::MAX };
    let mut lane = Lane::new(&spec(), limits);
    let texts: [Interner; 0] = [];
    let (mut checksum, mut n_rows) = (Checksum::default(), 0);
    for batch in &table.batches {
        let input = input(batch, share, n_shares, n_rows);
        n_rows += batch.num_rows() as u32;
        let Some(&first) = input.times.first() else { continue };
        lane.advance(first, &texts).unwrap();
        let output = lane.push(input, &texts).unwrap();
        let sum = |column: usize| output.columns[column].values.iter().sum::<u64>();
        checksum = checksum + Checksum { counts: sum(0), failures: sum(1), distinct: sum(2) };
    }
    checksum
}

/// The rows of a share of the keys as a lane takes them.
fn input(batch: &RecordBatch, share: i64, n_shares: i64, first_row: u32) -> LaneInput {
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
    let (keys, values, failed) = (numbers(batch, 1), numbers(batch, 2), numbers(batch, 3));
    let mut input = LaneInput {
        times: Vec::with_capacity(BATCH_ROWS),
        rows: Vec::with_capacity(BATCH_ROWS),
        keys: Vec::with_capacity(BATCH_ROWS * 2),
        masks: Vec::new(),
        values: vec![Vec::with_capacity(BATCH_ROWS), Vec::with_capacity(BATCH_ROWS)],
    };
    for row in (0..keys.len()).filter(|row| n_shares == 1 || keys[*row] % n_shares == share) {
        input.times.push(times[row]);
        input.rows.push(first_row.wrapping_add(row as u32));
        input.keys.extend([keys[row].cast_unsigned(), 0]);
        input.values[0].push(values[row].cast_unsigned());
        input.values[1].push(failed[row].cast_unsigned());
    }
    input.masks.push(vec![1; input.times.len()]);
    input
}
