//! Nightlatch watched, and Nightlatch's alerts in an Alertmanager: with the real programs.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

#[path = "../support/alertmanager.rs"]
#[allow(dead_code, unreachable_pub)]
mod alertmanager;
#[path = "../support/broker.rs"]
#[allow(dead_code, unreachable_pub)]
mod broker;
#[path = "../support/dashboards.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod dashboards;
#[path = "../support/receiver.rs"]
#[allow(dead_code, unreachable_pub)]
mod hook;
#[path = "../support/http.rs"]
#[allow(dead_code, unreachable_pub)]
mod http;
#[path = "../support/postgres.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod postgres;
#[path = "../support/program.rs"]
#[allow(dead_code, unreachable_pub)]
mod program;
#[path = "../support/prometheus.rs"]
#[allow(dead_code, unreachable_pub)]
mod prometheus;
#[path = "../support/run.rs"]
#[allow(dead_code, unreachable_pub)]
mod run;

mod fed;
mod receiver;
mod rules;
