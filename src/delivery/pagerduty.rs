//! PagerDuty: Events API v2. An alert is one incident there, from `opened` to `closed`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::encoding::{instant, json_line, without_nulls};
use super::endpoint;
use super::http_destination::{HttpDestination, Request};
use super::record::AlertRecord;
use super::shorten::{cut, fit};
use crate::alert::{Status, escape};
use crate::config::secret::{self, Secret};
use crate::rules::Severity;
use crate::{Error, Result};

const SUMMARY_CHARS_MAX: usize = 1024;
/// Of source, component, group and class.
const NAME_CHARS_MAX: usize = 255;
/// 512 KB is the limit of the whole event, with some room for whatever is counted with it.
const BODY_BYTES_MAX: usize = 500_000;
const ROUTING_KEY_CHARS: usize = 32;
const URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// A service of PagerDuty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDutyConfig {
    /// File with the integration's routing key.
    pub routing_key_file: PathBuf,
    /// Where events go; in the EU `https://events.eu.pagerduty.com/v2/enqueue`.
    #[serde(default = "url")]
    pub url: String,
}

fn url() -> String {
    URL.to_owned()
}

/// Encodes alerts for PagerDuty.
#[derive(Debug)]
pub struct PagerDuty {
    url: String,
    routing_key: Secret,
}

impl PagerDuty {
    /// Reads the routing key.
    ///
    /// # Errors
    /// When the file cannot be read, can be read by others, or holds no routing key; when the URL is
    /// none.
    pub fn new(config: &PagerDutyConfig) -> Result<Self> {
        let (name, file) = ("destination.routing_key_file", &config.routing_key_file);
        let routing_key = Secret::of_key(name, file)?;
        let key = routing_key.expose();
        if key.len() != ROUTING_KEY_CHARS || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::usage("this is no routing key of PagerDuty")
                .at(secret::place(name, file))
                .detail("one has 32 letters and digits")
                .hint("it is the integration key of an `Events API v2` integration"));
        }
        let url = endpoint::checked(&config.url, "url")?.to_owned();
        Ok(Self { url, routing_key })
    }

    fn event(&self, alert: &AlertRecord) -> Value {
        let mut event = json!({
            "routing_key": self.routing_key.expose(),
            "dedup_key": alert.id,
            "event_action": "resolve",
        });
        if alert.status != Status::Closed {
            event["event_action"] = Value::from("trigger");
            event["client"] = Value::from("Nightlatch");
            event["payload"] = payload(alert);
        }
        event
    }
}

impl HttpDestination for PagerDuty {
    fn request(&mut self, alert: &AlertRecord, _: &[u8], _: i64) -> Option<Request> {
        Some(Request {
            url: self.url.clone(),
            headers: vec![("content-type", "application/json".to_owned())],
            body: fit(alert, BODY_BYTES_MAX, |alert, _| json_line(&self.event(alert))),
        })
    }
}

fn payload(alert: &AlertRecord) -> Value {
    without_nulls(json!({
        "summary": summary(alert),
        "severity": severity(alert.severity),
        "source": name(&alert.entity).unwrap_or_else(|| "nightlatch".to_owned()),
        "timestamp": instant(&alert.updated_at).map(|_| &alert.updated_at),
        "component": name(&alert.entity_type),
        "group": name(&alert.rule),
        "class": name(&alert.attack.join(" ")),
        "custom_details": details(alert),
    }))
}

fn summary(alert: &AlertRecord) -> String {
    let (title, summary) = (escape(&alert.title), escape(&alert.summary));
    let whole = if summary.is_empty() { title.into_owned() } else { format!("{title}: {summary}") };
    cut(&whole, SUMMARY_CHARS_MAX)
}

fn name(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| cut(&escape(text), NAME_CHARS_MAX))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "info",
    }
}

/// The whole alert, with nothing in it that deceives whoever reads it.
fn details(alert: &AlertRecord) -> Value {
    visible(serde_json::to_value(alert).unwrap_or_default())
}

fn visible(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(escape(&text).into_owned()),
        Value::Array(items) => items.into_iter().map(visible).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            let members: Map<String, Value> =
                members.map(|(name, value)| (escape(&name).into_owned(), visible(value))).collect();
            Value::Object(members)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::example::{self, body, secret_file};

    const KEY: &str = "0123456789abcdef0123456789hushhh";

    fn configured(key: &str) -> Result<PagerDuty> {
        let file = secret_file(key);
        let config = format!("routing_key_file = {:?}", file.path());
        PagerDuty::new(&toml::from_str(&config).unwrap())
    }

    fn event(alert: &AlertRecord) -> Value {
        body(&configured(KEY).unwrap().request(alert, b"", 0).unwrap())
    }

    #[test]
    fn an_event() {
        let request = configured(KEY).unwrap().request(&example::alert(), b"", 0).unwrap();
        assert_eq!(request.url, "https://events.pagerduty.com/v2/enqueue");
        assert!(!format!("{:?}", configured(KEY)).contains("hush"));
        insta::assert_json_snapshot!(body(&request));
    }

    #[test]
    fn one_incident_from_opened_to_closed() {
        let steps = [
            (Status::Opened, "trigger"),
            (Status::Updated, "trigger"),
            (Status::Closed, "resolve"),
        ];
        for (revision, (status, action)) in (1..).zip(steps) {
            let event = event(&example::revised(revision, status));
            assert_eq!(event["event_action"], action);
            assert_eq!(event["dedup_key"], example::alert().id);
            assert_eq!(event.get("payload").is_some(), action == "trigger");
        }
    }

    #[test]
    fn limits_of_pagerduty() {
        for alert in example::all().into_iter().filter(|alert| alert.status != Status::Closed) {
            let event = event(&alert);
            assert!(event.to_string().len() <= 512_000);
            let payload = &event["payload"];
            let length = |key: &str| payload[key].as_str().map_or(0, |t| t.encode_utf16().count());
            assert!((1..=1024).contains(&length("summary")));
            assert!((1..=255).contains(&length("source")));
            for key in ["component", "group", "class"] {
                assert!(length(key) <= 255, "{key}");
            }
            let severity = payload["severity"].as_str().unwrap();
            assert!(["critical", "error", "warning", "info"].contains(&severity));
            if let Some(time) = payload.get("timestamp") {
                chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
            }
        }
        let huge = event(&example::huge());
        let summary = huge["payload"]["summary"].as_str().unwrap();
        assert!(summary.ends_with("more, open alert)"), "{summary}");
    }

    #[test]
    fn details_are_the_alert_made_visible() {
        let event = event(&example::nasty());
        let details = event["payload"]["custom_details"].to_string();
        assert_eq!(escape(&details), details);
        assert_eq!(event["payload"]["custom_details"]["accounts_total"], 45);
    }

    #[test]
    fn what_is_no_routing_key_is_refused_without_being_shown() {
        for key in ["hush", "0123456789abcdef 123456789hushhh"] {
            let error = configured(key).unwrap_err().to_string();
            assert!(error.contains("routing_key_file") && !error.contains("hush"), "{error}");
        }
    }
}
