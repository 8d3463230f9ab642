//! Prometheus Alertmanager, API v2: one alert there for each alert here.
//!
//! Alertmanager forgets an alert that nobody repeats. So open alerts are sent again and again, each
//! time with an end a few repetitions ahead, and closed ones for a while with the time of closing.
//! An alert is known by its labels: those of its first revision are kept for all later ones.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encoding::{json_line, micros};
use super::endpoint;
use super::http_destination::{HttpDestination, Request};
use super::record::AlertRecord;
use super::shorten::cut;
use super::wording::facts;
use crate::alert::{Status, escape};
use crate::config::secret::Secret;
use crate::config::units;
use crate::{Error, Result};

const PATH: &str = "/api/v2/alerts";
/// Alertmanager takes an open alert for resolved when it was not repeated so many times.
const MISSED_MAX: i64 = 4;
/// A closed alert is repeated for so long.
const CLOSED_SECONDS: i64 = 5 * 60;
/// An alert that is not repeated, because too many are open, ends after so long.
const UNTRACKED_SECONDS: i64 = 24 * 3600;
/// Alerts that are repeated in one request.
const ALERTS_PER_REQUEST: usize = 500;
const LABEL_CHARS_MAX: usize = 256;
const SUMMARY_CHARS_MAX: usize = 500;
const FACT_CHARS_MAX: usize = 300;
/// The names of our own labels.
const LABELS: [&str; 6] =
    ["alertname", "severity", "rule", "entity_type", "entity", "nightlatch_id"];

const RESEND_EVERY: Duration = Duration::from_secs(60);
const OPEN_MAX: usize = 10_000;
/// Twice the longest quiet time of the rules in the binary.
const FORGET_AFTER: Duration = Duration::from_secs(14 * 24 * 3600);

/// An Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertmanagerConfig {
    /// Its address without the path of the API, `http://alertmanager:9093`.
    pub url: String,
    /// File with the value of the `Authorization` header, such as `Bearer ...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_file: Option<PathBuf>,
    /// Open alerts are sent again so often; one that four repetitions miss counts as resolved there.
    #[serde(default = "resend_every", with = "units::duration")]
    pub resend_every: Duration,
    /// Alerts that are repeated at one time; more are sent when they change, and end after a day.
    #[serde(default = "open_max")]
    pub open_max: usize,
    /// An open alert without a new revision for so long is no longer repeated. Longer than the `quiet`
    /// of every rule.
    #[serde(default = "forget_after", with = "units::duration")]
    pub forget_after: Duration,
    /// Labels that every alert gets besides its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

fn resend_every() -> Duration {
    RESEND_EVERY
}

fn open_max() -> usize {
    OPEN_MAX
}

fn forget_after() -> Duration {
    FORGET_AFTER
}

/// Encodes alerts for Alertmanager, and repeats them.
#[derive(Debug)]
pub struct Alertmanager {
    url: String,
    authorization: Option<Secret>,
    labels: BTreeMap<String, String>,
    resend_every_seconds: i64,
    forget_after_seconds: i64,
    open_max: usize,
    repeated: BTreeMap<String, Repeated>,
    /// Revisions delivered and not repeated, because `open_max` other alerts are.
    untracked: u64,
}

/// An alert that is repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Repeated {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// Seconds; so are all times here.
    starts_at: i64,
    /// When the newest revision was delivered.
    told_at: i64,
    /// When that revision closed it.
    closed: bool,
    /// When it is sent again.
    #[serde(skip)]
    due_at: i64,
}

impl Alertmanager {
    /// Reads the secret, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read, or can be read by others; when the URL is none; when a label has a
    /// name that Alertmanager does not take, or one of ours; when alerts would be repeated without end.
    pub fn new(config: &AlertmanagerConfig) -> Result<Self> {
        let authorization = config.authorization_file.as_deref();
        let authorization = authorization
            .map(|file| endpoint::token("destination.authorization_file", file))
            .transpose()?;
        config.labels.keys().try_for_each(|name| check_label(name))?;
        if config.resend_every < Duration::from_secs(1) {
            return Err(Error::usage("`resend_every` is shorter than a second").at("resend_every"));
        }
        Ok(Self {
            url: format!("{}{PATH}", endpoint::checked(&config.url, "url")?),
            authorization,
            labels: config.labels.clone(),
            resend_every_seconds: seconds(config.resend_every),
            forget_after_seconds: seconds(config.forget_after),
            open_max: config.open_max,
            repeated: BTreeMap::new(),
            untracked: 0,
        })
    }

    fn post(&self, alerts: &[Value]) -> Request {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if let Some(secret) = &self.authorization {
            headers.push(("authorization", secret.expose().to_owned()));
        }
        Request { url: self.url.clone(), headers, body: json_line(&alerts) }
    }

    /// The alert as it is repeated from now on: known by the labels it had first.
    fn repetition(&self, alert: &AlertRecord, now_seconds: i64) -> Repeated {
        let known = self.repeated.get(&alert.id);
        let started_at = micros(&alert.started_at).div_euclid(1_000_000);
        Repeated {
            labels: known.map_or_else(|| self.labels(alert), |known| known.labels.clone()),
            annotations: annotations(alert),
            starts_at: known.map_or(started_at, |known| known.starts_at).min(now_seconds),
            told_at: now_seconds,
            closed: alert.status == Status::Closed,
            due_at: now_seconds.saturating_add(self.resend_every_seconds),
        }
    }

    fn labels(&self, alert: &AlertRecord) -> BTreeMap<String, String> {
        let alertname = camel_case(&alert.rule);
        let own = [
            &*alertname,
            alert.severity.label(),
            &alert.rule,
            &alert.entity_type,
            &alert.entity,
            &alert.id,
        ];
        let own = LABELS
            .into_iter()
            .zip(own)
            .map(|(name, value)| (name.to_owned(), cut(&escape(value), LABEL_CHARS_MAX)));
        self.labels.clone().into_iter().chain(own).collect()
    }

    fn ends_at(&self, repeated: &Repeated, now_seconds: i64) -> i64 {
        let ends_at = if repeated.closed {
            repeated.told_at
        } else {
            now_seconds.saturating_add(self.resend_every_seconds.saturating_mul(MISSED_MAX))
        };
        ends_at.max(repeated.starts_at)
    }

    fn has_room_for(&self, id: &str) -> bool {
        self.repeated.len() < self.open_max || self.repeated.contains_key(id)
    }

    /// Drops what need not be repeated any more.
    fn forget(&mut self, now_seconds: i64) {
        let forget_after = self.forget_after_seconds;
        self.repeated.retain(|_, repeated| {
            let patience = if repeated.closed { CLOSED_SECONDS } else { forget_after };
            now_seconds.saturating_sub(repeated.told_at) <= patience
        });
    }
}

impl HttpDestination for Alertmanager {
    fn request(&mut self, alert: &AlertRecord, _: &[u8], now_seconds: i64) -> Option<Request> {
        let repeated = self.repetition(alert, now_seconds);
        let ends_at = if repeated.closed || self.has_room_for(&alert.id) {
            self.ends_at(&repeated, now_seconds)
        } else {
            now_seconds.saturating_add(UNTRACKED_SECONDS)
        };
        Some(self.post(&[posted(&repeated, ends_at)]))
    }

    fn delivered(&mut self, alert: &AlertRecord, now_seconds: i64) {
        self.forget(now_seconds);
        if self.has_room_for(&alert.id) {
            self.repeated.insert(alert.id.clone(), self.repetition(alert, now_seconds));
            return;
        }
        if self.untracked == 0 {
            let open_max = self.open_max;
            tracing::warn!(open_max, "more alerts are open than are repeated to Alertmanager");
        }
        self.untracked += 1;
    }

    fn again(&mut self, now_seconds: i64) -> Option<Request> {
        self.forget(now_seconds);
        let due = self.repeated.iter().filter(|(_, repeated)| repeated.due_at <= now_seconds);
        let due: Vec<String> = due.take(ALERTS_PER_REQUEST).map(|(id, _)| id.clone()).collect();
        let next = now_seconds.saturating_add(self.resend_every_seconds);
        for id in &due {
            if let Some(repeated) = self.repeated.get_mut(id) {
                repeated.due_at = next;
            }
        }
        let repeated = due.iter().filter_map(|id| self.repeated.get(id));
        let alerts: Vec<Value> =
            repeated.map(|one| posted(one, self.ends_at(one, now_seconds))).collect();
        (!alerts.is_empty()).then(|| self.post(&alerts))
    }

    fn untracked(&self) -> u64 {
        self.untracked
    }

    fn memory(&self) -> Option<Value> {
        serde_json::to_value(&self.repeated).ok()
    }

    /// Everything that is taken back is due at once.
    fn recall(&mut self, memory: Value) {
        match serde_json::from_value::<BTreeMap<String, Repeated>>(memory) {
            Ok(repeated) => self.repeated = repeated.into_iter().take(self.open_max).collect(),
            Err(error) => {
                tracing::warn!(%error, "which alerts to repeat to Alertmanager is forgotten");
            }
        }
    }
}

fn check_label(name: &str) -> Result<()> {
    let refused = |why: &str| {
        Err(Error::usage(format!("`{name}` cannot be a label of Alertmanager's"))
            .at("labels")
            .detail(why))
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return refused("a name has letters, digits and `_`, and starts with no digit");
    }
    if LABELS.contains(&name) {
        return refused("every alert has this label already");
    }
    Ok(())
}

fn posted(repeated: &Repeated, ends_at: i64) -> Value {
    json!({
        "labels": repeated.labels,
        "annotations": repeated.annotations,
        "startsAt": rfc3339(repeated.starts_at),
        "endsAt": rfc3339(ends_at),
    })
}

fn rfc3339(seconds: i64) -> String {
    let time = DateTime::from_timestamp_secs(seconds).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// `credential_stuffing` as Alertmanager's users write names: `CredentialStuffing`.
fn camel_case(rule: &str) -> String {
    let words = rule.split(|c: char| !c.is_alphanumeric());
    words
        .flat_map(|word| {
            let mut chars = word.chars();
            let first = chars.next().into_iter().flat_map(char::to_uppercase);
            first.chain(chars).collect::<Vec<_>>()
        })
        .collect()
}

fn annotations(alert: &AlertRecord) -> BTreeMap<String, String> {
    let text = |name: &str, text: &str, max| (name.to_owned(), cut(&escape(text), max));
    let facts = facts(alert, FACT_CHARS_MAX);
    let facts: Vec<String> = facts.iter().map(|(label, fact)| format!("{label}: {fact}")).collect();
    BTreeMap::from([
        text("title", &alert.title, SUMMARY_CHARS_MAX),
        text("summary", &alert.summary, SUMMARY_CHARS_MAX),
        ("description".to_owned(), facts.join("\n")),
    ])
}

#[cfg(test)]
#[path = "alertmanager_tests.rs"]
mod tests;
