//! What a consumer group has committed: offsets, and how far its alerts are delivered.

use std::sync::atomic::AtomicBool;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::connection::{Connection, KafkaOptions};
use super::metrics::KafkaMetrics;
use super::start::Position;
use super::topics;
use crate::Result;
use crate::event::TimeMicros;

/// How far a group has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupProgress {
    /// Every alert revision that was due before this event time is delivered.
    pub delivered_until: Option<TimeMicros>,
    /// The next offset of each partition that was ever committed.
    pub offsets: Vec<Position>,
}

/// The text that goes with each committed offset.
#[derive(Serialize, Deserialize)]
struct Note {
    delivered_until: TimeMicros,
}

/// The text that says how far alerts are delivered.
pub(super) fn note(delivered_until: Option<TimeMicros>) -> String {
    let note = delivered_until.map(|delivered_until| Note { delivered_until });
    note.and_then(|note| serde_json::to_string(&note).ok()).unwrap_or_default()
}

/// What a group has committed, read from its list of partitions; `None` when that is nothing.
pub(super) fn progress(list: &TopicPartitionList) -> KafkaResult<Option<GroupProgress>> {
    let mut progress = GroupProgress::default();
    for element in list.elements() {
        element.error()?;
        let Offset::Offset(next_offset) = element.offset() else { continue };
        // Somebody else's text says nothing.
        let note: Option<Note> = serde_json::from_str(element.metadata()).ok();
        let delivered_until = note.map(|note| note.delivered_until);
        progress.delivered_until = progress.delivered_until.max(delivered_until);
        let (topic, partition) = (element.topic().to_owned(), element.partition());
        progress.offsets.push(Position { topic, partition, next_offset });
    }
    Ok((!progress.offsets.is_empty()).then_some(progress))
}

/// What the group has committed for the topics that are read; `None` when that is nothing.
pub(super) fn committed(
    options: &KafkaOptions,
    metrics: KafkaMetrics,
    stop: &AtomicBool,
) -> Result<Option<GroupProgress>> {
    let connection = Connection::open(options, metrics, stop)?;
    let partitions = topics::partitions(&connection.survey()?);
    let lease = (options.lease_topic.clone(), 0);
    let found = connection.ask(|timeout| {
        let mut list = TopicPartitionList::with_capacity(partitions.len() + 1);
        for (topic, number) in partitions.iter().chain([&lease]) {
            list.add_partition(topic, *number);
        }
        progress(&connection.consumer.committed_offsets(list, timeout)?)
    })?;
    Ok(found.map(|mut progress| {
        progress.offsets.retain(|position| position.topic != options.lease_topic);
        progress
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_note_counts_and_foreign_ones_do_not() {
        let mut list = TopicPartitionList::new();
        assert_eq!(progress(&list).unwrap(), None);
        list.add_partition("t", 9);
        let notes = [note(Some(5)), note(None), "by hand".to_owned(), note(Some(7)), note(Some(6))];
        for (partition, text) in notes.iter().enumerate() {
            let mut element = list.add_partition("t", partition as i32);
            element.set_offset(Offset::Offset(3)).unwrap();
            element.set_metadata(text);
        }
        let progress = progress(&list).unwrap().unwrap();
        assert_eq!((progress.delivered_until, progress.offsets.len()), (Some(7), 5));
        assert_eq!(note(Some(5)), r#"{"delivered_until":5}"#);
    }
}
