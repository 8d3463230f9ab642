//! Cuts a byte stream into lines without ever holding more than a batch and one record.

use std::io::{self, Read};

use memchr::memchr;

use super::{RawBatch, Record};
use crate::event::TimeMicros;
use crate::event::reject::{RejectReason, Rejection};

const READ_BYTES: usize = 64 * 1024;
/// So much of a record that is too long is kept for the dead-letter file.
const HEAD_BYTES: usize = 256;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Limits of one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineLimits {
    pub(super) record_bytes_max: usize,
    pub(super) batch_bytes: usize,
    /// Hand over what is there after each read: a pipe may be slow, and its lines are wanted now.
    pub(super) eager: bool,
}

/// A line that is too long, of which only the head is kept.
struct Skipped {
    head: Vec<u8>,
    n_bytes: usize,
}

/// The lines of one reader.
pub(super) struct Lines {
    reader: Box<dyn Read + Send>,
    limits: LineLimits,
    /// The line that the last batch cut off.
    carry: Vec<u8>,
    skipped: Option<Skipped>,
    next_line: i64,
    ended: bool,
}

/// The part of a batch that is being filled.
struct Filling {
    bytes: Vec<u8>,
    line_start: usize,
    scanned: usize,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn Read + Send>, limits: LineLimits) -> Self {
        Self { reader, limits, carry: Vec::new(), skipped: None, next_line: 1, ended: false }
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Reads the next lines into an empty batch.
    pub(super) fn fill(&mut self, batch: &mut RawBatch) {
        let carry = std::mem::take(&mut self.carry);
        let mut filling = Filling { scanned: carry.len(), bytes: carry, line_start: 0 };
        while !self.ended && !self.is_full(&filling, batch) {
            match self.read(&mut filling.bytes) {
                Ok(0) => self.end(&mut filling, batch),
                Ok(_) => self.cut(&mut filling, batch),
                Err(error) => self.break_off(&mut filling, batch, &error),
            }
        }
        self.carry = filling.bytes.split_off(filling.line_start);
        batch.bytes = filling.bytes;
    }

    fn is_full(&self, filling: &Filling, batch: &RawBatch) -> bool {
        filling.line_start >= self.limits.batch_bytes || (self.limits.eager && !batch.is_empty())
    }

    fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let start = bytes.len();
        bytes.resize(start + READ_BYTES, 0);
        let result = loop {
            match self.reader.read(&mut bytes[start..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        bytes.truncate(start + result.as_ref().map_or(0, |n| *n));
        result
    }

    /// Turns the whole lines among the new bytes into records.
    fn cut(&mut self, filling: &mut Filling, batch: &mut RawBatch) {
        if !self.leave_skipped(filling, batch) {
            return;
        }
        while let Some(length) = memchr(b'\n', &filling.bytes[filling.scanned..]) {
            let end = filling.scanned + length;
            self.record(filling.line_start, end, &filling.bytes, batch);
            filling.line_start = end + 1;
            filling.scanned = end + 1;
        }
        filling.scanned = filling.bytes.len();
        let pending = &filling.bytes[filling.line_start..];
        // One more byte than allowed may still be the `\r` of a line's end.
        if pending.len() > self.limits.record_bytes_max.saturating_add(1) {
            let head = pending[..pending.len().min(HEAD_BYTES)].to_vec();
            self.skipped = Some(Skipped { head, n_bytes: pending.len() });
            filling.bytes.truncate(filling.line_start);
            filling.scanned = filling.line_start;
        }
    }

    /// Drops bytes up to the end of a line that is too long; false while the end is not there.
    fn leave_skipped(&mut self, filling: &mut Filling, batch: &mut RawBatch) -> bool {
        let Some(mut skipped) = self.skipped.take() else { return true };
        let new = filling.bytes.split_off(filling.line_start);
        filling.scanned = filling.line_start;
        let Some(length) = memchr(b'\n', &new) else {
            skipped.n_bytes += new.len();
            self.skipped = Some(skipped);
            return false;
        };
        skipped.n_bytes += length;
        filling.bytes.extend_from_slice(&new[length + 1..]);
        self.reject_skipped(skipped, batch);
        true
    }

    fn reject_skipped(&mut self, skipped: Skipped, batch: &mut RawBatch) {
        let line = self.take_line();
        self.reject_long(line, skipped.n_bytes, &skipped.head, batch);
    }

    fn reject_long(&self, line: i64, n_bytes: usize, head: &[u8], batch: &mut RawBatch) {
        batch.rejections.push(Rejection {
            place: batch.place_of(line),
            reason: RejectReason::RecordTooLong,
            message: format!(
                "record of {n_bytes} bytes is longer than {}\nhint: raise input.record_bytes_max",
                self.limits.record_bytes_max
            ),
            raw: head[..head.len().min(HEAD_BYTES)].to_vec(),
        });
    }

    fn take_line(&mut self) -> i64 {
        self.next_line += 1;
        self.next_line - 1
    }

    fn record(&mut self, mut start: usize, mut end: usize, bytes: &[u8], batch: &mut RawBatch) {
        let line = self.take_line();
        if line == 1 && bytes[start..end].starts_with(BYTE_ORDER_MARK) {
            start += BYTE_ORDER_MARK.len();
        }
        if bytes[start..end].ends_with(b"\r") {
            end -= 1;
        }
        let text = &bytes[start..end];
        if text.len() > self.limits.record_bytes_max {
            self.reject_long(line, text.len(), text, batch);
        } else if !text.trim_ascii().is_empty() {
            batch.records.push(Record { range: start..end, position: line });
        }
    }

    /// The last line may lack its end.
    fn end(&mut self, filling: &mut Filling, batch: &mut RawBatch) {
        self.ended = true;
        if let Some(skipped) = self.skipped.take() {
            self.reject_skipped(skipped, batch);
        } else if filling.line_start < filling.bytes.len() {
            self.record(filling.line_start, filling.bytes.len(), &filling.bytes, batch);
            filling.line_start = filling.bytes.len();
        }
    }

    /// The reader failed: what was read stands, the line that was cut off is set aside.
    fn break_off(&mut self, filling: &mut Filling, batch: &mut RawBatch, error: &io::Error) {
        self.ended = true;
        if let Some(skipped) = self.skipped.take() {
            self.reject_skipped(skipped, batch);
        }
        let line = self.take_line();
        let rest = filling.bytes.split_off(filling.line_start);
        batch.rejections.push(Rejection {
            place: batch.place_of(line),
            reason: RejectReason::SourceError,
            message: format!("input breaks off here: {error}\nhint: the lines before were read"),
            raw: rest[..rest.len().min(HEAD_BYTES)].to_vec(),
        });
    }
}

/// Marks when the newest line of a batch can have been written.
pub(super) fn stamp(batch: &mut RawBatch, written_at: Option<TimeMicros>) {
    batch.written_at = written_at.unwrap_or(batch.received_at);
}
