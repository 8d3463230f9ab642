//! Generated events: small domains, so that keys meet; NULLs, ties, unicode, gaps.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, UInt32Array, UInt64Array, new_null_array,
};
use nightlatch::event::schema;
use proptest::prelude::*;

/// One generated event.
#[derive(Debug, Clone)]
pub struct Event {
    pub time: i64,
    pub action: &'static str,
    pub outcome: &'static str,
    pub account: &'static str,
    pub ip: Option<&'static str>,
    pub device: Option<&'static str>,
    pub asn: Option<i64>,
    pub latitude: Option<f64>,
}

const SECOND: i64 = 1_000_000;

/// Steps between events: ties, neighbours, and gaps longer than every window.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => Just(0),
        4 => (1i64..5).prop_map(|s| s * SECOND),
        2 => (1i64..200).prop_map(|s| s * SECOND),
        1 => Just(1),
        1 => Just(100_000 * SECOND),
    ]
}

fn event() -> impl Strategy<Value = (i64, Event)> {
    let text =
        prop::option::of(prop::sample::select(vec!["", "a", "Ünï-😀", "a long name of a device"]));
    let columns = (
        prop::sample::select(vec!["login", "live_view", "two_way_talk"]),
        prop::sample::select(vec!["success", "failure", "unknown"]),
        // A hot key among few others.
        prop::sample::select(vec![
            "anna",
            "anna",
            "anna",
            "ben",
            "Ünï",
            "",
            "a much longer account",
        ]),
        prop::option::of(prop::sample::select(vec!["192.0.2.1", "192.0.2.2", "2001:db8::1"])),
        text,
        prop::option::of(-3i64..4),
        prop::option::of((-8i32..8).prop_map(|quarter| f64::from(quarter) / 4.0)),
    );
    (step(), columns).prop_map(|(step, (action, outcome, account, ip, device, asn, latitude))| {
        (step, Event { time: 0, action, outcome, account, ip, device, asn, latitude })
    })
}

/// Events in time order.
pub fn events(n_max: usize) -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..n_max).prop_map(|steps| {
        let mut time = 1_700_000_000 * SECOND;
        steps
            .into_iter()
            .map(|(step, event)| {
                time += step;
                Event { time, ..event }
            })
            .collect()
    })
}

/// Events as one batch, in the order given; `first` numbers them.
pub fn batch(events: &[Event], first: usize) -> RecordBatch {
    let text = |value: fn(&Event) -> Option<&'static str>| -> ArrayRef {
        Arc::new(events.iter().map(value).collect::<StringViewArray>())
    };
    let n = events.len();
    let columns: Vec<ArrayRef> = schema::event_batch()
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "time" => {
                let times = events.iter().map(|event| event.time);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("+00:00"))
            }
            "action" => text(|event| Some(event.action)),
            "outcome" => text(|event| Some(event.outcome)),
            "account" | "actor" => text(|event| Some(event.account)),
            "actor_type" => text(|_| Some("customer")),
            "ip" => text(|event| event.ip),
            "device" => text(|event| event.device),
            "asn" => Arc::new(events.iter().map(|event| event.asn).collect::<Int64Array>()),
            "latitude" => {
                Arc::new(events.iter().map(|event| event.latitude).collect::<Float64Array>())
            }
            "event_id" => {
                // In the order of the events, so that ties fall as the table has them.
                let ids = (first..first + n).map(|row| Some(format!("{row:08}")));
                Arc::new(ids.collect::<StringViewArray>())
            }
            "_origin" => Arc::new(UInt32Array::from(vec![0; n])),
            "_partition" => Arc::new(Int32Array::from(vec![0; n])),
            "_position" => {
                Arc::new(Int64Array::from_iter_values((first..first + n).map(|row| row as i64)))
            }
            "_hash" => Arc::new(UInt64Array::from(vec![0; n])),
            _ => new_null_array(field.data_type(), n),
        })
        .collect();
    RecordBatch::try_new(schema::event_batch(), columns).expect("the columns fit the schema")
}

/// Cuts sorted events into batches of about `size`, never inside a group of equal times.
pub fn batches(events: &[Event], size: usize) -> Vec<RecordBatch> {
    let mut cut = Vec::new();
    let mut start = 0;
    for end in 1..=events.len() {
        let is_group_end = end == events.len() || events[end].time != events[end - 1].time;
        if is_group_end && (end - start >= size || end == events.len()) {
            cut.push(batch(&events[start..end], start));
            start = end;
        }
    }
    cut
}
