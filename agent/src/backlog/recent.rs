//! What was published within the last minute, in case Redis loses it: a failover promotes a replica
//! that may not have it, and a stream may vanish. Pure: the caller brings the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Entry;

/// A replica that is promoted is rarely further behind.
const KEPT: Duration = Duration::from_mins(1);

/// Entries that Redis had, and those of them that are to be sent once more.
#[derive(Debug)]
pub(super) struct Recent {
    sent: VecDeque<(Instant, Entry)>,
    again: VecDeque<Entry>,
    /// In readings, of those that were sent.
    held: usize,
    /// Most readings to hold.
    capacity: usize,
}

impl Recent {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            sent: VecDeque::new(),
            again: VecDeque::new(),
            held: 0,
            capacity,
        }
    }

    /// Redis has these.
    pub(super) fn sent(&mut self, entries: Vec<Entry>, now: Instant) {
        for entry in entries {
            self.held += entry.readings();
            self.sent.push_back((now, entry));
        }
        let too_old = |at: Instant| now.saturating_duration_since(at) > KEPT;
        while let Some((at, oldest)) = self.sent.front()
            && (too_old(*at) || self.held > self.capacity)
        {
            self.held -= oldest.readings();
            self.sent.pop_front();
        }
    }

    /// Redis may have lost all of it: it is to be sent again, before anything else.
    pub(super) fn send_again(&mut self) -> usize {
        let lost: Vec<_> = self.sent.drain(..).map(|(_, entry)| entry).collect();
        self.held = 0;
        for entry in lost.into_iter().rev() {
            self.again.push_front(entry);
        }
        self.again.len()
    }

    /// The first of what is to be sent again.
    pub(super) fn again(&self, limit: usize) -> Vec<Entry> {
        self.again.iter().take(limit).cloned().collect()
    }

    /// Whether anything is.
    pub(super) fn is_due(&self) -> bool {
        !self.again.is_empty()
    }

    /// So many of what was to be sent again are sent.
    pub(super) fn sent_again(&mut self, count: usize) {
        self.again.drain(..count.min(self.again.len()));
    }
}

#[cfg(test)]
mod tests {
    use rackwatch_core::reading::Sample;
    use rackwatch_core::time::Timestamp;

    use super::super::Content;
    use super::*;

    fn entry(n: u64) -> Entry {
        Entry {
            run: "r".into(),
            n,
            prev: None,
            gap: None,
            taken: Instant::now(),
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
    fn the_last_minute_goes_again_in_order_before_the_rest_of_it() {
        let (start, mut recent) = (Instant::now(), Recent::new(100));
        recent.sent(vec![entry(1)], start);
        recent.sent(vec![entry(2), entry(3)], start + Duration::from_secs(61));
        assert!(!recent.is_due());
        assert_eq!(recent.send_again(), 2, "the first is too old");
        assert_eq!(numbers(&recent.again(10)), [2, 3]);
        recent.sent_again(1);
        recent.sent(vec![entry(2)], start + Duration::from_secs(62));
        // Lost once more in between.
        recent.send_again();
        assert_eq!(numbers(&recent.again(10)), [2, 3]);
        recent.sent_again(2);
        assert!(!recent.is_due());
    }
}
