//! Failpoints, an aid for tests: the variable `NIGHTLATCH_FAILPOINTS` names places in the writing of
//! state at which the process dies, or the disk is full.
//!
//! `manifest.renamed=3:abort,segment.written=1:disk_full`: at the third pass of the first place the
//! process aborts, as `kill -9` would end it; at the first pass of the second the write fails. The
//! variable is read once. Without it a place costs one relaxed load of an atomic.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Name of the variable.
pub(super) const VARIABLE: &str = "NIGHTLATCH_FAILPOINTS";

/// Linux and the BSDs agree on the number of "no space left on device".
const ENOSPC: i32 = 28;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Abort,
    DiskFull,
}

/// One place, and the pass at which something happens.
#[derive(Debug)]
struct Point {
    name: String,
    nth: u64,
    action: Action,
    passes: AtomicU64,
}

/// Nothing is to happen anywhere; known once the variable was read.
static QUIET: AtomicBool = AtomicBool::new(false);
static POINTS: OnceLock<Vec<Point>> = OnceLock::new();

/// Passes a place. Call it right after the step that it is named after.
///
/// # Errors
/// "No space left on device" where `disk_full` is due.
pub fn failpoint(name: &str) -> io::Result<()> {
    if QUIET.load(Ordering::Relaxed) {
        return Ok(());
    }
    let points = POINTS.get_or_init(from_environment);
    QUIET.store(points.is_empty(), Ordering::Relaxed);
    pass(points, name)
}

fn from_environment() -> Vec<Point> {
    parse(&std::env::var(VARIABLE).unwrap_or_default())
}

fn pass(points: &[Point], name: &str) -> io::Result<()> {
    // Every point of that name counts the pass, whatever happens at it.
    let due = points.iter().filter(|point| point.name == name).fold(None, |due, point| {
        let is_due = point.passes.fetch_add(1, Ordering::Relaxed) + 1 == point.nth;
        if is_due { Some(point.action) } else { due }
    });
    match due {
        Some(Action::Abort) => std::process::abort(),
        Some(Action::DiskFull) => Err(io::Error::from_raw_os_error(ENOSPC)),
        None => Ok(()),
    }
}

/// What cannot be read is told and left out: a test that misspells a point must not pass silently.
fn parse(text: &str) -> Vec<Point> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let points = parts.filter_map(|part| {
        let point = parse_one(part);
        if point.is_none() {
            tracing::error!(part, "{VARIABLE} holds no failpoint");
        }
        point
    });
    points.collect()
}

fn parse_one(part: &str) -> Option<Point> {
    let (name, rest) = part.split_once('=')?;
    let (nth, action) = rest.split_once(':')?;
    let action = match action {
        "abort" => Action::Abort,
        "disk_full" => Action::DiskFull,
        _ => return None,
    };
    let nth = nth.parse().ok()?;
    Some(Point { name: name.to_owned(), nth, action, passes: AtomicU64::new(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_acts_at_its_pass_alone() {
        let points = parse("a.b=2:disk_full, c=1:abort,d,e=x:abort,f=1:sleep");
        assert_eq!(points.len(), 2);
        assert!(pass(&points, "other").is_ok());
        assert!(pass(&points, "a.b").is_ok());
        let error = pass(&points, "a.b").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(pass(&points, "a.b").is_ok());
        let points = parse("a=2:disk_full,a=3:disk_full");
        let outcomes: Vec<bool> = (0..4).map(|_| pass(&points, "a").is_ok()).collect();
        assert_eq!(outcomes, [true, false, false, true]);
    }
}
