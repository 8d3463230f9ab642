//! A lane whose old rows are on disk against one that has them all in memory: the same to the bit.

use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;

use super::snapshot::LaneRestore;
use super::{
    AggregateSpec, CellKind, Cells, Frame, Function, LagSpec, Lane, LaneInput, LaneLimits,
    LaneRows, LaneSpec,
};
use crate::store::{Spill, SpillLimits};

const LIMITS: LaneLimits = LaneLimits { rows_max: usize::MAX, keys_max: usize::MAX };
const FUNCTIONS: [Function; 12] = [
    Function::Count,
    Function::CountDistinct,
    Function::IntegerSum,
    Function::FloatSum,
    Function::Average,
    Function::DeviationSample,
    Function::DeviationPopulation,
    Function::Smallest(CellKind::Signed),
    Function::Largest(CellKind::Float),
    Function::Smallest(CellKind::Unsigned),
    Function::First,
    Function::Newest,
];

fn spill(folder: &Path, on_disk_bytes_max: u64) -> Spill {
    let limits = SpillLimits { in_memory_bytes_max: 0, on_disk_bytes_max };
    Spill::in_folder(folder, limits).unwrap()
}

fn frame() -> impl Strategy<Value = Frame> {
    (1i64..400, prop_oneof![Just(0i64), Just(1), 2i64..300])
        .prop_map(|(length, end_micros)| Frame { start_micros: end_micros + length, end_micros })
}

fn spec() -> impl Strategy<Value = LaneSpec> {
    let aggregate = (0..FUNCTIONS.len(), 0..3usize, 0..2usize, any::<bool>()).prop_map(
        |(function, mask, value, respects_nulls)| AggregateSpec {
            function: FUNCTIONS[function],
            mask,
            value,
            valid: respects_nulls.then_some(3),
        },
    );
    let windows = prop::collection::vec((frame(), prop::collection::vec(aggregate, 1..5)), 1..4);
    let lag = LagSpec {
        n: 2,
        horizon_micros: 90,
        mask: 1,
        value: 0,
        valid: 3,
        default: None,
        ignores_nulls: true,
    };
    windows.prop_map(move |windows| LaneSpec {
        n_key_columns: 1,
        n_masks: 4,
        n_values: 2,
        windows,
        lags: vec![lag],
    })
}

/// Time since the row before, key, masks, value.
type Row = (i64, u64, u8, u8);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    // Ties, steps, and now and then a gap that is longer than some frames, or than all.
    let step = prop_oneof![6 => Just(0i64), 12 => 1i64..4, 1 => 100i64..500, 1 => Just(5_000)];
    prop::collection::vec((step, 0u64..6, any::<u8>(), 0u8..7), 1..500)
}

fn batches(rows: &[Row], sizes: &[usize]) -> Vec<LaneInput> {
    let (mut time, mut number) = (0, 0u32);
    let mut batches: Vec<LaneInput> = Vec::new();
    let mut sizes = sizes.iter().cycle();
    let mut room = 0;
    for (step, key, masks, value) in rows {
        time += step;
        // A group of equal times is whole.
        if room == 0 && (*step > 0 || batches.is_empty()) {
            let input =
                LaneInput { masks: vec![vec![]], values: vec![vec![]; 2], ..Default::default() };
            batches.push(input);
            room = *sizes.next().unwrap();
        }
        room = room.saturating_sub(1);
        let input = batches.last_mut().unwrap();
        input.times.push(time);
        input.rows.push(u32::MAX.wrapping_add(number * 2));
        input.keys.extend([*key, 0]);
        input.masks[0].push(masks & 0b1111);
        input.values[0].push(u64::from(*value));
        input.values[1].push((f64::from(*value) / 3.0).to_bits());
        number += 1;
    }
    batches
}

/// All that a lane tells of a batch.
type Told = (Vec<Cells>, Vec<Vec<u32>>);

fn run(lane: &mut Lane, spec: &LaneSpec, input: &LaneInput, bytes_max: usize) -> Told {
    let input = LaneInput {
        times: input.times.clone(),
        rows: input.rows.clone(),
        keys: input.keys.clone(),
        masks: input.masks.clone(),
        values: input.values.clone(),
    };
    let n_rows = input.times.len();
    lane.advance(input.times[0], &[]).unwrap();
    let columns = lane.push(input, &[]).unwrap().columns;
    lane.keep_within(bytes_max);
    let mut evidence = Vec::new();
    for row in (0..n_rows).step_by(7) {
        for (window, (_, aggregates)) in spec.windows.iter().enumerate() {
            let all: Vec<usize> = (0..aggregates.len()).collect();
            let mut found = Vec::new();
            let visit = |row| {
                found.push(row);
                found.len() < 40
            };
            lane.visit_frame(window, &all, row, visit).unwrap();
            evidence.push(found);
        }
    }
    (columns, evidence)
}

fn witnesses(lane: &mut Lane) -> Vec<u32> {
    let mut found = Vec::new();
    let visit = |row| {
        found.push(row);
        true
    };
    lane.visit_witnesses(|_| false, visit).unwrap();
    found
}

fn all_rows(lane: &mut Lane) -> Vec<LaneRows> {
    let end = lane.state().end;
    let starts: Vec<u64> = (lane.state().head..end).step_by(50).collect();
    starts.into_iter().map(|start| lane.rows(start, end.min(start + 50)).unwrap()).collect()
}

/// A lane from the state of another.
fn restored(lane: &mut Lane, spec: &LaneSpec, spill: Option<&Spill>) -> Lane {
    let mut restore = LaneRestore::new(spec, LIMITS, lane.state()).unwrap();
    if let Some(spill) = spill {
        restore.spill_to(spill.stream(), 0);
    }
    all_rows(lane).into_iter().for_each(|rows| restore.rows(rows).unwrap());
    restore.finish(&[]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn rows_on_disk_change_nothing(
        spec in spec(),
        rows in rows(),
        sizes in prop::collection::vec(1usize..120, 1..5),
        bytes_max in prop_oneof![Just(0usize), Just(3_000)],
        on_disk_bytes_max in prop_oneof![3 => Just(u64::MAX), 1 => Just(700)],
        restart in 0usize..20,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let spill = spill(folder.path(), on_disk_bytes_max);
        let (mut plain, mut spilled) = (Lane::new(&spec, LIMITS), Lane::new(&spec, LIMITS));
        spilled.spill_to(spill.stream());
        for (number, input) in batches(&rows, &sizes).iter().enumerate() {
            let told = run(&mut plain, &spec, input, usize::MAX);
            prop_assert_eq!(&run(&mut spilled, &spec, input, bytes_max), &told);
            prop_assert_eq!(witnesses(&mut spilled), witnesses(&mut plain));
            prop_assert_eq!(spilled.state(), plain.state());
            prop_assert_eq!(all_rows(&mut spilled), all_rows(&mut plain));
            if number == restart {
                spilled = restored(&mut spilled, &spec, Some(&spill));
                plain = restored(&mut plain, &spec, None);
                prop_assert_eq!(spilled.state(), plain.state());
            }
        }
        // Nothing is left of rows that nobody needs any more.
        for lane in [&mut spilled, &mut plain] {
            lane.advance(1_000_000_000, &[]).unwrap();
            lane.advance(2_000_000_000, &[]).unwrap();
            prop_assert_eq!((lane.n_rows(), lane.n_keys(), lane.n_rows_on_disk()), (0, 0, 0));
        }
        drop(spilled);
        prop_assert_eq!(spill.stats().disk_bytes, 0);
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

/// A lane with one long window of 2,000 rows, nearly all of them on disk.
fn long(spill: &Spill) -> Lane {
    let aggregate = |function| AggregateSpec { function, mask: 0, value: 0, valid: None };
    let aggregates = vec![aggregate(Function::CountDistinct), aggregate(Function::IntegerSum)];
    let spec = LaneSpec {
        n_key_columns: 1,
        n_masks: 4,
        n_values: 2,
        windows: vec![(Frame { start_micros: 10_000, end_micros: 0 }, aggregates)],
        lags: Vec::new(),
    };
    let mut lane = Lane::new(&spec, LIMITS);
    lane.spill_to(spill.stream());
    let rows: Vec<Row> = (0..2_000u64).map(|row| (1, row % 5, 1, (row % 7) as u8)).collect();
    for input in batches(&rows, &[100]) {
        lane.advance(input.times[0], &[]).unwrap();
        lane.push(input, &[]).unwrap();
        lane.keep_within(0);
    }
    lane
}

#[test]
fn memory_holds_a_bit_for_each_row_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let lane = long(&spill(folder.path(), u64::MAX));
    assert!(lane.n_rows_on_disk() > 1_900, "{}", lane.n_rows_on_disk());
    assert!(lane.log_bytes() < 100 * 45, "{}", lane.log_bytes());
}

#[test]
fn a_damaged_file_is_told_and_nothing_is_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let spill = spill(folder.path(), u64::MAX);
    let mut lane = long(&spill);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let file = std::fs::OpenOptions::new().write(true).open(entry.unwrap().path()).unwrap();
        let n_bytes = file.metadata().unwrap().len() as usize;
        file.write_all_at(&vec![0x55; n_bytes], 0).unwrap();
    }
    let error = lane.advance(1_000_000, &[]).unwrap_err();
    assert!(error.place.as_deref().unwrap().contains("spill-"), "{error}");
    assert!(error.detail.as_deref().unwrap().contains("checksum"), "{error}");
    assert!(error.hint.is_some());
    assert_eq!(spill.stats().unreadable, 1);
}

#[test]
fn a_short_file_and_a_lost_one_are_told() {
    for cut in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut lane = long(&spill(folder.path(), u64::MAX));
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            match cut {
                true => {
                    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(9).unwrap()
                }
                false => std::fs::remove_file(path).unwrap(),
            }
        }
        assert!(lane.advance(1_000_000, &[]).is_err());
    }
}

#[test]
fn a_full_disk_leaves_rows_in_memory_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let spill = spill(folder.path(), 1_000);
    let lane = long(&spill);
    let stats = spill.stats();
    assert!(stats.refused_by_limit > 0 && stats.disk_bytes <= 1_000, "{stats:?}");
    assert!(lane.n_rows_on_disk() < 1_000 && lane.log_bytes() > 1_000 * 20);
}

#[test]
fn a_folder_that_cannot_be_made_leaves_rows_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let spill = spill(&folder.path().join("spill"), u64::MAX);
    std::fs::write(folder.path().join("spill"), "a file in its place").unwrap();
    let lane = long(&spill);
    assert_eq!(lane.n_rows_on_disk(), 0);
    assert!(spill.stats().refused_by_disk > 0);
}
