//! Events as they may arrive: late by up to the lateness, over several inputs, some twice.

use arrow::array::RecordBatch;
use nightlatch::order::{Order, OrderConfig};
use nightlatch::source::InputId;
use proptest::prelude::*;

use super::events::{Event, batch};

const LATENESS: i64 = 20_000_000;
const N_INPUTS: u32 = 3;

/// How one event arrives.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    delay: i64,
    input: u32,
    is_repeated: bool,
    ends_batch: bool,
}

/// Arrivals of up to `n_max` events.
pub fn arrivals(n_max: usize) -> impl Strategy<Value = Vec<Arrival>> {
    let one = (0..=LATENESS, 0..N_INPUTS, prop::bool::weighted(0.1), prop::bool::weighted(0.3));
    let arrival = one.prop_map(|(delay, input, is_repeated, ends_batch)| Arrival {
        delay,
        input,
        is_repeated,
        ends_batch,
    });
    prop::collection::vec(arrival, n_max)
}

/// What the order stage releases when the events arrive so.
pub fn released(events: &[Event], arrivals: &[Arrival]) -> Vec<RecordBatch> {
    let mut queue: Vec<(i64, usize)> = Vec::new();
    for (index, (event, arrival)) in events.iter().zip(arrivals).enumerate() {
        queue.push((event.time + arrival.delay, index));
        if arrival.is_repeated {
            queue.push((event.time + LATENESS, index));
        }
    }
    queue.sort_unstable();
    let mut order = Order::new(OrderConfig {
        lateness_micros: LATENESS,
        clock_skew_micros: i64::MAX / 4,
        dedup_window_micros: 2 * LATENESS,
        buffered_events_max: usize::MAX,
        batch_events: 7,
    });
    (0..N_INPUTS).for_each(|input| order.join(InputId(input)));
    let mut released = Vec::new();
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); N_INPUTS as usize];
    for (_, index) in queue {
        let input = arrivals[index].input;
        waiting[input as usize].push(index);
        if arrivals[index].ends_batch {
            let rows = std::mem::take(&mut waiting[input as usize]);
            admit(&mut order, input, events, &rows, &mut released);
        }
    }
    for input in 0..N_INPUTS {
        let rows = std::mem::take(&mut waiting[input as usize]);
        admit(&mut order, input, events, &rows, &mut released);
        order.finish(InputId(input));
    }
    order.release_all();
    drain(&mut order, &mut released);
    released
}

fn admit(
    order: &mut Order,
    input: u32,
    events: &[Event],
    rows: &[usize],
    released: &mut Vec<RecordBatch>,
) {
    for &row in rows {
        let turned_away = order.admit(InputId(input), batch(&events[row..=row], row), 0);
        assert!(turned_away.is_empty(), "nothing is late: {turned_away:?}");
    }
    drain(order, released);
}

fn drain(order: &mut Order, released: &mut Vec<RecordBatch>) {
    while let Some(batch) = order.release().expect("the columns fit") {
        released.push(batch);
    }
}
