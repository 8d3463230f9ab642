//! `[[destination]]`: where alerts go, and which. What all have in common, what all behind HTTP have
//! in common, and what each kind has of its own.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::units;
use crate::alert::Status;
use crate::delivery::alertmanager::AlertmanagerConfig;
use crate::delivery::encoding::Encoding;
use crate::delivery::pagerduty::PagerDutyConfig;
use crate::delivery::postgresql::PostgresqlConfig;
use crate::delivery::slack::SlackConfig;
use crate::delivery::splunk::SplunkConfig;
use crate::delivery::teams::TeamsConfig;
use crate::rules::Severity;
use crate::{Error, suggest};

const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);
const TIMEOUT: Duration = Duration::from_secs(15);
const CONCURRENCY: usize = 16;
const CONCURRENCY_MAX: usize = 256;
const NAME_CHARS_MAX: usize = 64;

/// One `[[destination]]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DestinationConfig {
    /// What every destination has.
    #[serde(flatten)]
    pub common: CommonConfig,
    /// What every destination behind HTTP has.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpOptions>,
    /// The kind, and what it has of its own.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What every destination has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommonConfig {
    /// How commands, metrics and files call it.
    pub name: String,
    /// Only alerts of rules of this severity or above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity_min: Option<Severity>,
    /// Only alerts of rules whose name fits one of these patterns; empty: all.
    pub rules: Vec<String>,
    /// Only alerts about such entities; empty: all.
    pub entity_types: Vec<String>,
    /// Only such revisions; empty: all.
    pub status: Vec<Status>,
    /// Whether it gets what a silence hides from the others.
    pub silenced: bool,
    /// Whether it gets what is told early.
    pub early: bool,
    /// The wait after the first failure; it doubles with each further one.
    #[serde(with = "units::duration")]
    pub retry_first: Duration,
    /// The longest wait.
    #[serde(with = "units::duration")]
    pub retry_max: Duration,
}

impl Default for CommonConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            severity_min: None,
            rules: Vec::new(),
            entity_types: Vec::new(),
            status: Vec::new(),
            silenced: false,
            early: true,
            retry_first: RETRY_FIRST,
            retry_max: RETRY_MAX,
        }
    }
}

/// What every destination behind HTTP has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpOptions {
    /// Whether it may be at a private, loopback or link-local address, and without TLS.
    pub allow_private: bool,
    /// Whether it may be without TLS.
    pub allow_http: bool,
    /// Certificate authorities to trust beside the system's, a PEM file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How long one attempt may take.
    #[serde(with = "units::duration")]
    pub timeout: Duration,
    /// Requests under way at one time; revisions of one alert go one after the other all the same.
    pub concurrency: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            allow_private: false,
            allow_http: false,
            ca_file: None,
            timeout: TIMEOUT,
            concurrency: CONCURRENCY,
        }
    }
}

/// The kind of a destination, and what it has of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Kind {
    /// Standard Webhooks 1.0.
    Webhook(WebhookConfig),
    /// Slack, by an incoming webhook.
    Slack(SlackConfig),
    /// Microsoft Teams, by a workflow.
    Teams(TeamsConfig),
    /// PagerDuty, by Events API v2.
    PagerDuty(PagerDutyConfig),
    /// Prometheus Alertmanager, by its API v2.
    Alertmanager(AlertmanagerConfig),
    /// Splunk, by the HTTP Event Collector.
    Splunk(SplunkConfig),
    /// A file of JSON Lines.
    File(FileConfig),
    /// A Kafka topic.
    Kafka(TopicConfig),
    /// Tables of a PostgreSQL database.
    Postgresql(PostgresqlConfig),
    /// Standard output.
    Stdout(StdoutConfig),
    /// The history, which is no `[[destination]]`: `[history]` makes it one.
    History(HistoryFile),
}

impl Kind {
    /// What `type` may be.
    pub(super) const NAMES: [&'static str; 10] = [
        "webhook",
        "slack",
        "teams",
        "pagerduty",
        "alertmanager",
        "splunk",
        "file",
        "kafka",
        "postgresql",
        "stdout",
    ];

    /// Whether destinations of the kind are behind HTTP.
    pub(super) fn is_http(name: &str) -> bool {
        !matches!(name, "file" | "kafka" | "postgresql" | "stdout")
    }
}

/// `type = "webhook"`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A file that holds the address, when that is a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// Files that hold a signing secret each (`whsec_...`); more than one while they are changed.
    pub secret_files: Vec<PathBuf>,
    /// How `data` is written.
    pub encoding: Encoding,
}

/// `type = "file"`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileConfig {
    /// Appended to, one JSON object a line.
    pub file: PathBuf,
    /// How an alert is written.
    pub encoding: Encoding,
}

/// `type = "kafka"`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicConfig {
    /// The topic, at the brokers of `[kafka]`; the key is the entity.
    pub topic: String,
    /// Whether a reader of committed records sees each revision once, whatever crashes.
    pub transactional: bool,
    /// How an alert is written.
    pub encoding: Encoding,
}

/// What the history is as a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryFile {
    /// The SQLite file.
    pub file: PathBuf,
}

/// `type = "stdout"`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StdoutConfig {
    /// How an alert is written.
    pub encoding: Encoding,
}

impl DestinationConfig {
    /// How the short forms in `[alerts]` are written in full.
    pub(super) fn short(name: &str, kind: Kind) -> Self {
        // What is not told is kept all the same.
        let silenced = matches!(kind, Kind::History(_));
        let common = CommonConfig { name: name.to_owned(), silenced, ..CommonConfig::default() };
        Self { common, http: None, kind }
    }

    /// The topic that it writes to.
    pub(super) fn topic(&self) -> Option<&str> {
        match &self.kind {
            Kind::Kafka(topic) => Some(&topic.topic),
            _ => None,
        }
    }

    /// Values that make no sense, each with its key.
    pub(super) fn problems(&self) -> Vec<(&'static str, Error)> {
        let mut found = self.common.problems();
        found.extend(self.http.iter().flat_map(HttpOptions::problems));
        match &self.kind {
            Kind::Webhook(webhook) => {
                found.extend(one_address(webhook.url.as_deref(), webhook.url_file.is_some()));
                if webhook.secret_files.is_empty() {
                    let missing = Error::usage("a webhook needs a secret to sign with").hint(
                        "write `whsec_` and the base64 of 24 to 64 random bytes to a file, and name \
                         it: `secret_files = [\"...\"]`",
                    );
                    found.push(("secret_files", missing));
                }
            }
            Kind::File(file) if file.file.as_os_str().is_empty() => {
                found.push(("file", Error::usage("`file` is missing")));
            }
            Kind::Kafka(topic) if topic.topic.is_empty() => {
                found.push(("topic", Error::usage("`topic` is missing")));
            }
            Kind::Postgresql(database) => found.extend(database.problems()),
            _ => {}
        }
        found
    }
}

impl CommonConfig {
    fn problems(&self) -> Vec<(&'static str, Error)> {
        let mut found = Vec::new();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if self.name.is_empty() || self.name.len() > NAME_CHARS_MAX || !self.name.chars().all(fits)
        {
            let hint = format!("use up to {NAME_CHARS_MAX} of a-z, 0-9, - and _");
            found.push(("name", Error::usage("a destination needs a name").hint(hint)));
        }
        if self.retry_first.is_zero() || self.retry_first > self.retry_max {
            let error = Error::usage("must be longer than nothing, and at most `retry_max`");
            found.push(("retry_first", error));
        }
        found
    }
}

impl HttpOptions {
    fn problems(&self) -> Vec<(&'static str, Error)> {
        let mut found = Vec::new();
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            let error = Error::usage(format!("must be from 1 to {CONCURRENCY_MAX}"));
            found.push(("concurrency", error));
        }
        if self.timeout.is_zero() {
            found.push(("timeout", Error::usage("must be longer than nothing")));
        }
        found
    }
}

/// An address stands in the configuration or in a file, not in both.
fn one_address(url: Option<&str>, has_file: bool) -> Option<(&'static str, Error)> {
    match (url, has_file) {
        (Some(_), true) => {
            Some(("url_file", Error::usage("both `url` and `url_file`: which of them?")))
        }
        (None, false) => Some(("url", Error::usage("`url` or `url_file` is missing"))),
        _ => None,
    }
}

/// An unknown `type`.
pub(super) fn unknown_kind(name: &str) -> Error {
    let error = Error::usage(format!("there is no destination of the type `{name}`"));
    match suggest(name, Kind::NAMES) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("known: {}", Kind::NAMES.join(", "))),
    }
}

/// The tables of `[[destination]]` are taken apart before the rest is decoded, see `parts`.
pub(super) fn decoded_elsewhere<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<DestinationConfig>, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| Vec::new())
}
