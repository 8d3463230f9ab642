//! Splunk: the HTTP Event Collector takes each revision as an event.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::encoding::{Encoding, json_line, micros};
use super::endpoint;
use super::http_destination::{HttpDestination, Request};
use super::record::AlertRecord;
use super::shorten::cut;
use crate::Result;
use crate::config::secret::Secret;

const PATH: &str = "/services/collector/event";
/// Splunk Cloud takes a request of 1 MB; an event is most of it.
const EVENT_BYTES_MAX: usize = 900_000;
/// Of an indexed field.
const FIELD_CHARS_MAX: usize = 256;
const MICROS_PER_SECOND: f64 = 1e6;

/// An HTTP Event Collector of Splunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplunkConfig {
    /// The collector without a path, `https://splunk.example:8088`.
    pub url: String,
    /// File with the collector's token.
    pub token_file: PathBuf,
    /// Schema of the events.
    #[serde(default)]
    pub encoding: Encoding,
    /// `host` of the events; absent: the collector's own idea of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `source` of the events.
    #[serde(default = "source")]
    pub source: String,
    /// `sourcetype` of the events.
    #[serde(default = "sourcetype")]
    pub sourcetype: String,
    /// Index; absent: the token's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
}

fn source() -> String {
    "nightlatch".to_owned()
}

fn sourcetype() -> String {
    "nightlatch:alert".to_owned()
}

/// Encodes alerts for Splunk.
#[derive(Debug)]
pub struct Splunk {
    config: SplunkConfig,
    url: String,
    token: Secret,
}

impl Splunk {
    /// Reads the token.
    ///
    /// # Errors
    /// When the file cannot be read, can be read by others, or holds no token; when the URL is none.
    pub fn new(config: &SplunkConfig) -> Result<Self> {
        let token = endpoint::token("destination.token_file", &config.token_file)?;
        let url = format!("{}{PATH}", endpoint::checked(&config.url, "url")?);
        Ok(Self { config: config.clone(), url, token })
    }

    fn event(&self, alert: &AlertRecord, native: &[u8]) -> Vec<u8> {
        let event = self.config.encoding.encode(alert, native, EVENT_BYTES_MAX);
        let event = String::from_utf8(event).ok().and_then(|e| RawValue::from_string(e).ok());
        json_line(&Event {
            time: seconds(&alert.updated_at),
            host: self.config.host.as_deref(),
            source: &self.config.source,
            sourcetype: &self.config.sourcetype,
            index: self.config.index.as_deref(),
            event,
            fields: fields(alert),
        })
    }
}

impl HttpDestination for Splunk {
    fn request(&mut self, alert: &AlertRecord, native: &[u8], _: i64) -> Option<Request> {
        Some(Request {
            url: self.url.clone(),
            headers: vec![
                ("authorization", format!("Splunk {}", self.token.expose())),
                ("content-type", "application/json".to_owned()),
            ],
            body: self.event(alert, native),
        })
    }
}

/// The collector's envelope; the event in it is the encoding's own bytes.
#[derive(Serialize)]
struct Event<'a> {
    time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    source: &'a str,
    sourcetype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'a str>,
    event: Option<Box<RawValue>>,
    fields: Value,
}

#[allow(clippy::cast_precision_loss)] // Splunk keeps milliseconds
fn seconds(time: &str) -> f64 {
    micros(time) as f64 / MICROS_PER_SECOND
}

/// What searches start from, indexed.
fn fields(alert: &AlertRecord) -> Value {
    json!({
        "alert_id": alert.id,
        "rule": cut(&alert.rule, FIELD_CHARS_MAX),
        "severity": alert.severity.label(),
        "status": alert.status.label(),
        "entity_type": cut(&alert.entity_type, FIELD_CHARS_MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::example::{self, body, native, secret_file};

    fn splunk(more: &str) -> Splunk {
        let file = secret_file("hush-token");
        let config =
            format!("url = \"https://splunk:8088/\"\ntoken_file = {:?}\n{more}", file.path());
        Splunk::new(&toml::from_str(&config).unwrap()).unwrap()
    }

    #[test]
    fn an_event() {
        let alert = example::alert();
        let native = native(&alert);
        let request = splunk("").request(&alert, &native, 0).unwrap();
        assert_eq!(request.url, "https://splunk:8088/services/collector/event");
        assert_eq!(request.headers[0], ("authorization", "Splunk hush-token".to_owned()));
        assert!(!format!("{:?}", splunk("")).contains("hush"));
        let text = String::from_utf8(request.body.clone()).unwrap();
        assert!(text.contains(std::str::from_utf8(&native).unwrap()), "the native bytes");
        insta::assert_json_snapshot!(body(&request));
    }

    #[test]
    fn host_and_index_are_there_when_configured() {
        let mut splunk = splunk("host = \"h\"\nindex = \"i\"\nsource = \"s\"\nsourcetype = \"t\"");
        let event = body(&splunk.request(&example::alert(), b"{}", 0).unwrap());
        let named = ["host", "index", "source", "sourcetype"].map(|key| event[key].clone());
        assert_eq!(named, ["h", "i", "s", "t"]);
    }

    #[test]
    fn every_encoding_within_the_limit() {
        for encoding in ["native", "ocsf", "ecs"] {
            let mut splunk = splunk(&format!("encoding = \"{encoding}\""));
            for alert in example::all() {
                let request = splunk.request(&alert, &native(&alert), 0).unwrap();
                assert!(request.body.len() <= 1_000_000, "{encoding}: {}", request.body.len());
                assert!(body(&request)["event"].is_object(), "{encoding}");
                assert!(body(&request)["time"].is_number());
            }
        }
        let ocsf = body(&splunk("encoding = \"ocsf\"").request(&example::alert(), b"", 0).unwrap());
        assert_eq!(ocsf["event"]["class_uid"], 2004);
    }
}
