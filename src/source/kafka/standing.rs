//! When a partition is idle: its position has stood at the broker's high watermark for a while.
//!
//! That no record came says nothing: the broker may be away, the fetch slow, the queue full.

/// What the client library knew of a partition at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot {
    /// Moment, on the library's own steady clock.
    pub(super) at_micros: i64,
    /// Next offset to be fetched; control records of transactions count.
    pub(super) next_offset: i64,
    /// The broker's high watermark, negative while unknown.
    pub(super) high_watermark: i64,
    /// Whether the partition's broker is connected and was heard lately.
    pub(super) fresh: bool,
    /// Whether all that was fetched at this moment has been handed over since.
    pub(super) drained: bool,
}

/// Where one partition stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// The offset after the newest record that was handed over.
    position: Option<i64>,
    /// The library said that the end is reached, and no record came since.
    end_seen: bool,
    at_end: bool,
    at_end_since: Option<i64>,
    idle: bool,
}

impl Standing {
    /// A record came; true when the partition was idle before.
    pub(super) fn record(&mut self, offset: i64) -> bool {
        let was_idle = self.idle;
        *self = Self { position: Some(offset + 1), ..Self::default() };
        was_idle
    }

    /// The library said that the end of the partition is reached.
    pub(super) fn end(&mut self) {
        self.end_seen = true;
    }

    /// Nobody fetched for a while: what was known of the end does not count.
    pub(super) fn doubt(&mut self) {
        (self.end_seen, self.at_end, self.at_end_since) = (false, false, None);
    }

    /// Whether no record is known that has not been handed over.
    pub(super) fn at_end(&self) -> bool {
        self.end_seen || self.at_end
    }

    /// Looks at a snapshot; the answer is the new state when idleness began or ended.
    pub(super) fn observe(&mut self, snapshot: &Snapshot, idle_after_micros: i64) -> Option<bool> {
        let handed_over = snapshot.drained
            || self.end_seen
            || self.position.is_some_and(|position| position >= snapshot.next_offset);
        let reached =
            snapshot.high_watermark >= 0 && snapshot.next_offset >= snapshot.high_watermark;
        self.at_end = snapshot.fresh && reached && handed_over;
        self.at_end_since = self.at_end.then(|| self.at_end_since.unwrap_or(snapshot.at_micros));
        let idle = self
            .at_end_since
            .is_some_and(|since| snapshot.at_micros.saturating_sub(since) >= idle_after_micros);
        let changed = idle != self.idle;
        self.idle = idle;
        changed.then_some(idle)
    }

    /// Records that are still to be read; 0 at the end, whatever control records say.
    pub(super) fn lag(&self, high_watermark: i64, start: i64) -> i64 {
        if self.at_end() {
            return 0;
        }
        high_watermark.saturating_sub(self.position.unwrap_or(start)).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_AFTER: i64 = 10_000_000;

    fn snapshot(at_seconds: i64, next_offset: i64, high_watermark: i64) -> Snapshot {
        Snapshot {
            at_micros: at_seconds * 1_000_000,
            next_offset,
            high_watermark,
            fresh: true,
            drained: false,
        }
    }

    #[test]
    fn idle_only_after_standing_at_the_high_watermark() {
        let mut standing = Standing::default();
        standing.record(41);
        assert_eq!(standing.observe(&snapshot(0, 42, 42), IDLE_AFTER), None);
        assert_eq!(standing.observe(&snapshot(9, 42, 42), IDLE_AFTER), None);
        assert_eq!(standing.observe(&snapshot(10, 42, 42), IDLE_AFTER), Some(true));
        assert_eq!(standing.observe(&snapshot(11, 42, 42), IDLE_AFTER), None);
        assert!(standing.record(42));
        assert_eq!(standing.observe(&snapshot(12, 43, 43), IDLE_AFTER), None);
    }

    #[test]
    fn silence_below_the_high_watermark_is_not_idleness() {
        let mut standing = Standing::default();
        standing.record(41);
        for second in 0..100 {
            assert_eq!(standing.observe(&snapshot(second, 42, 50), IDLE_AFTER), None);
        }
        assert_eq!(standing.lag(50, 0), 8);
    }

    #[test]
    fn a_broker_that_is_away_ends_idleness() {
        let mut standing = Standing::default();
        standing.record(41);
        standing.observe(&snapshot(0, 42, 42), IDLE_AFTER);
        assert_eq!(standing.observe(&snapshot(10, 42, 42), IDLE_AFTER), Some(true));
        let away = Snapshot { fresh: false, ..snapshot(11, 42, 42) };
        assert_eq!(standing.observe(&away, IDLE_AFTER), Some(false));
        assert_eq!(standing.observe(&snapshot(12, 42, 42), IDLE_AFTER), None);
        assert_eq!(standing.observe(&snapshot(22, 42, 42), IDLE_AFTER), Some(true));
    }

    #[test]
    fn a_transaction_marker_at_the_end_does_not_hide_idleness() {
        let mut standing = Standing::default();
        standing.record(41);
        let fetched_only = snapshot(0, 43, 43);
        assert_eq!(standing.observe(&fetched_only, 0), None);
        let drained = Snapshot { drained: true, ..snapshot(1, 43, 43) };
        assert_eq!(standing.observe(&drained, 0), Some(true));
        assert_eq!(standing.lag(43, 0), 0);
    }

    #[test]
    fn an_empty_partition_becomes_idle_and_an_unknown_one_does_not() {
        let mut standing = Standing::default();
        let unknown = Snapshot { drained: true, ..snapshot(0, 0, -1001) };
        assert_eq!(standing.observe(&unknown, 0), None);
        standing.end();
        assert_eq!(standing.observe(&snapshot(1, 0, 0), 0), Some(true));
    }
}
