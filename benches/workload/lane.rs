//! Rows of a lane, the same each time.

use nightlatch::window::{AggregateSpec, Frame, Function, LaneInput, LaneSpec};

pub(crate) const BATCH_ROWS: usize = 8192;
pub(crate) const MINUTE: i64 = 60_000_000;

/// `count(*)`, a filtered count and an exact distinct count.
pub(crate) fn aggregates() -> Vec<AggregateSpec> {
    let aggregate = |function, mask| AggregateSpec { function, mask, value: 0, valid: None };
    vec![
        aggregate(Function::Count, 0),
        aggregate(Function::Count, 1),
        aggregate(Function::CountDistinct, 0),
    ]
}

/// A lane with these windows.
pub(crate) fn lane_of(windows: Vec<(Frame, Vec<AggregateSpec>)>) -> LaneSpec {
    LaneSpec { n_key_columns: 1, n_masks: 2, n_values: 1, windows, lags: Vec::new() }
}

/// Two windows, in each all [`aggregates`].
pub(crate) fn spec() -> LaneSpec {
    let frame = |minutes| Frame { start_micros: minutes * MINUTE, end_micros: 0 };
    lane_of(vec![(frame(5), aggregates()), (frame(60), aggregates())])
}

/// Login-like events at a steady rate: uniform keys, eight addresses a key, one in ten fails.
pub(crate) struct Events {
    n_keys: u64,
    micros_between: i64,
    pub(crate) time: i64,
    row: u32,
    state: u64,
    has_hot_key: bool,
}

impl Events {
    pub(crate) fn new(n_keys: u64, micros_between: i64) -> Self {
        Self { n_keys, micros_between, time: 0, row: 0, state: 2019, has_hot_key: false }
    }

    /// Half of the events are of one key.
    pub(crate) fn with_hot_key(self) -> Self {
        Self { has_hot_key: true, ..self }
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next rows.
    pub(crate) fn batch(&mut self) -> LaneInput {
        let mut input =
            LaneInput { masks: vec![Vec::new()], values: vec![Vec::new()], ..Default::default() };
        for _ in 0..BATCH_ROWS {
            let random = self.random();
            let is_hot = self.has_hot_key && random >> 63 == 1;
            let key = if is_hot { 0 } else { random % self.n_keys };
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
