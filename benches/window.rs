//! The window core alone: one lane, two windows, `count(*)`, a filtered count and an exact distinct
//! count in each; one thread. Prints bytes of state for each event in the window, and what is left when
//! the windows have passed.
#![allow(clippy::unwrap_used)] // a benchmark may panic

#[path = "workload/allocator.rs"]
mod allocator;
#[allow(dead_code)] // shared with other benchmarks
#[path = "workload/lane.rs"]
mod lane;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lane::{BATCH_ROWS, Events, MINUTE, spec};
use nightlatch::window::{Interner, Lane, LaneLimits};

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
        let mut events = Events::new(n_keys, micros_between);
        while events.time < 70 * MINUTE {
            let input = events.batch();
            lane.advance(input.times[0], &texts).unwrap();
            lane.push(input, &texts).unwrap();
        }
        group.bench_function(BenchmarkId::from_parameter(n_keys), |bencher| {
            bencher.iter_batched(
                || events.batch(),
                |input| {
                    lane.advance(input.times[0], &texts).unwrap();
                    lane.push(input, &texts).unwrap()
                },
                criterion::BatchSize::PerIteration,
            );
        });
        let (rows, bytes) = (lane.n_rows(), lane.bytes());
        lane.advance(events.time + 120 * MINUTE, &texts).unwrap();
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
