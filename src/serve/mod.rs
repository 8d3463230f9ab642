//! What a running Nightlatch serves: metrics, health, and over the history an API and a console.

pub mod api;
mod batch_duration;
pub mod checkpoint;
mod connections;
mod console;
pub mod http;
pub mod metrics;
mod spill;
mod stages;

pub use api::{Api, Catalog};
pub use http::{Health, Server};
pub use metrics::Metrics;
