//! Correction of timestamps that a wrong clock stamped, and rejection of those from the future.

use std::time::Duration;

use rackwatch_core::clock_offsets::ClockObservation;

use super::super::Entry;
use super::RedisRawStream;

impl RedisRawStream {
    /// Corrects the timestamps of new entries, and learns from them which clocks are wrong.
    pub(super) fn correct(&mut self, entries: &mut [Entry]) {
        for entry in entries {
            let (sender, first) = (entry.decoded.sender(), entry.decoded.readings.first());
            // All readings of an entry have one timestamp.
            if let Some((sender, first)) = sender.zip(first) {
                let seen = ClockObservation {
                    entry: entry.id,
                    arrived: entry.arrived(),
                    at: first.at,
                    skew: entry.decoded.skew,
                };
                entry.clock_offset = self.offsets.observe(sender, &seen, self.max_future);
            }
            apply(entry, self.max_future);
        }
    }

    /// Corrects the timestamps of committed entries as they were corrected then.
    pub(super) fn correct_again(&self, entries: &mut [Entry]) {
        for entry in entries {
            let sender = entry.decoded.sender();
            entry.clock_offset = sender.and_then(|sender| self.offsets.at(sender, entry.id));
            apply(entry, self.max_future);
        }
    }
}

/// Corrects the timestamps of an entry by its offset, and rejects readings that are still from the future.
fn apply(entry: &mut Entry, max_future: Duration) {
    let arrived = entry.arrived();
    let mut decoded = std::mem::take(&mut entry.decoded);
    decoded.correct(entry.clock_offset.unwrap_or(0));
    entry.decoded = decoded.without_future(arrived, max_future);
    // Dead letters alone need the fields.
    if entry.decoded.reject.is_none() {
        entry.fields = Vec::new();
    }
}
