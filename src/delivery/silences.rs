//! Silences: what is not to be told for a while, by whom, and why.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use prometheus::IntCounterVec;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::journal::Journal;
use super::outbox::Entry;
use super::record::AlertRecord;
use super::routing::fits;
use crate::config::parse_as;
use crate::rules::Severity;
use crate::{Error, Result};

/// What silences hid, beside the outbox; older lines go first.
const HIDDEN_BYTES_MAX: u64 = 32 << 20;
const HIDDEN: &str = "silenced.jsonl";
/// So many hidden revisions are known to be kept.
const KEPT_MAX: usize = 100_000;

/// One `[[silence]]`. All its matchers must fit.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// How metrics and commands call it.
    pub id: String,
    /// Whom to ask.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Pattern for the rule.
    rule: Option<String>,
    /// The kind of entity.
    entity_type: Option<String>,
    /// Pattern for the entity.
    entity: Option<String>,
    /// Pattern that fits every account concerned.
    account: Option<String>,
    /// Pattern that fits every address concerned.
    ip: Option<String>,
    /// The loudest severity that it hides.
    severity_max: Option<Severity>,
    /// When it begins; absent: it has begun.
    #[serde(default, deserialize_with = "instant")]
    starts: Option<DateTime<Utc>>,
    /// When it ends.
    #[serde(deserialize_with = "instant")]
    expires: Option<DateTime<Utc>>,
}

fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match DateTime::parse_from_rfc3339(&text) {
        Ok(instant) => Ok(Some(instant.to_utc())),
        Err(error) => Err(serde::de::Error::custom(format!(
            "`{text}` is no instant ({error}); write e.g. \"2026-03-01T12:00:00Z\""
        ))),
    }
}

impl Silence {
    fn hides(&self, alert: &AlertRecord, now: DateTime<Utc>) -> bool {
        let is_on = self.starts.is_none_or(|starts| starts <= now)
            && self.expires.is_some_and(|expires| now < expires);
        let fits_one =
            |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|p| fits(p, text));
        is_on
            && fits_one(&self.rule, &alert.rule)
            && self.entity_type.as_ref().is_none_or(|kind| *kind == alert.entity_type)
            && fits_one(&self.entity, &alert.entity)
            && fits_all(self.account.as_deref(), &alert.accounts, alert.accounts_total)
            && fits_all(self.ip.as_deref(), &alert.ips, alert.ips_total)
            && self.severity_max.is_none_or(|loudest| alert.severity <= loudest)
    }

    fn problems(&self) -> Option<Error> {
        let matchers = [&self.rule, &self.entity_type, &self.entity, &self.account, &self.ip];
        let has_matcher = matchers.into_iter().any(Option::is_some) || self.severity_max.is_some();
        if self.id.is_empty() || self.owner.is_empty() || self.reason.is_empty() {
            return Some(Error::usage("a silence needs an `id`, an `owner` and a `reason`"));
        }
        if !has_matcher {
            let error = Error::usage(format!("the silence `{}` would hide everything", self.id));
            return Some(error.hint(
                "say what: `rule`, `entity_type`, `entity`, `account`, `ip` or `severity_max`",
            ));
        }
        if self.starts.is_some() && self.starts >= self.expires {
            return Some(Error::usage(format!("the silence `{}` ends before it starts", self.id)));
        }
        None
    }
}

/// Whether the pattern fits all of a list, and the list names all: an alert that concerns anybody
/// else as well is not hidden.
fn fits_all(pattern: Option<&str>, names: &[String], total: u64) -> bool {
    let Some(pattern) = pattern else { return true };
    !names.is_empty() && names.len() as u64 == total && names.iter().all(|name| fits(pattern, name))
}

/// All silences of a file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silences {
    #[serde(default)]
    silence: Vec<Silence>,
}

impl Silences {
    /// Reads a file.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn load(path: &Path) -> Result<Self, Vec<Error>> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let unreadable = Error::usage("the file of silences cannot be read");
            vec![unreadable.at(&name).detail(error.to_string()).hint(
                "correct `alerts.silences`, which begins at the folder that nightlatch is started \
                 in; the file may be empty",
            )]
        })?;
        Self::parse(&name, &text)
    }

    /// Reads a text; `name` is for messages.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Error>> {
        let silences: Self = parse_as(name, text)?;
        let mut problems: Vec<Error> =
            silences.silence.iter().filter_map(Silence::problems).map(|e| e.at(name)).collect();
        let mut ids = std::collections::HashSet::new();
        let twice = silences.silence.iter().filter(|silence| !ids.insert(&silence.id));
        problems.extend(twice.map(|silence| {
            Error::usage(format!("two silences have the id `{}`", silence.id)).at(name)
        }));
        if problems.is_empty() { Ok(silences) } else { Err(problems) }
    }

    /// The silence that hides an alert now, if one does.
    pub fn hiding(&self, alert: &AlertRecord, now: DateTime<Utc>) -> Option<&Silence> {
        self.silence.iter().find(|silence| silence.hides(alert, now))
    }
}

/// Asks the silences for every destination, and keeps what they hide, once.
#[derive(Debug)]
pub(crate) struct Silencer {
    state: Mutex<State>,
    silenced: IntCounterVec,
}

#[derive(Debug)]
struct State {
    silences: Silences,
    hidden: Journal,
    /// Entries that were kept, the newest ones: each destination asks, and one line is enough.
    kept: BTreeSet<u64>,
}

impl Silencer {
    pub(crate) fn new(outbox: &Path, silenced: IntCounterVec) -> Self {
        let hidden = Journal::new(outbox.join(HIDDEN), HIDDEN_BYTES_MAX);
        let state = State { silences: Silences::default(), hidden, kept: BTreeSet::new() };
        Self { state: Mutex::new(state), silenced }
    }

    /// From now on these are the silences.
    pub(crate) fn replace(&self, silences: Silences) {
        for silence in &silences.silence {
            self.silenced.with_label_values(&[silence.id.as_str()]);
        }
        self.state().silences = silences;
    }

    /// Whether a silence hides the entry; what it hides is counted and kept.
    pub(crate) fn hides(&self, entry: &Entry, alert: &AlertRecord, now: DateTime<Utc>) -> bool {
        let mut state = self.state();
        let Some(id) = state.silences.hiding(alert, now).map(|silence| silence.id.clone()) else {
            return false;
        };
        if state.kept.insert(entry.sequence) {
            if state.kept.len() > KEPT_MAX {
                state.kept.pop_first();
            }
            self.silenced.with_label_values(&[id.as_str()]).inc();
            let at = now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            state.hidden.append(&json!({ "silence": id, "at": at, "alert": alert }));
        }
        true
    }

    /// Whether a silence hides such an alert.
    pub(crate) fn would_hide(&self, alert: &AlertRecord, now: DateTime<Utc>) -> bool {
        self.state().silences.hiding(alert, now).is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What silences hid, oldest first: the lines of `silenced.jsonl`, each revision once.
pub(crate) fn hidden(outbox: &Path) -> std::io::Result<Vec<serde_json::Value>> {
    let mut seen = std::collections::HashSet::new();
    let mut lines = super::journal::read(&outbox.join(HIDDEN))?;
    lines.retain(|line| {
        let alert = &line["alert"];
        seen.insert(json!([line["silence"], alert["id"], alert["revision"]]).to_string())
    });
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::record;

    const NOW: &str = "2026-03-01T12:00:00Z";

    fn silence(matchers: &str) -> Result<Silences, Vec<Error>> {
        Silences::parse(
            "s.toml",
            &format!(
                "[[silence]]\nid = 'a'\nowner = 'ann'\nreason = 'test'\nexpires = '2026-03-01T13:00:00Z'\n{matchers}\n"
            ),
        )
    }

    fn hides_at(matchers: &str, now: &str) -> bool {
        let now = DateTime::parse_from_rfc3339(now).unwrap().to_utc();
        let one = AlertRecord {
            accounts: vec!["ann".to_owned(), "anna".to_owned()],
            accounts_total: 2,
            ..record("x", 1)
        };
        silence(matchers).unwrap().hiding(&one, now).is_some()
    }

    #[test]
    fn every_matcher_must_fit() {
        for fitting in [
            "rule = 'stuffing*'",
            "entity_type = 'ip'",
            "entity = '203.0.113.*'",
            "ip = '203.*'",
            "account = 'ann*'",
            "severity_max = 'high'",
            "severity_max = 'critical'",
            "rule = '*'\nentity = '203.0.113.9'\nseverity_max = 'high'",
        ] {
            assert!(hides_at(fitting, NOW), "{fitting}");
        }
        for other in [
            "rule = 'stuffing'",
            "entity_type = 'account'",
            "entity = '203.0.113.1'",
            "ip = '198.*'",
            "account = 'ann'",
            "severity_max = 'medium'",
            "rule = '*'\nentity = 'x'",
        ] {
            assert!(!hides_at(other, NOW), "{other}");
        }
    }

    #[test]
    fn an_alert_that_concerns_unnamed_accounts_is_not_hidden() {
        let now = DateTime::parse_from_rfc3339(NOW).unwrap().to_utc();
        let silences = silence("account = '*'").unwrap();
        let capped = record("x", 1);
        assert!(capped.accounts_total > capped.accounts.len() as u64);
        assert!(silences.hiding(&capped, now).is_none());
    }

    #[test]
    fn it_lasts_from_its_start_to_its_expiry() {
        let on = "rule = '*'\nstarts = '2026-03-01T11:00:00Z'";
        let at = |time: &str| hides_at(on, &format!("2026-03-01T{time}Z"));
        assert!(!at("10:59:59") && at("11:00:00") && at("12:59:59") && !at("13:00:00"));
        assert!(hides_at("rule = '*'", "2020-01-01T00:00:00Z"), "no start: it has begun");
    }

    #[test]
    fn bad_files_are_told() {
        let refused = |matchers: &str| silence(matchers).unwrap_err()[0].to_string();
        assert!(refused("").contains("the silence `a` would hide everything"));
        assert!(refused("rul = 'x'").contains("did you mean `rule`?"));
        assert!(refused("rule = 'x'\nstarts = 'now'").contains("s.toml:7:10 (silence.starts)"));
        assert!(refused("rule = 'x'\nstarts = '2026-03-01T13:00:00Z'").contains("ends before"));
        let missing = Silences::parse("s", "[[silence]]\nid='a'\nowner='b'\nreason='c'\nip='x'\n");
        assert!(missing.unwrap_err()[0].to_string().contains("missing field `expires`"));
        let one =
            "[[silence]]\nid='a'\nowner='b'\nreason='c'\nip='x'\nexpires='2026-01-01T00:00:00Z'\n";
        let twice = Silences::parse("s", &format!("{one}{one}"));
        assert!(twice.unwrap_err()[0].message.contains("two silences have the id `a`"));
        assert_eq!(Silences::parse("s", "").unwrap(), Silences::default());
    }

    #[test]
    fn a_file_that_is_not_there_is_told_with_the_way_out() {
        let error = Silences::load(Path::new("nowhere/at.all")).unwrap_err()[0].to_string();
        let told = "nowhere/at.all: the file of silences cannot be read\n  detail: No such file";
        assert!(error.starts_with(told), "{error}");
        assert!(error.contains("hint: correct `alerts.silences`"), "{error}");
    }
}
