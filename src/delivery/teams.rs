//! Microsoft Teams: a webhook of Workflows takes each revision as an Adaptive Card.
//!
//! What came from events stands in text runs, which know no Markdown (texts of blocks and facts do).
//! Such a webhook can neither change nor take back a card: each revision is a card of its own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encoding::json_line;
use super::endpoint;
use super::http_destination::{HttpDestination, Request};
use super::record::AlertRecord;
use super::shorten::{cut, fit};
use super::wording::{facts, heading};
use crate::Result;
use crate::alert::escape;
use crate::config::secret::Secret;
use crate::rules::Severity;

/// Teams refuses about 28 KB, and does not say how it counts.
const BODY_BYTES_MAX: usize = 25_000;
const HEADING_CHARS_MAX: usize = 300;
const SUMMARY_CHARS_MAX: usize = 3000;
const FACT_CHARS_MAX: usize = 1500;

/// A channel or chat of Microsoft Teams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamsConfig {
    /// File with the URL of the workflow ("When a Teams webhook request is received"). The URL is a
    /// secret: who knows it can post.
    pub url_file: PathBuf,
}

/// Encodes alerts for Microsoft Teams.
#[derive(Debug)]
pub struct Teams {
    url: Secret,
}

impl Teams {
    /// Reads the URL.
    ///
    /// # Errors
    /// When the file cannot be read, can be read by others, or holds no URL.
    pub fn new(config: &TeamsConfig) -> Result<Self> {
        Ok(Self { url: endpoint::secret("destination.url_file", &config.url_file)? })
    }
}

impl HttpDestination for Teams {
    fn request(&mut self, alert: &AlertRecord, _: &[u8], _: i64) -> Option<Request> {
        Some(Request {
            url: self.url.expose().to_owned(),
            headers: vec![("content-type", "application/json".to_owned())],
            body: fit(alert, BODY_BYTES_MAX, |alert, _| json_line(&message(alert))),
        })
    }
}

fn message(alert: &AlertRecord) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card(alert),
        }],
    })
}

fn card(alert: &AlertRecord) -> Value {
    let heading = inert(&cut(&heading(alert), HEADING_CHARS_MAX));
    let summary = inert(&cut(&escape(&alert.summary), SUMMARY_CHARS_MAX));
    let mut body = vec![
        paragraph(vec![json!({
            "type": "TextRun",
            "text": heading,
            "size": "large",
            "weight": "bolder",
            "color": colour(alert.severity),
        })]),
        paragraph(vec![run(&summary, "default")]),
    ];
    body.extend(facts(alert, FACT_CHARS_MAX).iter().map(|(label, fact)| {
        paragraph(vec![run(&format!("{label}: "), "bolder"), run(&inert(fact), "default")])
    }));
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    })
}

fn paragraph(inlines: Vec<Value>) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines})
}

fn run(text: &str, weight: &str) -> Value {
    json!({"type": "TextRun", "text": text, "weight": weight})
}

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Info | Severity::Low => "accent",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "attention",
    }
}

/// Cards put times and data in the place of `{{...}}` and `${...}`, in whatever text.
fn inert(text: &str) -> String {
    text.replace("{{", "{ {").replace("${", "$ {")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::example::{self, body, secret_file};

    const URL: &str = "https://workflows.example/invoke?sig=hush";

    fn teams() -> Teams {
        let file = secret_file(URL);
        Teams::new(&TeamsConfig { url_file: file.path().to_owned() }).unwrap()
    }

    fn paragraphs(message: &Value) -> &Vec<Value> {
        message["attachments"][0]["content"]["body"].as_array().unwrap()
    }

    #[test]
    fn a_card() {
        let request = teams().request(&example::alert(), b"", 0).unwrap();
        assert_eq!(request.url, URL);
        assert!(!format!("{:?}", teams()).contains("hush"));
        insta::assert_json_snapshot!(body(&request));
    }

    #[test]
    fn limits_of_teams() {
        for alert in example::all() {
            let request = teams().request(&alert, b"", 0).unwrap();
            assert!(request.body.len() <= BODY_BYTES_MAX, "{}", request.body.len());
        }
        let huge = teams().request(&example::huge(), b"", 0).unwrap();
        let huge = body(&huge).to_string();
        assert!(huge.contains("... and 9999") && huge.contains("more, open alert"), "{huge}");
    }

    #[test]
    fn texts_of_events_are_runs_that_nothing_formats() {
        let request = teams().request(&example::nasty(), b"", 0).unwrap();
        let message = body(&request);
        for paragraph in paragraphs(&message) {
            assert_eq!(paragraph["type"], "RichTextBlock");
            for run in paragraph["inlines"].as_array().unwrap() {
                assert_eq!(run["type"], "TextRun");
                let text = run["text"].as_str().unwrap();
                assert!(!text.contains("{{") && !text.contains("${"), "{text}");
                assert_eq!(escape(text), text);
            }
        }
    }
}
