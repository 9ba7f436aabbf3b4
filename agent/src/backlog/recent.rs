//! Entries published within the last minute, in case Redis loses them: a failover promotes a
//! replica that may lag behind, and a stream may vanish. Pure: the caller passes the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::queue::Entry;

/// Time for which published entries are kept: a promoted replica rarely lags further behind.
const KEEP_FOR: Duration = Duration::from_mins(1);

/// Published entries, and those of them to be sent again.
#[derive(Debug)]
pub(super) struct RecentEntries {
    sent: VecDeque<(Instant, Entry)>,
    to_resend: VecDeque<Entry>,
    /// Number of readings in `sent`.
    held: usize,
    /// Most readings to hold.
    capacity: usize,
}

impl RecentEntries {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            sent: VecDeque::new(),
            to_resend: VecDeque::new(),
            held: 0,
            capacity,
        }
    }

    /// Adds entries that Redis has acknowledged.
    pub(super) fn add(&mut self, entries: Vec<Entry>, now: Instant) {
        for entry in entries {
            self.held += entry.readings();
            self.sent.push_back((now, entry));
        }
        let is_old = |at: Instant| now.saturating_duration_since(at) > KEEP_FOR;
        while let Some((at, oldest)) = self.sent.front()
            && (is_old(*at) || self.held > self.capacity)
        {
            self.held -= oldest.readings();
            self.sent.pop_front();
        }
    }

    /// Schedules all entries to be sent again before any other, and returns how many those are.
    pub(super) fn resend(&mut self) -> usize {
        let lost: Vec<_> = self.sent.drain(..).map(|(_, entry)| entry).collect();
        self.held = 0;
        for entry in lost.into_iter().rev() {
            self.to_resend.push_front(entry);
        }
        self.to_resend.len()
    }

    /// Returns the first `limit` entries to send again.
    pub(super) fn to_resend(&self, limit: usize) -> Vec<Entry> {
        self.to_resend.iter().take(limit).cloned().collect()
    }

    /// Returns whether there are entries to send again.
    pub(super) fn must_resend(&self) -> bool {
        !self.to_resend.is_empty()
    }

    /// Removes the first `count` entries to send again: they are sent.
    pub(super) fn resent(&mut self, count: usize) {
        self.to_resend.drain(..count.min(self.to_resend.len()));
    }
}

#[cfg(test)]
mod tests {
    use rackwatch_core::reading::Sample;
    use rackwatch_core::time::Timestamp;

    use super::super::queue::Content;
    use super::*;
    use crate::host_clock::ClockState;

    fn entry(n: u64) -> Entry {
        Entry {
            run: "r".into(),
            n,
            prev: None,
            gap: None,
            queued: Instant::now(),
            clock: ClockState::default(),
            content: Content::Frame(Sample {
                at: Timestamp::default(),
                readings: Vec::new(),
            }),
        }
    }

    fn numbers(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.n).collect()
    }

    #[test]
    fn the_last_minute_is_resent_in_order() {
        let (start, mut recent) = (Instant::now(), RecentEntries::new(100));
        recent.add(vec![entry(1)], start);
        recent.add(vec![entry(2), entry(3)], start + Duration::from_secs(61));
        assert!(!recent.must_resend());
        assert_eq!(recent.resend(), 2, "the first is too old");
        assert_eq!(numbers(&recent.to_resend(10)), [2, 3]);
        recent.resent(1);
        recent.add(vec![entry(2)], start + Duration::from_secs(62));
        // A second loss while the first resend is under way.
        recent.resend();
        assert_eq!(numbers(&recent.to_resend(10)), [2, 3]);
        recent.resent(2);
        assert!(!recent.must_resend());
    }
}
