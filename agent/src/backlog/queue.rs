//! A queue that drops its oldest entries when full.
//!
//! In: samples in the order of reading. Out: numbered entries in that order, until they are
//! acknowledged. Readings are numbered, and an entry carries the number of its last reading. No
//! number is assigned twice, so dropped readings leave a gap that receivers see; the entry after it
//! carries the reason.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rackwatch_core::reading::{Reading, Sample};
use rackwatch_core::wire::{EntryFormat, Gap, Seq};
use tracing::{info, warn};

use crate::host_clock::ClockState;

/// One entry of the stream to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name of the agent run that read it.
    pub run: Arc<str>,
    /// Number of its last reading; a run counts its readings from 1.
    pub n: u64,
    /// Last number of the previous run, in the first entry of a run.
    pub prev: Option<Seq>,
    /// Reason why numbers before it are missing.
    pub gap: Option<Gap>,
    /// Time at which it entered the queue.
    pub queued: Instant,
    /// State of the host's clock when they were taken.
    pub clock: ClockState,
    /// Readings that become one entry.
    pub content: Content,
}

/// The readings of an entry, as `publish.format` groups them.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// One reading, for `publish.format = "reading"`.
    Reading(Reading),
    /// All readings of a tick, for `publish.format = "frame"`.
    Frame(Sample),
}

impl Entry {
    /// Returns the number of readings.
    pub fn readings(&self) -> usize {
        match &self.content {
            Content::Reading(_) => 1,
            Content::Frame(sample) => sample.readings.len(),
        }
    }
}

/// Entries that are not published yet.
#[derive(Debug)]
pub struct Queue {
    run: Arc<str>,
    prev: Option<Seq>,
    format: EntryFormat,
    /// Most readings to hold.
    capacity: usize,
    entries: VecDeque<Entry>,
    waiting: usize,
    /// Last number that was assigned.
    last: u64,
    dropped: u64,
    /// Readings dropped since the queue filled up; `None` once it has been empty again.
    overflow: Option<u64>,
}

impl Queue {
    /// Returns an empty queue of `run` for `capacity` readings; `prev` is the last sequence number
    /// of the previous run.
    pub fn new(format: EntryFormat, capacity: usize, run: &str, prev: Option<Seq>) -> Self {
        Self {
            run: run.into(),
            prev,
            format,
            capacity,
            entries: VecDeque::new(),
            waiting: 0,
            last: 0,
            dropped: 0,
            overflow: None,
        }
    }

    /// Appends a sample that was taken in this state of the clock, and drops the oldest entries while too many readings wait. The newest
    /// entry always stays.
    pub fn push(&mut self, sample: Sample, clock: ClockState) {
        match self.format {
            EntryFormat::Reading => {
                for reading in sample.readings {
                    self.append(Content::Reading(reading), clock);
                }
            }
            EntryFormat::Frame if sample.readings.is_empty() => {}
            EntryFormat::Frame => self.append(Content::Frame(sample), clock),
        }
    }

    fn append(&mut self, content: Content, clock: ClockState) {
        let mut entry = Entry {
            run: Arc::clone(&self.run),
            n: self.last,
            prev: self.prev.take(),
            gap: None,
            queued: Instant::now(),
            clock,
            content,
        };
        self.last += entry.readings() as u64;
        entry.n = self.last;
        self.waiting += entry.readings();
        self.entries.push_back(entry);
        while self.waiting > self.capacity && self.entries.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.entries.pop_front() else {
            return;
        };
        let readings = oldest.readings();
        self.waiting -= readings;
        self.dropped += readings as u64;
        if let Some(next) = self.entries.front_mut() {
            next.gap = Some(Gap::QueueFull);
            // The new front entry still follows the previous run.
            next.prev = next.prev.take().or(oldest.prev);
        }
        if self.overflow.is_none() {
            let queue = self.capacity;
            warn!(queue, "queue is full, dropping the oldest readings");
        }
        *self.overflow.get_or_insert(0) += readings as u64;
    }

    /// Returns the first `limit` entries.
    pub fn front(&self, limit: usize) -> Vec<Entry> {
        self.entries.iter().take(limit).cloned().collect()
    }

    /// Removes every entry up to number `n`.
    pub fn remove_through(&mut self, n: u64) {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.n <= n) {
            self.waiting -= entry.readings();
        }
        if self.entries.is_empty()
            && let Some(dropped) = self.overflow.take()
        {
            info!(dropped, "queue is empty again");
        }
    }

    /// Returns when the oldest entry was queued.
    pub fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.queued)
    }

    /// Returns whether more than half of the capacity is used.
    pub fn is_half_full(&self) -> bool {
        self.waiting > self.capacity / 2
    }

    /// Returns the last assigned number, or `None` before the first.
    pub fn last(&self) -> Option<Seq> {
        (self.last > 0).then(|| Seq {
            run: self.run.to_string(),
            n: self.last,
        })
    }

    /// Returns whether no entry waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the number of readings that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns the number of readings dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use rackwatch_core::device::DeviceId;
    use rackwatch_core::reading::Fault;
    use rackwatch_core::time::Timestamp;

    use super::*;

    fn sample(readings: usize) -> Sample {
        let at = Timestamp::default();
        let reading = |n| Reading {
            device: DeviceId::sanitized(&format!("cpu-{n}")),
            at,
            value: Err(Fault::TIMEOUT),
        };
        Sample {
            at,
            readings: (0..readings).map(reading).collect(),
        }
    }

    fn numbers(queue: &Queue) -> Vec<u64> {
        queue.front(100).iter().map(|entry| entry.n).collect()
    }

    #[test]
    fn entries_stay_until_acknowledged_and_keep_their_numbers() {
        let mut queue = Queue::new(EntryFormat::Reading, 100, "r", None);
        queue.push(sample(3), ClockState::default());
        assert_eq!(numbers(&queue), [1, 2, 3]);
        assert_eq!(queue.front(2).len(), 2);
        queue.remove_through(2);
        queue.push(sample(1), ClockState::default());
        assert_eq!(numbers(&queue), [3, 4]);
        queue.remove_through(4);
        assert!(queue.is_empty());
        assert_eq!((queue.waiting(), queue.dropped()), (0, 0));
    }

    #[test]
    fn the_oldest_are_dropped_and_counted() {
        let mut queue = Queue::new(EntryFormat::Reading, 4, "r", None);
        queue.push(sample(3), ClockState::default());
        queue.push(sample(3), ClockState::default());
        assert_eq!(numbers(&queue), [3, 4, 5, 6]);
        assert_eq!((queue.waiting(), queue.dropped()), (4, 2));
        let gaps: Vec<_> = queue.front(2).iter().map(|entry| entry.gap).collect();
        assert_eq!(gaps, [Some(Gap::QueueFull), None]);
        // An acknowledgement for entries already dropped changes nothing.
        queue.remove_through(1);
        assert_eq!(queue.waiting(), 4);
    }

    #[test]
    fn a_frame_is_one_entry_and_counts_its_readings() {
        let mut queue = Queue::new(EntryFormat::Frame, 4, "r", None);
        queue.push(sample(3), ClockState::default());
        queue.push(sample(0), ClockState::default());
        queue.push(sample(3), ClockState::default());
        assert_eq!(numbers(&queue), [6]);
        assert_eq!((queue.waiting(), queue.dropped()), (3, 3));
        queue.push(sample(9), ClockState::default());
        assert_eq!(
            numbers(&queue),
            [15],
            "a frame larger than the queue still goes out"
        );
    }
}
