//! Slack: an incoming webhook takes each revision as a message of blocks.
//!
//! What came from events stands in `plain_text` objects, which know neither formatting nor mentions.
//! A webhook can neither change nor take back a message: each revision is a message of its own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encoding::json_line;
use super::endpoint;
use super::http_destination::{HttpDestination, Request};
use super::record::AlertRecord;
use super::shorten::{cut_by, fit};
use super::wording::{facts, heading};
use crate::Result;
use crate::alert::escape;
use crate::config::secret::Secret;

/// Slack refuses longer headers,
const HEADER_CHARS_MAX: usize = 150;
/// longer texts of a section,
const SECTION_CHARS_MAX: usize = 3000;
/// and, though no page says so, more than about 13,200 characters in all blocks together. Bytes are
/// never fewer than characters.
const BODY_BYTES_MAX: usize = 13_000;
/// Length of one fact; the limit of Slack is that of a section.
const FACT_CHARS_MAX: usize = 800;
/// Words that call people, where a text may hold them.
const CALLS: [&str; 3] = ["here", "channel", "everyone"];

/// A Slack channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {
    /// File with the URL of the incoming webhook. The URL is a secret: who knows it can post.
    pub url_file: PathBuf,
}

/// Encodes alerts for Slack.
#[derive(Debug)]
pub struct Slack {
    url: Secret,
}

impl Slack {
    /// Reads the URL.
    ///
    /// # Errors
    /// When the file cannot be read, can be read by others, or holds no URL.
    pub fn new(config: &SlackConfig) -> Result<Self> {
        Ok(Self { url: endpoint::secret("destination.url_file", &config.url_file)? })
    }
}

impl HttpDestination for Slack {
    fn request(&mut self, alert: &AlertRecord, _: &[u8], _: i64) -> Option<Request> {
        Some(Request {
            url: self.url.expose().to_owned(),
            headers: vec![("content-type", "application/json".to_owned())],
            body: fit(alert, BODY_BYTES_MAX, |alert, _| json_line(&message(alert))),
        })
    }
}

fn message(alert: &AlertRecord) -> Value {
    let heading = heading(alert);
    let summary = escape(&alert.summary);
    let summary = if summary.is_empty() { &*heading } else { &*summary };
    let mut blocks = vec![
        json!({"type": "header", "text": text(&heading, HEADER_CHARS_MAX)}),
        json!({"type": "section", "text": text(summary, SECTION_CHARS_MAX)}),
    ];
    blocks.extend(facts(alert, FACT_CHARS_MAX).iter().map(|(label, fact)| {
        json!({"type": "section", "text": text(&format!("{label}: {fact}"), SECTION_CHARS_MAX)})
    }));
    json!({
        // What a notification shows.
        "text": safe(&heading, HEADER_CHARS_MAX),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

fn text(text: &str, max: usize) -> Value {
    json!({"type": "plain_text", "emoji": false, "text": safe(text, max)})
}

/// The text as Slack wants it, at most `max` characters with its escapes.
fn safe(text: &str, max: usize) -> String {
    cut_by(&silent(text), max, |c| escaped(c).map_or(c.len_utf16(), str::len)).chars().fold(
        String::new(),
        |mut safe, c| {
            match escaped(c) {
                Some(escape) => safe.push_str(escape),
                None => safe.push(c),
            }
            safe
        },
    )
}

fn escaped(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

/// The text with another at sign in `@here` and its like; names such as `a@here.example` stay.
fn silent(text: &str) -> String {
    let mut silent = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let rest = text.get(at + 1..).filter(|_| c == '@').unwrap_or_default();
        let before = silent.chars().next_back();
        let calls = CALLS.iter().any(|call| starts_with_word(rest, call));
        let is_call = calls && !before.is_some_and(char::is_alphanumeric);
        silent.push(if is_call { '＠' } else { c });
    }
    silent
}

fn starts_with_word(text: &str, word: &str) -> bool {
    let (head, rest) = text.split_at_checked(word.len()).unwrap_or_default();
    head.eq_ignore_ascii_case(word) && !rest.starts_with(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::example::{self, body, secret_file};

    const URL: &str = "https://hooks.slack.example/services/T0/B0/hush";

    fn slack() -> Slack {
        let file = secret_file(URL);
        Slack::new(&SlackConfig { url_file: file.path().to_owned() }).unwrap()
    }

    fn message_of(alert: &AlertRecord) -> Value {
        body(&slack().request(alert, b"", 0).unwrap())
    }

    fn texts(message: &Value) -> Vec<(&str, &str)> {
        let blocks = message["blocks"].as_array().unwrap().iter();
        blocks
            .map(|block| {
                assert_eq!(block["text"]["type"], "plain_text");
                assert_eq!(block["text"]["emoji"], false);
                (block["type"].as_str().unwrap(), block["text"]["text"].as_str().unwrap())
            })
            .collect()
    }

    #[test]
    fn a_message() {
        insta::assert_json_snapshot!(message_of(&example::alert()));
        let request = slack().request(&example::alert(), b"", 0).unwrap();
        assert_eq!(request.url, URL);
        assert!(!format!("{:?}", slack()).contains("hush"));
    }

    #[test]
    fn limits_of_slack() {
        for alert in example::all() {
            let request = slack().request(&alert, b"", 0).unwrap();
            assert!(request.body.len() <= BODY_BYTES_MAX, "{}", request.body.len());
            let message = body(&request);
            let texts = texts(&message);
            assert!(texts.len() <= 50, "{}", texts.len());
            for (kind, text) in texts {
                let max = if kind == "header" { 150 } else { 3000 };
                let length = text.encode_utf16().count();
                assert!((1..=max).contains(&length), "{kind}: {length}");
            }
        }
        let huge = message_of(&example::huge());
        let huge = huge.to_string();
        assert!(huge.contains("... and 9999") && huge.contains("more, open alert"), "{huge}");
    }

    #[test]
    fn events_can_neither_mention_nor_format() {
        let message = message_of(&example::nasty());
        assert_eq!(message["mrkdwn"], false);
        let mut all: Vec<&str> = texts(&message).into_iter().map(|(_, text)| text).collect();
        all.push(message["text"].as_str().unwrap());
        for text in all {
            assert!(!text.contains(['<', '>']) && !text.contains("@here"), "{text}");
            let entities = text.matches("&lt;").count()
                + text.matches("&gt;").count()
                + text.matches("&amp;").count();
            assert_eq!(text.matches('&').count(), entities, "{text}");
            assert_eq!(escape(text), text, "{text}");
        }
    }

    #[test]
    fn only_calls_are_silenced() {
        let cases = [
            ("@here", "＠here"),
            ("(@Channel)", "(＠Channel)"),
            ("ada@hereford.example", "ada@hereford.example"),
            ("ada@here.example @hereford", "ada@here.example @hereford"),
            ("@", "@"),
            ("@é@everyone", "@é@everyone"),
        ];
        for (text, silenced) in cases {
            assert_eq!(silent(text), silenced);
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_shown() {
        let file = secret_file("hush");
        let error = Slack::new(&SlackConfig { url_file: file.path().to_owned() }).unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
        let unknown = toml::from_str::<SlackConfig>("url_file = \"a\"\nchannel = \"b\"");
        assert!(unknown.unwrap_err().to_string().contains("unknown field `channel`"));
    }
}
