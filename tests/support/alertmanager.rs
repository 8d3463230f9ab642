//! A real Alertmanager.

use std::fs;

use serde_json::Value;

use super::program::Program;

/// Sends nobody anything; what it knows is asked.
const CONFIG: &str = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n";

/// An Alertmanager of a test's own, until it is dropped.
pub struct Alertmanager(Program);

impl Alertmanager {
    /// Starts it, and waits until it is ready.
    pub fn start() -> Self {
        let names = ["prometheus-alertmanager", "alertmanager"];
        Self(Program::start(&names, "prometheus-alertmanager", |folder, address| {
            let config = folder.join("alertmanager.yml");
            fs::write(&config, CONFIG).unwrap();
            vec![
                format!("--config.file={}", config.display()),
                format!("--storage.path={}", folder.join("data").display()),
                format!("--web.listen-address={address}"),
                // No cluster, no second port.
                "--cluster.listen-address=".to_owned(),
            ]
        }))
    }

    /// Its address without a path.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The alerts that fire now.
    pub fn alerts(&self) -> Vec<Value> {
        self.0.get("/api/v2/alerts").as_array().unwrap().clone()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.0.log()
    }
}
