//! Events with everything that `learn` looks at, from pools small enough to meet again.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array, new_null_array,
};
use nightlatch::event::schema;
use proptest::prelude::*;

pub const SECOND: i64 = 1_000_000;
pub const HOUR: i64 = 3_600 * SECOND;
pub const DAY: i64 = 24 * HOUR;

/// One event; texts that are empty are NULL.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    pub time: i64,
    pub action: String,
    pub outcome: String,
    pub account: String,
    pub actor: String,
    pub actor_type: String,
    pub ip: String,
    pub asn: Option<i64>,
    pub country: String,
    pub prefix: String,
    pub user_agent: String,
    pub agent: String,
    pub os: String,
    pub device_type: String,
    pub device: String,
}

/// A login of an account from an address, at a time.
pub fn login(time: i64, account: &str, ip: &str, is_success: bool) -> Event {
    Event {
        time,
        action: "login".to_owned(),
        outcome: if is_success { "success" } else { "failure" }.to_owned(),
        account: account.to_owned(),
        actor: account.to_owned(),
        actor_type: "customer".to_owned(),
        ip: ip.to_owned(),
        ..Event::default()
    }
}

fn pick(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(choices).prop_map(str::to_owned)
}

fn event() -> impl Strategy<Value = Event> {
    let step = prop_oneof![
        2 => Just(0),
        3 => 1..600 * SECOND,
        3 => HOUR..DAY,
        1 => DAY..9 * DAY,
    ];
    let who = (pick(&["anna", "ben", "cleo", "dora"]), 0..10_u8, pick(&["employee", "service"]));
    let what = (
        pick(&["login", "login", "login", "live_view"]),
        pick(&["success", "success", "success", "failure", "unknown"]),
    );
    let network = (
        pick(&["", "192.0.2.1", "192.0.2.2", "198.51.100.7", "2001:db8::1"]),
        prop::option::of(64_500..64_503_i64),
        pick(&["", "DE", "NO"]),
        pick(&["", "192.0.2.0/24", "198.51.100.0/24"]),
    );
    let client = (
        pick(&["", "A/1", "A/2", "B/1"]),
        pick(&["", "A", "B"]),
        pick(&["", "iOS", "Android"]),
        pick(&["", "mobile"]),
        pick(&["", "d1", "d2", "d3"]),
    );
    (step, who, what, network, client).prop_map(
        |(time, (account, staff, actor_type), (action, outcome), network, client)| {
            let is_staff = staff == 0;
            Event {
                time,
                action,
                outcome,
                actor: if is_staff { "emil".to_owned() } else { account.clone() },
                account,
                actor_type: if is_staff { actor_type } else { "customer".to_owned() },
                ip: network.0,
                asn: network.1,
                country: network.2,
                prefix: network.3,
                user_agent: client.0,
                agent: client.1,
                os: client.2,
                device_type: client.3,
                device: client.4,
            }
        },
    )
}

/// Events in time order.
pub fn events(n_max: usize) -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 1..n_max).prop_map(|mut events| {
        let mut time = 19_700 * DAY;
        for event in &mut events {
            time += event.time;
            event.time = time;
        }
        events
    })
}

/// Events as one batch, in the order given.
pub fn batch(events: &[Event]) -> RecordBatch {
    let text = |value: fn(&Event) -> &String| -> ArrayRef {
        let values =
            events.iter().map(|event| Some(value(event).as_str()).filter(|v| !v.is_empty()));
        Arc::new(values.collect::<StringViewArray>())
    };
    let n = events.len();
    let columns = schema::event_batch()
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "time" => {
                let times = events.iter().map(|event| event.time);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("+00:00"))
            }
            "action" => text(|event| &event.action),
            "outcome" => text(|event| &event.outcome),
            "account" => text(|event| &event.account),
            "actor" => text(|event| &event.actor),
            "actor_type" => text(|event| &event.actor_type),
            "ip" => text(|event| &event.ip),
            "country" => text(|event| &event.country),
            "ip_prefix" => text(|event| &event.prefix),
            "user_agent" => text(|event| &event.user_agent),
            "agent" => text(|event| &event.agent),
            "os" => text(|event| &event.os),
            "device_type" => text(|event| &event.device_type),
            "device" => text(|event| &event.device),
            "asn" => Arc::new(events.iter().map(|event| event.asn).collect::<Int64Array>()),
            "_origin" => Arc::new(UInt32Array::from(vec![0; n])),
            "_partition" => Arc::new(Int32Array::from(vec![0; n])),
            "_position" => Arc::new(Int64Array::from_iter_values(0..n as i64)),
            "_hash" => Arc::new(UInt64Array::from(vec![0; n])),
            _ => new_null_array(field.data_type(), n),
        })
        .collect();
    RecordBatch::try_new(schema::event_batch(), columns).expect("the columns fit the schema")
}
