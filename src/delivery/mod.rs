//! Delivery: the outbox, and where alerts go from there, one file a kind of destination.

mod address;
pub mod alertmanager;
mod backoff;
mod batch;
mod dispatcher;
pub mod encoding;
mod endpoint;
#[cfg(test)]
mod example;
pub mod file;
mod history;
pub mod http_destination;
mod journal;
pub mod kafka;
mod lines;
mod metrics;
pub mod outbox;
pub mod pagerduty;
pub mod postgresql;
pub mod record;
mod routing;
mod sender;
mod shorten;
pub mod silences;
pub mod slack;
pub mod splunk;
pub mod stdout;
pub mod table;
mod target;
pub mod teams;
#[cfg(test)]
mod tests;
pub mod trial;
mod webhook;
mod wording;

pub use dispatcher::{Dispatcher, DispatcherOptions};
pub use lines::JsonLines;
pub use metrics::DeliveryMetrics;
pub(crate) use metrics::OUTCOMES;
pub use silences::Silences;
pub use table::Table;
pub use target::Surroundings;

use crate::alert::Alert;
use crate::event::TimeMicros;
use crate::{Error, Result};

/// Takes revisions of alerts, in order.
pub trait Destination {
    /// Takes the next revisions.
    ///
    /// # Errors
    /// When they cannot be delivered. A reader that went away is no error, see
    /// [`Destination::reader_gone`].
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()>;

    /// Every revision that was due before this event time was handed over.
    fn advance(&mut self, _stream_time: TimeMicros) {}

    /// Hands on whatever is still held back.
    ///
    /// # Errors
    /// As [`Destination::deliver`].
    fn flush(&mut self) -> Result<()>;

    /// Whether nobody reads any more (`nightlatch replay ... | head`): time to stop, in good order.
    fn reader_gone(&self) -> bool {
        false
    }
}

/// Turns the outcome of a write into an error, or into the news that the reader is gone.
pub(crate) fn outcome(result: std::io::Result<()>, name: &str, gone: &mut bool) -> Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            *gone = true;
            Ok(())
        }
        Err(error) => {
            Err(Error::unavailable("cannot write alerts").at(name).detail(error.to_string()))
        }
    }
}
