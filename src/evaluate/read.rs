//! Reads alerts, truth and logs; what is wrong is told with its line.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Micros;
use crate::{Error, Result};

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// All revisions of one alert.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    pub(super) id: String,
    pub(super) rule: String,
    pub(super) severity: Severity,
    pub(super) entity: String,
    pub(super) started: Micros,
    pub(super) updated: Micros,
    /// Accounts, and when a revision named them first.
    pub(super) accounts: HashMap<String, Micros>,
    pub(super) ips: HashMap<String, Micros>,
    /// Actor and resource among its values.
    pub(super) actor: Option<String>,
    pub(super) resource: Option<String>,
    revision: u64,
}

/// How bad it is, says the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// As the alert has it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What is true about one log.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) attacks: Vec<Attack>,
    pub(super) traps: Vec<Trap>,
    pub(super) size: Option<Size>,
}

/// How large a log is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) events: u64,
    pub(super) benign_events: u64,
    pub(super) accounts: u64,
    pub(super) micros: Micros,
}

/// One attack.
#[derive(Debug)]
pub(super) struct Attack {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) evasion: String,
    pub(super) started: Micros,
    pub(super) ended: Micros,
    pub(super) ips: HashSet<String>,
    pub(super) actors: HashSet<String>,
    pub(super) resources: HashSet<String>,
    pub(super) accounts: HashSet<String>,
    pub(super) fell: BTreeMap<String, Fall>,
    pub(super) events: u64,
}

/// An account that fell.
#[derive(Debug)]
pub(super) struct Fall {
    /// The first hostile success.
    pub(super) time: Micros,
    /// The attack's own addresses that reached this account.
    pub(super) ips: HashSet<String>,
    /// What was done to it; none where the truth does not tell.
    pub(super) aftermath: Vec<String>,
}

/// Benign behaviour that looks like an attack.
#[derive(Debug)]
pub(super) struct Trap {
    pub(super) kind: String,
    pub(super) started: Micros,
    pub(super) ended: Micros,
    pub(super) names: HashSet<String>,
}

#[derive(Deserialize)]
struct AlertLine {
    /// Alerts have none; incidents are made of alerts, and count nothing.
    #[serde(default)]
    kind: Option<String>,
    id: String,
    #[serde(default)]
    revision: u64,
    rule: String,
    severity: Severity,
    #[serde(default)]
    entity: Option<String>,
    started_at: String,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    accounts: Vec<String>,
    #[serde(default)]
    ips: Vec<String>,
    #[serde(default)]
    values: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct TruthLine {
    #[serde(default = "attack")]
    r#type: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    evasion: String,
    started_at: String,
    ended_at: String,
    #[serde(default)]
    entities: HashMap<String, Vec<String>>,
    #[serde(default)]
    accounts: serde_json::Value,
    #[serde(default)]
    fell: Vec<FallLine>,
    #[serde(default)]
    events: u64,
    #[serde(default)]
    benign_events: u64,
}

/// An account that fell: with the time, or from the attack's first event on.
#[derive(Deserialize)]
#[serde(untagged)]
enum FallLine {
    Name(String),
    Timed {
        account: String,
        time: String,
        #[serde(default)]
        ips: Option<HashSet<String>>,
        #[serde(default)]
        aftermath: Vec<String>,
    },
}

#[derive(Deserialize)]
struct LogLine<'a> {
    #[serde(borrow)]
    time: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    account: std::borrow::Cow<'a, str>,
}

fn attack() -> String {
    "attack".to_owned()
}

/// Reads alerts; the revisions of one alert become one.
pub(super) fn alerts(path: &Path) -> Result<Vec<Alert>> {
    let mut all: BTreeMap<String, Alert> = BTreeMap::new();
    let what = "an alert of `nightlatch replay --json`";
    each_line(path, what, |line: AlertLine| {
        if line.kind.is_some() {
            return Ok(());
        }
        let started = micros(&line.started_at)?;
        let updated = line.updated_at.as_deref().map(micros).transpose()?.unwrap_or(started);
        if let Some(alert) = all.get_mut(&line.id) {
            alert.revise(line, started, updated);
        } else {
            all.insert(line.id.clone(), Alert::new(line, started, updated));
        }
        Ok(())
    })?;
    let mut all: Vec<Alert> = all.into_values().collect();
    all.sort_by(|left, right| (left.started, &left.id).cmp(&(right.started, &right.id)));
    Ok(all)
}

impl Alert {
    fn new(line: AlertLine, started: Micros, updated: Micros) -> Self {
        let mut alert = Self {
            id: line.id.clone(),
            rule: line.rule.clone(),
            severity: line.severity,
            entity: line.entity.clone().unwrap_or_default(),
            started,
            updated,
            accounts: HashMap::new(),
            ips: HashMap::new(),
            actor: None,
            resource: None,
            revision: 0,
        };
        alert.revise(line, started, updated);
        alert
    }

    /// Takes over what a revision tells; revisions may come in any order.
    fn revise(&mut self, line: AlertLine, started: Micros, updated: Micros) {
        // What the first revision names it named at the first match.
        let told = if line.revision <= 1 { started } else { updated };
        let name = |names: Vec<String>, all: &mut HashMap<String, Micros>| {
            for name in names {
                all.entry(name).and_modify(|at| *at = told.min(*at)).or_insert(told);
            }
        };
        name(line.accounts, &mut self.accounts);
        name(line.ips, &mut self.ips);
        self.started = self.started.min(started);
        self.updated = self.updated.max(updated);
        if line.revision >= self.revision {
            self.revision = line.revision;
            self.severity = line.severity;
            let value = |name: &str| {
                line.values.get(name).and_then(|value| value.as_str()).map(str::to_owned)
            };
            self.actor = value("actor");
            self.resource = value("resource");
        }
    }
}

/// Reads what is true about a log.
pub(super) fn truth(path: &Path) -> Result<Truth> {
    let mut truth = Truth::default();
    let what = "a line that `nightlatch simulate --truth` writes";
    each_line(path, what, |line: TruthLine| {
        let (started, ended) = (micros(&line.started_at)?, micros(&line.ended_at)?);
        match line.r#type.as_str() {
            "attack" => truth.attacks.push(line.attack(started, ended)?),
            "trap" => truth.traps.push(line.trap(started, ended)),
            "log" => truth.size = Some(line.size(started, ended)),
            other => return Err(format!("its type is `{other}`, not `attack`, `trap` or `log`")),
        }
        Ok(())
    })?;
    Ok(truth)
}

impl TruthLine {
    fn names(&mut self, kind: &str) -> HashSet<String> {
        self.entities.remove(kind).unwrap_or_default().into_iter().collect()
    }

    fn account_names(&self) -> HashSet<String> {
        let names = self.accounts.as_array().into_iter().flatten();
        names.filter_map(|name| name.as_str()).map(str::to_owned).collect()
    }

    fn attack(mut self, started: Micros, ended: Micros) -> Result<Attack, String> {
        let all_ips = self.names("ip");
        let mut fell: BTreeMap<String, Fall> = BTreeMap::new();
        for fall in std::mem::take(&mut self.fell) {
            let (account, time, ips, aftermath) = match fall {
                FallLine::Name(account) => (account, started, None, Vec::new()),
                FallLine::Timed { account, time, ips, aftermath } => {
                    (account, micros(&time)?, ips, aftermath)
                }
            };
            let ips = ips.unwrap_or_else(|| all_ips.clone());
            let fall = fell.entry(account).or_insert(Fall { time, ips, aftermath });
            fall.time = time.min(fall.time);
        }
        let mut accounts = self.account_names();
        accounts.extend(self.names("account"));
        accounts.extend(fell.keys().cloned());
        Ok(Attack {
            ips: all_ips,
            actors: self.names("actor"),
            resources: self.names("resource"),
            id: self.id,
            kind: self.kind,
            evasion: self.evasion,
            started,
            ended,
            accounts,
            fell,
            events: self.events,
        })
    }

    fn trap(mut self, started: Micros, ended: Micros) -> Trap {
        let names = std::mem::take(&mut self.entities).into_values().flatten().collect();
        Trap { kind: self.kind, started, ended, names }
    }

    fn size(&self, started: Micros, ended: Micros) -> Size {
        let accounts = self.accounts.as_u64().unwrap_or_default();
        let (events, benign_events) = (self.events, self.benign_events);
        Size { events, benign_events, accounts, micros: ended - started }
    }
}

/// Counts events and accounts of a log, and how long it is.
pub(super) fn measure(path: &Path, truth: &mut Truth) -> Result<()> {
    let mut accounts = BTreeSet::new();
    let (mut events, mut oldest, mut newest) = (0, Micros::MAX, Micros::MIN);
    lines(path, |line, _| {
        // Records that are no events are no concern of this command.
        let Ok(event) = serde_json::from_str::<LogLine<'_>>(line) else { return Ok(()) };
        let Ok(time) = micros(&event.time) else { return Ok(()) };
        (oldest, newest) = (oldest.min(time), newest.max(time));
        events += 1;
        if !accounts.contains(event.account.as_ref()) {
            accounts.insert(event.account.into_owned());
        }
        Ok(())
    })?;
    if events == 0 {
        let error = Error::usage("the log holds no event").at(path.display().to_string());
        return Err(error.hint("--log wants the native format: one JSON object a line"));
    }
    let hostile: u64 = truth.attacks.iter().map(|attack| attack.events).sum();
    truth.size = Some(Size {
        events,
        benign_events: events.saturating_sub(hostile),
        accounts: accounts.len() as u64,
        micros: newest - oldest,
    });
    Ok(())
}

/// Microseconds of an RFC 3339 time.
fn micros(text: &str) -> Result<Micros, String> {
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.timestamp_micros()),
        Err(_) => Err(format!("`{}` is no RFC 3339 time", text.escape_debug())),
    }
}

/// Parses each line of a file that is not empty.
fn each_line<T: DeserializeOwned>(
    path: &Path,
    what: &str,
    mut take: impl FnMut(T) -> Result<(), String>,
) -> Result<()> {
    lines(path, |line, number| {
        let parsed = serde_json::from_str(line).map_err(|error| reason(&error));
        parsed.and_then(&mut take).map_err(|reason| {
            let error = Error::usage(format!("the line is not {what}"));
            let hint = "--alerts wants alerts, --truth what `simulate --truth` wrote, one JSON object a line";
            error.at(format!("{}:{number}", path.display())).detail(reason).hint(hint)
        })
    })
}

/// What serde says, without the line number that it counts in the one line.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line 1 ") {
        Some((reason, place)) => format!("{reason}, {place}"),
        None => text,
    }
}

/// Hands out the lines of a file, plain or compressed, with their numbers.
fn lines(path: &Path, mut take: impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
    let unreadable = |error: std::io::Error| {
        let error_text = error.to_string();
        Error::usage("the file cannot be read")
            .at(path.display().to_string())
            .detail(error_text)
            .hint("alerts are what `replay --json` writes, truth is what `simulate --truth` writes")
    };
    let mut reader = open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let mut number = 0;
    loop {
        bytes.clear();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
        if read.map_err(unreadable)? == 0 {
            return Ok(());
        }
        number += 1;
        let Ok(line) = std::str::from_utf8(&bytes) else {
            let place = format!("{}:{number}", path.display());
            return Err(Error::usage("the line is not UTF-8").at(place));
        };
        let line = line.trim_start_matches('\u{feff}').trim();
        if !line.is_empty() {
            take(line, number)?;
        }
    }
}

/// Plain text, gzip or zstd, told by the first bytes.
fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
    let head = file.fill_buf()?;
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))));
    }
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?)));
    }
    Ok(Box::new(file))
}
