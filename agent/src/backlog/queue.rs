//! A queue of samples that drops its oldest when full.
//!
//! In: samples in the order of reading. Out: numbered entries in that order, from the first one that
//! is not done. A number is never given twice: what was dropped leaves a gap that receivers see.

use std::collections::VecDeque;

use rackwatch_core::reading::{Reading, Sample};
use rackwatch_core::wire::Layout;
use tracing::{info, warn};

/// What becomes one entry of the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Counts the entries of this run from 1.
    pub n: u64,
    /// What is in it.
    pub content: Content,
}

/// One reading, or all of a tick, as the layout asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Layout `reading`.
    Reading(Reading),
    /// Layout `frame`.
    Frame(Sample),
}

impl Entry {
    /// How many readings are in it.
    pub fn readings(&self) -> usize {
        match &self.content {
            Content::Reading(_) => 1,
            Content::Frame(sample) => sample.readings.len(),
        }
    }
}

/// Samples that are not published yet.
#[derive(Debug)]
pub struct Queue {
    layout: Layout,
    /// In readings.
    capacity: usize,
    entries: VecDeque<Entry>,
    waiting: usize,
    last: u64,
    dropped: u64,
    /// How many were dropped since it last overflowed, while it has not been empty since.
    overflow: Option<u64>,
}

impl Queue {
    /// An empty queue for `capacity` readings.
    pub fn new(layout: Layout, capacity: usize) -> Self {
        Self {
            layout,
            capacity,
            entries: VecDeque::new(),
            waiting: 0,
            last: 0,
            dropped: 0,
            overflow: None,
        }
    }

    /// Puts a sample at the end, and drops the oldest entries while too many readings wait; the
    /// newest entry always stays.
    pub fn push(&mut self, sample: Sample) {
        match self.layout {
            Layout::Reading => {
                for reading in sample.readings {
                    self.append(Content::Reading(reading));
                }
            }
            Layout::Frame if sample.readings.is_empty() => {}
            Layout::Frame => self.append(Content::Frame(sample)),
        }
    }

    fn append(&mut self, content: Content) {
        self.last += 1;
        let entry = Entry {
            n: self.last,
            content,
        };
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
        if self.overflow.is_none() {
            let queue = self.capacity;
            warn!(queue, "the queue is full, dropping the oldest readings");
        }
        *self.overflow.get_or_insert(0) += readings as u64;
    }

    /// The first `limit` entries.
    pub fn first(&self, limit: usize) -> Vec<Entry> {
        self.entries.iter().take(limit).cloned().collect()
    }

    /// Takes off every entry up to number `n`.
    pub fn done(&mut self, n: u64) {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.n <= n) {
            self.waiting -= entry.readings();
        }
        if self.entries.is_empty()
            && let Some(dropped) = self.overflow.take()
        {
            info!(dropped, "the queue is empty again");
        }
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many readings wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many readings were dropped since the start.
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
        queue.first(100).iter().map(|entry| entry.n).collect()
    }

    #[test]
    fn entries_stay_until_done_and_keep_their_numbers() {
        let mut queue = Queue::new(Layout::Reading, 100);
        queue.push(sample(3));
        assert_eq!(numbers(&queue), [1, 2, 3]);
        assert_eq!(queue.first(2).len(), 2);
        queue.done(2);
        queue.push(sample(1));
        assert_eq!(numbers(&queue), [3, 4]);
        queue.done(4);
        assert!(queue.is_empty());
        assert_eq!((queue.waiting(), queue.dropped()), (0, 0));
    }

    #[test]
    fn the_oldest_are_dropped_and_counted() {
        let mut queue = Queue::new(Layout::Reading, 4);
        queue.push(sample(3));
        queue.push(sample(3));
        assert_eq!(numbers(&queue), [3, 4, 5, 6]);
        assert_eq!((queue.waiting(), queue.dropped()), (4, 2));
        // Numbers that were sent before they were dropped are no harm.
        queue.done(1);
        assert_eq!(queue.waiting(), 4);
    }

    #[test]
    fn a_frame_is_one_entry_and_counts_its_readings() {
        let mut queue = Queue::new(Layout::Frame, 4);
        queue.push(sample(3));
        queue.push(sample(0));
        queue.push(sample(3));
        assert_eq!(numbers(&queue), [2]);
        assert_eq!((queue.waiting(), queue.dropped()), (3, 3));
        queue.push(sample(9));
        assert_eq!(numbers(&queue), [3], "too large a frame is sent all the same");
    }
}
