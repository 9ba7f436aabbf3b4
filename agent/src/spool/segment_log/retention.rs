//! Removing segments: those that are acknowledged, and the oldest beyond the bounds.

use std::time::Duration;

use rackwatch_core::wire::Gap;
use rackwatch_runtime::error::chain;
use tracing::warn;

use super::SegmentLog;
use crate::spool::error::SpoolError;
use crate::spool::segment::{MAGIC, Segment};

/// Segments that fill a spool: dropping the oldest loses a sixteenth of it at most.
const SEGMENTS: u64 = 16;
/// Smallest segment in bytes: one block of most file systems.
const SMALLEST_SEGMENT: u64 = 4 << 10;
/// Largest segment in bytes: reading one back takes this much memory.
const LARGEST_SEGMENT: u64 = 1 << 20;

impl SegmentLog {
    /// Returns the size in bytes at which a segment is sealed.
    pub(super) fn segment_size(&self) -> u64 {
        (self.bounds.bytes / SEGMENTS).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT)
    }

    /// Drops the oldest segments until `bytes` more fit.
    pub(super) fn make_room(&mut self, bytes: u64, now: Duration) -> Result<(), SpoolError> {
        let limit = self.bounds.bytes;
        if bytes > limit {
            return Err(SpoolError::TooLarge { size: bytes, limit });
        }
        self.drop_aged(now);
        while !self.segments.is_empty() && self.size() + bytes > limit {
            self.drop_oldest(Gap::SpoolFull);
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// Drops segments whose newest record was written too long ago. Only the spool's own clock counts: a host's clock
    /// may jump by years, and would take all readings of an outage with it.
    pub(super) fn drop_aged(&mut self, now: Duration) {
        let oldest = now.saturating_sub(self.bounds.age);
        let is_aged = |segment: &Segment| segment.newest < oldest && segment.readings > 0;
        while self.segments.front().is_some_and(is_aged) {
            self.drop_oldest(Gap::SpoolAge);
        }
    }

    /// Drops the front segment with its unacknowledged readings.
    pub(super) fn drop_oldest(&mut self, reason: Gap) {
        if self.segments.len() == 1 {
            self.is_active = false;
        }
        if let Some(oldest) = self.segments.front() {
            let readings = oldest.readings;
            self.dropped += readings;
            self.gap = Some(reason);
            let reason = reason.word();
            warn!(readings, reason, "dropping the oldest spooled readings");
        }
        self.remove_front();
        // A restart must not forget the gap.
        if let Err(error) = self.save_position(None) {
            warn!(error = chain(&error), "cannot write spool position");
        }
    }

    /// Removes segments from the front that hold nothing to send.
    pub(super) fn remove_acknowledged(&mut self) {
        while let Some(segment) = self.segments.front() {
            let is_acknowledged = segment.readings == 0 && segment.acknowledged >= segment.length;
            let is_empty = segment.readings == 0 && segment.length <= MAGIC.len() as u64;
            let is_active = self.is_active && self.segments.len() == 1;
            if is_active || !(is_acknowledged || is_empty) {
                return;
            }
            if segment.is_lossy {
                self.gap.get_or_insert(Gap::SpoolCorrupt);
            }
            self.remove_front();
        }
    }

    fn remove_front(&mut self) {
        let Some(segment) = self.segments.pop_front() else {
            return;
        };
        self.loaded = None;
        if segment.is_kept || segment.is_foreign {
            return;
        }
        let name = segment.name();
        if let Err(error) = self.files.remove(&name) {
            warn!(%error, file = name, "cannot remove spool segment");
        }
    }
}
