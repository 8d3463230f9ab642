//! Delivery: where alerts go, one file a destination.

pub mod file;
pub mod http_destination;
pub mod kafka;
pub mod outbox;
mod lines;
pub mod record;
pub mod stdout;
pub mod table;
#[cfg(test)]
mod tests;

pub use lines::JsonLines;
pub use table::Table;

use crate::alert::Alert;
use crate::{Error, Result};

/// Takes revisions of alerts, in order.
pub trait Destination {
    /// Takes the next revisions.
    ///
    /// # Errors
    /// When they cannot be delivered. A reader that went away is no error, see
    /// [`Destination::reader_gone`].
    fn deliver(&mut self, alerts: &[Alert]) -> Result<()>;

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
