//! A real Prometheus.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::program::Program;

/// A Prometheus of a test's own, until it is dropped. It scrapes and evaluates each second.
pub struct Prometheus(Program);

impl Prometheus {
    /// Scrapes targets, `host:port` each, as the job `nightlatch`, and evaluates a file of rules.
    pub fn start(targets: &[String], rules: Option<&Path>) -> Self {
        Self(Program::start(&["prometheus"], "prometheus", |folder, address| {
            let config = folder.join("prometheus.yml");
            fs::write(&config, configuration(targets, rules)).unwrap();
            vec![
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", folder.join("data").display()),
                format!("--web.listen-address={address}"),
            ]
        }))
    }

    /// The series that an expression gives now, each with `metric` and `value`.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let query = url_encoded(expression);
        let answer = self.0.get(&format!("/api/v1/query?query={query}"));
        assert_eq!(answer["data"]["resultType"], "vector", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// All rules: `name`, `health`, `lastError`, `state`, and so on.
    pub fn rules(&self) -> Vec<Value> {
        let answer = self.0.get("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.0.log()
    }
}

/// JSON strings are YAML too.
fn configuration(targets: &[String], rules: Option<&Path>) -> String {
    let targets = serde_json::to_string(targets).unwrap();
    let rules: Vec<&Path> = rules.into_iter().collect();
    let rules = serde_json::to_string(&rules).unwrap();
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: {rules}\n\
         scrape_configs:\n  - job_name: nightlatch\n    static_configs: [{{targets: {targets}}}]\n"
    )
}

fn url_encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
