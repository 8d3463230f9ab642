//! Alerts as a file of them tells.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::store::{Found, NAMED_MAX, ambiguous};
use crate::delivery::record::AlertRecord;
use crate::{Error, Result};

/// Alerts of one file that are held; more are refused rather than left out.
const ALERTS_MAX: usize = 1_000_000;

/// The newest revision of each alert of a file, newest start first.
///
/// # Errors
/// When the file cannot be read, or a line of it is no alert.
pub(super) fn newest(path: &Path) -> Result<Vec<Found>> {
    let mut newest: HashMap<String, Found> = HashMap::new();
    read(path, |found| {
        let known = newest.get(&found.alert.id).map_or(0, |known| known.alert.revision);
        if found.alert.revision >= known {
            newest.insert(found.alert.id.clone(), found);
        }
        newest.len()
    })?;
    let mut all: Vec<Found> = newest.into_values().collect();
    all.sort_by(|a, b| b.key().cmp(&a.key()));
    Ok(all)
}

/// Reads alert by alert; `take` says how many are held.
fn read(path: &Path, mut take: impl FnMut(Found) -> usize) -> Result<()> {
    let refused = |detail: String| {
        Error::usage("the alerts cannot be read")
            .at(path.display().to_string())
            .detail(detail)
            .hint("name a file that `replay --alerts`, `replay --json` or a destination of kind `file` has filled; a history is named by --history")
    };
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let json = line.map_err(|error| refused(format!("Line {number}: {error}.")))?;
        if json.trim().is_empty() {
            continue;
        }
        let alert: AlertRecord = serde_json::from_str(&json)
            .map_err(|error| refused(format!("Line {number} is no alert: {error}.")))?;
        if take(Found { alert, json }) > ALERTS_MAX {
            return Err(refused(format!("It holds more than {ALERTS_MAX} alerts.")));
        }
    }
    Ok(())
}

/// The revisions of the alert whose id begins so, oldest first; at least one.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn revisions(path: &Path, start: &str) -> Result<Vec<Found>> {
    let mut known = BTreeSet::new();
    let mut fitting: Vec<Found> = Vec::new();
    read(path, |found| {
        known.insert(found.alert.id.clone());
        // Of several nothing is told but their ids.
        let is_one = fitting.first().is_none_or(|first| first.alert.id == found.alert.id);
        if found.alert.id.starts_with(start) && is_one {
            fitting.push(found);
        }
        known.len()
    })?;
    let place = path.display().to_string();
    let ids = known.iter().map(String::as_str).filter(|id| id.starts_with(start));
    let ids: Vec<&str> = ids.take(NAMED_MAX).collect();
    if ids.len() > 1 || (start.is_empty() && !ids.is_empty()) {
        return Err(ambiguous(&ids, start, &place));
    }
    if fitting.is_empty() {
        let error = Error::usage(format!("there is no alert `{start}`")).at(place);
        return Err(match crate::suggest(start, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`nightlatch alerts list --alerts FILE` lists them"),
        });
    }
    fitting.sort_by_key(|found| found.alert.revision);
    Ok(fitting)
}

/// An alert as JSON.
pub(super) fn value(found: &Found) -> Value {
    serde_json::from_str(&found.json).unwrap_or_default()
}
