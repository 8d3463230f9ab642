//! What every destination behind HTTP has in common: how a revision becomes a request.

use serde_json::Value;

use super::record::AlertRecord;

/// A request to be sent. The client follows no redirect and adds only `User-Agent` and lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// Names and values; values may hold secrets and are never logged.
    pub headers: Vec<(&'static str, String)>,
    /// The exact bytes of the body.
    pub body: Vec<u8>,
}

/// One kind of receiver. Encoding only: sending, retrying and waiting are the dispatcher's.
pub trait HttpDestination: Send {
    /// The POST request for one revision; `None` when the receiver has no use for it. `native` is the
    /// alert's own JSON line. Asked again for each attempt: `now_seconds` is the time of the attempt.
    fn request(&mut self, alert: &AlertRecord, native: &[u8], now_seconds: i64) -> Option<Request>;

    /// The revision was delivered.
    fn delivered(&mut self, _alert: &AlertRecord, _now_seconds: i64) {}

    /// What is to be sent again by now although nothing has changed.
    fn again(&mut self, _now_seconds: i64) -> Option<Request> {
        None
    }

    /// Revisions that were delivered and are not followed, since there is no room for more.
    fn untracked(&self) -> u64 {
        0
    }

    /// What must survive a restart, if anything.
    fn memory(&self) -> Option<Value> {
        None
    }

    /// Takes back what [`HttpDestination::memory`] gave.
    fn recall(&mut self, _memory: Value) {}
}
