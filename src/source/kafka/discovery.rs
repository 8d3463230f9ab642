//! Looks for new topics and partitions now and again, on a thread of its own: an answer may take long.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::context::Context;
use super::topics::{Survey, Topics};
use crate::{Error, Result};

/// The brokers must answer within this.
const PATIENCE: Duration = Duration::from_secs(5);

/// The thread; it ends when this is dropped.
pub(super) struct Discovery {
    surveys: Receiver<Survey>,
    _end: SyncSender<()>,
}

impl Discovery {
    pub(super) fn start(
        consumer: &Arc<BaseConsumer<Context>>,
        topics: Topics,
        every: Duration,
    ) -> Result<Self> {
        let (sender, surveys) = sync_channel(1);
        let (end, ended) = sync_channel(0);
        // The consumer closes when the source is dropped, not when this thread sees that.
        let consumer = Arc::downgrade(consumer);
        let thread = std::thread::Builder::new().name("nightlatch-topics".to_owned());
        thread.spawn(move || run(&consumer, &topics, every, &sender, &ended)).map_err(|error| {
            Error::unexpected("cannot start a thread").detail(error.to_string())
        })?;
        Ok(Self { surveys, _end: end })
    }

    /// A survey that nobody has looked at, if there is one.
    pub(super) fn news(&self) -> Option<Survey> {
        self.surveys.try_recv().ok()
    }
}

fn run(
    consumer: &Weak<BaseConsumer<Context>>,
    topics: &Topics,
    every: Duration,
    sender: &SyncSender<Survey>,
    ended: &Receiver<()>,
) {
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(every) {
        let Some(consumer) = consumer.upgrade() else { return };
        match topics.survey(consumer.client(), PATIENCE) {
            // The one before may still lie there: then this one comes next time.
            Ok(survey) => drop(sender.try_send(survey)),
            Err(error) => tracing::debug!(%error, "no broker says which topics there are"),
        }
    }
}
