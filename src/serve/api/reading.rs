//! Asks the history in threads that may block: few at a time, and nobody waits for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::problem::Problem;
use crate::{Error, Result};

/// So many ask at one time.
const ASKING_MAX: usize = 4;
/// How long one may wait for its turn.
const TURN: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(15);

/// Where whoever asks the history waits for a turn.
#[derive(Debug)]
pub(in crate::serve) struct Desk {
    turns: Arc<Semaphore>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(ASKING_MAX)) }
    }
}

impl Desk {
    /// Asks in a thread of its own. A turn lasts until the answer is there, even when nobody waits for
    /// it any more.
    pub(in crate::serve) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Problem> {
        let turn = timeout(TURN, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Problem::unavailable("too many ask at the same time"));
        };
        let asked = tokio::task::spawn_blocking(move || {
            let answer = question();
            drop(turn);
            answer
        });
        match timeout(ANSWER, asked).await {
            Ok(Ok(answer)) => answer.map_err(|error| told(&error)),
            Ok(Err(_)) => Err(Problem::unavailable("the history did not answer")),
            Err(_) => Err(Problem::unavailable("the history takes too long to answer")),
        }
    }
}

/// The path is for the log.
fn told(error: &Error) -> Problem {
    tracing::warn!("the API: {error}");
    Problem::unavailable(error.message.clone())
}
