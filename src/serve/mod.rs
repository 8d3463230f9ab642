//! What a running Nightlatch serves: metrics, health, and the API over the history.

pub mod api;
mod batch_duration;
pub mod checkpoint;
mod connections;
pub mod http;
pub mod metrics;
mod stages;

pub use api::{Api, Catalog};
pub use http::{Health, Server};
pub use metrics::Metrics;
