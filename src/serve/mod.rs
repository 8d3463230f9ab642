//! What a running Nightlatch serves: metrics and health.

mod batch_duration;
pub mod checkpoint;
pub mod http;
pub mod metrics;

pub use http::{Health, Server};
pub use metrics::Metrics;
