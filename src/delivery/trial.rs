//! A marked test alert to one destination: does what we send arrive?

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::batch::Item;
use super::dispatcher::in_destination;
use super::outbox::Entry;
use super::record::{AlertRecord, EvidenceRecord};
use super::sender::Verdict;
use super::target::{HttpTarget, Surroundings, Target};
use crate::alert::{Status, write_json};
use crate::config::{DestinationConfig, Kind};
use crate::rules::Severity;
use crate::{Error, Result};

/// Begins the id of every test alert: 32 hexadecimal digits as of any other.
const ID_PREFIX: &str = "7e570000";

/// How the trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Whether the destination took the alert.
    pub delivered: bool,
    /// Status, or why there is none.
    pub said: String,
    /// How long it took.
    pub took: Duration,
}

/// Sends a test alert, once.
///
/// # Errors
/// When a file that the destination names cannot be used.
pub fn send(
    config: &DestinationConfig,
    around: &Surroundings,
    now: DateTime<Utc>,
) -> Result<Trial> {
    let mut config = config.clone();
    if let Kind::Kafka(topic) = &mut config.kind {
        // A second holder of the transactional id would fence off the program that runs.
        topic.transactional = false;
    }
    let target = Target::build(&config, around, &Arc::new(AtomicBool::new(false)))
        .map_err(|error| in_destination(error, &config.common.name))?;
    let alert = test_alert(now);
    let mut native = Vec::new();
    let _ = write_json(&alert, &mut native); // a Vec takes every write; every key is text
    let started = Instant::now();
    let (delivered, said) = match target {
        Target::Http(target) => send_http(target, &alert, &native, now.timestamp())?,
        Target::Batch(mut target) => {
            let item = Item { entry: entry(&alert, native, now), alert };
            let outcome = target.begin().and_then(|_| target.deliver(&[item]));
            let outcome = outcome.and_then(|refused| target.settle().map(|()| refused));
            match outcome {
                Err(error) => (false, error.to_string()),
                Ok(refused) => match refused.into_iter().next() {
                    Some(refused) => (false, refused.reason),
                    None => (true, "written".to_owned()),
                },
            }
        }
    };
    Ok(Trial { delivered, said, took: started.elapsed() })
}

fn send_http(
    mut target: HttpTarget,
    alert: &AlertRecord,
    native: &[u8],
    now_seconds: i64,
) -> Result<(bool, String)> {
    let Some(request) = target.destination.request(alert, native, now_seconds) else {
        return Ok((false, "this kind of destination has no use for the test alert".to_owned()));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::unexpected("cannot start what sends the request").detail(error.to_string())
    })?;
    let answer = runtime.block_on(target.sender.send(request));
    Ok((answer.verdict == Verdict::Delivered, answer.said))
}

fn entry(alert: &AlertRecord, native: Vec<u8>, now: DateTime<Utc>) -> Entry {
    let at = now.timestamp_micros();
    let (id, revision) = (alert.id.clone(), alert.revision);
    Entry { sequence: 0, at, appended_at: at, id, revision, native }
}

/// An alert with every field filled, from addresses and names that are nobody's.
fn test_alert(now: DateTime<Utc>) -> AlertRecord {
    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let started_at = text(now - Duration::from_secs(60));
    let evidence = EvidenceRecord {
        source: Some("nightlatch".to_owned()),
        file: None,
        line: None,
        topic: Some("test".to_owned()),
        partition: Some(0),
        offset: Some(0),
        time: started_at.clone(),
        event_id: Some("test".to_owned()),
    };
    AlertRecord {
        id: format!("{ID_PREFIX}{:024x}", now.timestamp_micros()),
        revision: 1,
        status: Status::Opened,
        rule: "nightlatch_test".to_owned(),
        rule_version: "000000000000".to_owned(),
        title: "TEST: nightlatch reaches this destination".to_owned(),
        severity: Severity::Info,
        entity_type: "ip".to_owned(),
        entity: "192.0.2.1".to_owned(),
        started_at,
        updated_at: text(now),
        accounts: vec!["test@example.org".to_owned()],
        accounts_total: 1,
        ips: vec!["192.0.2.1".to_owned()],
        ips_total: 1,
        summary: "TEST: sent by `nightlatch alerts test`; nothing has happened".to_owned(),
        values: [("failures".to_owned(), json!(1))].into_iter().collect(),
        matches: 1,
        evidence: vec![evidence],
        evidence_total: 1,
        attack: vec!["T1110.004".to_owned()],
        early: false,
        incident: None,
    }
}
