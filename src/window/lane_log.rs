//! The rows of a lane, as columns in time order.

use super::links::Links;
use super::log::Log;
use super::residence::Residence;
use super::slots::Slots;
use super::snapshot::{Damage, LaneRows};
use super::spec::{LaneInput, mask_bit};
use crate::Result;
use crate::event::TimeMicros;

/// Rows that are dealt with in one go, where there may be any number of them; few in unit tests.
pub(crate) const PIECE_ROWS: u64 = if cfg!(test) { 40 } else { 65_536 };

/// Columns of a lane's log.
pub(crate) struct LaneLog {
    pub(crate) times: Log<TimeMicros>,
    pub(crate) slots: Log<u32>,
    pub(crate) rows: Log<u32>,
    pub(crate) masks: Vec<Log<u8>>,
    pub(crate) values: Vec<Log<u64>>,
    /// For each distinct count: mask, value column and the links between equal values.
    pub(crate) links: Vec<(usize, usize, Links)>,
    /// Distance to the previous row of the same key; 0 for none.
    pub(super) previous: Log<u32>,
    /// Newest row of each slot; meaningful while the slot has rows in the log.
    newest: Vec<u64>,
    /// Oldest row that is still there.
    pub(crate) head: u64,
    pub(super) residence: Residence,
}

impl LaneLog {
    pub(crate) fn new(n_masks: usize, n_values: usize, links: Vec<(usize, usize)>) -> Self {
        Self {
            times: Log::new(),
            slots: Log::new(),
            rows: Log::new(),
            masks: (0..n_masks.div_ceil(8)).map(|_| Log::new()).collect(),
            values: (0..n_values).map(|_| Log::new()).collect(),
            links: links.into_iter().map(|(mask, value)| (mask, value, Links::new())).collect(),
            previous: Log::new(),
            newest: Vec::new(),
            head: 0,
            residence: Residence::default(),
        }
    }

    pub(crate) fn n_rows(&self) -> usize {
        (self.times.end() - self.head) as usize
    }

    pub(crate) fn append(&mut self, input: &LaneInput, slots: &[u32], n_slots: usize) {
        let first = self.times.end();
        self.times.extend(&input.times);
        self.slots.extend(slots);
        self.rows.extend(&input.rows);
        self.newest.resize(n_slots, u64::MAX);
        let distances: Vec<u32> =
            (first..).zip(slots).map(|(index, slot)| self.link(index, *slot)).collect();
        self.previous.extend(&distances);
        for (log, column) in self.masks.iter_mut().zip(&input.masks) {
            log.extend(column);
        }
        for (log, column) in self.values.iter_mut().zip(&input.values) {
            log.extend(column);
        }
        for (mask, value, links) in &mut self.links {
            let (column, bit) = mask_bit(*mask);
            let counts = input.masks[column].iter().map(|bits| bits & bit != 0);
            links.append(self.head, first, slots, &input.values[*value], counts);
        }
        self.note_chunks();
    }

    /// Notes the newest row of a key; gives the distance to the one before it.
    fn link(&mut self, index: u64, slot: u32) -> u32 {
        let newest = std::mem::replace(&mut self.newest[slot as usize], index);
        let is_live = newest >= self.head && newest < index;
        if is_live { u32::try_from(index - newest).unwrap_or(0) } else { 0 }
    }

    /// Makes an empty log begin at `head`; slots are below `n_slots`.
    pub(crate) fn begin_at(&mut self, head: u64, n_slots: usize) {
        self.times = Log::starting_at(head);
        self.slots = Log::starting_at(head);
        self.rows = Log::starting_at(head);
        self.previous = Log::starting_at(head);
        self.masks.iter_mut().for_each(|log| *log = Log::starting_at(head));
        self.values.iter_mut().for_each(|log| *log = Log::starting_at(head));
        self.links.iter_mut().for_each(|(_, _, links)| *links = Links::starting_at(head));
        self.newest = vec![u64::MAX; n_slots];
        self.head = head;
        self.residence = Residence::starting_at(head);
    }

    /// The rows `from..to` as columns; they are in memory.
    pub(crate) fn copy_rows(&self, from: u64, to: u64) -> LaneRows {
        fn copy<T: Copy + Default>(log: &Log<T>, from: u64, to: u64) -> Vec<T> {
            let mut rows = Vec::with_capacity((to - from) as usize);
            log.copy_range(from, to, &mut rows);
            rows
        }
        LaneRows {
            first: from,
            times: copy(&self.times, from, to),
            slots: copy(&self.slots, from, to),
            rows: copy(&self.rows, from, to),
            masks: self.masks.iter().map(|log| copy(log, from, to)).collect(),
            values: self.values.iter().map(|log| copy(log, from, to)).collect(),
            links: self.links.iter().map(|(_, _, l)| copy(&l.previous, from, to)).collect(),
        }
    }

    /// Appends rows of an earlier process.
    pub(crate) fn append_known(&mut self, rows: &LaneRows) -> Result<(), Damage> {
        let fits = rows.masks.len() == self.masks.len()
            && rows.values.len() == self.values.len()
            && rows.links.len() == self.links.len();
        if !fits || rows.slots.iter().any(|slot| *slot as usize >= self.newest.len()) {
            return Err("rows do not fit the lane");
        }
        let numbered = (rows.first..).zip(&rows.slots);
        let distances: Vec<u32> = numbered.map(|(index, slot)| self.link(index, *slot)).collect();
        self.times.extend(&rows.times);
        self.slots.extend(&rows.slots);
        self.rows.extend(&rows.rows);
        self.previous.extend(&distances);
        self.masks.iter_mut().zip(&rows.masks).for_each(|(log, column)| log.extend(column));
        self.values.iter_mut().zip(&rows.values).for_each(|(log, column)| log.extend(column));
        for ((mask, value, links), previous) in self.links.iter_mut().zip(&rows.links) {
            let (column, bit) = mask_bit(*mask);
            let counts = rows.masks[column].iter().map(|bits| bits & bit != 0);
            let columns = (rows.slots.as_slice(), rows.values[*value].as_slice());
            links.append_known(self.head, rows.first, columns, counts, previous)?;
        }
        self.note_chunks();
        Ok(())
    }

    #[inline]
    pub(crate) fn has(&self, mask: usize, index: u64) -> bool {
        let (column, bit) = mask_bit(mask);
        self.masks[column].get(index) & bit != 0
    }

    /// Frees the rows before `tail`.
    ///
    /// # Errors
    /// When rows do not come back from the disk.
    pub(crate) fn trim(&mut self, tail: u64, slots: &mut Slots) -> Result<()> {
        let mut from = self.head;
        while from < tail {
            let to = if self.is_whole() { tail } else { tail.min(from + PIECE_ROWS) };
            self.ensure(from, to)?;
            self.release(from, to, slots);
            self.let_go();
            from = to;
        }
        self.head = tail;
        self.times.trim(tail);
        self.slots.trim(tail);
        self.rows.trim(tail);
        self.previous.trim(tail);
        self.masks.iter_mut().for_each(|log| log.trim(tail));
        self.values.iter_mut().for_each(|log| log.trim(tail));
        self.links.iter_mut().for_each(|(_, _, links)| links.trim(tail));
        self.trim_chunks();
        Ok(())
    }

    /// Lets go of what refers to the rows `from..to`.
    fn release(&mut self, from: u64, to: u64, slots: &mut Slots) {
        for position in 0..self.links.len() {
            let (mask, value, _) = self.links[position];
            for index in from..to {
                if self.has(mask, index) {
                    let (slot, value) = (self.slots.get(index), self.values[value].get(index));
                    self.links[position].2.remove(index, slot, value);
                }
            }
        }
        for index in from..to {
            slots.release(self.slots.get(index));
        }
    }

    /// Calls `visit` with each row of a key whose time is within `oldest..=newest` and that is in one
    /// of `masks`; newest first, until it says `false`.
    ///
    /// # Errors
    /// When rows do not come back from the disk.
    pub(crate) fn visit_key(
        &mut self,
        slot: u32,
        (oldest, newest): (TimeMicros, TimeMicros),
        masks: &[usize],
        mut visit: impl FnMut(u32) -> bool,
    ) -> Result<()> {
        let mut at = self.newest.get(slot as usize).copied().unwrap_or(u64::MAX);
        while at != u64::MAX && at >= self.head {
            self.ensure_evidence(at)?;
            if self.times.get(at) < oldest {
                break;
            }
            let counts = self.times.get(at) <= newest && masks.iter().any(|m| self.has(*m, at));
            if counts && !visit(self.rows.get(at)) {
                break;
            }
            let distance = u64::from(self.previous.get(at));
            if distance == 0 || distance > at {
                break;
            }
            at -= distance;
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.times.bytes()
            + self.slots.bytes()
            + self.rows.bytes()
            + self.previous.bytes()
            + self.newest.capacity() * 8
            + self.masks.iter().map(Log::bytes).sum::<usize>()
            + self.values.iter().map(Log::bytes).sum::<usize>()
            + self.links.iter().map(|(_, _, links)| links.bytes()).sum::<usize>()
            + self.residence_bytes()
    }
}
