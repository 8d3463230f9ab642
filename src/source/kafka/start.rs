//! Where reading begins: the first offset of each partition.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::time::Duration;

use super::context::Context;
use super::metrics::KafkaMetrics;
use crate::event::TimeMicros;

/// How far reading has come in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
    /// The first offset that is not read.
    pub next_offset: i64,
}

/// Where reading begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// Where a checkpoint left off; other partitions are read from their beginning.
    Positions(Vec<Position>),
    /// At the first record of this time or later; a partition without one is read from its end. The
    /// positions say only how inputs are numbered.
    Since(TimeMicros, Vec<Position>),
    /// As the property `auto.offset.reset` says: at the beginning, or at the end.
    #[default]
    Beginning,
}

/// A question to the brokers, asked again until they answer.
pub(super) type Ask<'a> =
    &'a dyn Fn(&dyn Fn(Duration) -> KafkaResult<Vec<i64>>) -> crate::Result<Vec<i64>>;

/// Finds the first offset of each partition; `None` is the beginning.
pub(super) struct Starter<'a> {
    pub(super) consumer: &'a BaseConsumer<Context>,
    pub(super) metrics: &'a KafkaMetrics,
    /// Whether a new group begins at the end.
    pub(super) at_end: bool,
    pub(super) ask: Ask<'a>,
}

impl Starter<'_> {
    pub(super) fn offsets(
        &self,
        start: &Start,
        partitions: &[(String, i32)],
    ) -> crate::Result<Vec<Option<i64>>> {
        match start {
            Start::Positions(positions) => {
                let key = |position: &Position| (position.topic.clone(), position.partition);
                let known: HashMap<_, _> = positions
                    .iter()
                    .map(|position| (key(position), position.next_offset))
                    .collect();
                partitions
                    .iter()
                    .map(|partition| match known.get(partition) {
                        Some(next_offset) => self.inside(partition, *next_offset).map(Some),
                        None => Ok(None),
                    })
                    .collect()
            }
            Start::Since(time, _) => self.since(*time, partitions),
            Start::Beginning if self.at_end => {
                partitions.iter().map(|p| Ok(Some(self.watermarks(p)?.1))).collect()
            }
            Start::Beginning => Ok(vec![None; partitions.len()]),
        }
    }

    fn watermarks(&self, (topic, number): &(String, i32)) -> crate::Result<(i64, i64)> {
        let answer = (self.ask)(&|timeout| {
            let (low, high) = self.consumer.fetch_watermarks(topic, *number, timeout)?;
            Ok(vec![low, high])
        })?;
        Ok((answer.first().copied().unwrap_or(0), answer.get(1).copied().unwrap_or(0)))
    }

    /// The offset, or the beginning where the partition does not hold it any more.
    fn inside(&self, partition: &(String, i32), next_offset: i64) -> crate::Result<i64> {
        let (low, high) = self.watermarks(partition)?;
        let (topic, number) = partition;
        if next_offset < low {
            self.metrics.lost(topic, *number, low - next_offset);
            return Ok(low);
        }
        if next_offset > high {
            tracing::warn!(
                topic,
                partition = number,
                next_offset,
                high,
                "the partition ends before the position: it was made anew; reading its beginning"
            );
            return Ok(low);
        }
        Ok(next_offset)
    }

    fn since(
        &self,
        time: TimeMicros,
        partitions: &[(String, i32)],
    ) -> crate::Result<Vec<Option<i64>>> {
        // Ends come first: what is written meanwhile is either found by its time or behind the end.
        let ends: crate::Result<Vec<i64>> =
            partitions.iter().map(|partition| Ok(self.watermarks(partition)?.1)).collect();
        let milliseconds = time.div_euclid(1000).max(0);
        let found = (self.ask)(&|timeout| {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for (topic, number) in partitions {
                list.add_partition_offset(topic, *number, Offset::Offset(milliseconds))?;
            }
            let list = self.consumer.offsets_for_times(list, timeout)?;
            let elements = list.elements();
            elements.iter().try_for_each(|element| element.error())?;
            let offset = |(topic, number): &(String, i32)| {
                list.find_partition(topic, *number).map_or(Offset::End, |element| element.offset())
            };
            Ok(partitions.iter().map(|p| offset(p).to_raw().unwrap_or(-1)).collect())
        })?;
        let ends = ends?;
        Ok(found.into_iter().zip(ends).map(|(f, end)| Some(if f < 0 { end } else { f })).collect())
    }
}
