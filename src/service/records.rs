//! Where records go that are set aside, and what the log says of them.

use tracing::warn;

use crate::cli::{Stop, setup};
use crate::config::Config;
use crate::delivery::kafka::{RecordTopic, Topic};
use crate::event::Origins;
use crate::event::reject::Rejection;
use crate::pipeline::{Aside, place_text};
use crate::{Error, Result};

/// Records set aside that are logged one by one; of those after them every thousandth is.
const LOGGED_SINGLY: u64 = 20;

/// The files and topics for records set aside.
///
/// # Errors
/// When one cannot be opened.
pub(super) fn aside(config: &Config, stop: &Stop) -> Result<Aside> {
    let mut aside = setup::aside(config)?;
    let connect = |topic: &String| {
        let topic = Topic::connect(&setup::cluster(config)?, topic, stop.flag.clone())?;
        Ok::<_, Error>(RecordTopic(topic))
    };
    if let Some(topic) = &config.dead_letter.topic {
        aside.dead_letter.push(Box::new(connect(topic)?));
    }
    if let Some(topic) = &config.late.topic {
        aside.late.push(Box::new(connect(topic)?));
    }
    if aside.dead_letter.is_empty() {
        warn!(
            "[dead_letter] names no file and no topic: rejected records are logged without their bytes"
        );
    }
    aside.tell = Some(Box::new(log_rejections()));
    Ok(aside)
}

/// Logs records that are set aside, but not each of a flood: the metrics count them all.
fn log_rejections() -> impl FnMut(&Origins, &Rejection) {
    let mut n = 0u64;
    move |origins, rejection| {
        n += 1;
        if n <= LOGGED_SINGLY || n.is_multiple_of(1000) {
            let place = place_text(origins, rejection.place);
            let reason = rejection.reason.label();
            warn!(place, reason, n, "record set aside: {}", rejection.message);
        }
    }
}
