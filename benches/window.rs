//! The window core alone: one lane, two windows, `count(*)`, a filtered count and an exact distinct
//! count in each; one thread. Prints bytes of state for each event in the window, and what is left when
//! the windows have passed.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nightlatch::window::{
    AggregateSpec, Frame, Function, Interner, Lane, LaneInput, LaneLimits, LaneSpec,
};

const BATCH_ROWS: usize = 8192;
const MINUTE: i64 = 60_000_000;

fn spec() -> LaneSpec {
    let aggregate = |function, mask| AggregateSpec { function, mask, value: 0, valid: None };
    let aggregates = vec![
        aggregate(Function::Count, 0),
        aggregate(Function::Count, 1),
        aggregate(Function::CountDistinct, 0),
    ];
    let frame = |minutes| Frame { start_micros: minutes * MINUTE, end_micros: 0 };
    LaneSpec {
        n_key_columns: 1,
        n_masks: 2,
        n_values: 1,
        windows: vec![(frame(5), aggregates.clone()), (frame(60), aggregates)],
        lags: Vec::new(),
    }
}

/// Login-like events at a steady rate: uniform keys, eight addresses a key, one in ten fails.
struct Events {
    n_keys: u64,
    micros_between: i64,
    time: i64,
    row: u32,
    state: u64,
}

impl Events {
    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn batch(&mut self) -> LaneInput {
        let mut input =
            LaneInput { masks: vec![Vec::new()], values: vec![Vec::new()], ..Default::default() };
        for _ in 0..BATCH_ROWS {
            let random = self.random();
            let key = random % self.n_keys;
            self.time += self.micros_between;
            self.row = self.row.wrapping_add(1);
            input.times.push(self.time);
            input.rows.push(self.row);
            input.keys.extend([key, 0]);
            input.masks[0].push(if (random >> 32).is_multiple_of(10) { 0b11 } else { 0b01 });
            input.values[0].push(key * 8 + (random >> 40) % 8);
        }
        input
    }
}

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window_core");
    group.throughput(Throughput::Elements(BATCH_ROWS as u64));
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(5))
        .warm_up_time(Duration::from_secs(1));
    for (n_keys, events_per_second) in [(1_000, 1_000), (100_000, 5_000), (1_000_000, 5_000)] {
        let limits = LaneLimits { rows_max: usize::MAX, keys_max: usize::MAX };
        let mut lane = Lane::new(&spec(), limits);
        let texts: [Interner; 0] = [];
        let micros_between = 1_000_000 / events_per_second;
        let mut events = Events { n_keys, micros_between, time: 0, row: 0, state: 2019 };
        while events.time < 70 * MINUTE {
            let input = events.batch();
            lane.advance(input.times[0], &texts);
            lane.push(input, &texts);
        }
        group.bench_function(BenchmarkId::from_parameter(n_keys), |bencher| {
            bencher.iter_batched(
                || events.batch(),
                |input| {
                    lane.advance(input.times[0], &texts);
                    lane.push(input, &texts)
                },
                criterion::BatchSize::PerIteration,
            );
        });
        let (rows, bytes) = (lane.n_rows(), lane.bytes());
        lane.advance(events.time + 120 * MINUTE, &texts);
        println!(
            "window_core/{n_keys}: {rows} events in the window, {:.1} bytes an event; when the windows \
             have passed: {} rows, {} keys",
            bytes as f64 / rows as f64,
            lane.n_rows(),
            lane.n_keys(),
        );
    }
    group.finish();
}

criterion_group!(benches, windows);
criterion_main!(benches);
