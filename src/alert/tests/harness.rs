//! Events and rules by hand, and a run that feeds them to the episodes.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, UInt32Array, UInt64Array, new_null_array,
};

use super::super::*;
use crate::event::{OriginKind, Origins, Witness, schema, witness};
use crate::rules::{FrontMatter, Matches, Rule, Severity};

pub(super) const SECOND: TimeMicros = 1_000_000;
pub(super) const MINUTE: TimeMicros = 60 * SECOND;
/// 2019-03-01T12:00:00Z
pub(super) const START: TimeMicros = 1_551_441_600 * SECOND;

/// One event and the rules that match on it, each with the entity it names.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) time: TimeMicros,
    pub(super) account: String,
    pub(super) ip: Option<String>,
    pub(super) event_id: Option<String>,
    pub(super) hits: Vec<(usize, Option<String>)>,
}

pub(super) fn event(offset: TimeMicros, account: &str, ip: &str) -> Event {
    Event {
        time: START + offset,
        account: account.to_owned(),
        ip: Some(ip.to_owned()),
        event_id: None,
        hits: vec![(0, Some(ip.to_owned()))],
    }
}

impl Event {
    pub(super) fn hits(mut self, hits: &[(usize, Option<&str>)]) -> Self {
        self.hits = hits.iter().map(|(rule, entity)| (*rule, entity.map(str::to_owned))).collect();
        self
    }

    pub(super) fn id(mut self, id: &str) -> Self {
        self.event_id = Some(id.to_owned());
        self
    }

    pub(super) fn silent(self) -> Self {
        self.hits(&[])
    }
}

pub(super) fn rule(id: &str, entity: &str, quiet_micros: TimeMicros) -> Rule {
    Rule {
        id: id.to_owned(),
        version: "0123456789ab".to_owned(),
        path: format!("queries/{id}.sql"),
        front: FrontMatter {
            title: format!("Title of {id}"),
            severity: Severity::High,
            entity: entity.to_owned(),
            quiet_micros,
            horizon_micros: None,
            attack: vec!["T1110.004".to_owned()],
            summary: "{score} against {accounts_total} accounts from {entity}".to_owned(),
            why: None,
            false_positives: None,
            blind_spots: None,
            validation: None,
            runbook: None,
            references: Vec::new(),
        },
        sql: String::new(),
    }
}

pub(super) fn texts<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(texts.collect::<StringViewArray>())
}

/// Events as the engine gets them; positions count on from `first`.
pub(super) fn batch_of(events: &[Event], first: usize) -> RecordBatch {
    let schema = schema::event_batch();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        let n = events.len();
        match field.name().as_str() {
            "time" => {
                let times =
                    TimestampMicrosecondArray::from_iter_values(events.iter().map(|e| e.time));
                Arc::new(times.with_timezone("+00:00"))
            }
            "account" => texts(events.iter().map(|e| Some(e.account.as_str()))),
            "ip" => texts(events.iter().map(|e| e.ip.as_deref())),
            "event_id" => texts(events.iter().map(|e| e.event_id.as_deref())),
            "source" => texts(events.iter().map(|_| Some("auth"))),
            "_origin" => Arc::new(UInt32Array::from(vec![0; n])),
            "_partition" => Arc::new(Int32Array::from(vec![0; n])),
            "_position" => {
                Arc::new(Int64Array::from_iter_values((0..n).map(|i| (first + i + 1) as i64)))
            }
            "_hash" => Arc::new(UInt64Array::from(vec![0; n])),
            _ if field.is_nullable() => new_null_array(field.data_type(), n),
            _ => texts(events.iter().map(|_| Some("x"))),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

pub(super) fn matches_of(rule: usize, entity: &str, events: &[Event]) -> Matches {
    let hits: Vec<(usize, &Event, Option<&str>)> = events
        .iter()
        .enumerate()
        .flat_map(|(row, e)| {
            let own = e.hits.iter().filter(move |(r, _)| *r == rule);
            own.map(move |(_, name)| (row, e, name.as_deref()))
        })
        .collect();
    let times = TimestampMicrosecondArray::from_iter_values(hits.iter().map(|hit| hit.1.time));
    let columns: [(&str, ArrayRef); 4] = [
        ("time", Arc::new(times.with_timezone("+00:00"))),
        (entity, texts(hits.iter().map(|hit| hit.2))),
        ("who", texts(hits.iter().map(|hit| Some(hit.1.account.as_str())))),
        (
            "score",
            Arc::new(Float64Array::from_iter_values(
                hits.iter().map(|hit| ((hit.1.time - START) / SECOND) as f64 / 2.0),
            )),
        ),
    ];
    Matches {
        rule,
        rows: hits.iter().map(|hit| hit.0 as u32).collect(),
        columns: RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true)))
            .unwrap(),
    }
}

/// A stand-in for the engine: the frame of a row holds all rows of the last 10 minutes, peers
/// included, that share its address.
#[derive(Default)]
pub(super) struct Log(Vec<Witness>);

impl Log {
    pub(super) fn frame(&self, at: &Witness, max: usize) -> (Vec<Witness>, usize) {
        let inside = |one: &&Witness| {
            one.ip == at.ip && one.time <= at.time && one.time >= at.time - 10 * MINUTE
        };
        let all: Vec<Witness> = self.0.iter().filter(inside).cloned().collect();
        (all[all.len().saturating_sub(max)..].to_vec(), all.len())
    }
}

pub(super) struct Run {
    pub(super) rules: Vec<Rule>,
    pub(super) episodes: Episodes,
    pub(super) origins: Origins,
    pub(super) log: Log,
    pub(super) seen: usize,
    pub(super) alerts: Vec<Alert>,
}

impl Run {
    pub(super) fn new(rules: Vec<Rule>, config: AlertConfig) -> Self {
        let mut origins = Origins::default();
        origins.intern(OriginKind::File, "ring.jsonl");
        let episodes = Episodes::new(&rules, config).unwrap();
        Self { rules, episodes, origins, log: Log::default(), seen: 0, alerts: Vec::new() }
    }

    pub(super) fn feed(&mut self, events: &[Event]) -> Vec<Alert> {
        let batch = batch_of(events, self.seen);
        self.seen += events.len();
        self.log.0.extend((0..batch.num_rows()).map(|row| witness(&batch, row)));
        let rules = self.rules.iter().enumerate();
        let matches: Vec<Matches> =
            rules.map(|(index, rule)| matches_of(index, &rule.front.entity, events)).collect();
        let log = &self.log;
        let alerts = self.episodes.observe(&batch, &matches, &self.origins, &mut |_, row, max| {
            log.frame(&witness(&batch, row as usize), max)
        });
        self.alerts.extend(alerts.iter().cloned());
        alerts
    }

    pub(super) fn finish(mut self) -> Vec<Alert> {
        self.alerts.extend(self.episodes.flush());
        self.alerts
    }
}

pub(super) fn one_rule(quiet_micros: TimeMicros) -> Run {
    Run::new(vec![rule("stuffing", "ip", quiet_micros)], AlertConfig::default())
}

/// `status revision started..updated matches`, times in seconds after the start.
pub(super) fn brief(alerts: &[Alert]) -> Vec<String> {
    let one = |a: &Alert| {
        let at = |time: TimeMicros| (time - START) / SECOND;
        let (rule, entity) = (&a.rule, &a.entity);
        let (from, to) = (at(a.started_at), at(a.updated_at));
        format!("{rule} {entity} {:?} {} {from}..{to} {}", a.status, a.revision, a.matches)
    };
    alerts.iter().map(one).collect()
}

pub(super) fn lines(alerts: &[Alert]) -> String {
    alerts.iter().map(|alert| String::from_utf8(alert.to_json()).unwrap() + "\n").collect()
}
