//! A queue of samples that drops its oldest when full.
//!
//! In: samples in the order of reading. Out: numbered entries in that order, from the first one that
//! is not done. Readings are numbered, and an entry has the number of its last one; a number is never
//! given twice: what was dropped leaves a gap that receivers see, and the entry behind it says why.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rackwatch_core::reading::{Reading, Sample};
use rackwatch_core::wire::{Gap, Layout, Seq};
use tracing::{info, warn};

/// What becomes one entry of the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Names the run of the agent that read it.
    pub run: Arc<str>,
    /// The number of its last reading, counted over the run from 1.
    pub n: u64,
    /// The last number of the run before, in the first entry of a run where it is known.
    pub prev: Option<Seq>,
    /// Why numbers before it are missing.
    pub gap: Option<Gap>,
    /// When it was taken in.
    pub taken: Instant,
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
    run: Arc<str>,
    prev: Option<Seq>,
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
    /// An empty queue of `run` for `capacity` readings; `prev` is the last number of the run before.
    pub fn new(layout: Layout, capacity: usize, run: &str, prev: Option<Seq>) -> Self {
        Self {
            run: run.into(),
            prev,
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
        let mut entry = Entry {
            run: Arc::clone(&self.run),
            n: self.last,
            prev: self.prev.take(),
            gap: None,
            taken: Instant::now(),
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
            // Whose first entry is gone still followed that run.
            next.prev = next.prev.take().or(oldest.prev);
        }
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

    /// When the oldest entry was taken in.
    pub fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.taken)
    }

    /// Whether it is half full.
    pub fn is_filling(&self) -> bool {
        self.waiting > self.capacity / 2
    }

    /// The last number that was given; none before the first.
    pub fn last(&self) -> Option<Seq> {
        (self.last > 0).then(|| Seq {
            run: self.run.to_string(),
            n: self.last,
        })
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
        let mut queue = Queue::new(Layout::Reading, 100, "r", None);
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
        let mut queue = Queue::new(Layout::Reading, 4, "r", None);
        queue.push(sample(3));
        queue.push(sample(3));
        assert_eq!(numbers(&queue), [3, 4, 5, 6]);
        assert_eq!((queue.waiting(), queue.dropped()), (4, 2));
        let gaps: Vec<_> = queue.first(2).iter().map(|entry| entry.gap).collect();
        assert_eq!(gaps, [Some(Gap::QueueFull), None]);
        // Numbers that were sent before they were dropped are no harm.
        queue.done(1);
        assert_eq!(queue.waiting(), 4);
    }

    #[test]
    fn a_frame_is_one_entry_and_counts_its_readings() {
        let mut queue = Queue::new(Layout::Frame, 4, "r", None);
        queue.push(sample(3));
        queue.push(sample(0));
        queue.push(sample(3));
        assert_eq!(numbers(&queue), [6]);
        assert_eq!((queue.waiting(), queue.dropped()), (3, 3));
        queue.push(sample(9));
        assert_eq!(
            numbers(&queue),
            [15],
            "too large a frame is sent all the same"
        );
    }
}
