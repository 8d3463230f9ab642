//! Learn: what the stream itself tells about addresses, accounts, staff and the service, as columns.
//!
//! Batches come in event-time order, groups of equal times whole. Each row of a group is told what was
//! known before the group's time, then the rows of the group are taken in: events of one time do not
//! see each other, and neither batch cuts nor the order of ties show. Nothing reads a clock or a random
//! value that could show: the columns are a function of the events and the configuration.
//!
//! Everything that grows is let in by a successful login or by staff at work, within one budget of
//! memory. What is in is never pushed out by what comes: it ends by its own age. What fails only, and
//! can be made up at will, lives in a small table of its own ([`tries::Failing`]).

mod account;
mod budget;
mod checkpoint;
mod codec;
mod columns;
mod memory;
mod metrics;
mod pairs;
mod risk;
mod row;
mod row_ids;
mod service;
mod side;
mod slab;
mod staff;
mod taking;
mod telling;
mod tries;
mod values;
mod wheel;

use std::time::Duration;

use arrow::array::RecordBatch;

use crate::config::{LearnConfig, check_learn, micros};
use crate::event::TimeMicros;
use crate::{Error, Result};

pub use checkpoint::LearnerManifest;
pub use metrics::LearnMetrics;

use columns::Columns;
use memory::Memory;
use row::{Row, Rows};
use row_ids::{RowIds, Versions};
use values::MANY;

const DAY_MICROS: TimeMicros = 86_400_000_000;

/// How much is remembered, and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LearnStats {
    /// Bytes that the memory takes by its own count; at most `learn.memory_max`.
    pub bytes: u64,
    /// Accounts that are remembered.
    pub accounts: u64,
    /// Logins of theirs that `risk` looks back on.
    pub logins: u64,
    /// Addresses that they use.
    pub addresses: u64,
    /// Places without a success whose failures are counted.
    pub failing: u64,
    /// Accounts that were forgotten because they did nothing for `learn.forget_after`.
    pub accounts_forgotten: u64,
    /// Values that were forgotten because an account has more than `learn.values_per_account_max`.
    pub values_dropped: u64,
    /// What was not learned because `learn.memory_max` is reached: logins, devices, members of a group.
    pub refused: u64,
    /// Places without a success that were forgotten for want of room (`learn.failing_max`).
    pub failing_dropped: u64,
}

/// Settings in the units of the work.
#[derive(Debug, Clone)]
struct Settings {
    memory_max: u64,
    forget_days: i32,
    shared_days: i32,
    settle_micros: TimeMicros,
    values_max: usize,
    failing_max: usize,
    service_micros: TimeMicros,
    weights: [risk::Weights; 2],
}

fn days(duration: Duration) -> i32 {
    i32::try_from(micros(duration).div_euclid(DAY_MICROS)).unwrap_or(i32::MAX)
}

impl Settings {
    fn new(config: &LearnConfig) -> Result<Self> {
        if let Some(problem) = check_learn(config).into_iter().next() {
            return Err(problem);
        }
        Ok(Self {
            memory_max: config.memory_max,
            forget_days: days(config.forget_after),
            shared_days: days(config.shared_window),
            settle_micros: micros(config.settle_after),
            values_max: config.values_per_account_max,
            failing_max: config.failing_max,
            service_micros: micros(config.service_window),
            weights: risk::weights(&config.risk),
        })
    }
}

/// Learns from events and tells what it knows.
#[derive(Debug)]
pub struct Learner {
    memory: Memory,
    /// Events before this time were taken in already.
    learned_until: TimeMicros,
}

impl Learner {
    /// One that knows nothing.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(config: &LearnConfig) -> Result<Self> {
        Ok(Self::with(Memory::new(Settings::new(config)?)))
    }

    fn with(memory: Memory) -> Self {
        Self { memory, learned_until: TimeMicros::MIN }
    }

    /// The batch with the columns of learning filled in.
    ///
    /// # Errors
    /// Only when it is no event batch.
    pub fn learn(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = Rows::new(batch)?;
        let mut columns = Columns::new(batch.num_rows());
        let (mut chunk, mut found) = (Vec::with_capacity(MANY), Vec::with_capacity(MANY));
        let mut start = 0;
        while start < batch.num_rows() {
            chunk.clear();
            while chunk.len() < MANY && start < batch.num_rows() {
                let end = start + rows.group(start);
                chunk.extend((start..end).map(|row| rows.row(row)));
                start = end;
            }
            let since = self.memory.find_rows(&chunk, &mut found);
            self.learn_chunk(&chunk, &found, &since, &mut columns);
        }
        columns.fill(batch)
    }

    fn learn_chunk(
        &mut self,
        chunk: &[Row<'_>],
        found: &[RowIds],
        since: &Versions,
        columns: &mut Columns,
    ) {
        let mut told = Vec::new();
        let mut found = found.iter();
        for group in chunk.chunk_by(|left, right| left.time == right.time) {
            let is_new = group[0].time >= self.learned_until;
            if is_new {
                self.memory.advance(group[0].time);
            }
            told.clear();
            for (row, ids) in group.iter().zip(found.by_ref()) {
                let ids = self.memory.find_again(row, ids, since);
                let (known, found) = self.memory.tell(row, ids);
                columns.push(&known);
                told.push(found);
            }
            for (row, found) in group.iter().zip(&mut told).filter(|_| is_new) {
                if group.len() > 1 {
                    // Those before it may have changed what was found.
                    found.ids = self.memory.find_again(row, &found.ids, since);
                }
                self.memory.take(row, found);
            }
        }
    }

    /// Events before this time come again, for others: they are told what is known now, and not taken in.
    pub fn learned_until(&mut self, time: TimeMicros) {
        self.learned_until = time;
    }

    /// How much is remembered, and what was not.
    pub fn stats(&self) -> LearnStats {
        self.memory.stats()
    }
}

fn cold(error: Error) -> Error {
    error.hint("learning starts from nothing; docs/learning.md says how long it takes")
}
