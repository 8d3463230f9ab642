//! Alerts as a file of them tells: the newest revision of each.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::delivery::record::AlertRecord;
use crate::{Error, Result};

/// Alerts of one file that are held; more are refused rather than left out.
const ALERTS_MAX: usize = 1_000_000;

/// Ids that are named when several begin alike.
const NAMED_MAX: usize = 3;

/// The newest revision of an alert.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) alert: AlertRecord,
    /// The line as it stood in the file.
    pub(super) line: String,
}

/// The newest revision of each alert of a file, by start and id.
///
/// # Errors
/// When the file cannot be read, or a line of it is no alert.
pub(super) fn newest(path: &Path) -> Result<Vec<Found>> {
    let place = path.display().to_string();
    let refused = |detail: String| {
        Error::usage("the alerts cannot be read")
            .at(&place)
            .detail(detail)
            .hint("name a file that `replay --alerts`, `replay --json` or a destination of kind `file` has filled")
    };
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    let mut newest: HashMap<String, Found> = HashMap::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| refused(format!("Line {number}: {error}.")))?;
        if line.trim().is_empty() {
            continue;
        }
        let alert: AlertRecord = serde_json::from_str(&line)
            .map_err(|error| refused(format!("Line {number} is no alert: {error}.")))?;
        let known = newest.get(&alert.id).map_or(0, |known| known.alert.revision);
        if alert.revision >= known {
            newest.insert(alert.id.clone(), Found { alert, line });
        }
        if newest.len() > ALERTS_MAX {
            return Err(refused(format!("It holds more than {ALERTS_MAX} alerts.")));
        }
    }
    let mut all: Vec<Found> = newest.into_values().collect();
    all.sort_by(|a, b| key(&a.alert).cmp(&key(&b.alert)));
    Ok(all)
}

/// RFC 3339 in UTC with 0, 3 or 6 digits of a second: without the `Z` the texts sort as the times do.
fn key(alert: &AlertRecord) -> (&str, &str) {
    (alert.started_at.trim_end_matches('Z'), &alert.id)
}

/// The alert whose id begins so.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn by_id(all: Vec<Found>, id: &str, place: &str) -> Result<Found> {
    let known: Vec<String> = all.iter().map(|found| found.alert.id.clone()).collect();
    let mut fitting: Vec<Found> =
        all.into_iter().filter(|found| found.alert.id.starts_with(id)).collect();
    if fitting.len() == 1 && !id.is_empty() {
        return Ok(fitting.remove(0));
    }
    if fitting.is_empty() {
        let error = Error::usage(format!("there is no alert `{id}`")).at(place);
        return Err(match crate::suggest(id, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`nightlatch alerts list --alerts FILE` lists them"),
        });
    }
    let named: Vec<&str> = fitting.iter().take(NAMED_MAX).map(|f| f.alert.id.as_str()).collect();
    Err(Error::usage(format!("{} alerts have an id that begins with `{id}`", fitting.len()))
        .at(place)
        .hint(format!("write more of it; they are, among others, {}", named.join(", "))))
}
